import json

import numpy as np
import pytest

from sf_detect.errors import WeightsFormatError
from sf_detect.keypoints.fusion import Fusion
from sf_detect.keypoints.network import POSTURES

ACTIONS = ["clap", "wave", "run"]
ENTRY = {
    "action_weight": 1.0,
    "body_weight": 1.0,
    "none_bias": 0.0,
    "thresholds": {"run": 0.7, "clap": 0.5, "wave": 0.6, "further": 0.1},
}


def fusion(**changes) -> Fusion:
    found = Fusion.from_metadata({"fusion": json.dumps({"net": {**ENTRY, **changes}})}, "net", ACTIONS)
    assert found is not None
    return found


def body(*probabilities: float) -> np.ndarray:
    """Logits of a classifier with these probabilities of actions and none."""
    return np.concatenate([np.zeros(len(POSTURES) + 1), np.log(probabilities) + 3]).astype(np.float32)


def test_probabilities_multiply():
    scores = np.array([0.5, 0.2, 0.1], np.float32)  # none: 0.2
    product = np.array([0.5 * 0.1, 0.2 * 0.6, 0.1 * 0.1, 0.2 * 0.2])
    np.testing.assert_allclose(fusion()(scores, body(0.1, 0.6, 0.1, 0.2)), (product / product.sum())[:3], rtol=1e-4)


def test_weights_are_exponents_and_none_can_be_favoured():
    scores, seen = np.array([0.5, 0.2, 0.1], np.float32), body(0.1, 0.6, 0.1, 0.2)
    product = np.array([0.5, 0.2, 0.1, 0.2]) ** 0.5 * np.array([0.1, 0.6, 0.1, 0.2]) ** 2 * [1, 1, 1, np.e]
    found = fusion(action_weight=0.5, body_weight=2.0, none_bias=1.0)(scores, seen)
    np.testing.assert_allclose(found, (product / product.sum())[:3], rtol=1e-4)


def test_without_a_body_the_action_model_speaks_alone():
    scores = np.array([0.5, 0.2, 0.1], np.float32)
    np.testing.assert_allclose(fusion().without_body(scores), scores, rtol=1e-5)


@pytest.mark.parametrize("scores", [[1.0, 0, 0], [0, 0, 0], [0.6, 0.6, 0.6]])
def test_certainty_of_either_gives_finite_scores(scores):
    found = fusion()(np.array(scores, np.float32), body(1e-30, 1, 1e-30, 1e-30))
    assert np.isfinite(found).all()
    assert found.sum() <= 1 + 1e-6


def test_thresholds_follow_the_order_of_the_model():
    np.testing.assert_allclose(fusion().thresholds, [0.5, 0.6, 0.7])


def test_a_model_that_the_file_does_not_know_is_not_fused():
    assert Fusion.from_metadata({"fusion": json.dumps({"net": ENTRY})}, "other", ACTIONS) is None
    assert Fusion.from_metadata({}, "net", ACTIONS) is None


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"net": 3}',
        '{"net": {}}',
        json.dumps({"net": {**ENTRY, "thresholds": {"clap": 0.5}}}),
        json.dumps({"net": {**ENTRY, "thresholds": {**ENTRY["thresholds"], "run": 7}}}),
        json.dumps({"net": {**ENTRY, "body_weight": 1e9}}),
        json.dumps({"net": {**ENTRY, "none_bias": float("nan")}}),
    ],
)
def test_an_entry_that_is_none_is_refused(text):
    with pytest.raises(WeightsFormatError, match="posture classifier"):
        Fusion.from_metadata({"fusion": text}, "net", ACTIONS)
