"""Running means of a track's scores."""

import math

import numpy as np
import pytest

from sf_detect.errors import ConfigError
from sf_detect.smoothing import ScoreSmoothing
from sf_detect.structures import ActionDetections, Detections


def keyframe(pts: float, scores: dict[int, list[float]]) -> ActionDetections:
    boxes = np.tile([0, 0, 10, 10], (len(scores), 1))
    persons = Detections(boxes, np.ones(len(scores)), np.array(list(scores), np.int64))
    return ActionDetections(pts, persons, np.array(list(scores.values())).reshape(len(scores), 2))


def test_mean_of_the_past_weighted_by_age() -> None:
    smooth = ScoreSmoothing(0.5)
    assert smooth(keyframe(0.0, {1: [1.0, 0.0]})).scores.tolist() == [[1, 0]]
    second = smooth(keyframe(0.5, {1: [0.0, 0.0]})).scores[0, 0]
    assert second == pytest.approx(math.exp(-1) / (1 + math.exp(-1)))
    third = smooth(keyframe(1.5, {1: [0.0, 0.0]})).scores[0, 0]
    assert third == pytest.approx(math.exp(-3) / (1 + math.exp(-2) + math.exp(-3)))


def test_tracks_are_kept_apart_and_new_ones_start_afresh() -> None:
    smooth = ScoreSmoothing(0.5)
    smooth(keyframe(0.0, {1: [1.0, 0.0]}))
    found = smooth(keyframe(0.5, {2: [0.0, 1.0], 1: [1.0, 0.0]}))
    np.testing.assert_allclose(found.scores, [[0, 1], [1, 0]], atol=1e-6)
    assert found.persons.track_ids.tolist() == [2, 1]
    assert found.pts == 0.5


def test_a_new_video_starts_afresh() -> None:
    smooth = ScoreSmoothing(0.5)
    smooth(keyframe(0.0, {1: [1.0, 0.0]}))
    smooth.reset()
    assert smooth(keyframe(0.5, {1: [0.0, 1.0]})).scores.tolist() == [[0, 1]]


def test_what_left_long_ago_is_forgotten() -> None:
    smooth = ScoreSmoothing(0.5)
    smooth(keyframe(0.0, {1: [1.0, 0.0]}))
    smooth(keyframe(6.0, {2: [1.0, 0.0]}))
    assert smooth(keyframe(6.1, {1: [0.0, 1.0]})).scores.tolist() == [[0, 1]]


def test_nothing_to_do() -> None:
    alone = keyframe(0.0, {1: [1.0, 0.0]})
    assert ScoreSmoothing(0.0)(alone) is alone
    nobody = keyframe(0.0, {})
    assert ScoreSmoothing(0.5)(nobody) is nobody
    untracked = ActionDetections(0.0, Detections(alone.persons.boxes, alone.persons.scores), alone.scores)
    assert ScoreSmoothing(0.5)(untracked) is untracked


@pytest.mark.parametrize("seconds", [-0.5, math.nan, math.inf])
def test_no_time_constant(seconds: float) -> None:
    with pytest.raises(ConfigError, match=r"pipeline.smoothing is .*expected .* seconds from 0 up; 0 switches"):
        ScoreSmoothing(seconds)
