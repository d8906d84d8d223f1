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
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sf_detect.errors import ConfigError, DataError, UnknownNameError
from sf_detect.evaluation.ava_matching import find_hits, groundtruth_order, may_fit, within_capacity
from sf_detect.evaluation.ava_rows import AvaRows, KeyframeTable, Selection, read_ava_rows
from sf_detect.evaluation.average_precision import (
    PrecisionRecall,
    area_under,
    envelope_ap,
    hit_places,
    precision_recall,
    rank,
)
from sf_detect.evaluation.plausibility import NO_HIT, area_notes, share_notes, with_notes
from sf_detect.labels import LabelMap

PROTOCOLS = ("activitynet", "pyslowfast")
"""Names that `evaluate` accepts."""

_GREATEST_ID = 1_000_000
_MOST_FLAGS = 1 << 27

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
        notes: What looks wrong in the files, in words.
    """

    protocol: str
    classes: dict[str, ClassResult]
    counts: AvaCounts = field(repr=False)
    notes: tuple[str, ...] = ()

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
        """`{"mAP": float, "per_class": {label: AP or None}}`; None also for a mean over nothing; `notes` if any."""
        aps = {name: _json_number(result.ap) for name, result in self.classes.items()}
        return with_notes({"mAP": _json_number(self.mean_ap), "per_class": aps}, self.notes)

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
        groundtruth: `video,timestamp,x1,y1,x2,y2,label_id[,person_id]`; a row of 2 columns names an empty keyframe. A
            person id is any text; as the official evaluator reads a number there as a score, numbers order boxes that a
            detection overlaps equally.
        detections: `video,timestamp,x1,y1,x2,y2,label_id[,score]`.
        labels: The classes that are scored, by their ids, which count from 1.
        exclude: Csv of `video,timestamp`: keyframes taken out of both.
        protocol: One of `PROTOCOLS`.
        tie_bounds: Also compute what the order of equal scores, which the official evaluator leaves to chance, can
            make of the result.

    Raises:
        UnknownNameError: Another protocol.
        DataError: A file that cannot be read, a malformed row, or a label id of 0 beside a label map that counts from 0
            and was converted.
    """
    if protocol not in PROTOCOLS:
        raise UnknownNameError("AVA protocol", protocol, PROTOCOLS)
    official = protocol == "activitynet"
    to_time = official_time if official else pyslowfast_time
    excluded = KeyframeTable(to_time)
    if exclude is not None:
        read_ava_rows(exclude, excluded, (2,))
    columns, table = _ClassColumns(labels), KeyframeTable(to_time)

    def not_excluded(keyframes: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        if not excluded.ids:
            return np.ones(len(keyframes), bool)
        return np.array([table.keys[number] not in excluded.ids for number in keyframes.tolist()], bool)

    widths = (2, 7, 8) if official else (7, 8)
    read = read_ava_rows(groundtruth, table, widths, Selection(not_excluded, columns), person_ids=True)
    truth, num_truth_rows = read.rows, read.lines
    _check_groundtruth(groundtruth, truth)
    notes = columns.zero_notes(groundtruth)
    with_truth = len(table.keys)

    def scored(keyframes: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        allowed = not_excluded(keyframes)
        return allowed & (keyframes < with_truth) if official else allowed

    limit = partial(may_fit, capacity=CAPACITY) if official else None
    read = read_ava_rows(detections, table, (2, 7, 8) if official else (8,), Selection(scored, columns, limit))
    notes += columns.zero_notes(detections)
    found = _grouped(read.rows)
    within = within_capacity(found, CAPACITY) if official else np.ones(len(found), bool)
    solid = found.select(within & _with_area(found))
    num_within = int(np.count_nonzero(within))
    counts = AvaCounts(
        num_truth_rows,
        read.lines,
        int(np.count_nonzero(scored(np.arange(len(table.keys), dtype=np.int32)))),
        read.lines - read.counting,
        read.counting - num_within,
        num_within - len(solid),
        len(solid),
    )
    hits = _hits(truth, solid, columns.num_classes, official)
    results = _class_results(columns.num_classes, truth, solid, hits, tie_bounds)
    notes += share_notes(truth.distinct_boxes, found.distinct_boxes)
    notes += _count_notes(counts)
    if not notes and counts.scored and len(truth) and not hits.any():
        notes.append(NO_HIT)
    classes = {name: results[i] for name, i in zip(labels.names, columns.of_labels, strict=True)}
    return AvaResult(protocol, classes, counts, tuple(notes))


def _count_notes(counts: AvaCounts) -> list[str]:
    notes = area_notes("detections", counts.without_area, counts.without_area + counts.scored)
    if counts.groundtruth_rows and not counts.detection_rows:
        notes.append("the file of detections has no rows")
    elif counts.detection_rows and not counts.scored + counts.without_area:
        notes.append(
            f"none of the {counts.detection_rows} detections is on a keyframe and of a class that is scored; compare "
            "names of videos, times and ids of classes with those of the ground truth"
        )
    return notes


class _ClassColumns:
    """Columns of label ids, in ascending order of the ids; -1 for ids that are not in the label map.

    Attributes:
        num_classes: Classes of the label map.
        of_labels: Their columns, in its order.
    """

    def __init__(self, labels: LabelMap) -> None:
        if not labels.ids or max(labels.ids) > _GREATEST_ID:
            raise ConfigError(f"label ids of AVA files lie in 1..{_GREATEST_ID}, got {labels}")
        self.num_classes, self._from_zero = len(labels), labels.from_zero
        self._zeros: list[int] = []
        self.of_labels = np.argsort(np.argsort(labels.ids)).tolist()
        self._column = np.full(max(labels.ids) + 2, -1, np.int16 if self.num_classes < 2**15 else np.int32)
        self._column[sorted(labels.ids)] = np.arange(self.num_classes)

    def __call__(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.integer]:
        if len(ids) and ids.min() <= 0:
            self._zeros.append(int(np.count_nonzero(ids == 0)))
        unsigned = ids.view(np.uint64)  # negative ones become the greatest
        return self._column.take(np.minimum(unsigned, np.uint64(len(self._column) - 1)).view(np.int64))

    def zero_notes(self, path: str | Path) -> list[str]:
        """A note where rows seen since the last call have the label id 0, which no class has.

        Raises:
            DataError: The label map counted from 0 as well: then the ids of the file are not those of the map.
        """
        zeros, self._zeros = sum(self._zeros), []
        if not zeros:
            return []
        problem = f"{zeros} rows have the label id 0, but ids count from 1 in every set"
        if self._from_zero:
            raise DataError(path, None, f"{problem}; add 1 to every id, here and in the label map")
        return [f"{path}: {problem}; these rows are left out. Add 1 to every id where the file counts from 0"]


def _check_groundtruth(path: str | Path, truth: AvaRows) -> None:
    boxes = truth.boxes
    turned = (boxes[:, 2] < boxes[:, 0]) | (boxes[:, 3] < boxes[:, 1])
    if turned.any():
        first = int(np.flatnonzero(turned)[0])
        box = ", ".join(f"{value:g}" for value in boxes[first])
        line = int(truth.first_lines[truth.box_of_row[first]])
        raise DataError(path, line, f"a ground-truth box has x1 <= x2 and y1 <= y2, got ({box})")


def _grouped(rows: AvaRows) -> AvaRows:
    """The rows grouped by keyframe, in the order of the file within it."""
    in_order = np.all(rows.keyframes[1:] >= rows.keyframes[:-1])
    return rows if in_order else rows.select(np.argsort(rows.keyframes, kind="stable"))


def _with_area(rows: AvaRows) -> npt.NDArray[np.bool_]:
    boxes = rows.distinct_boxes
    solid = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return solid.take(rows.box_of_row)


def _hits(truth: AvaRows, rows: AvaRows, num_classes: int, by_score: bool) -> npt.NDArray[np.bool_]:
    """Which detections are hits."""
    ordered = truth.select(groundtruth_order(truth)) if by_score else truth
    truth_groups, groups = (part.keyframes * np.int64(num_classes) + part.classes for part in (ordered, rows))
    order = np.argsort(truth_groups, kind="stable")
    hits = np.zeros(len(rows), bool)
    at = _in_groups(groups, truth_groups)
    rows = rows.select(at)
    priority = rows.scores if by_score else None
    hits[at] = find_hits(rows.boxes, groups[at], ordered.boxes[order], truth_groups[order], priority)
    return hits


def _in_groups(groups: npt.NDArray[np.int64], truth_groups: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Rows of groups that have ground truth: few, and only they can be hits."""
    greatest = max(groups.max(initial=0), truth_groups.max(initial=0))
    if greatest > _MOST_FLAGS:
        return np.flatnonzero(np.isin(groups, truth_groups))
    flags = np.zeros(greatest + 1, bool)
    flags[truth_groups] = True
    return np.flatnonzero(flags.take(groups))


def _class_results(
    num_classes: int, truth: AvaRows, rows: AvaRows, hits: npt.NDArray[np.bool_], tie_bounds: bool
) -> list[ClassResult]:
    truths = np.bincount(truth.classes, minlength=num_classes)
    order = np.argsort(rows.classes, kind="stable")  # 16-bit integers are sorted by radix
    ends = np.cumsum(np.bincount(rows.classes, minlength=num_classes))[:-1]
    all_scores, all_hits = np.split(rows.scores.take(order), ends), np.split(hits.take(order), ends)
    results = []
    for number, scores, hit in zip(truths.tolist(), all_scores, all_hits, strict=True):
        bounds = None
        if tie_bounds:
            low, high = (envelope_ap(hit[rank(scores, hit, t)], number) for t in ("pessimistic", "optimistic"))
            bounds = (low, high)
        curve = precision_recall(hit_places(scores, hit), number)
        results.append(ClassResult(area_under(curve, number), number, len(scores), curve, bounds))
    return results
