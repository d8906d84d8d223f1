"""Decision thresholds: the score from which an action counts.

Picture, summary, JSON Lines and events all take them from `decision_thresholds`, so that they agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from sf_detect.errors import ConfigError, UnknownNameError

ACTION, POSTURE = "action", "posture"
"""Groups of labels: what somebody does, and how they hold themselves meanwhile."""
DEFAULT_THRESHOLD = 0.3
"""Where neither the model nor the user names one."""


def decision_thresholds(
    labels: Sequence[str],
    model_thresholds: npt.ArrayLike | None = None,
    threshold: float | None = None,
    thresholds: Mapping[str, float] | None = None,
) -> npt.NDArray[np.float32]:
    """The decision threshold in force for each class, (C,) float32. A score that equals it reaches it.

    Args:
        labels: The C names of the model.
        model_thresholds: (C,) thresholds that came with the model; None takes `DEFAULT_THRESHOLD` for all.
        threshold: One threshold for all classes in place of the model's.
        thresholds: Thresholds of single classes by name; they win over both.

    Raises:
        UnknownNameError: `thresholds` names a label that the model does not have.
        ConfigError: A threshold outside [0, 1], or `model_thresholds` does not have C values.
    """
    thresholds = thresholds or {}
    check_thresholds(threshold, thresholds)
    values = np.full(len(labels), DEFAULT_THRESHOLD if threshold is None else threshold, np.float32)
    if model_thresholds is not None and threshold is None:
        given = np.asarray(model_thresholds, np.float32)
        if given.shape != values.shape:
            raise ConfigError(f"the model has {len(labels)} labels, but its thresholds have shape {given.shape}.")
        values = given.copy()
    values[label_positions(thresholds, labels)] = list(thresholds.values())
    return values


def check_thresholds(threshold: float | None, thresholds: Mapping[str, float]) -> None:
    """Refuses thresholds that no score can be compared with.

    Raises:
        ConfigError: A threshold outside [0, 1]; the message names it.
    """
    for label, value in [("threshold", threshold), *thresholds.items()]:
        if value is not None and not 0 <= value <= 1:
            named = label if label == "threshold" else f"threshold of {label!r}"
            raise ConfigError(f"the {named} is between 0 and 1, got {value}. Give a score, such as 0.3.")


def label_positions(names: Iterable[str], labels: Sequence[str]) -> list[int]:
    """Which of `labels` each name is, from 0.

    Raises:
        UnknownNameError: A name is not among them; suggests the nearest one.
    """
    index = {label: i for i, label in enumerate(labels)}
    for name in (names := list(names)):
        if name not in index:
            raise UnknownNameError("label", name, index)
    return [index[name] for name in names]


def shown(
    scores: npt.NDArray[np.float32], thresholds: npt.NDArray[np.float32], groups: Sequence[str] = ()
) -> npt.NDArray[np.bool_]:
    """Which labels of each person are to be shown: the actions that reach their thresholds, else the posture that does.

    Args:
        scores: (N, C).
        thresholds: (C,) decision thresholds.
        groups: C groups; empty means that all are actions.

    Returns:
        (N, C) of truth values.
    """
    reached = np.asarray(scores >= thresholds)
    if POSTURE not in groups:
        return reached
    postures = np.array([group == POSTURE for group in groups])
    acts = (reached & ~postures).any(axis=1, keepdims=True)
    return np.asarray(reached & ~(postures & acts))
