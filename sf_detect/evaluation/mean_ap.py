"""Frame-mAP and video-mAP (J-HMDB, UCF101-24, MultiSports)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sf_detect.errors import ConfigError
from sf_detect.evaluation.ava_matching import find_hits
from sf_detect.evaluation.average_precision import envelope_ap, trapezoid_ap
from sf_detect.evaluation.conventions import Convention, convention
from sf_detect.evaluation.plausibility import with_notes
from sf_detect.evaluation.tubes import Tube, box_iou, tube_iou
from sf_detect.labels import LabelMap

VIDEO_THRESHOLDS = (0.2, 0.5, 0.75)
"""Tube IoUs at which video-mAP is reported, beside the mean over 0.5, 0.55, ... 0.95."""


@dataclass(frozen=True, eq=False)
class FrameBoxes:
    """Labelled boxes of single frames: detections or ground truth.

    Attributes:
        videos: (N,) int64 video numbers, the same in detections and ground truth.
        frames: (N,) int64 frame numbers.
        labels: (N,) int64 columns of the label map.
        boxes: (N, 4) float64 xyxy pixels.
        scores: (N,) float64; ones for ground truth.
    """

    videos: npt.NDArray[np.int64]
    frames: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    boxes: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        n = len(self.scores)
        shapes = [np.shape(column) for column in (self.videos, self.frames, self.labels, self.scores)]
        if shapes != [(n,)] * 4 or self.boxes.shape != (n, 4):
            raise ValueError(f"columns have shape (N,) and boxes (N, 4), got {shapes} and {self.boxes.shape}")

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, index: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> FrameBoxes:
        """The rows at `index`."""
        return FrameBoxes(
            self.videos[index], self.frames[index], self.labels[index], self.boxes[index], self.scores[index]
        )


@dataclass(frozen=True, eq=False)
class MeanAP:
    """Average precision of every class.

    Attributes:
        name: What was measured, with its convention.
        per_class: AP in [0, 1] by label; NaN where there is no ground truth.
        truths: Ground truths by label.
        notes: What looks wrong in the files, in words.
    """

    name: str
    per_class: dict[str, float]
    truths: dict[str, int] = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def mean_ap(self) -> float:
        """Mean over the classes that have ground truth; NaN where none has."""
        present = [ap for ap in self.per_class.values() if not np.isnan(ap)]
        return float(np.mean(present)) if present else float("nan")

    def to_json(self) -> dict[str, object]:
        """`{"mAP": float, "per_class": {label: AP or None}}`, and `notes` if any."""
        aps = {name: None if np.isnan(ap) else ap for name, ap in self.per_class.items()}
        return with_notes({"mAP": None if np.isnan(self.mean_ap) else self.mean_ap, "per_class": aps}, self.notes)

    def table(self) -> str:
        """Plain text: a line per class, then the mean."""
        rows = [*((name, ap, self.truths[name]) for name, ap in self.per_class.items())]
        rows.append(("mean", self.mean_ap, sum(self.truths.values())))
        width = max(len(row[0]) for row in rows)
        lines = [f"{'class':<{width}}  {'AP':>7}  {'truths':>7}"]
        lines += [f"{name:<{width}}  {'-' if np.isnan(ap) else f'{100 * ap:.2f}':>7}  {n:>7}" for name, ap, n in rows]
        return "\n".join(lines)


def frame_map(
    truth: FrameBoxes, found: FrameBoxes, labels: LabelMap, how: str | Convention, iou_threshold: float = 0.5
) -> MeanAP:
    """Mean AP of boxes on single frames.

    Args:
        truth: Ground truth.
        found: Detections; those on frames without ground truth count as false positives, those of labels that are no
            columns of `labels` do not count at all.
        labels: The classes.
        how: A convention or its name.
        iou_threshold: Least IoU of a hit.

    Raises:
        ConfigError: Ground truth of a label that is no column of `labels`.

    Example: frames may be named by any keys, once both sides number them alike. "act" is what most published numbers
    on J-HMDB use, "yowo" the precision envelope of PASCAL VOC.

        >>> true_keys, keys = ["v1/0", "v2/7"], ["v2/7", "v1/0", "v1/0"]
        >>> _, numbers = np.unique(true_keys + keys, return_inverse=True)
        >>> true_boxes = np.array([[0.0, 0.0, 9.0, 9.0], [5.0, 5.0, 20.0, 30.0]])
        >>> truth = FrameBoxes(np.zeros(2, int), numbers[:2], np.array([0, 1]), true_boxes, np.ones(2))
        >>> found = FrameBoxes(
        ...     np.zeros(3, int), numbers[2:], np.array([1, 0, 1]), true_boxes[[1, 0, 0]], np.array([0.9, 0.8, 0.3])
        ... )
        >>> frame_map(truth, found, LabelMap.of(["run", "walk"]), "yowo").mean_ap
        1.0
    """
    how = how if isinstance(how, Convention) else convention(how)
    _check_labels(truth.labels, labels)
    found = found.select((found.scores > how.least_score) & (found.labels >= 0) & (found.labels < len(labels)))
    found = found.select(np.argsort(-found.scores, kind="stable"))
    truth_groups, groups = _groups(truth, found, len(labels))
    order = np.argsort(truth_groups, kind="stable")
    truth, truth_groups = truth.select(order), truth_groups[order]
    edge = np.array([0, 0, how.last_pixel, how.last_pixel])
    hits = find_hits(found.boxes + edge, groups, truth.boxes + edge, truth_groups, None, iou_threshold)
    if how.frame_second_choice:
        _give_second_choice(hits, found, groups, truth, truth_groups, how, iou_threshold)
    return _by_class(f"frame-mAP@{iou_threshold:g} ({how.name})", truth.labels, found.labels, hits, labels, how)


def _check_labels(truth: npt.NDArray[np.int64], labels: LabelMap) -> None:
    outside = truth[(truth < 0) | (truth >= len(labels))]
    if len(outside):
        raise ConfigError(
            f"{len(outside)} ground truths have a label outside the {len(labels)} classes, such as column {outside[0]} "
            f"(expected 0..{len(labels) - 1}); give the labels of the ground truth"
        )


def _groups(
    truth: FrameBoxes, found: FrameBoxes, num_classes: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(M,) and (N,) one number per video, frame and class, from 0, whatever the numbers of videos and frames are."""
    _, video = np.unique(np.concatenate([truth.videos, found.videos]), return_inverse=True)
    frames, frame = np.unique(np.concatenate([truth.frames, found.frames]), return_inverse=True)
    keys = video.ravel().astype(np.int64) * len(frames) + frame.ravel()
    groups = keys * num_classes + np.concatenate([truth.labels, found.labels])
    return groups[: len(truth)], groups[len(truth) :]


