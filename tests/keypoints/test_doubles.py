"""One person in two boxes is one person; two people are two."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sf_detect.keypoints.doubles import LEAST_OVERLAP, LEAST_PRESENCE, SAME_BODY, without_doubles
from sf_detect.structures import Detections, Keypoints
from tests.keypoints.test_holding import STANDING, body

SIZE = (160, 200)
WIDE = (75.0, 45.0, 125.0, 130.0)
"""Overlaps with STANDING, and fits its body worse."""


def persons(*boxes, ids=(3, 7, 9), shifts=(0.0, 0.0, 0.0), presence=(1.0, 1.0, 1.0)):
    """People in these boxes, in each of whom the landmarks are those of STANDING, so much to the right."""
    count = len(boxes)
    points = np.stack([body(STANDING) + np.array([shift, 0, 0], np.float32) for shift in shifts[:count]])
    keypoints = Keypoints(points, np.zeros((count, 33, 3)), np.array(presence[:count]))
    tracks = None if ids is None else np.array(ids[:count], np.int64)
    return Detections(np.array(boxes, np.float32), np.linspace(0.5, 0.9, count), tracks, keypoints)


def test_the_box_that_fits_is_kept_with_the_oldest_id():
    for ids in ((3, 7), (7, 3)):
        found = without_doubles(persons(WIDE, STANDING, ids=ids), SIZE)
        np.testing.assert_array_equal(found.boxes, [STANDING])
        assert found.track_ids.tolist() == [3]
        assert found.scores.tolist() == [pytest.approx(0.9)]
        assert len(found.keypoints) == 1


def test_three_boxes_of_one_person_are_one():
    wider = (76.0, 44.0, 124.0, 130.0)
    found = without_doubles(persons(WIDE, STANDING, wider, ids=(9, 7, 3)), SIZE)
    np.testing.assert_array_equal(found.boxes, [STANDING])
    assert found.track_ids.tolist() == [3]


def test_persons_without_tracks_have_none_afterwards():
    found = without_doubles(persons(WIDE, STANDING, ids=None), SIZE)
    np.testing.assert_array_equal(found.boxes, [STANDING])
    assert found.track_ids is None


def test_two_people_are_two():
    assert (LEAST_OVERLAP, SAME_BODY, LEAST_PRESENCE) == (0.5, 0.1, 0.5)
    side = 0.11 * (WIDE[3] - WIDE[1])
    for two in (
        persons(WIDE, STANDING, shifts=(side, 0.0)),  # behind each other: other landmarks
        persons((100.0, 60.0, 130.0, 150.0), STANDING),  # boxes that hardly overlap
        persons(WIDE, STANDING, presence=(0.4, 1.0)),  # nobody was recognised in one of them
        replace(persons(WIDE, STANDING), keypoints=None),
        persons(STANDING),
    ):
        assert without_doubles(two, SIZE) is two or len(without_doubles(two, SIZE)) == len(two) == 2


def test_the_order_stays_and_landmarks_outside_the_picture_fit_nothing():
    far = (10.0, 10.0, 30.0, 60.0)
    found = without_doubles(persons(far, WIDE, STANDING, shifts=(-70.0, 0.0, 0.0)), SIZE)
    np.testing.assert_array_equal(found.boxes, [far, STANDING])
    assert found.track_ids.tolist() == [3, 7]
    outside = persons(WIDE, STANDING, shifts=(500.0, 500.0))
    assert len(without_doubles(outside, SIZE)) == 1
