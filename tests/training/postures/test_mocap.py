import numpy as np
import pytest

from sf_detect.errors import DataError
from sf_detect.keypoints.features import features
from sf_detect.training.postures import mocap


def write(path, frames=240, speed=0.0, rotations=None):
    """A body in the database's rest pose that glides forward, `speed` metres a second."""
    rows = np.zeros((frames, 117))
    rows[:, 2] = speed * np.arange(frames) / 120 / (0.0254 / 0.45)
    if rotations is not None:
        rows[:, 3:] = rotations
    np.savetxt(path, rows, delimiter=",")
    return path


def test_the_rest_pose_stands_upright_left_to_the_left(tmp_path):
    landmarks = mocap.as_landmarks(mocap.read_motion(write(tmp_path / "a.txt", 2)))[0]
    assert 1.2 < landmarks[0, 1] - landmarks[27, 1] < 1.6  # nose over ankle
    assert landmarks[11, 0] > landmarks[12, 0]
    assert landmarks[23, 0] > landmarks[24, 0]
    assert landmarks[0, 2] > landmarks[7, 2]  # the nose is in front of the ears
    assert landmarks[15, 0] - landmarks[16, 0] > 1  # arms spread out


def test_a_turned_root_turns_the_body(tmp_path):
    rotations = np.zeros(114)
    rotations[1] = np.pi  # about the vertical
    landmarks = mocap.as_landmarks(mocap.read_motion(write(tmp_path / "a.txt", 2, rotations=rotations)))[0]
    assert landmarks[11, 0] < landmarks[12, 0]
    assert landmarks[0, 2] < landmarks[7, 2]


def test_speed_tells_walking_from_standing(tmp_path):
    walk, still = (mocap.as_landmarks(mocap.read_motion(write(tmp_path / "a.txt", 120, speed))) for speed in (1.2, 0.0))
    assert mocap.walking(walk) == ["walk"]
    assert mocap.walking(still) == mocap.standing(still) == ["stand"]
    assert mocap.running(walk) == []
    assert "stand" in mocap.standing(walk)


def test_jumping_is_being_in_the_air(tmp_path):
    still = mocap.as_landmarks(mocap.read_motion(write(tmp_path / "a.txt", 120)))
    up = still.copy()
    up[60:, :, 1] += 0.3
    assert mocap.jumping(up) == ["jump"]
    assert mocap.jumping(still) == ["stand"]


def test_a_camera_sees_a_person_that_fits_its_box(tmp_path):
    landmarks = mocap.as_landmarks(mocap.read_motion(write(tmp_path / "a.txt", 120, 1.2)))[::15]
    for seed in range(10):
        window = mocap.seen(landmarks, np.arange(8) / 8, np.random.default_rng(seed))
        inside = (window.points[..., :2] >= window.boxes[:, None, :2]) & (
            window.points[..., :2] <= window.boxes[:, None, 2:]
        )
        assert inside.all()
        height, width = window.image_size
        assert (window.boxes >= 0).all()
        assert (window.boxes <= [width, height, width, height]).all()
        assert (window.metres[:, 27, 1] > window.metres[:, 11, 1]).all()  # y down
        assert np.isfinite(features(window)).all()


@pytest.mark.parametrize("content", ["", "1,2,3\n", "a,b\n"])
def test_what_is_no_motion_is_refused(tmp_path, content):
    (tmp_path / "a.txt").write_text(content)
    with pytest.raises(DataError, match="no motion"):
        mocap.read_motion(tmp_path / "a.txt")


def test_a_folder_without_motions_says_so(tmp_path):
    with pytest.raises(DataError, match="motions: null"):
        mocap.motion_examples(tmp_path, 2, np.random.default_rng(0))


def test_examples_are_labelled_by_what_the_file_is_called(tmp_path):
    write(tmp_path / "train_walking_1.txt", 200, 1.2)
    write(tmp_path / "unheard_of_1.txt", 200, 1.2)
    found = mocap.motion_examples(tmp_path, 3, np.random.default_rng(0))
    assert len(found.actions) == 3
    np.testing.assert_array_equal(found.postures.argmax(axis=1), 1)
    assert (found.actions == -1).all()