def _give_second_choice(
    hits: npt.NDArray[np.bool_],
    found: FrameBoxes,
    groups: npt.NDArray[np.int64],
    truth: FrameBoxes,
    truth_groups: npt.NDArray[np.int64],
    how: Convention,
    iou_threshold: float,
) -> None:
    """Matches again, in place, where several truths of a class share a frame: only there can there be a next best."""
    unique, start, count = np.unique(truth_groups, return_index=True, return_counts=True)
    by_group = np.argsort(groups, kind="stable")
    sorted_groups = groups[by_group]
    for group, first, n in zip(unique[count > 1], start[count > 1], count[count > 1], strict=True):
        free = list(range(first, first + n))
        begin, end = np.searchsorted(sorted_groups, [group, group + 1])
        for i in by_group[begin:end]:
            hits[i] = False
            if not free:
                continue
            overlap = box_iou(np.repeat(found.boxes[i : i + 1], len(free), axis=0), truth.boxes[free], how.last_pixel)
            best = int(np.argmax(overlap))
            if overlap[best] >= iou_threshold:
                hits[i] = True
                del free[best]


def video_map(
    truth: Sequence[Tube], found: Sequence[Tube], labels: LabelMap, how: str | Convention, iou_threshold: float
) -> MeanAP:
    """Mean AP of tubes.

    Args:
        truth: Ground truth.
        found: Detections, after linking and suppression.
        labels: The classes.
        how: A convention or its name.
        iou_threshold: Least tube IoU of a hit.

    Raises:
        ConfigError: Ground truth of a label that is no column of `labels`.
    """
    how = how if isinstance(how, Convention) else convention(how)
    _check_labels(np.array([tube.label for tube in truth], np.int64), labels)
    found = sorted(found, key=lambda tube: -tube.score)
    free: dict[tuple[str, int], list[Tube]] = {}
    for tube in truth:
        free.setdefault((tube.video, tube.label), []).append(tube)
    taken: set[int] = set()
    hits = np.zeros(len(found), bool)
    for i, tube in enumerate(found):
        candidates = free.get((tube.video, tube.label), [])
        overlap = [tube_iou(other, tube, how) for other in candidates]
        best = int(np.argmax(overlap)) if overlap else -1
        if best < 0 or overlap[best] < iou_threshold or id(candidates[best]) in taken:
            continue
        hits[i] = True
        if how.tube_second_choice:
            del candidates[best]
        else:
            taken.add(id(candidates[best]))
    truth_labels, found_labels = (np.array([tube.label for tube in tubes], np.int64) for tubes in (truth, found))
    name = f"video-mAP@{iou_threshold:g} ({how.name})"
    return _by_class(name, truth_labels, found_labels, hits, labels, how, how.recall_epsilon)


def video_map_over(
    truth: Sequence[Tube], found: Sequence[Tube], labels: LabelMap, how: str | Convention
) -> dict[str, float]:
    """Video-mAP at each of `VIDEO_THRESHOLDS` ("0.2", "0.5", "0.75") and its mean over 0.5 to 0.95 ("0.5:0.95")."""
    result = {f"{t:g}": video_map(truth, found, labels, how, t).mean_ap for t in VIDEO_THRESHOLDS}
    steps = [video_map(truth, found, labels, how, 0.5 + 0.05 * i).mean_ap for i in range(10)]
    return {**result, "0.5:0.95": float(np.mean(steps))}


def _by_class(
    name: str,
    truth_labels: npt.NDArray[np.int64],
    found_labels: npt.NDArray[np.int64],
    hits: npt.NDArray[np.bool_],
    labels: LabelMap,
    how: Convention,
    recall_epsilon: float = 0.0,
) -> MeanAP:
    """AP of every class, of detections in the order of their scores."""
    per_class, truths = {}, {}
    for column, label in enumerate(labels):
        if label in how.unscored:
            continue
        number = int(np.count_nonzero(truth_labels == column))
        ap = (envelope_ap if how.envelope else trapezoid_ap)(hits[found_labels == column], number)
        ap *= number / (number + recall_epsilon) if number else 1
        truths[label] = number
        # Only the video evaluator of YOWO rounds.
        per_class[label] = round(100 * ap, how.decimals) / 100 if how.decimals and recall_epsilon and number else ap
    return MeanAP(name, per_class, truths)
