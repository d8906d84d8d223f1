import numpy as np
import pytest
from fake_landmarks import standing

from sf_detect.errors import DataError
from sf_detect.keypoints.features import features
from sf_detect.keypoints.network import POSTURES
from sf_detect.training.postures import examples


def names(answers) -> set[str]:
    return {(*POSTURES, "none")[i] for i in np.flatnonzero(answers)}


def test_hand_labels_are_of_j_hmdb_and_of_the_letters():
    labels = examples.read_jhmdb_postures()
    assert len(labels) == 928
    assert names(examples.accepted(labels["golf_001"], 0.5)) == {"stand"}
    assert names(examples.accepted(labels["pullup_001"], 0.5)) == {"none"}


def test_a_label_of_another_letter_is_refused(tmp_path):
    (tmp_path / "l.csv").write_text("video_id,postures\na,SSX\n")
    with pytest.raises(DataError, match="SSX"):
        examples.read_jhmdb_postures(tmp_path / "l.csv")


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0, {"stand"}), (0.1, {"stand"}), (0.25, {"stand", "sit", "none"}), (0.5, {"sit"}), (1, {"sit"}), (1.2, {"sit"})],
)
def test_between_two_postures_either_counts(share, expected):
    assert names(examples.accepted("STT", share)) == expected


def test_seen_to_the_waist_standing_or_nothing_counts():
    assert names(examples.accepted("sss", 0.5)) == {"stand", "none"}


def test_looks_are_drawn_as_a_run_has_them():
    window, rng = standing(20), np.random.default_rng(0)
    for _ in range(50):
        drawn = examples.draw(window, 19, rng)
        assert drawn.times[-1] == window.times[19]
        assert (np.diff(drawn.times) > 0.1).all()
        assert drawn.times[-1] - drawn.times[0] <= 1.2
        assert 1 <= len(drawn) <= 7


def test_a_changed_person_is_still_the_same_posture():
    window, rng = standing(5, 0.25), np.random.default_rng(3)
    for _ in range(20):
        changed = examples.change(window, rng)
        down = changed.metres[:, 27, 1] - changed.metres[:, 11, 1]
        assert (down > 0.9).all()  # ankles below shoulders, by about 1.25 m
        assert np.isfinite(features(changed)).all()
        assert np.abs(changed.points[..., :2] - changed.boxes[:, None, :2]).max() < 1000


def test_left_and_right_change_places_in_a_mirror():
    window = standing(1)
    window.points[:, 15, 2] = 0.25  # the left wrist is hardly seen
    drawn = [examples.change(window, np.random.default_rng(seed)) for seed in range(20)]
    left = np.array([w.points[0, 15, 2] < w.points[0, 16, 2] for w in drawn])
    assert 3 < left.sum() < 17


def test_who_is_turned_lies_in_a_wide_box():
    window = standing(3)
    turned = examples.turn(window, np.pi / 2)
    sides = turned.boxes[0, 2:] - turned.boxes[0, :2]
    assert sides[0] > 1.5 * sides[1]
    np.testing.assert_allclose(np.abs(turned.metres[0, 27, 0] - turned.metres[0, 11, 0]), 1.25, atol=0.01)
    np.testing.assert_allclose(turned.metres[0, 27, 1], turned.metres[0, 11, 1], atol=0.15)


def test_who_hops_goes_up_and_down_box_and_all():
    window = standing(12, 0.1)
    hopping = examples.hop(window, np.random.default_rng(0))
    lift = window.points[:, 23, 1] - hopping.points[:, 23, 1]
    assert (lift >= -1e-3).all()
    assert np.ptp(lift) > 15
    np.testing.assert_allclose(window.boxes[:, 1] - hopping.boxes[:, 1], lift, atol=1e-2)


def test_shares_decide_how_often_a_kind_is_drawn():
    row = (np.zeros((5, 3)), np.eye(9)[0], 1, 1.0, 0)
    few, many = examples.collect([row] * 2), examples.collect([row] * 20)
    together = examples.weighted([(0.75, few), (0.25, many)])
    np.testing.assert_allclose(together.weights[:2].sum(), 0.75, rtol=1e-6)
    np.testing.assert_allclose(together.weights.sum(), 1, rtol=1e-6)
