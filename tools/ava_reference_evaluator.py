"""AVA evaluation written the plain way: one row, one keyframe and one class at a time.

The yardstick of `sf_detect.evaluation`, for correctness and for speed: every step of the official protocol stands here
as a reader would do it by hand: for every keyframe, for every class, select the boxes and match them.

    python tools/ava_reference_evaluator.py GROUNDTRUTH.csv DETECTIONS.csv
"""

from __future__ import annotations

import argparse
import csv
import gzip
import heapq
import json
import math
from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from sf_detect.labels import LabelMap, label_set

Row = tuple[float, int, float, float, float, float]  # score, class id, y1, x1, y2, x2


def read_rows(path: str, class_ids: Iterable[int], capacity: int | None) -> dict[str, list[Row]]:
    """Rows by keyframe, best score first; the `capacity` best of a keyframe."""
    allowed = set(class_ids)
    keyframes: dict[str, list[Row]] = defaultdict(list)
    with gzip.open(path, "rt", newline="") if path.endswith(".gz") else open(path, newline="") as file:
        for cells in csv.reader(file):
            heap = keyframes[f"{cells[0]},{float(cells[1]):.6f}"]
            if len(cells) == 2 or int(cells[6]) not in allowed:
                continue
            x1, y1, x2, y2 = (float(cell) for cell in cells[2:6])
            row = (float(cells[7]) if len(cells) == 8 else 1.0, int(cells[6]), y1, x1, y2, x2)
            if capacity is None or len(heap) < capacity:
                heapq.heappush(heap, row)
            elif row[0] > heap[0][0]:
                heapq.heapreplace(heap, row)
    return {key: sorted(heap, key=lambda row: -row[0]) for key, heap in keyframes.items()}


def iou(boxes: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(N, M) intersection over union of yxyx boxes."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    inner = np.prod(np.maximum(high - low, 0), axis=2)
    area, other_area = (np.prod(b[:, 2:] - b[:, :2], axis=1) for b in (boxes, others))
    return inner / (area[:, None] + other_area[None, :] - inner)


def match_class(
    truth: npt.NDArray[np.float64], found: npt.NDArray[np.float64], class_id: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Scores and hits of one class on one keyframe; (N, 6) arrays of `Row`, best score first."""
    found = found[found[:, 1] == class_id]
    found = found[(found[:, 4] > found[:, 2]) & (found[:, 5] > found[:, 3])]
    truth = truth[truth[:, 1] == class_id]
    hits = np.zeros(len(found), bool)
    if len(found) and len(truth):
        overlaps = iou(found[:, 2:], truth[:, 2:])
        taken = np.zeros(len(truth), bool)
        for i, best in enumerate(np.argmax(overlaps, axis=1)):
            if overlaps[i, best] >= 0.5 and not taken[best]:
                hits[i] = taken[best] = True
    return found[:, 0], hits


def average_precision(scores: npt.NDArray[np.float64], hits: npt.NDArray[np.bool_], num_truths: int) -> float:
    """Area under the precision envelope."""
    if num_truths == 0:
        return math.nan
    order = np.argsort(-scores, kind="stable")
    found = np.concatenate([[0], np.cumsum(hits[order])])
    recall = found / num_truths
    precision = np.concatenate([[0.0], found[1:] / np.arange(1, len(order) + 1)])
    area = 0.0
    best = 0.0
    for i in range(len(order), 0, -1):
        best = max(best, float(precision[i]))
        area += best * float(recall[i] - recall[i - 1])
    return area


def evaluate(groundtruth: str, detections: str, labels: LabelMap) -> dict[str, object]:
    """`{"mAP", "per_class"}` of two csv files under the protocol "activitynet"."""
    truth = read_rows(groundtruth, labels.ids, None)
    found = read_rows(detections, labels.ids, 50)
    nothing = np.zeros((0, 6))
    scores: dict[int, list[npt.NDArray[np.float64]]] = {i: [] for i in labels.ids}
    hits: dict[int, list[npt.NDArray[np.bool_]]] = {i: [] for i in labels.ids}
    truths = dict.fromkeys(labels.ids, 0)
    for key, rows in truth.items():
        true_rows = np.array(rows) if rows else nothing
        found_rows = np.array(found[key]) if found.get(key) else nothing
        for class_id in labels.ids:
            class_scores, class_hits = match_class(true_rows, found_rows, class_id)
            scores[class_id].append(class_scores)
            hits[class_id].append(class_hits)
            truths[class_id] += int(np.sum(true_rows[:, 1] == class_id))
    none = [np.zeros(0)]
    per_class = {
        name: average_precision(
            np.concatenate(scores[i] or none), np.concatenate(hits[i] or none).astype(bool), truths[i]
        )
        for name, i in zip(labels.names, labels.ids, strict=True)
    }
    counted = [ap for ap in per_class.values() if not math.isnan(ap)]
    return {
        "mAP": sum(counted) / len(counted) if counted else None,
        "per_class": {name: None if math.isnan(ap) else ap for name, ap in per_class.items()},
    }


def main() -> None:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groundtruth")
    parser.add_argument("detections")
    given = parser.parse_args()
    print(json.dumps(evaluate(given.groundtruth, given.detections, label_set("ava60")), indent=1))


if __name__ == "__main__":
    main()
