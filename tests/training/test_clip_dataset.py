import sys

import numpy as np
import pytest
import torch
from tiny_actions import write_custom

from sf_detect.data.clip_augmentation import Augmentation
from sf_detect.data.datasets import build_dataset
from sf_detect.data.samples import ActionDataset, ClipSample
from sf_detect.models.video_views import Views
from sf_detect.structures import ClipSpec
from sf_detect.training import clip_dataset
from sf_detect.training.clip_dataset import (
    ClipBatch,
    ClipViews,
    EpochBatches,
    EvaluationClips,
    Place,
    TrainingClips,
    by_size,
)
from sf_detect.training.clips_recipe import MultigridRecipe
from sf_detect.training.multigrid import SamplingGrid, plan_multigrid

CUT = Augmentation(32, (40, 48))
GRID = SamplingGrid(4, (2, 2), 32)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_custom(tmp_path_factory.mktemp("clips") / "data", videos=2)


@pytest.fixture
def detection(data):
    return build_dataset("custom", {"root": str(data)})


@pytest.fixture
def classification(data):
    samples = [ClipSample(f"v{n}", data / "videos" / f"v{n}.mp4", labels=((n,),)) for n in (0, 1)]
    return ActionDataset("clips", "classification", samples, ("dark", "bright"), (0, 1), False)


def test_a_view_follows_from_seed_epoch_and_sample(detection):
    clips = TrainingClips(detection, ClipViews(ClipSpec(4, 2), CUT, background=2), seed=3)
    first, again, other = clips[Place(0, 1, GRID)], clips[Place(0, 1, GRID)], clips[Place(1, 1, GRID)]
    assert first.frames.shape == (1, 4, 32, 32, 3)
    assert torch.equal(first.frames, again.frames)
    assert torch.equal(first.boxes, again.boxes)
    assert not torch.equal(first.boxes, other.boxes)
    assert len(first.boxes) == len(first.targets) == len(first.kept)
    assert (first.targets[first.kept < 0] == 0).all()


def test_a_batch_numbers_its_boxes(detection):
    clips = TrainingClips(detection, ClipViews(ClipSpec(4, 2), CUT), seed=0)
    batch = ClipBatch.of([clips[Place(0, 0, GRID)], clips[Place(0, 2, GRID)]])
    assert batch.frames.shape == (2, 4, 32, 32, 3)
    assert batch.boxes[:, 0].tolist() == [0, 0, 1]
    assert batch.indices.tolist() == [0, 2]


def test_evaluation_sees_whole_frames_in_batches_of_one_size(detection):
    clips = EvaluationClips(detection, ClipViews(ClipSpec(4, 2), CUT, short_side=20))
    (batch,) = by_size([clips[0], clips[2]])
    assert batch.frames.shape == (2, 4, 20, 24, 3)
    np.testing.assert_allclose(batch.boxes[-1].tolist(), [1, 2.4, 2.0, 16.8, 18.0], atol=1e-5)


def test_a_classifier_is_shown_all_its_views(classification):
    views = ClipViews(ClipSpec(4, 2), CUT, short_side=20, test_crop=16, test_views=Views(3, 3))
    clips = EvaluationClips(classification, views)
    assert len(clips) == 6
    assert clips[4].frames.shape == (3, 4, 16, 16, 3)
    assert clips[4].index == 1
    (batch,) = by_size([clips[0], clips[3]])
    assert batch.indices.tolist() == [0, 0, 0, 1, 1, 1]


def test_segments_spread_over_the_whole_video(classification, monkeypatch):
    from sf_detect.training import clip_dataset

    seen = []
    usual = clip_dataset.read_clip
    monkeypatch.setattr(clip_dataset, "read_clip", lambda s, times, side: seen.append(times) or usual(s, times, side))
    views = ClipViews(ClipSpec(3, 1), CUT, "segments", short_side=20, test_crop=16, test_views=Views(10, 1))
    clips = EvaluationClips(classification, views)
    assert len(clips) == 2
    clips[0]
    np.testing.assert_allclose(seen[0], [5 / 30, 15 / 30, 25 / 30])
    TrainingClips(classification, views, 0)[Place(0, 0, SamplingGrid(3, (1, 1), 32))]
    assert (np.floor(seen[1] * 3 + 1e-9) == [0, 1, 2]).all()


