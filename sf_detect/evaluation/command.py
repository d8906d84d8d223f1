"""What `sf-detect evaluate` calls: names and paths in, results out. Every result has `to_json()` and `table()`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sf_detect.errors import ConfigError, DataError, UnknownNameError
from sf_detect.evaluation.ava import AvaResult, evaluate
from sf_detect.evaluation.classification import ViewPool, multilabel_map, topk_accuracy
from sf_detect.evaluation.clip_files import CHARADES_CLASSES, read_charades_csv, read_kinetics_csv, read_view_scores
from sf_detect.evaluation.conventions import convention
from sf_detect.evaluation.linking import link_greedy, link_viterbi
from sf_detect.evaluation.mean_ap import FrameBoxes, MeanAP, frame_map, video_map, video_map_over
from sf_detect.evaluation.tube_files import FrameCsv, read_act_pickle, read_frame_csv
from sf_detect.evaluation.tubes import Tube, tube_nms
from sf_detect.labels import LabelMap, load_labels

LINKERS = ("greedy", "viterbi", "tracks")
"""How `evaluate_tubes` makes tubes of boxes: `link_greedy`, `link_viterbi`, or by the column `track`."""

_TUBE_NMS = 0.3


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
        detections: Csv of detections, plain or gzip.
        exclude: Csv of `video,timestamp` pairs to leave out.
        label_map: "ava60" (default), "ava80", a label file (`.pbtxt`, `.csv`, `.txt`) or a `LabelMap`.
        protocol: "activitynet" or "pyslowfast".
        tie_bounds: Also give the least and greatest result over all orders of equal scores.

    Raises:
        UnknownNameError: Another protocol, or neither a label set nor a file.
        DataError: A file that cannot be read, or a malformed row, with its line.
    """
    labels = _labels("ava60" if label_map is None else label_map)
    return evaluate(groundtruth, detections, labels, exclude, protocol, tie_bounds)


def _labels(label_map: str | Path | LabelMap) -> LabelMap:
    return label_map if isinstance(label_map, LabelMap) else load_labels(label_map)


@dataclass(frozen=True, eq=False)
class TubeResult:
    """Frame-mAP and video-mAP.

    Attributes:
        frame: Frame-mAP at IoU 0.5.
        video: Video-mAP at tube IoU 0.5.
        video_means: Video-mAP by threshold: "0.2", "0.5", "0.75", "0.5:0.95".
    """

    frame: MeanAP
    video: MeanAP
    video_means: dict[str, float]

    def to_json(self) -> dict[str, object]:
        """`{"frame_mAP": .., "frame_per_class": .., "video_mAP": {threshold: ..}, "video_per_class": ..}`."""
        frame, video = self.frame.to_json(), self.video.to_json()
        means = {threshold: None if np.isnan(value) else value for threshold, value in self.video_means.items()}
        return {
            "frame_mAP": frame["mAP"],
            "frame_per_class": frame["per_class"],
            "video_mAP": means,
            "video_per_class": video["per_class"],
        }

    def table(self) -> str:
        """Plain text."""
        means = "\n".join(f"video-mAP@{t:<9} {100 * value:>6.2f}" for t, value in self.video_means.items())
        return f"{self.frame.name}\n{self.frame.table()}\n\n{self.video.name}\n{self.video.table()}\n\n{means}"


def evaluate_tubes(
    groundtruth: str | Path,
    detections: str | Path,
    label_map: str | Path | LabelMap = "jhmdb21",
    how: str = "act",
    split: int | None = None,
    linking: str = "greedy",
) -> TubeResult:
    """Frame-mAP and video-mAP of boxes on frames (J-HMDB, UCF101-24, MultiSports).

    Both files count frames alike: the ground-truth pickles of J-HMDB and UCF101-24 count from 1.

    Args:
        groundtruth: An ACT pickle (`.pkl`), which brings its own labels, or a frame csv.
        detections: A frame csv.
        label_map: Labels of csv files: a label set, a label file or a `LabelMap`.
        how: "act", "yowo" or "multisports".
        split: Of an ACT pickle: the split whose test videos are evaluated, from 1.
        linking: One of `LINKERS`.

    Raises:
        UnknownNameError: Another convention, linking, label set or split.
        ConfigError: A split of a csv.
        DataError: A malformed file.
    """
    if linking not in LINKERS:
        raise UnknownNameError("linking", linking, LINKERS)
    measured = convention(how)
    truth, labels = _truth(Path(groundtruth), _labels(label_map), split)
    found = read_frame_csv(detections, labels)
    videos = sorted({tube.video for tube in truth})
    boxes = found.numbered_as(videos)
    if split is not None:  # other videos are not part of the split
        boxes = boxes.select(boxes.videos < len(videos))
    first = min((int(tube.frames[0]) for tube in truth), default=0)
    if len(boxes) and boxes.frames.min() < first and Path(groundtruth).suffix == ".pkl":
        raise DataError(
            detections, None, f"counts frames from {boxes.frames.min()}, the ground truth from {first}; count alike"
        )
    wanted = set(videos) if split is not None else set(found.videos)
    tubes = [tube for tube in _linked(found, linking, measured.last_pixel) if tube.video in wanted]
    by_video: dict[tuple[str, int], list[Tube]] = {}
    for tube in tubes:
        by_video.setdefault((tube.video, tube.label), []).append(tube)
    kept = [tube for group in by_video.values() for tube in tube_nms(group, _TUBE_NMS, measured)]
    return TubeResult(
        frame_map(_frames_of(truth, videos), boxes, labels, measured),
        video_map(truth, kept, labels, measured, 0.5),
        video_map_over(truth, kept, labels, measured),
    )


