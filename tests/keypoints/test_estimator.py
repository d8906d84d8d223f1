"""Whom the estimator looks at, and how it turns the squares."""

from __future__ import annotations

import numpy as np
import pytest

from sf_detect.keypoints.crop import Crop
from sf_detect.keypoints.estimator import OneAtATime, TrackKeypoints
from sf_detect.structures import Detections, Frame, Keypoints


class Leaning:
    """Finds somebody whose trunk leans to the right by `angle` in the picture; remembers the squares."""

    def __init__(self, angle: float = 0.5, presence: float = 0.9) -> None:
        self.angle, self.presence = angle, presence
        self.crops: list[Crop] = []

    def __call__(self, image, crop):
        self.crops.append(crop)
        points = np.zeros((1, 33, 3), np.float32)
        points[..., 2] = 0.9
        points[0, [11, 12], :2] = np.array([np.sin(self.angle), -np.cos(self.angle)]) * crop.side
        return Keypoints(points, np.full((1, 33, 3), len(self.crops)), np.array([self.presence]))


def frame(pts: float = 0.0) -> Frame:
    return Frame(np.zeros((100, 200, 3), np.uint8), round(pts * 100), pts)


def persons(*boxes: tuple[float, float, float, float], ids: list[int] | None = None) -> Detections:
    numbers = np.arange(1, len(boxes) + 1) if ids is None else np.array(ids)
    return Detections(np.array(boxes, np.float32).reshape(-1, 4), np.ones(len(boxes)), numbers)


STANDING = (10.0, 10.0, 40.0, 90.0)


def test_the_square_leans_as_the_person_did_at_the_look_before():
    network = Leaning()
    looks = TrackKeypoints(network)
    for pts in (0.0, 0.25, 0.5):
        looks.update(frame(pts), persons(STANDING))
    assert [crop.angle for crop in network.crops] == pytest.approx([0, 0.5, 0.5])
    looks.update(frame(0.6), persons(STANDING, ids=[2]))  # somebody else
    looks.update(frame(1.55), persons(STANDING))  # a long time ago
    looks.reset()
    looks.update(frame(1.6), persons(STANDING))
    assert [crop.angle for crop in network.crops[3:]] == [0, 0, 0]


def test_an_unsure_look_turns_nothing():
    network = Leaning(presence=0.3)
    looks = TrackKeypoints(network)
    for pts in (0.0, 0.25):
        looks.update(frame(pts), persons(STANDING))
    assert [crop.angle for crop in network.crops] == [0, 0]


def test_the_largest_in_the_picture_are_looked_at():
    network = Leaning()
    small, large, outside = (0.0, 0.0, 10.0, 20.0), (50.0, 0.0, 90.0, 90.0), (-900.0, 0.0, -10.0, 99.0)
    bad = (np.nan, 0.0, 10.0, 10.0)
    found = TrackKeypoints(network, max_persons=2).update(frame(), persons(small, outside, large, bad, STANDING))
    assert found.presence.tolist() == pytest.approx([0, 0, 0.9, 0, 0.9])
    assert found.metres[:, 0, 0].tolist() == [0, 0, 1, 0, 2]
    assert len(TrackKeypoints(network).update(frame(), Detections.empty())) == 0


def test_persons_without_ids_are_looked_at_too():
    network = Leaning()
    looks = TrackKeypoints(network)
    for pts in (0.0, 0.25):
        one = persons(STANDING)
        found = looks.update(frame(pts), Detections(one.boxes, one.scores))
    assert found.presence.tolist() == pytest.approx([0.9])
    assert [crop.angle for crop in network.crops] == [0, 0]


def test_one_network_serves_several_threads():
    network = Leaning()
    found = OneAtATime(network)(frame().image, Crop(1, 2, 3))
    assert found.presence.tolist() == pytest.approx([0.9])
    assert network.crops == [Crop(1, 2, 3)]
