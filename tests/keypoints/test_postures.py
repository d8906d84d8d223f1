"""Scores of actions and of postures as scores of one set of labels."""

from __future__ import annotations

import numpy as np
import pytest

from sf_detect.keypoints.postures import NAMES, PostureScores
from sf_detect.model_spec import NO_MODEL, ModelSpec
from sf_detect.structures import ClipSpec

SPEC = ModelSpec("m", ("wave", "walk", "sit down"), ClipSpec(8, 2), label_ids=(3, 7, 5), thresholds=(0.5, 0.8, 0.4))
THRESHOLDS = (0.5, 0.4, 0.6, 0.5, 0.5, 0.5, 0.5, 0.6)


class Fusion:
    """Halves what is not seen, takes the mean with the first logits where it is."""

    thresholds = np.array([0.1, 0.2, 0.3], np.float32)

    def __call__(self, actions, logits, /):
        return (actions + logits[:3]) / 2

    def without_body(self, actions, /):
        return actions / 2


def scores(spec=SPEC, fusion=None, alone=()):
    return PostureScores(spec, lambda window: window, lambda logits: logits[:8], THRESHOLDS, fusion, alone)


def postures(**known: float) -> np.ndarray:
    return np.array([known.get(name, 0.0) for name in NAMES], np.float32)


def labelled(actions, *known, **options):
    made = scores(**options)
    found = made.labelled(made.joined(np.array(actions, np.float32).reshape(len(known), -1), known))
    return [dict(zip(made.spec.labels, row, strict=True)) for row in found.astype(float).round(4).tolist()]


def test_the_labels_are_the_actions_and_then_the_postures_that_are_none():
    spec = scores().spec
    assert spec.labels == ("wave", "walk", "sit down", "stand", "run", "sit", "bend", "crouch", "lie", "jump")
    assert spec.label_ids == (3, 7, 5, 8, 9, 10, 11, 12, 13, 14)
    assert spec.thresholds == (0.5, 0.8, 0.4, 0.5, 0.6, 0.5, 0.5, 0.5, 0.5, 0.6)
    assert spec.groups == ("action",) * 3 + ("posture",) * 7
    assert (spec.name, spec.clip_spec) == (SPEC.name, SPEC.clip_spec)


def test_without_an_action_model_all_are_postures():
    spec = scores(NO_MODEL).spec
    assert spec.labels == NAMES
    assert spec.label_ids == tuple(range(1, 9))
    assert spec.groups == ("posture",) * 8
    (found,) = labelled([], postures(walk=0.7, stand=0.2), spec=NO_MODEL)
    assert {name for name, score in found.items() if score} == {"walk"}


def test_only_the_likeliest_posture_has_a_score():
    sitting, walking = labelled([[0.1] * 3] * 2, postures(sit=0.6, stand=0.3), postures(walk=0.6, stand=0.3))
    assert sitting == {
        **dict.fromkeys(scores().spec.labels, 0.0),
        "wave": 0.1,
        "walk": 0.1,
        "sit down": 0.1,
        "sit": 0.6,
    }
    assert walking["stand"] == 0
    assert walking["walk"] > 0.8


@pytest.mark.parametrize(
    ("action", "posture", "expected"),
    [(0.0, 0.4, 0.8), (0.0, 0.2, 0.4), (0.0, 0.7, 0.9), (0.0, 1.0, 1.0), (0.95, 0.4, 0.95), (0.3, 0.0, 0.3)],
)
def test_one_label_of_two_scores_reaches_its_threshold_where_one_of_them_does(action, posture, expected):
    (found,) = labelled([[0, action, 0]], postures(walk=posture))
    assert found["walk"] == pytest.approx(expected)


def test_who_is_not_seen_has_no_posture():
    (found,) = labelled([[0.3, 0.2, 0.1]], None)
    assert {name: score for name, score in found.items() if score} == {"wave": 0.3, "walk": 0.2, "sit down": 0.1}


def test_action_scores_are_joined_where_the_file_says_how():
    assert scores(fusion=Fusion()).spec.thresholds[:3] == pytest.approx((0.1, 0.2, 0.3))
    logits = np.array([1, 0, 0, 0, 0, 0, 0, 0], np.float32)
    seen, unseen = labelled([[0.4, 0.2, 0.1]] * 2, logits, None, fusion=Fusion())
    assert (seen["wave"], seen["walk"], seen["sit down"]) == pytest.approx((0.7, 0.1, 0.05))
    assert (unseen["wave"], unseen["walk"], unseen["stand"]) == pytest.approx((0.2, 0.1, 0))


def test_nobody():
    made = scores()
    joined = made.joined(np.zeros((0, 3), np.float32), [])
    assert made.labelled(joined).shape == (0, 10)


def test_a_movement_may_be_the_classifiers_alone_to_decide():
    walks = postures(walk=0.2, stand=0.1)
    seen, unseen, waves = labelled([[0, 0.9, 0], [0, 0.9, 0], [0.5, 0.1, 0]], walks, None, walks, alone=("walk", "run"))
    assert seen["walk"] == pytest.approx(0.4)
    assert unseen["walk"] == pytest.approx(0.9)
    assert waves["walk"] == pytest.approx(0.1)  # of somebody who does something else the actions' own scores count
