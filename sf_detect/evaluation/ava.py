"""The AVA benchmark: mean average precision over classes at IoU 0.5 on keyframes.

Two protocols, which differ in more than code style:

    activitynet  The official evaluator of the challenge. Keyframes are compared as `video,%.6f`; a keyframe holds its
                 50 best rows (box and class); detections are taken by score; those on keyframes that the ground truth
                 does not name are ignored.
    pyslowfast   PySlowFast's evaluator. Integer timestamps only; no limit; detections of a keyframe are taken in the
                 order of the file, so a worse duplicate that stands first takes the ground truth; detections on
                 keyframes without ground truth are false positives, unless excluded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sf_detect.errors import ConfigError, DataError, UnknownNameError
from sf_detect.evaluation.ava_matching import find_hits, groundtruth_order, may_fit, within_capacity
from sf_detect.evaluation.ava_rows import AvaRows, KeyframeTable, read_ava_rows
from sf_detect.evaluation.average_precision import (
    PrecisionRecall,
    area_under,
    envelope_ap,
    hit_places,
    precision_recall,
    rank,
)
from sf_detect.labels import LabelMap

PROTOCOLS = ("activitynet", "pyslowfast")
"""Names that `evaluate` accepts."""

_GREATEST_ID = 1_000_000

CAPACITY = 50
"""Rows that a keyframe holds under the protocol "activitynet"."""


@dataclass(frozen=True)
class AvaCounts:
    """What became of the rows of the two files.

    Attributes:
        groundtruth_rows, detection_rows: Rows in the files.
        keyframes: Keyframes that are scored.
        unscored_class: Detections of classes outside the label map, or on keyframes that are not scored.
        over_capacity: Detections beyond the best 50 of their keyframe.
        without_area: Detections whose box has no area.
        scored: Detections that entered the result.
    """

    groundtruth_rows: int
    detection_rows: int
    keyframes: int
    unscored_class: int
    over_capacity: int
    without_area: int
    scored: int


@dataclass(frozen=True, eq=False)
class ClassResult:
    """One class.

    Attributes:
        ap: Average precision in [0, 1]; NaN where there is no ground truth.
        groundtruths, detections: How many there are.
        curve: Precision and recall at every hit.
        ap_bounds: Least and greatest AP over all orders of equal scores; None where not asked for.
    """

    ap: float
    groundtruths: int
    detections: int
    curve: PrecisionRecall
    ap_bounds: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class AvaResult:
    """The result of one evaluation.

    Attributes:
        protocol: One of `PROTOCOLS`.
        classes: Result of every class of the label map, in its order.
        counts: What became of the rows.
    """

    protocol: str
    classes: dict[str, ClassResult]
    counts: AvaCounts = field(repr=False)

    @property
    def mean_ap(self) -> float:
        """Mean AP of the classes that have ground truth; NaN where none has."""
        return _mean([result.ap for result in self.classes.values()])

    @property
    def mean_ap_bounds(self) -> tuple[float, float] | None:
        """Least and greatest mean AP over all orders of equal scores; None where not asked for."""
        bounds = [result.ap_bounds for result in self.classes.values()]
        pairs = [pair for pair in bounds if pair is not None]
        return (_mean([low for low, _ in pairs]), _mean([high for _, high in pairs])) if pairs else None

    def to_json(self) -> dict[str, object]:
        """`{"mAP": float, "per_class": {label: AP or None}}`; None also for a mean over nothing."""
        aps = {name: _json_number(result.ap) for name, result in self.classes.items()}
        return {"mAP": _json_number(self.mean_ap), "per_class": aps}

    def table(self) -> str:
        """Plain text: a line per class, then the mean."""
        width = max([len(name) for name in self.classes] + [4])
        lines = [f"{'class':<{width}}  {'AP':>7}  {'truths':>7}  {'detections':>10}"]
        for name, r in self.classes.items():
            lines.append(f"{name:<{width}}  {_percent(r.ap):>7}  {r.groundtruths:>7}  {r.detections:>10}")
        truths, scored = sum(r.groundtruths for r in self.classes.values()), self.counts.scored
        lines.append(f"{'mean':<{width}}  {_percent(self.mean_ap):>7}  {truths:>7}  {scored:>10}")
        return "\n".join(lines)


def _mean(values: list[float]) -> float:
    present = [value for value in values if not np.isnan(value)]
    return float(np.mean(present)) if present else float("nan")


def _json_number(value: float) -> float | None:
    return None if np.isnan(value) else value


def _percent(value: float) -> str:
    return "-" if np.isnan(value) else f"{100 * value:.2f}"


def official_time(timestamp: str) -> str:
    """A timestamp as the official evaluator compares it: 902, 0902 and 902.0 are one, 902.000001 is another."""
    try:
        seconds = float(timestamp)
    except ValueError:
        seconds = float("nan")
    if not np.isfinite(seconds):
        raise ValueError(f"the timestamp is a number of seconds such as 0902 or 902.5, got {timestamp!r}")
    return f"{seconds:.6f}"


def pyslowfast_time(timestamp: str) -> str:
    """A timestamp as PySlowFast compares it."""
    try:
        return f"{int(timestamp):04d}"
    except ValueError:
        raise ValueError(
            f"the protocol 'pyslowfast' takes integer timestamps such as 0902, got {timestamp!r}; "
            "use the protocol 'activitynet' for this file"
        ) from None


def evaluate(
    groundtruth: str | Path,
    detections: str | Path,
    labels: LabelMap,
    exclude: str | Path | None = None,
    protocol: str = "activitynet",
    tie_bounds: bool = False,
) -> AvaResult:
    """Evaluates a detection csv against a ground-truth csv.

    Args:
        groundtruth: `video,timestamp,x1,y1,x2,y2,label_id[,person_id]`; a row of 2 columns names an empty keyframe.
        detections: `video,timestamp,x1,y1,x2,y2,label_id[,score]`.
        labels: The classes that are scored.
        exclude: Csv of `video,timestamp`: keyframes taken out of both.
        protocol: One of `PROTOCOLS`.
        tie_bounds: Also compute what the order of equal scores, which the official evaluator leaves to chance, can
            make of the result.

    Raises:
        UnknownNameError: Another protocol.
        DataError: A file that cannot be read, or a malformed row.
    """
    if protocol not in PROTOCOLS:
        raise UnknownNameError("AVA protocol", protocol, PROTOCOLS)
    official = protocol == "activitynet"
    to_time = official_time if official else pyslowfast_time
    excluded = KeyframeTable(to_time)
    if exclude is not None:
        read_ava_rows(exclude, excluded, (2,))
    columns, table = _ClassColumns(labels), KeyframeTable(to_time)
    truth, num_truth_rows = read_ava_rows(groundtruth, table, (2, 7, 8) if official else (7, 8))
    scored = np.array([key not in excluded.ids for key in table.keys], bool)
    truth = truth.select((columns(truth.classes) >= 0) & scored[truth.keyframes])
    _check_groundtruth(groundtruth, truth)
    wanted = _Wanted(table, scored, excluded.ids, columns, official)
    rows, num_rows = read_ava_rows(detections, table, (2, 7, 8) if official else (8,), wanted)
    kept = _limited(rows, CAPACITY if official else None)
    solid = kept.select((kept.boxes[:, 2] > kept.boxes[:, 0]) & (kept.boxes[:, 3] > kept.boxes[:, 1]))
    counts = AvaCounts(
        num_truth_rows,
        num_rows,
        int(np.count_nonzero(scored)),
        num_rows - wanted.scored_rows,
        wanted.scored_rows - len(kept),
        len(kept) - len(solid),
        len(solid),
    )
    hits = _hits(truth, solid, columns, official)
    results = _class_results(columns, truth, solid, hits, tie_bounds)
    return AvaResult(protocol, dict(zip(labels.names, results, strict=True)), counts)


class _ClassColumns:
    """Positions of label ids in a label map; -1 for ids that are not in it."""

    def __init__(self, labels: LabelMap) -> None:
        if not labels.ids or min(labels.ids) < 0 or max(labels.ids) > _GREATEST_ID:
            raise ConfigError(f"label ids of AVA files lie in 0..{_GREATEST_ID}, got {labels}")
        self.num_classes = len(labels)
        self._column = np.full(max(labels.ids) + 2, -1, np.int64)
        self._column[list(labels.ids)] = np.arange(len(labels))

    def __call__(self, ids: npt.NDArray[np.int32] | npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        unsigned = ids.astype(np.int64, copy=False).view(np.uint64)  # negative ones become the greatest
        return self._column.take(np.minimum(unsigned, np.uint64(len(self._column) - 1)).view(np.int64))


class _Wanted:
    """Which detections to hold: of a scored class, on a keyframe that counts, and good enough for its capacity.

    `scored_rows` counts what passed before the capacity.
    """

    def __init__(
        self,
        table: KeyframeTable,
        scored: npt.NDArray[np.bool_],
        excluded: dict[str, int],
        columns: _ClassColumns,
        official: bool,
    ) -> None:
        self._table, self._scored, self._excluded = table, scored, excluded
        self._columns, self._official = columns, official
        self.scored_rows = 0

    def __call__(
        self, keyframes: npt.NDArray[np.int32], classes: npt.NDArray[np.int64], scores: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.bool_]:
        without_truth = self._table.keys[len(self._scored) :]
        more = [not self._official and key not in self._excluded for key in without_truth]
        self._scored = np.append(self._scored, np.array(more, bool))
        wanted = self._scored.take(keyframes) & (self._columns(classes) >= 0)
        self.scored_rows += int(np.count_nonzero(wanted))
        if self._official:
            rows = np.flatnonzero(wanted)
            wanted[rows] = may_fit(keyframes.take(rows), scores.take(rows), CAPACITY)
        return wanted


def _check_groundtruth(path: str | Path, truth: AvaRows) -> None:
    turned = (truth.boxes[:, 2] < truth.boxes[:, 0]) | (truth.boxes[:, 3] < truth.boxes[:, 1])
    if turned.any():
        first = int(np.flatnonzero(turned)[0])
        box = ", ".join(f"{value:g}" for value in truth.boxes[first])
        raise DataError(path, int(truth.lines[first]), f"a ground-truth box has x1 <= x2 and y1 <= y2, got ({box})")


def _limited(rows: AvaRows, capacity: int | None) -> AvaRows:
    """The rows grouped by keyframe, in the order of the file within it, at most `capacity` each."""
    if np.any(rows.keyframes[1:] < rows.keyframes[:-1]):
        rows = rows.select(np.argsort(rows.keyframes, kind="stable"))
    return rows if capacity is None else rows.select(within_capacity(rows, capacity))


def _hits(truth: AvaRows, rows: AvaRows, columns: _ClassColumns, by_score: bool) -> npt.NDArray[np.bool_]:
    """Which detections are hits."""
    ordered = truth.select(groundtruth_order(truth)) if by_score else truth
    truth_groups, groups = (
        part.keyframes.astype(np.int64) * columns.num_classes + columns(part.classes) for part in (ordered, rows)
    )
    order = np.argsort(truth_groups, kind="stable")
    priority = rows.scores if by_score else None
    return find_hits(rows.boxes, groups, ordered.boxes[order], truth_groups[order], priority)


def _class_results(
    columns: _ClassColumns, truth: AvaRows, rows: AvaRows, hits: npt.NDArray[np.bool_], tie_bounds: bool
) -> list[ClassResult]:
    truths = np.bincount(columns(truth.classes), minlength=columns.num_classes)
    column = columns(rows.classes)
    counts = np.bincount(column, minlength=columns.num_classes)
    small = np.uint16 if columns.num_classes < 2**16 else np.int64  # NumPy sorts 16-bit integers by radix
    members = np.split(np.argsort(column.astype(small), kind="stable"), np.cumsum(counts)[:-1])
    results = []
    for number, index in zip(truths.tolist(), members, strict=True):
        scores, hit = rows.scores[index], hits[index]
        bounds = None
        if tie_bounds:
            low, high = (envelope_ap(hit[rank(scores, hit, t)], number) for t in ("pessimistic", "optimistic"))
            bounds = (low, high)
        curve = precision_recall(hit_places(scores, hit), number)
        results.append(ClassResult(area_under(curve, number), number, len(index), curve, bounds))
    return results
