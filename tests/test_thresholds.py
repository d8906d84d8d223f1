import numpy as np
import pytest

from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.thresholds import DEFAULT_THRESHOLD, decision_thresholds, shown

LABELS = ("stand", "walk", "wave")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), [DEFAULT_THRESHOLD] * 3),
        (([0.5, 0.6, 0.7],), [0.5, 0.6, 0.7]),
        (([0.5, 0.6, 0.7], 0.2), [0.2, 0.2, 0.2]),
        (([0.5, 0.6, 0.7], None, {"walk": 0.1}), [0.5, 0.1, 0.7]),
        (([0.5, 0.6, 0.7], 0.2, {"walk": 0.1, "wave": 1}), [0.2, 0.1, 1]),
        ((None, 0.0), [0, 0, 0]),
    ],
)
def test_single_labels_win_over_the_user_over_the_model(arguments, expected):
    found = decision_thresholds(LABELS, *arguments)
    assert found.dtype == np.float32
    assert found.tolist() == np.float32(expected).tolist()


def test_a_model_without_labels_has_no_thresholds():
    assert decision_thresholds((), ()).shape == (0,)


def test_the_model_keeps_its_thresholds():
    own = np.float32([0.5, 0.6, 0.7])
    decision_thresholds(LABELS, own, None, {"walk": 0.1})
    assert own[1] == np.float32(0.6)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (([0.5, 0.5],), ConfigError, r"3 labels, but its thresholds have shape \(2,\)"),
        ((None, 7), ConfigError, "the threshold is between 0 and 1, got 7"),
        ((None, float("nan")), ConfigError, "the threshold is between 0 and 1, got nan"),
        ((None, None, {"walk": -0.1}), ConfigError, "the threshold of 'walk' is between 0 and 1, got -0.1"),
        ((None, None, {"wakl": 0.1}), UnknownNameError, "unknown label 'wakl'. Did you mean 'walk'"),
    ],
)
def test_what_is_no_threshold_is_refused(arguments, kind, message):
    with pytest.raises(kind, match=message):
        decision_thresholds(LABELS, *arguments)


GROUPS = ("action", "action", "posture")


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.6, 0.2, 0.9], [True, False, False]),
        ([0.6, 0.7, 0.2], [True, True, False]),
        ([0.1, 0.2, 0.9], [False, False, True]),
        ([0.1, 0.2, 0.3], [False, False, False]),
        ([np.nan, 0.2, 0.9], [False, False, True]),
    ],
)
def test_an_action_is_shown_else_the_posture(scores, expected):
    limits = np.full(3, 0.5, np.float32)
    assert shown(np.array([scores]), limits, GROUPS).tolist() == [expected]
    everything = [score >= 0.5 for score in scores]
    assert shown(np.array([scores]), limits).tolist() == [everything]
