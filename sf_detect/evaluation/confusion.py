"""Confusion matrix of classes that exclude each other (J-HMDB clips)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sf_detect.errors import ConfigError


def confusion(
    targets: npt.NDArray[np.integer], predictions: npt.NDArray[np.integer], num_classes: int
) -> npt.NDArray[np.int64]:
    """Counts how often each class was taken for each other.

    Args:
        targets: (N,) columns of the true classes.
        predictions: (N,) columns of the predicted classes, say `scores.argmax(axis=1)`.
        num_classes: C.

    Returns:
        (C, C) counts: the row is the true class, the column the predicted one, so `matrix.trace() / matrix.sum()` is
        the accuracy.

    Raises:
        ConfigError: Arrays of other shapes or types, or a class outside 0..C-1.

    Example:
        >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
        array([[1, 1],
               [0, 1]])
    """
    for name, classes in (("targets", targets), ("predictions", predictions)):
        if np.ndim(classes) != 1 or len(classes) != len(targets):
            shapes = f"{np.shape(targets)} and {np.shape(predictions)}"
            raise ConfigError(f"targets and predictions both have shape (N,), got {shapes}")
        if not len(classes):
            continue
        if np.asarray(classes).dtype.kind not in "iu":
            raise ConfigError(f"{name} are class numbers (integers), got {np.asarray(classes).dtype}")
        if np.min(classes) < 0 or np.max(classes) >= num_classes:
            got = f"{np.min(classes)}..{np.max(classes)}"
            raise ConfigError(f"{name} lie in 0..{num_classes - 1} for {num_classes} classes, got {got}")
    cells = np.asarray(targets, np.int64) * num_classes + np.asarray(predictions, np.int64)
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes).astype(np.int64)
