import numpy as np
import pytest
from fake_landmarks import Standing, standing
from tiny_jhmdb import write_tiny_jhmdb

from sf_detect.data.jhmdb import JHMDB
from sf_detect.errors import DataError
from sf_detect.structures import Detections
from sf_detect.training.postures import looks


@pytest.fixture
def clips(tmp_path):
    return JHMDB(write_tiny_jhmdb(tmp_path / "data")).clips


def test_looks_come_back_as_they_were_kept(tmp_path):
    window = standing()
    looks.save_looks(tmp_path / "a.npz", {"one": window, "two": looks.part(window, [0, 3])})
    found = looks.load_looks(tmp_path / "a.npz")
    assert list(found) == ["one", "two"]
    np.testing.assert_array_equal(found["one"].points, window.points)
    np.testing.assert_allclose(found["one"].metres, window.metres, atol=1e-3)
    np.testing.assert_array_equal(found["two"].times, window.times[[0, 3]])
    assert found["two"].image_size == window.image_size


def test_a_file_of_looks_that_is_none_says_what_to_do(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK no")
    with pytest.raises(DataError, match="delete it"):
        looks.load_looks(tmp_path / "a.npz")


def test_nobody_looks_twice(clips, tmp_path):
    network = Standing()
    first = looks.jhmdb_looks(clips, tmp_path, "actors", lambda: network, print)
    seen = network.looks
    assert seen == len(clips) * 6  # 12 frames, every second one
    again = looks.jhmdb_looks(clips, tmp_path, "actors", pytest.fail, print)
    assert network.looks == seen
    assert set(first) == set(again) == {clip.video_id for clip in clips}


def test_a_reduced_picture_shows_a_small_person_at_the_same_place():
    frames = np.zeros((2, 400, 600, 3), np.uint8)
    boxes = np.array([[100.0, 50, 200, 350]] * 2)
    small, moved = looks.reduced(frames, boxes, np.random.default_rng(0))
    height = moved[0, 3] - moved[0, 1]
    assert looks.SMALL[0] - 1 <= height <= looks.SMALL[1] + 1
    np.testing.assert_allclose(moved[0] / boxes[0], height / 300, rtol=0.02)
    assert small.shape[1] / 400 == pytest.approx(height / 300, rel=0.02)


def test_a_picture_that_ends_at_the_waist_is_black_below_and_so_ends_the_box():
    window = standing(2)
    frames = np.full((2, 480, 640, 3), 255, np.uint8)
    cut, boxes = looks.at_the_waist(frames, window.boxes, window, np.random.default_rng(1))
    end = int(boxes[0, 3])
    assert window.points[0, 11, 1] < end < window.boxes[0, 3]
    assert cut[0, end - 1].all()
    assert not cut[0, end + 1 :].any()


def test_who_lies_is_not_cut_at_the_waist():
    window = standing(2)
    window.points[:, [11, 12], 1] = window.points[:, [23, 24], 1]
    frames = np.zeros((2, 480, 640, 3), np.uint8)
    assert looks.at_the_waist(frames, window.boxes, window, np.random.default_rng(1)) is None


def test_boxes_stay_in_the_picture():
    boxes = np.tile(np.array([0, 0, 639, 479], np.float32), (50, 1))
    moved = looks.jittered(boxes, (480, 640), np.random.default_rng(0))
    assert (moved >= 0).all()
    assert (moved <= [640, 480, 640, 480]).all()
    assert np.abs(moved - boxes).max() > 5


def test_tracked_persons_are_looked_at_on_keyframes_only(clips, tmp_path):
    assert looks.keyframes(14, 6) == [3, 9, 13]
    person = Detections(np.array([[10, 8, 40, 44]]), np.array([0.9]), np.array([7]))
    persons = {clip.video_id: [person] * clip.num_frames for clip in clips}
    found = looks.track_looks(clips, persons, 6, tmp_path, Standing, print)
    for tracks in found.values():
        np.testing.assert_allclose(tracks[7].times * 25, [3, 9, 11])
