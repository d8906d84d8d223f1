"""From which score on an action is said: one threshold per class, chosen on clips held out of the fit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: Beta of the F-measure: a wrong label annoys more than a missing one.
BETA = 0.5
#: A class's own optimum counts like this many examples of it do against the optimum of all.
PRIOR = 20.0
#: Share of persons who do none of the actions that may be labelled at all.
FALSE_LABELS = 0.03
#: No threshold is higher, even if that leaves more negatives labelled: the class would hardly ever be said.
HIGHEST = 0.9
_STEP = 0.01
_GRID = np.round(np.arange(0.05, 0.951, _STEP), 2)


def class_thresholds(
    scores: npt.NDArray[np.floating],
    labels: npt.NDArray[np.integer],
    negatives: npt.NDArray[np.floating],
    false_labels: float = FALSE_LABELS,
) -> npt.NDArray[np.float64]:
    """(C,) thresholds.

    Each class's F-measure optimum is drawn towards that of all classes together, because there are few examples of
    each; then whichever class labels most negatives is raised, until no more than `false_labels` of them are labelled.

    Args:
        scores: (N, C) of examples held out of the fit.
        labels: (N,) their classes.
        negatives: (M, C) scores of persons who do none of the actions.
        false_labels: Share of `negatives` that may get a label. Bystanders sometimes do what the actor does.
    """
    hot = np.eye(scores.shape[1], dtype=bool)[labels]
    everything = np.concatenate([scores, negatives])
    truth = np.concatenate([hot, np.zeros(negatives.shape, bool)])
    common = _best(everything.ravel(), truth.ravel())
    own = np.array([_best(column, wanted) for column, wanted in zip(everything.T, truth.T, strict=True)])
    weight = hot.sum(0) / (hot.sum(0) + PRIOR)
    thresholds = weight * own + (1 - weight) * common
    while len(negatives) and (said := negatives >= thresholds).any(1).mean() > false_labels:
        excess = said.sum(0) * (thresholds < HIGHEST)
        if not excess.any():
            break
        thresholds[excess.argmax()] += _STEP
    return thresholds.clip(_GRID[0], HIGHEST)


def _best(scores: npt.NDArray[np.floating], truth: npt.NDArray[np.bool_]) -> float:
    """The threshold of the best F-measure; the largest of equals."""
    chosen = scores[None, :] >= _GRID[:, None]
    hits = (chosen & truth).sum(1)
    measure = (1 + BETA**2) * hits / np.maximum(chosen.sum(1) + BETA**2 * truth.sum(), 1)
    return float(_GRID[len(_GRID) - 1 - int(np.argmax(measure[::-1]))])