def _truth(path: Path, labels: LabelMap, split: int | None) -> tuple[list[Tube], LabelMap]:
    if path.suffix == ".pkl":
        annotations = read_act_pickle(path)
        return list(annotations.tubes if split is None else annotations.test_split(split)), annotations.labels
    if split is not None:
        raise ConfigError(f"a split needs ground truth that names its splits (an ACT .pkl), got {path}")
    return read_frame_csv(path, labels).tubes(), labels


def _frames_of(tubes: list[Tube], videos: list[str]) -> FrameBoxes:
    """The boxes of tubes, one by one."""
    place = {video: i for i, video in enumerate(videos)}
    lengths = [len(tube.frames) for tube in tubes]
    none = np.zeros(0, np.int64)
    return FrameBoxes(
        np.repeat(np.array([place[tube.video] for tube in tubes], np.int64), lengths),
        np.concatenate([none, *(tube.frames for tube in tubes)]),
        np.repeat(np.array([tube.label for tube in tubes], np.int64), lengths),
        np.concatenate([np.zeros((0, 4)), *(tube.boxes for tube in tubes)]),
        np.ones(sum(lengths)),
    )


def _linked(found: FrameCsv, linking: str, last_pixel: float) -> list[Tube]:
    if linking == "tracks":
        return found.tubes()
    tubes: list[Tube] = []
    for (video, label), frames in found.by_frame().items():
        if linking == "greedy":
            tubes += link_greedy(video, label, frames, last_pixel=last_pixel)
        else:
            tubes += link_viterbi(video, label, frames)
    return tubes


@dataclass(frozen=True)
class AccuracyResult:
    """Accuracy of whole clips.

    Attributes:
        accuracy: In [0, 1], by k.
        videos: How many there were.
    """

    accuracy: dict[int, float]
    videos: int

    def to_json(self) -> dict[str, object]:
        """`{"top1": .., "top5": .., "videos": N}`."""
        return {**{f"top{k}": value for k, value in self.accuracy.items()}, "videos": self.videos}

    def table(self) -> str:
        """Plain text."""
        lines = [f"top-{k}  {100 * value:.2f}" for k, value in self.accuracy.items()]
        return "\n".join([*lines, f"videos {self.videos}"])


def evaluate_kinetics(
    groundtruth: str | Path, scores: str | Path, views: int = 30, ks: tuple[int, ...] = (1, 5)
) -> AccuracyResult:
    """Top-k accuracy with the scores of all views averaged (10 clips x 3 crops by default).

    Args:
        groundtruth: Rows of `path label`.
        scores: `.npz` with `videos` (V,) and `scores` (V, C), a row per view.
        views: Views of every video.
        ks: Values of k.

    Raises:
        DataError: A malformed file, or videos that only one of them has.
        ConfigError: Another number of views, or of classes.
    """
    labels = read_kinetics_csv(groundtruth)
    videos, pooled = _pooled(scores, views, "mean")
    _same_videos(scores, set(videos), set(labels))
    truth = np.array([labels[video] for video in videos], np.int64)
    return AccuracyResult(topk_accuracy(pooled, truth, ks), len(videos))


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
    videos, pooled = _pooled(scores, views, "max")
    _same_videos(scores, set(videos), set(actions))
    targets = np.zeros((len(videos), CHARADES_CLASSES), np.int64)
    for row, video in enumerate(videos):
        targets[row, actions[video]] = 1
    labels = LabelMap.of([f"c{i:03d}" for i in range(CHARADES_CLASSES)])
    return multilabel_map(pooled, targets, labels, protocol)


def _pooled(path: str | Path, views: int, pooling: str) -> tuple[list[str], np.ndarray]:
    pool = ViewPool(views, pooling)
    for video, row in zip(*read_view_scores(path), strict=True):
        pool.add(video, row)
    videos, scores = pool.result()
    return [str(video) for video in videos], scores


def _same_videos(path: str | Path, found: set[str], wanted: set[str]) -> None:
    for problem, odd in (("lacks", wanted - found), ("has, but the ground truth lacks,", found - wanted)):
        if odd:
            raise DataError(path, None, f"{problem} {len(odd)} videos, among them {sorted(odd)[:3]}")
