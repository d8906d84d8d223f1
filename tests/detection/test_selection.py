"""Which raw boxes become persons."""

from __future__ import annotations

import numpy as np
import pytest

from sf_detect.detection.selection import Selection, require_images
from sf_detect.errors import ConfigError

BOXES = np.array([[0, 0, 10, 40], [50, 0, 60, 20], [100, 0, 110, 40]], np.float32)
SCORES = np.array([0.5, 0.9, 0.2], np.float32)
SIZE = (48, 128)


def test_best_first_and_above_the_threshold() -> None:
    persons = Selection(0.3)(BOXES, SCORES, SIZE)
    np.testing.assert_allclose(persons.scores, [0.9, 0.5])
    np.testing.assert_array_equal(persons.boxes, BOXES[[1, 0]])
    assert persons.track_ids is None


def test_clips_to_the_frame_and_drops_what_is_outside() -> None:
    boxes = np.array([[-5, -5, 10, 60], [130, 0, 140, 20], [20, 0, 20, 30], [30, 20, 25, 30]])
    persons = Selection(0.0)(boxes, np.full(4, 0.5), SIZE)
    np.testing.assert_array_equal(persons.boxes, [[0, 0, 10, 48]])
    assert persons.boxes.dtype == np.float32


def test_values_that_are_not_finite_are_dropped() -> None:
    boxes = np.array([[0, 0, np.nan, 10], [0, 0, np.inf, 10], [0, 0, 10, 10]])
    assert len(Selection(0.0)(boxes, np.array([0.5, 0.5, 0.5]), SIZE)) == 1
    assert len(Selection(0.0)(boxes, np.array([0.5, 0.5, np.nan]), SIZE)) == 0


def test_minimum_size_counts_the_longer_side() -> None:
    lying = np.array([[0, 0, 40, 10]], np.float32)
    persons = Selection(0.0, min_size=30)(np.concatenate([BOXES, lying]), np.full(4, 0.5), SIZE)
    assert len(persons) == 3  # the 20 pixel person is gone, the lying one stays


def test_most_persons() -> None:
    np.testing.assert_allclose(Selection(0.0, max_persons=2)(BOXES, SCORES, SIZE).scores, [0.9, 0.5])


def test_overlap_is_suppressed_and_1_switches_it_off() -> None:
    boxes = np.array([[0, 0, 10, 40], [0, 0, 10, 36]], np.float32)
    scores = np.array([0.5, 0.9], np.float32)
    assert len(Selection(0.0, nms_iou=0.5)(boxes, scores, SIZE)) == 1
    assert len(Selection(0.0, nms_iou=1.0)(boxes, scores, SIZE)) == 2


def test_parts_of_a_better_box_are_dropped() -> None:
    person, arm, neighbour = [10, 0, 40, 40], [12, 5, 20, 25], [30, 0, 60, 40]
    boxes = np.array([arm, person, neighbour], np.float32)
    persons = Selection(0.0, part_share=0.85)(boxes, np.array([0.4, 0.9, 0.5]), SIZE)
    np.testing.assert_array_equal(persons.boxes, [person, neighbour])
    better_arm = Selection(0.0, part_share=0.85)(boxes, np.array([0.95, 0.9, 0.5]), SIZE)
    assert len(better_arm) == 3  # a weaker box is never a reason to drop a better one


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score_threshold": 1.5}, "score threshold is 1.5"),
        ({"score_threshold": 0.5, "nms_iou": -1}, "NMS IoU is -1"),
        ({"score_threshold": 0.5, "part_share": 2}, "part share is 2"),
        ({"score_threshold": 0.5, "min_size": -1}, "minimum size is -1"),
        ({"score_threshold": float("nan")}, "score threshold is nan"),
        ({"score_threshold": 0.5, "max_persons": 0}, "most persons per image is 0"),
    ],
)
def test_values_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Selection(**options)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
    ],
)
def test_images_of_another_kind(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"\(H, W, 3\) uint8 and not empty"):
        require_images([image])
