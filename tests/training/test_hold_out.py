from pathlib import Path

import numpy as np
import pytest

from sf_detect.data.samples import ActionDataset, ClipSample
from sf_detect.errors import ConfigError
from sf_detect.training.hold_out import held_out_videos, of_videos


def dataset(videos, sources=None):
    """Of (video, class) pairs, a sample each."""
    samples = [ClipSample(video, Path(f"{video}.mp4"), labels=((label,),)) for video, label in videos]
    return ActionDataset("tiny train", "classification", samples, ("a", "b"), (1, 2), False, sources=sources or {})


def test_about_a_share_of_every_class_is_held_out_always_the_same():
    data = dataset([(f"v{i}", i % 2) for i in range(100)])
    videos = held_out_videos(data, 0.1)
    assert videos == held_out_videos(dataset([(f"v{i}", i % 2) for i in reversed(range(100))]), 0.1)
    assert sorted(int(video[1:]) % 2 for video in videos) == [0] * 5 + [1] * 5
    train, validation = of_videos(data, videos, False), of_videos(data, videos, True)
    assert (len(train), len(validation)) == (90, 10)
    assert not {s.video_id for s in train.samples} & {s.video_id for s in validation.samples}
    assert (validation.name, train.name) == ("tiny train, held out", "tiny train, without those held out")
    assert validation.class_ids == data.class_ids


@pytest.mark.parametrize("named", [False, True])
def test_a_recording_is_on_one_side(named):
    names = [(f"A/v_A_g{group:02d}_c{clip:02d}", 0) for group in range(10) for clip in range(7)]
    sources = {name: f"film {i % 10}" for i, (name, _) in enumerate(names)} if named else {}
    videos = held_out_videos(dataset(names, sources), 0.15)
    whose = [sources.get(name, name[:9]) for name, _ in names]
    inside = [name in videos for name, _ in names]
    for source in set(whose):
        assert len({kept for kept, other in zip(inside, whose, strict=True) if other == source}) == 1
    assert np.sum(inside) == 14


def test_what_can_not_be_held_out():
    with pytest.raises(ConfigError, match="tiny train has no class with two recordings"):
        held_out_videos(dataset([("v", 0), ("w", 1)]), 0.5)
    for share in (-0.1, 1.0, 3.0):
        with pytest.raises(ConfigError, match="share of the training videos between 0 and 1"):
            held_out_videos(dataset([("v", 0)]), share)
    assert len(held_out_videos(dataset([("v", 0), ("w", 0)]), 0.99)) == 1
