"""What `sf-detect evaluate` calls: names and paths in, results out."""

from __future__ import annotations

from pathlib import Path

from sf_detect.evaluation.ava import AvaResult, evaluate
from sf_detect.labels import LabelMap, load_labels


def evaluate_ava(
    groundtruth: str | Path,
    detections: str | Path,
    exclude: str | Path | None = None,
    label_map: str | Path | LabelMap | None = None,
    protocol: str = "activitynet",
    tie_bounds: bool = False,
) -> AvaResult:
    """Evaluates AVA detections.

    Args:
        groundtruth: Csv of ground truth, plain or gzip.
        detections: Csv of detections, plain or gzip.
        exclude: Csv of `video,timestamp` pairs to leave out.
        label_map: "ava60" (default), "ava80", a label file (`.pbtxt`, `.csv`, `.txt`) or a `LabelMap`.
        protocol: "activitynet" or "pyslowfast".
        tie_bounds: Also give the least and greatest result over all orders of equal scores.

    Returns:
        The result; `to_json()`, `table()`.

    Raises:
        UnknownNameError: Another protocol, or neither a label set nor a file.
        DataError: A file that cannot be read, or a malformed row, with its line.
    """
    labels = label_map if isinstance(label_map, LabelMap) else load_labels(label_map or "ava60")
    return evaluate(groundtruth, detections, labels, exclude, protocol, tie_bounds)
