"""Metrics of whole clips: top-k accuracy over several views (Kinetics) and mean AP of many labels (Charades)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.evaluation.mean_ap import MeanAP
from sf_detect.labels import LabelMap

Scores = npt.NDArray[np.floating]

POOLINGS = ("mean", "max")
"""How views of a video are put together: "mean" of the scores (Kinetics), "max" (Charades)."""

CHARADES_PROTOCOLS = ("charades", "pyslowfast")
"""Names that `multilabel_map` accepts."""


def topk_accuracy(scores: Scores, labels: npt.NDArray[np.integer], ks: Sequence[int] = (1, 5)) -> dict[int, float]:
    """Share of clips whose label is among the k best-scored classes.

    Of equal scores, the class of lower number counts as better.

    Args:
        scores: (N, C) scores.
        labels: (N,) columns of the true classes.
        ks: Values of k.

    Returns:
        Accuracy in [0, 1] by k; NaN without clips.

    Raises:
        ConfigError: Shapes do not fit, a label is not a column, or a k exceeds C.
    """
    labels = np.asarray(labels, np.int64)
    if scores.ndim != 2 or labels.shape != (len(scores),):
        raise ConfigError(f"scores have shape (N, C) and labels (N,), got {scores.shape} and {labels.shape}")
    classes = scores.shape[1]
    if len(labels) and (labels.min() < 0 or labels.max() >= classes):
        raise ConfigError(f"labels lie in 0..{classes - 1}, got {labels.min()}..{labels.max()}")
    if not all(1 <= k <= classes for k in ks):
        raise ConfigError(f"k of top-k lies in 1..{classes}, the number of classes, got {list(ks)}")
    own = scores[np.arange(len(labels)), labels][:, None]
    better = (scores > own) | ((scores == own) & (np.arange(classes) < labels[:, None]))
    rank = better.sum(axis=1)
    return {k: float(np.mean(rank < k)) if len(rank) else float("nan") for k in ks}


@dataclass
class ViewPool:
    """Puts the scores of a video's views (say 10 clips x 3 crops) together.

    Attributes:
        views: Views that every video must have.
        pooling: One of `POOLINGS`.
    """

    views: int = 30
    pooling: str = "mean"
    _pooled: dict[Hashable, npt.NDArray[np.float64]] = field(default_factory=dict, repr=False)
    _counts: dict[Hashable, int] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.pooling not in POOLINGS:
            raise UnknownNameError("pooling of views", self.pooling, POOLINGS)

    def add(self, video: Hashable, scores: Scores) -> None:
        """Adds (C,) scores of one view, or (V, C) of several."""
        rows = np.atleast_2d(np.asarray(scores, np.float64))
        new = rows.sum(axis=0) if self.pooling == "mean" else rows.max(axis=0)
        known = self._pooled.get(video)
        if known is not None:
            new = known + new if self.pooling == "mean" else np.maximum(known, new)
        self._pooled[video] = new
        self._counts[video] = self._counts.get(video, 0) + len(rows)

    def result(self) -> tuple[list[Hashable], npt.NDArray[np.float64]]:
        """The videos, in the order they came, and their (N, C) scores.

        Raises:
            ConfigError: A video has another number of views than `views`.
        """
        wrong = {video: count for video, count in self._counts.items() if count != self.views}
        if wrong:
            shown = ", ".join(f"{video!r} has {count}" for video, count in list(wrong.items())[:5])
            raise ConfigError(
                f"{len(wrong)} of {len(self._counts)} videos do not have {self.views} views: {shown}. "
                "Score the missing views, or state the number of views that were used"
            )
        scores = np.array(list(self._pooled.values())) / (self.views if self.pooling == "mean" else 1)
        return list(self._pooled), scores


def multilabel_map(
    scores: Scores, targets: npt.NDArray[np.integer], labels: LabelMap, protocol: str = "charades"
) -> MeanAP:
    """Mean over classes of the mean precision at every positive (Charades).

    Args:
        scores: (N, C) scores.
        targets: (N, C), 1 where a video has the label.
        labels: The C classes.
        protocol: "charades" ranks videos without any label last and takes equal scores as they come, as the benchmark's
            own code does; "pyslowfast" ranks all alike, and equal scores share one place, as scikit-learn does.

    Raises:
        ConfigError: Shapes do not fit.
        UnknownNameError: Another protocol.
    """
    if protocol not in CHARADES_PROTOCOLS:
        raise UnknownNameError("protocol of multi-label mAP", protocol, CHARADES_PROTOCOLS)
    positive = np.asarray(targets) > 0
    if scores.ndim != 2 or scores.shape != positive.shape or scores.shape[1] != len(labels):
        raise ConfigError(f"scores and targets have shape (N, {len(labels)}), got {scores.shape} and {positive.shape}")
    ranked = np.array(scores, np.float64)
    if protocol == "charades":
        ranked[~positive.any(axis=1)] = -np.inf
    aps = {
        name: _precision_at_positives(ranked[:, c], positive[:, c], protocol == "pyslowfast")
        for c, name in enumerate(labels)
    }
    truths = {name: int(positive[:, c].sum()) for c, name in enumerate(labels)}
    return MeanAP(f"multi-label mAP ({protocol})", aps, truths)


def _precision_at_positives(
    scores: npt.NDArray[np.float64], positive: npt.NDArray[np.bool_], group_equal: bool
) -> float:
    if not positive.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(positive[order])
    place = np.arange(1, len(order) + 1)
    if group_equal:  # every member of a group of equal scores stands at its end
        ranked = scores[order]
        last = np.searchsorted(-ranked, -ranked, side="right") - 1
        found, place = found[last], place[last]
    return float(np.mean((found / place)[positive[order]]))
