import numpy as np
import pytest

from sf_detect.live.motion import HORIZON, LONGEST, TrackMotion
from sf_detect.structures import Detections, Keypoints


def people(*boxes, ids=None, keypoints=None):
    ids = range(1, len(boxes) + 1) if ids is None else ids
    return Detections(np.array(boxes, np.float32).reshape(-1, 4), np.full(len(boxes), 0.9), np.array(ids), keypoints)


def walker(x):
    return (x, 10, x + 20, 50)


def test_nobody_before_the_first_detection():
    motion = TrackMotion()
    assert len(motion.at(1.0)) == 0
    assert motion.pts is None


def test_a_new_track_stays_where_it_was_seen():
    motion = TrackMotion()
    motion.update(people(walker(0)), 1.0)
    np.testing.assert_array_equal(motion.at(1.2).boxes, [walker(0)])


def test_boxes_move_as_they_did_and_the_movement_fades():
    motion = TrackMotion()
    for i in range(20):
        motion.update(people(walker(10 * i)), i * 0.1)  # 100 pixels a second
    at = [float(motion.at(1.9 + dt).boxes[0, 0]) for dt in (0.0, 0.05, 0.1, 1.0)]
    assert at[0] == 190
    assert at[1] == pytest.approx(195, abs=0.5)
    assert at[2] == pytest.approx(200, abs=1.6)
    assert at[3] < 190 + 100 * HORIZON
    assert motion.at(1.9).track_ids.tolist() == [1]
    assert float(motion.at(1.8).boxes[0, 0]) == pytest.approx(180, abs=1.6), "back in time as well"


def test_moved_boxes_are_nearer_to_where_people_are():
    motion = TrackMotion()
    errors = {"moved": [], "still": []}
    for i in range(30):
        pts, x = i * 0.25, 80 * i * 0.25
        motion.update(people(walker(x)), pts)
        if i > 3:
            for later in np.arange(0.05, 0.36, 0.05):
                truth = x + 80 * later
                errors["moved"].append(abs(float(motion.at(pts + later).boxes[0, 0]) - truth))
                errors["still"].append(abs(x - truth))
    assert np.mean(errors["moved"]) < 0.4 * np.mean(errors["still"])


def test_who_stands_is_not_moved_by_boxes_that_jump():
    motion, random = TrackMotion(), np.random.default_rng(0)
    moved = []
    for i in range(40):
        motion.update(people(walker(100 + random.normal(0, 4))), i * 0.25)
        if i > 3:
            still = motion.at(i * 0.25).boxes[0, 0]
            moved.append(abs(float(motion.at(i * 0.25 + 0.25).boxes[0, 0]) - still))
    assert np.mean(moved) < 1.0


def test_a_velocity_needs_three_sightings():
    motion = TrackMotion()
    for i in range(2):
        motion.update(people(walker(10 * i)), i * 0.1)
    assert float(motion.at(0.2).boxes[0, 0]) == 10
    motion.update(people(walker(20)), 0.2)
    assert float(motion.at(0.3).boxes[0, 0]) > 28


def test_a_growing_box_keeps_its_size():
    motion = TrackMotion()
    for i in range(6):
        motion.update(people((50 - 5 * i, 50 - 5 * i, 50 + 5 * i + 1, 50 + 5 * i + 1)), i * 0.1)
    np.testing.assert_allclose(motion.at(0.8).boxes, motion.at(0.5).boxes, atol=1e-3)


def test_lost_tracks_linger_where_they_shall():
    for linger, expected in ((0.0, [1]), (0.5, [1, 2])):
        motion = TrackMotion(linger)
        motion.update(people(walker(0), walker(50)), 1.0)
        motion.update(people(walker(0)), 1.2)
        assert motion.at(1.3).track_ids.tolist() == expected
        assert motion.at(1.6).track_ids.tolist() == [1]
    motion = TrackMotion(0.5)
    motion.update(people(walker(0), ids=[7]), 1.0)
    motion.update(people(), 1.2)
    motion.update(people(walker(5), ids=[7]), 1.4)
    assert motion.at(1.4).track_ids.tolist() == [7], "who is back is there once"


def test_old_detections_say_nothing():
    motion = TrackMotion()
    motion.update(people(walker(0)), 1.0)
    assert len(motion.at(1.0 + LONGEST)) == 1
    assert len(motion.at(1.01 + LONGEST)) == 0
    motion.reset()
    assert len(motion.at(1.0)) == 0


def test_keypoints_go_with_the_box():
    points = np.zeros((1, 33, 3), np.float32)
    points[..., 2] = 0.7
    keypoints = Keypoints(points, points.copy(), np.ones(1, np.float32))
    motion = TrackMotion()
    for i in range(3):
        motion.update(people(walker(10 * i), keypoints=keypoints), i / 10)
    moved = motion.at(0.3)
    shift = moved.boxes[0, 0] - 20
    assert shift > 1
    np.testing.assert_allclose(moved.keypoints.points[0, :, 0], shift, rtol=1e-5)
    np.testing.assert_allclose(moved.keypoints.points[0, :, 2], 0.7)


def test_persons_without_tracks_stay():
    motion = TrackMotion()
    motion.update(Detections(np.array([walker(0)]), np.array([0.9])), 1.0)
    np.testing.assert_array_equal(motion.at(1.2).boxes, [walker(0)])
