"""From logits to scores, in NumPy; `classification_head.activate` is the same for tensors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sf_detect.errors import UnknownNameError

ACTIVATIONS = ("softmax", "sigmoid", "softmax_or_none")


def check_activation(activation: str) -> str:
    """Returns `activation`, or raises `UnknownNameError` if it is none of `ACTIVATIONS`."""
    if activation not in ACTIVATIONS:
        raise UnknownNameError("activation", activation, ACTIVATIONS)
    return activation


def scores_of(logits: npt.NDArray[np.floating], activation: str) -> npt.NDArray[np.float32]:
    """Scores of logits whose last axis is the classes.

    Args:
        logits: (..., C).
        activation: See `classification_head.activate`.

    Returns:
        (..., C) float32 in [0, 1].

    Raises:
        UnknownNameError: There is no such activation.
    """
    check_activation(activation)
    x = logits.astype(np.float64)
    if activation == "sigmoid":
        return (1 / (1 + np.exp(-x.clip(-700, None)))).astype(np.float32)
    none = activation == "softmax_or_none"  # has the logit 0
    top = x.max(-1, keepdims=True)
    top = np.maximum(top, 0) if none else top
    shares = np.exp(x - top)
    total = shares.sum(-1, keepdims=True) + (np.exp(-top) if none else 0)
    return (shares / total).astype(np.float32)
