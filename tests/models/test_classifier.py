"""A whole video through a network that tells what it was shown."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from fakes import FakeSource
from sf_detect.errors import ConfigError, DecodeError, SourceError, UnknownNameError
from sf_detect.models.classifier import Classification, ClipClassifier
from sf_detect.models.preprocessing import Preprocessing
from sf_detect.models.video_views import Views
from sf_detect.structures import ClipSpec, VideoInfo

SPEC = ClipSpec(4, 2, Fraction(10))
PLAIN = Preprocessing(48, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


class Spy(nn.Module):
    """Logits: 4 where the clip is bright, else 0, and a constant 1; keeps its inputs."""

    def __init__(self, positions: bool = False) -> None:
        super().__init__()
        self.inputs: list[list[torch.Tensor]] = []
        self.positions = positions

    def forward(self, pathways: list[torch.Tensor]) -> torch.Tensor:
        self.inputs.append(pathways)
        first = 4.0 * (pathways[0].mean() > 0.1)
        logits = torch.stack([first, torch.tensor(1.0)])[None]
        if not self.positions:
            return logits
        return torch.stack([logits[0], torch.zeros(2)]).reshape(1, 1, 2, 1, 2)


def classifier(network: nn.Module | None = None, **options) -> ClipClassifier:
    return ClipClassifier(network or Spy(), SPEC, ("bright", "other"), options.pop("preprocessing", PLAIN), **options)


def softmax(*logits: float) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum()


def test_the_scores_of_the_views_are_averaged():
    spy, seen = Spy(), []
    # The first of two clips has frame indices of few bits, the second of many: dark and bright pictures.
    source = FakeSource(30, fps=10, size=(48, 48))
    result = classifier(spy)(source, Views(2, 1), lambda done, total: seen.append((done, total)))
    bright = [bool(pathways[0].mean() > 0.1) for pathways in spy.inputs]
    assert bright == [False, True]
    np.testing.assert_allclose(result.scores, (softmax(0, 1) + softmax(4, 1)) / 2, rtol=1e-5)
    assert seen == [(1, 2), (2, 2)]
    assert (result.clips, result.crops, result.interrupted) == (2, 1, False)
    assert result.top(1) == [("bright", pytest.approx(float(result.scores[0])))]
    assert "bright" in repr(result)


def test_three_crops_of_each_clip():
    spy = Spy()
    result = classifier(spy)(FakeSource(30, fps=10, size=(96, 48)), Views(2, 3))
    assert len(spy.inputs) == 6
    assert {tuple(pathways[0].shape) for pathways in spy.inputs} == {(1, 3, 4, 48, 48)}
    assert (result.clips, result.crops) == (2, 3)


def test_preprocessing_belongs_to_the_model():
    spy = Spy()
    preprocessing = Preprocessing(32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), slow_index=(1, 3))
    classifier(spy, preprocessing=preprocessing, crop=24)(FakeSource(30, fps=10), Views(1, 1))
    slow, fast = spy.inputs[0]
    assert slow.shape == (1, 3, 2, 24, 24)
    assert fast.shape == (1, 3, 4, 24, 24)
    assert torch.equal(slow, fast[:, :, [1, 3]])
    assert (float(fast.min()), float(fast.max())) == (-1, 1)


def test_positions_are_averaged_after_the_activation():
    result = classifier(Spy(positions=True))(FakeSource(1, size=(48, 48)), Views(1, 1))
    np.testing.assert_allclose(result.scores, (softmax(0, 1) + softmax(0, 0)) / 2, rtol=1e-5)


def test_independent_classes():
    result = classifier(activation="sigmoid")(FakeSource(1, size=(48, 48)))
    np.testing.assert_allclose(result.scores, [0.5, 1 / (1 + np.exp(-1))], rtol=1e-5)


@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize("num_frames", [1, 2, 5])
def test_short_videos_are_one_clip(num_frames, loop):
    spy = Spy()
    result = classifier(spy, loop=loop)(FakeSource(num_frames, fps=10), Views(10, 1))
    assert (len(spy.inputs), result.clips) == (1, 1)


class WithInfo(FakeSource):
    """A source whose container says something else."""

    def __init__(self, length: int, **info) -> None:
        super().__init__(length, fps=10, size=(48, 48))
        self.info = VideoInfo(48, 48, name="odd", **{"fps": Fraction(10), **info})
        self.passes = 0

    def __iter__(self):
        self.passes += 1
        return super().__iter__()


@pytest.mark.parametrize(
    ("info", "passes"),
    [
        ({"duration": 3.0}, 1),
        ({"num_frames": 30}, 1),
        ({}, 2),
        ({"fps": None}, 2),
        ({"duration": 300.0}, 2),
        ({"duration": 1.0}, 2),
    ],
)
def test_clips_reach_over_the_true_duration(info, passes):
    source, spy = WithInfo(30, **info), Spy()
    result = classifier(spy)(source, Views(2, 1))
    assert result.clips == 2
    assert source.passes == passes
    right = Spy()
    classifier(right)(FakeSource(30, fps=10, size=(48, 48)), Views(2, 1))
    for got, expected in zip(spy.inputs[-2:], right.inputs, strict=True):
        assert torch.equal(got[0], expected[0])


def test_a_source_that_is_read_only_once_keeps_its_first_result():
    class Once(WithInfo):
        def __iter__(self):
            if self.passes:
                raise SourceError("only once")
            return super().__iter__()

    assert classifier()(Once(30, duration=300.0), Views(2, 1)).clips == 2


def test_ctrl_c_keeps_the_views_done():
    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    result = classifier()(FakeSource(30, fps=10, size=(48, 48)), Views(4, 1), stop)
    assert result.interrupted
    assert result.clips == 2


def test_ctrl_c_before_the_first_view_ends_the_work():
    class Stopping(nn.Module):
        def forward(self, pathways):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        classifier(Stopping())(FakeSource(30))


def test_refuses_a_live_source():
    with pytest.raises(ConfigError, match="live"):
        classifier()(FakeSource(30, is_live=True))


def test_refuses_a_source_without_frames():
    with pytest.raises(DecodeError, match="no frame"):
        classifier()(FakeSource(0))


def test_refuses_labels_of_another_number():
    with pytest.raises(ConfigError, match="2 classes, but there are 3 labels"):
        ClipClassifier(Spy(), SPEC, "abc", PLAIN, name="m")(FakeSource(3))


def test_the_best_view_counts():
    result = classifier(view_scores="max", activation="sigmoid")(FakeSource(30, fps=10, size=(48, 48)), Views(2, 1))
    np.testing.assert_allclose(result.scores, [1 / (1 + np.exp(-4)), 1 / (1 + np.exp(-1))], rtol=1e-5)
    assert result.clips == 2


def test_a_clip_of_the_whole_video_is_the_only_one():
    spy = Spy()
    result = classifier(spy, whole_video=True)(FakeSource(32, fps=10, size=(96, 48)), Views(4, 3))
    assert (result.clips, result.crops, len(spy.inputs)) == (1, 3, 3)
    assert spy.inputs[0][0].shape == (1, 3, 4, 48, 48)


def test_refuses_an_unknown_way_to_join_views():
    with pytest.raises(UnknownNameError, match="mean"):
        classifier(view_scores="median")


def test_refuses_an_unknown_activation():
    with pytest.raises(UnknownNameError, match="softmax"):
        classifier(activation="softmx")


def test_equal_scores_keep_the_order_of_the_labels():
    result = Classification(("a", "b", "c"), np.array([0.2, 0.4, 0.4], np.float32), 1, 1)
    assert [label for label, _ in result.top(2)] == ["b", "c"]
    assert len(result.top(10)) == 3
