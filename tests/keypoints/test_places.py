"""Whether what was seen is somebody who is known."""

from __future__ import annotations

import numpy as np
import pytest

from sf_detect.keypoints.places import Found, overlaps, people, same_place
from sf_detect.structures import Detections, Keypoints
from tests.keypoints.test_holding import LYING, NOBODY, STANDING, body, tracks

BOX = np.array(STANDING, np.float32)


def found(box, presence):
    return Found(Keypoints(body(box)[None], np.ones((1, 33, 3)), np.array([presence])), np.array(box, np.float32), 0.0)


def test_found_people_have_keypoints_and_no_ids():
    made = people([found(STANDING, 0.9), found(LYING, 1.0)], 0.5)
    np.testing.assert_array_equal(made.boxes, [STANDING, LYING])
    assert made.scores.tolist() == pytest.approx([0.45, 0.5])
    assert made.track_ids is None
    assert made.keypoints.presence.tolist() == pytest.approx([0.9, 1.0])
    np.testing.assert_array_equal(made.keypoints.points[1], body(LYING))
    nobody = people([], 0.5)
    assert (len(nobody), len(nobody.keypoints)) == (0, 0)


@pytest.mark.parametrize(("shift", "expected"), [(0, True), (9, True), (11, False), (500, False)])
def test_boxes_that_share_half_of_their_area_are_one_place(shift, expected):
    assert same_place(BOX, BOX + np.array([shift, 0, shift, 0], np.float32)) is expected


def test_others_overlap_with_boxes_or_with_landmarks():
    inside = (75.0, 20.0, 115.0, 148.0)
    assert not overlaps(BOX, NOBODY)
    assert overlaps(BOX, tracks(STANDING))
    assert not overlaps(BOX, tracks(inside))
    assert overlaps(BOX, tracks(inside), body(STANDING))
    halves = Detections(np.array([[80, 40, 95, 120], [95, 40, 110, 120]], np.float32), np.ones(2))
    assert not overlaps(BOX, halves)
    assert overlaps(BOX, halves, body(STANDING))  # each box holds half of them
