"""Whom the estimator looks at, and how it turns the squares."""

from __future__ import annotations

import numpy as np
import pytest

from sf_detect.keypoints.crop import Crop
from sf_detect.keypoints.estimator import FIRST_LOOKS, OneAtATime, TrackKeypoints
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


def run(network, boxes, sparing=True, step=0.25, start=0.0, looks=None):
    """Looks at person 1 in one box after the other; which of these were looks, and the estimator."""
    looks = looks or TrackKeypoints(network, sparing=sparing)
    found = [looks.update(frame(start + step * i), persons(box)) for i, box in enumerate(boxes)]
    return [bool(keypoints.looked[0]) for keypoints in found], found


def walking(count, way=4.0, **changes):
    """Boxes that move to the right, with changed edges from one on: `{5: (0, 0, 0, 9)}`."""
    boxes = np.array([STANDING]) + way * np.arange(count)[:, None] * np.array([1.0, 0, 1, 0])
    for first, change in changes.items():
        boxes[int(first.removeprefix("from_")) :] += np.array(change)
    return [tuple(box) for box in boxes]


def test_people_known_for_a_second_are_looked_at_every_second_time():
    network = Leaning(0.05)
    looked, found = run(network, walking(9))
    assert looked == [True] * FIRST_LOOKS + [False, True, False, True, False]
    assert len(network.crops) == sum(looked)
    assert all(keypoints.presence[0] == pytest.approx(0.9) for keypoints in found)
    shift = found[4].points[0] - found[3].points[0]
    np.testing.assert_allclose(shift[:, :2], np.tile([4.0, 0.0], (33, 1)), atol=1e-4)
    np.testing.assert_array_equal(found[4].points[0, :, 2], found[3].points[0, :, 2])
    np.testing.assert_array_equal(found[4].metres, found[3].metres)
    assert run(Leaning(0.05), walking(9), sparing=False)[0] == [True] * 9


def test_landmarks_stretch_with_the_box():
    _, found = run(Leaning(0.05), walking(5, 0.0, from_4=(0.0, 0.0, 3.0, 8.0)))
    before = found[3].points[0, :, :2] - STANDING[:2]
    np.testing.assert_allclose(
        found[4].points[0, :, :2] - STANDING[:2], before * [33 / 30, 88 / 80], rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ((0.0, 0.0, 5.0, 0.0), "wider: arms are raised, or somebody falls"),
        ((0.0, 15.0, 0.0, 0.0), "lower: somebody sits down"),
        ((0.0, 9.0, 0.0, 9.0), "downwards: somebody sinks or jumps"),
    ],
)
def test_who_changes_is_looked_at_at_once(change, why):
    assert run(Leaning(0.05), walking(5, from_4=change))[0] == [True] * 5, why


@pytest.mark.parametrize("network", [Leaning(0.3), Leaning(0.05, presence=0.4)])
def test_who_leans_or_is_hardly_recognised_is_looked_at_every_time(network):
    assert run(network, walking(7))[0] == [True] * 7


def test_who_turns_is_looked_at_every_time():
    network = Leaning(0.0)
    looks = TrackKeypoints(network, sparing=True)
    for i, angle in enumerate((0.0, 0.0, -0.1, 0.1, 0.1)):
        network.angle = angle
        assert looks.update(frame(0.25 * i), persons(STANDING)).looked[0], i


def test_whose_limbs_move_is_looked_at_every_time_though_the_box_keeps_its_shape():
    class Walking(Leaning):
        def __call__(self, image, crop):
            seen = super().__call__(image, crop)
            seen.metres[0, 27, 1] += 0.2 * (len(self.crops) % 2)  # a foot is lifted and put down
            return seen

    assert run(Walking(0.05), walking(9))[0] == [True] * 9
    assert False in run(Walking(0.05), walking(9, way=10.0))[0]  # the box shows them going


def test_slow_detections_are_looks_and_fast_ones_are_not_spared_twice():
    assert run(Leaning(0.05), walking(7), step=0.5)[0] == [True] * 7
    assert run(Leaning(0.05), walking(7), step=0.1)[0] == [True] * 4 + [False, True, False]


def test_nobody_else_has_the_landmarks_of_the_person_before():
    network = Leaning(0.05)
    looks = TrackKeypoints(network, sparing=True)
    run(network, walking(4), looks=looks)
    bare = Detections(np.array([STANDING], np.float32), np.ones(1))
    assert looks.update(frame(1.0), bare).looked.tolist() == [True]
    assert looks.update(frame(1.1), persons(STANDING, ids=[2])).looked.tolist() == [True]
    looks.reset()
    assert looks.update(frame(1.2), persons(STANDING)).looked.tolist() == [True]


def test_one_network_serves_several_threads():
    network = Leaning()
    found = OneAtATime(network)(frame().image, Crop(1, 2, 3))
    assert found.presence.tolist() == pytest.approx([0.9])
    assert network.crops == [Crop(1, 2, 3)]
