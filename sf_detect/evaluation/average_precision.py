"""Average precision, in the forms that the benchmarks of the field use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

TIE_ORDERS = ("stable", "optimistic", "pessimistic")
"""How detections with equal scores are ranked: as they came, hits first, misses first."""


@dataclass(frozen=True, eq=False)
class PrecisionRecall:
    """Precision and recall after every hit, best score first.

    Attributes:
        recall: (H,) float64, hits so far / ground truths; increases.
        precision: (H,) float64, hits so far / detections so far.
    """

    recall: npt.NDArray[np.float64]
    precision: npt.NDArray[np.float64]

    @property
    def envelope(self) -> npt.NDArray[np.float64]:
        """(H,) float64: the best precision at this recall or a higher one."""
        return np.maximum.accumulate(self.precision[::-1])[::-1]


def rank(scores: npt.NDArray[np.floating], hits: npt.NDArray[np.bool_], ties: str = "stable") -> npt.NDArray[np.intp]:
    """(N,) order of detections, best score first; `ties` is one of `TIE_ORDERS`."""
    if ties == "stable":
        return np.argsort(-scores, kind="stable")
    return np.lexsort((~hits if ties == "optimistic" else hits, -scores))


def hit_places(scores: npt.NDArray[np.floating], hits: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """(H,) ascending places of the hits among N detections, from 0, best score first, equal scores as they came."""
    ordered, of_hits = np.sort(scores), np.sort(scores[hits])[::-1]
    end = np.searchsorted(ordered, of_hits, "right")
    places = len(scores) - end  # as many are better
    tied = ordered[end - 2] == of_hits
    if tied.any():  # add as many equal ones as come before; only these take the slow stable sort
        rows = np.flatnonzero(np.isin(scores, of_hits[tied]))
        rows = rows[rank(scores[rows], hits[rows])]
        of_hit = np.flatnonzero(hits[rows])
        places[tied] += of_hit - np.searchsorted(-scores[rows], -scores[rows[of_hit]])
    return places


def precision_recall(places: npt.NDArray[np.intp], num_groundtruth: int) -> PrecisionRecall:
    """The curve of hits at `places` (ascending, from 0) among the detections, best score first."""
    count = np.arange(1, len(places) + 1)
    return PrecisionRecall(count / max(num_groundtruth, 1), count / (places + 1.0))


def envelope_ap(hits: npt.NDArray[np.bool_], num_groundtruth: int) -> float:
    """Area under the monotone precision envelope, all points (PASCAL VOC from 2010; AVA, YOWO, MultiSports).

    Args:
        hits: (N,) whether a detection is a true positive, best score first.
        num_groundtruth: Objects to find.

    Returns:
        In [0, 1]; NaN where there is nothing to find.
    """
    return area_under(precision_recall(np.flatnonzero(hits), num_groundtruth), num_groundtruth)


def area_under(curve: PrecisionRecall, num_groundtruth: int) -> float:
    """As `envelope_ap`, of a curve."""
    return float(curve.envelope.sum() / num_groundtruth) if num_groundtruth else float("nan")


def trapezoid_ap(hits: npt.NDArray[np.bool_], num_groundtruth: int) -> float:
    """Area under the raw precision-recall curve by trapezoids, from precision 1 at recall 0 (ACT, MOC).

    Arguments and result are those of `envelope_ap`.
    """
    if num_groundtruth == 0:
        return float("nan")
    found = np.concatenate([[0], np.cumsum(hits)])
    precision = np.concatenate([[1.0], found[1:] / np.arange(1, len(hits) + 1)])
    recall = found / num_groundtruth
    return float(np.sum(np.diff(recall) * (precision[1:] + precision[:-1]) / 2))
