"""What `sf-detect evaluate` calls: names and paths in, results out. Every result has `to_json()` and `table()`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from sf_detect.errors import DataError
from sf_detect.evaluation.ava import AvaResult, evaluate
from sf_detect.evaluation.classification import ViewPool, multilabel_map, topk_accuracy
from sf_detect.evaluation.clip_files import CHARADES_CLASSES, read_charades_csv, read_kinetics_csv, read_view_scores
from sf_detect.evaluation.mean_ap import MeanAP
from sf_detect.evaluation.plausibility import with_notes
from sf_detect.evaluation.records import ava_rows_of_records
from sf_detect.evaluation.video_names import matched_files
from sf_detect.labels import LabelMap, label_set, load_labels
from sf_detect.records import read_json_lines

_NONE_RIGHT = (
    "no video has its class among the best scores; the class numbers of such a list count from 0, in the order of the "
    "columns of the scores"
)


def evaluate_ava(
    groundtruth: str | Path,
    detections: str | Path,
    exclude: str | Path | None = None,
    label_map: str | Path | LabelMap | None = None,
    protocol: str = "activitynet",
    tie_bounds: bool = False,
) -> AvaResult:
    """Evaluates AVA (and AVA-Kinetics) detections.

    Args:
        groundtruth: Csv of ground truth, plain or gzip.
        detections: Csv of detections, plain or gzip, or JSON Lines of `sf-detect run` (`.jsonl`).
        exclude: Csv of `video,timestamp` pairs to leave out.
        label_map: "ava60" (default), "ava80", a label file (`.pbtxt`, `.csv`, `.txt`) or a `LabelMap`.
        protocol: "activitynet" or "pyslowfast".
        tie_bounds: Also give the least and greatest result over all orders of equal scores.

    Raises:
        UnknownNameError: Another protocol, or neither a label set nor a file.
        DataError: A file that cannot be read, or a malformed row, or an unknown action in `.jsonl`, with its line.
    """
    labels = _labels("ava60" if label_map is None else label_map)
    path = Path(detections)
    if path.suffix != ".jsonl":
        return evaluate(groundtruth, path, labels, exclude, protocol, tie_bounds)
    with TemporaryDirectory(prefix="sf_detect-") as folder:
        rows, invisible = Path(folder) / f"{path.stem}.csv", list[int]()
        with rows.open("w", encoding="utf-8", newline="") as file:
            file.writelines(ava_rows_of_records(path, read_json_lines(path), labels, invisible))
        result = evaluate(groundtruth, rows, labels, exclude, protocol, tie_bounds)
    if not sum(invisible):
        return result
    left_out = (
        f"{sum(invisible)} detections of {path} have a box without area in the frame and are left out; expected pixels "
        "x1,y1,x2,y2, the upper left corner first"
    )
    return replace(result, notes=(left_out, *result.notes))


def _labels(label_map: str | Path | LabelMap) -> LabelMap:
    return label_map if isinstance(label_map, LabelMap) else load_labels(label_map)


@dataclass(frozen=True)
class AccuracyResult:
    """Accuracy of whole clips.

    Attributes:
        accuracy: In [0, 1], by k.
        videos: How many there were.
        missing: Clips of a published list without scores; they are left out.
        notes: What looks wrong in the files, in words.
    """

    accuracy: dict[int, float]
    videos: int
    missing: int = 0
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """`{"top1": .., "top5": .., "videos": N, "missing": M}`, and `notes` if any."""
        accuracy = {f"top{k}": value for k, value in self.accuracy.items()}
        return with_notes({**accuracy, "videos": self.videos, "missing": self.missing}, self.notes)

    def table(self) -> str:
        """Plain text."""
        lines = [f"top-{k}  {100 * value:.2f}" for k, value in self.accuracy.items()]
        missing = f", {self.missing} of the list have no scores and are left out" if self.missing else ""
        return "\n".join([*lines, f"videos {self.videos}{missing}"])


def evaluate_kinetics(
    groundtruth: str | Path,
    scores: str | Path,
    views: int = 30,
    ks: tuple[int, ...] = (1, 5),
    label_map: str | Path | LabelMap | None = None,
) -> AccuracyResult:
    """Top-k accuracy with the scores of all views averaged (10 clips x 3 crops by default).

    Args:
        groundtruth: Rows of `path label`, or the published csv with names of classes.
        scores: See `read_view_scores`.
        views: Views of every video.
        ks: Values of k.
        label_map: Class names of the published csv, in the order of the scores; by default Kinetics-400's or -600's.

    Raises:
        DataError: A malformed file, or videos that only one of them has; a published csv may have more.
        ConfigError: Another number of views, or of classes.
    """
    truth = read_kinetics_csv(groundtruth, None if label_map is None else _labels(label_map))
    found = read_view_scores(scores)
    labels = truth.named_as(found[0])
    videos, pooled = _pooled(scores, found, labels, views, "mean")
    missing = labels.keys() - set(videos) if truth.published else set()
    _same_videos(scores, set(videos), labels.keys() - missing)
    targets = np.array([labels[video] for video in videos], np.int64)
    accuracy = topk_accuracy(pooled, targets, ks)
    notes = () if any(accuracy.values()) else (_NONE_RIGHT,)
    return AccuracyResult(accuracy, len(videos), len(missing), notes)


def evaluate_charades(
    groundtruth: str | Path, scores: str | Path, views: int = 30, protocol: str = "charades"
) -> MeanAP:
    """Multi-label mAP with the greatest score of all views.

    Args:
        groundtruth: Charades' own csv.
        scores: As for `evaluate_kinetics`, with 157 classes.
        views: Views of every video.
        protocol: "charades" or "pyslowfast".

    Raises:
        DataError: A malformed file, or videos that only one of them has.
        ConfigError: Another number of views, or of classes.
        UnknownNameError: Another protocol.
    """
    actions = read_charades_csv(groundtruth)
    videos, pooled = _pooled(scores, read_view_scores(scores), actions, views, "max")
    _same_videos(scores, set(videos), set(actions))
    if pooled.shape[1] != CHARADES_CLASSES:
        raise DataError(scores, None, f"{pooled.shape[1]} scores a video, expected {CHARADES_CLASSES}")
    targets = np.zeros((len(videos), CHARADES_CLASSES), np.int64)
    for row, video in enumerate(videos):
        targets[row, actions[video]] = 1
    return multilabel_map(pooled, targets, label_set("charades157"), protocol)


def _pooled(
    path: str | Path,
    found: tuple[list[str], npt.NDArray[np.floating]],
    truth: Collection[str],
    views: int,
    pooling: str,
) -> tuple[list[str], np.ndarray]:
    """Videos, under their names in the ground truth, and their scores over all views."""
    pool, names = ViewPool(views, pooling), matched_files(path, found[0], truth)
    for video, row in zip(*found, strict=True):
        pool.add(names[video], row)
    videos, scores = pool.result()
    return [str(video) for video in videos], scores


def _same_videos(path: str | Path, found: set[str], wanted: set[str]) -> None:
    for problem, odd in (("lacks", wanted - found), ("has, but the ground truth lacks,", found - wanted)):
        if odd:
            raise DataError(path, None, f"{problem} {len(odd)} videos, among them {sorted(odd)[:3]}")