def test_processes_share_the_batches_of_one():
    whole = list(EpochBatches(11, 4, 0, 1, seed=1, epoch=2, cycle=[GRID]))
    halves = [list(EpochBatches(11, 2, rank, 2, seed=1, epoch=2, cycle=[GRID])) for rank in (0, 1)]
    assert [a + b for a, b in zip(*halves, strict=True)] == whole
    assert list(EpochBatches(11, 4, 0, 1, seed=1, epoch=2, cycle=[GRID], start=1)) == whole[1:]
    assert whole != list(EpochBatches(11, 4, 0, 1, seed=1, epoch=3, cycle=[GRID]))


def test_batches_of_several_shapes_are_shared_as_if_they_were_of_one_process():
    cycle = [SamplingGrid(4, (2, 2), 16, 4), SamplingGrid(4, (2, 2), 32, 1)]
    whole = list(EpochBatches(53, 2, 0, 1, seed=1, epoch=2, cycle=cycle, accumulate=2))
    assert [len(batch) for batch in whole] == [8, 8, 2, 2, 8, 8, 2, 2, 8]
    assert [batch[0].grid.crop for batch in whole] == [16, 16, 32, 32, 16, 16, 32, 32, 16]
    assert len({place.sample for batch in whole for place in batch}) == 48
    halves = [list(EpochBatches(53, 1, rank, 2, 1, 2, cycle, 2)) for rank in (0, 1)]
    for batch, first, second in zip(whole, *halves, strict=True):
        assert [place for pair in zip(first, second, strict=True) for place in pair] == batch
    assert list(EpochBatches(53, 2, 0, 1, 1, 2, cycle, 2, start=3)) == whole[3:]


@pytest.mark.parametrize("accumulate", [1, 2, 3])
def test_the_plan_knows_how_many_steps_an_epoch_has(accumulate):
    base = SamplingGrid(32, (2, 2), 224)
    plan = plan_multigrid(MultigridRecipe(short_cycle=True), base, 4, 1)
    for size in range(21 * accumulate, 60):
        batches = EpochBatches(size, 3, 0, 1, 0, 0, plan.cycle(0), accumulate)
        assert len(batches) // accumulate == plan.steps(0, size // 3 // accumulate)


def test_a_grid_changes_frames_rate_and_crop_but_not_what_is_seen():
    views = ClipViews(ClipSpec(8, 2), CUT).at(SamplingGrid(4, (4, 4), 16), np.random.default_rng(0))
    assert (views.spec.num_frames, views.spec.sampling_rate) == (4, 4)
    assert (views.augmentation.crop, views.augmentation.scales) == (16, (20, 24))
    drawn = [views.at(SamplingGrid(4, (2, 5), 16), np.random.default_rng(n)).spec.sampling_rate for n in range(40)]
    assert set(drawn) == {2, 3, 4, 5}


def test_a_clip_has_the_shape_of_its_grid(detection):
    clips = TrainingClips(detection, ClipViews(ClipSpec(8, 2), CUT), seed=3)
    item = clips[Place(0, 1, SamplingGrid(4, (2, 4), 23, 2))]
    assert item.frames.shape == (1, 4, 23, 23, 3)
    assert item.boxes.max() <= 23


def test_a_small_dataset_fills_its_only_batch():
    (batch,) = EpochBatches(3, 8, 0, 1, seed=0, epoch=0, cycle=[GRID])
    assert {place.sample for place in batch} == {0, 1, 2}


def test_a_worker_whose_training_has_gone_says_nothing(monkeypatch, capsys):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(clip_dataset.cv2, "setNumThreads", lambda _: None)
    clip_dataset.start_worker(0)
    for error in (ConnectionResetError("gone"), EOFError(), ValueError("of the worker")):
        sys.excepthook(type(error), error, None)
    assert capsys.readouterr().err == "ValueError: of the worker\n"
