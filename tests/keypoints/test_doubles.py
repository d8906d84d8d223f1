"""One person in two boxes is one person; two people are two."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sf_detect.interfaces import PersonMerger
from sf_detect.keypoints.doubles import LEAST_OVERLAP, LEAST_PRESENCE, REMEMBERED, SAME_BODY, Doubles
from sf_detect.keypoints.estimator import TrackKeypoints
from sf_detect.structures import Detections, Frame, Keypoints
from tests.keypoints.test_holding import STANDING, body

WIDE = (75.0, 45.0, 125.0, 130.0)
"""Overlaps with STANDING, and fits its body worse."""


def persons(*boxes, ids=(3, 7, 9), shifts=(0.0, 0.0, 0.0), presence=(1.0, 1.0, 1.0)):
    """People in these boxes, in each of whom the landmarks are those of STANDING, so much to the right."""
    count = len(boxes)
    points = np.stack([body(STANDING) + np.array([shift, 0, 0], np.float32) for shift in shifts[:count]])
    keypoints = Keypoints(points, np.zeros((count, 33, 3)), np.array(presence[:count]))
    tracks = None if ids is None else np.array(ids[:count], np.int64)
    return Detections(np.array(boxes, np.float32), np.linspace(0.5, 0.9, count), tracks, keypoints)


def frame(pts=0.0):
    return Frame(np.zeros((160, 200, 3), np.uint8), round(30 * pts), pts)


def once(persons):
    """Of persons of whom nobody was seen before."""
    return Doubles().without(persons, frame())


def test_the_box_that_fits_is_kept_with_the_oldest_id():
    for ids in ((3, 7), (7, 3)):
        found = once(persons(WIDE, STANDING, ids=ids))
        np.testing.assert_array_equal(found.boxes, [STANDING])
        assert found.track_ids.tolist() == [3]
        assert found.scores.tolist() == [pytest.approx(0.9)]
        assert len(found.keypoints) == 1


def test_three_boxes_of_one_person_are_one():
    wider = (76.0, 44.0, 124.0, 130.0)
    found = once(persons(WIDE, STANDING, wider, ids=(9, 7, 3)))
    np.testing.assert_array_equal(found.boxes, [STANDING])
    assert found.track_ids.tolist() == [3]


def test_persons_without_tracks_have_none_afterwards():
    found = once(persons(WIDE, STANDING, ids=None))
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
        assert once(two) is two or len(once(two)) == len(two) == 2


def test_the_order_stays_and_landmarks_outside_the_picture_fit_nothing():
    far = (10.0, 10.0, 30.0, 60.0)
    found = once(persons(far, WIDE, STANDING, shifts=(-70.0, 0.0, 0.0)))
    np.testing.assert_array_equal(found.boxes, [far, STANDING])
    assert found.track_ids.tolist() == [3, 7]
    outside = persons(WIDE, STANDING, shifts=(500.0, 500.0))
    assert len(once(outside)) == 1


def test_tracks_that_were_both_shown_are_two_people():
    doubles = Doubles()
    apart = persons((10.0, 40.0, 40.0, 120.0), STANDING)
    assert doubles.without(apart, frame()) is apart
    close = persons(WIDE, STANDING)
    assert len(doubles.without(close, frame(0.25))) == 2
    doubles.reset()
    assert len(doubles.without(close, frame(0.5))) == 1


def test_a_second_box_is_left_out_for_as_long_as_it_lasts():
    doubles = Doubles()
    doubles.without(persons(WIDE, ids=(7,)), frame())
    for time in (0.25, 0.5):
        found = doubles.without(persons(WIDE, STANDING, ids=(7, 3)), frame(time))
        np.testing.assert_array_equal(found.boxes, [STANDING])
        assert found.track_ids.tolist() == [7]  # the track that was there


def test_who_was_shown_is_forgotten_after_a_while():
    doubles = Doubles()
    doubles.without(persons((10.0, 40.0, 40.0, 120.0), STANDING), frame())
    doubles.without(persons(STANDING, ids=(7,)), frame(REMEMBERED + 1))
    assert len(doubles.without(persons(WIDE, STANDING), frame(REMEMBERED + 2))) == 1


def test_keypoints_along_tracks_leave_second_boxes_out():
    keypoints = TrackKeypoints(lambda image, crop: Keypoints.unknown(1))
    assert isinstance(keypoints, PersonMerger)
    apart, close = persons((10.0, 40.0, 40.0, 120.0), STANDING), persons(WIDE, STANDING)
    assert len(keypoints.each_once(frame(), apart)) == len(keypoints.each_once(frame(0.25), close)) == 2
    keypoints.reset()
    assert len(keypoints.each_once(frame(0.5), close)) == 1
