"""Which detections of an AVA evaluation are hits: capacity, matching, and the order of equal scores."""

from __future__ import annotations

import heapq

import numpy as np
import numpy.typing as npt

from sf_detect.evaluation.ava_rows import AvaRows

Index = npt.NDArray[np.intp]

_PADDED_CELLS = 1 << 20


def within_capacity(rows: AvaRows, capacity: int) -> npt.NDArray[np.bool_]:
    """Which of N rows are among the `capacity` best of their keyframe; boxes are counted once per class.

    The official evaluator pushes rows through a heap, so which of several rows with the lowest kept score stay
    depends on more than the score; keyframes where that happens are pushed through the same heap.

    Args:
        rows: Grouped by keyframe, in the order of the file within it.
        capacity: Rows a keyframe holds.
    """
    start, count, lowest = _lowest_kept(rows.keyframes, rows.scores, capacity)
    keep = rows.scores >= np.repeat(lowest, count)
    kept = np.add.reduceat(keep, start, dtype=np.intp) if len(start) else count
    for run in np.flatnonzero((count > capacity) & (kept > capacity)):
        inside = np.arange(start[run], start[run] + count[run])
        keep[inside] = False
        keep[_heap(rows, inside, capacity)] = True
    return keep


def _lowest_kept(
    keyframes: npt.NDArray[np.int32], scores: npt.NDArray[np.float64], capacity: int
) -> tuple[Index, Index, npt.NDArray[np.float64]]:
    """Start and length of every run of one keyframe, and its `capacity`-th best score, -inf where it has fewer."""
    start, count = _runs(keyframes)
    lowest = np.full(len(start), -np.inf)
    full = np.flatnonzero(count > capacity)
    full = full[np.argsort(count[full], kind="stable")]  # alike lengths together: little padding
    for batch in _batches(count[full]):
        runs = full[batch]
        width = count[runs].max()
        column = np.arange(width)
        padded = scores.take(start[runs][:, None] + column, mode="clip")
        padded[column >= count[runs][:, None]] = -np.inf
        padded.partition(width - capacity, axis=1)
        lowest[runs] = padded[:, width - capacity]
    return start, count, lowest


def _runs(keys: npt.NDArray[np.integer]) -> tuple[Index, Index]:
    """Start and length of every run of equal values."""
    start = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else np.zeros(0, np.intp)
    return start, np.diff(np.append(start, len(keys)))


def _batches(counts: Index) -> list[slice]:
    """Slices of ascending `counts` that make matrices of at most about `_PADDED_CELLS` cells."""
    batches, first = [], 0
    while first < len(counts):
        size = max(1, int(np.searchsorted(counts[first:] * np.arange(1, len(counts) - first + 1), _PADDED_CELLS)))
        batches.append(slice(first, first + size))
        first += size
    return batches


def _heap(rows: AvaRows, inside: Index, capacity: int | None) -> list[int]:
    """The rows `inside` as they lie in the official evaluator's heap."""
    heap: list[tuple[float, ...]] = []
    for i in inside.tolist():
        x1, y1, x2, y2 = rows.boxes[i].tolist()
        entry = (float(rows.scores[i]), int(rows.classes[i]), y1, x1, y2, x2, i)
        if capacity is None or len(heap) < capacity:
            heapq.heappush(heap, entry)
        elif entry[0] > heap[0][0]:
            heapq.heapreplace(heap, entry)
    return [int(entry[-1]) for entry in heap]


def may_fit(keyframes: npt.NDArray[np.int32], scores: npt.NDArray[np.float64], capacity: int) -> npt.NDArray[np.bool_]:
    """Which of N rows of a part of a file can still be among the `capacity` best of their keyframe.

    Rows below the `capacity`-th best of the part cannot, and they leave no trace in the official evaluator's heap:
    by the time it is full of better rows it holds those and nothing else.
    """
    _, count, lowest = _lowest_kept(keyframes, scores, capacity)
    return scores >= np.repeat(lowest, count)


def groundtruth_order(rows: AvaRows) -> Index:
    """Order of ground-truth rows in the official evaluator: by keyframe, then as sorted by score out of its heap.

    Ground truth has no scores, but column 8 (the person's id) is read as one. The order matters only where a
    detection overlaps two boxes of its class equally.
    """
    order = np.lexsort((-rows.scores, rows.keyframes))
    keys = np.stack([rows.keyframes, rows.classes, rows.scores], axis=1)[
        np.lexsort((rows.scores, rows.classes, rows.keyframes))
    ]
    tied = np.unique(keys[1:][(keys[1:] == keys[:-1]).all(axis=1), 0])
    start, count = _runs(rows.keyframes[order])
    for run in np.flatnonzero(np.isin(rows.keyframes[order][start], tied)):
        inside = np.sort(order[start[run] : start[run] + count[run]])
        heap = _heap(rows, inside, None)
        order[start[run] : start[run] + count[run]] = sorted(heap, key=lambda i: -rows.scores[i])
    return order


def find_hits(
    boxes: npt.NDArray[np.float64],
    groups: npt.NDArray[np.int64],
    truth_boxes: npt.NDArray[np.float64],
    truth_groups: npt.NDArray[np.int64],
    priority: npt.NDArray[np.float64] | None,
    iou_threshold: float = 0.5,
) -> npt.NDArray[np.bool_]:
    """Which detections are true positives.

    A detection claims the ground truth of its group that it overlaps most (the first of equals) if their IoU
    reaches the threshold. The detection of highest priority gets it, the others are false positives; there is no
    second choice.

    Args:
        boxes: (N, 4) float64 xyxy.
        groups: (N,) keyframe and class of each detection, as one number from 0.
        truth_boxes: (M, 4) float64 xyxy.
        truth_groups: (M,) ascending.
        priority: (N,) who comes first, highest first; None for the order given.
        iou_threshold: Least IoU of a hit.
    """
    start, count = _runs(truth_groups)
    unique = truth_groups[start]
    place = np.searchsorted(unique, groups)
    rows = np.flatnonzero(np.append(unique, -1)[place] == groups)
    place = place[rows]
    best, claimed = np.zeros(len(rows)), np.zeros(len(rows), np.intp)
    for k in range(int(count.max(initial=0))):
        there = np.flatnonzero(count[place] > k)
        truth = start[place[there]] + k
        overlap = paired_iou(boxes.take(rows.take(there), axis=0), truth_boxes.take(truth, axis=0))
        better = overlap > best[there]
        best[there[better]] = overlap[better]
        claimed[there[better]] = truth[better]
    claims = np.flatnonzero(best >= iou_threshold)
    if priority is not None:
        claims = claims[np.argsort(-priority[rows[claims]], kind="stable")]
    winner = np.full(len(truth_boxes), -1)
    winner[claimed[claims[::-1]]] = rows[claims[::-1]]  # of several, the last one assigned stays
    hits = np.zeros(len(boxes), bool)
    hits[winner[winner >= 0]] = True
    return hits


def paired_iou(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(N,) IoU of (N, 4) boxes with (N, 4) others, row by row, continuous coordinates."""
    height = np.maximum(np.minimum(first[:, 3], second[:, 3]) - np.maximum(first[:, 1], second[:, 1]), 0)
    width = np.maximum(np.minimum(first[:, 2], second[:, 2]) - np.maximum(first[:, 0], second[:, 0]), 0)
    inner = height * width
    areas = [(b[:, 3] - b[:, 1]) * (b[:, 2] - b[:, 0]) for b in (first, second)]
    outer = areas[0] + areas[1] - inner
    return np.divide(inner, outer, out=np.zeros_like(inner), where=outer > 0)
