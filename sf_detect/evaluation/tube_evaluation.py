"""Frame-mAP and video-mAP of files: J-HMDB, UCF101-24, MultiSports and custom data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sf_detect.errors import ConfigError, DataError, UnknownNameError
from sf_detect.evaluation.conventions import Convention, convention
from sf_detect.evaluation.linking import link_greedy, link_viterbi
from sf_detect.evaluation.mean_ap import FrameBoxes, MeanAP, frame_map, video_map, video_map_over
from sf_detect.evaluation.plausibility import NO_HIT, corner_notes, pixel_notes, with_notes
from sf_detect.evaluation.tube_files import FrameTable, frames_of_records, read_frame_csv, read_video_list
from sf_detect.evaluation.tube_pickles import TubeAnnotations, read_annotation_pickle, read_detection_pickle
from sf_detect.evaluation.tubes import Tube, tube_nms
from sf_detect.evaluation.video_names import matched_folders
from sf_detect.labels import LabelMap, load_labels
from sf_detect.records import read_json_lines

LINKERS = ("greedy", "viterbi", "tracks")
"""How `evaluate_tubes` makes tubes of boxes: `link_greedy`, `link_viterbi`, or by the column `track`."""

_TUBE_NMS = 0.3


@dataclass(frozen=True, eq=False)
class TubeResult:
    """Frame-mAP and video-mAP.

    Attributes:
        frame: Frame-mAP at IoU 0.5; None where the detections are tubes.
        video: Video-mAP at tube IoU 0.5; None where only keyframes were looked at.
        video_means: Video-mAP by threshold: "0.2", "0.5", "0.75", "0.5:0.95".
        truth_frames: Frames with ground truth.
        scored_frames: Those of them that are scored.
        notes: What looks wrong in the files, in words.
    """

    frame: MeanAP | None
    video: MeanAP | None
    video_means: dict[str, float]
    truth_frames: int
    scored_frames: int
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """`{"frame_mAP": .., "frame_per_class": .., "video_mAP": {threshold: ..}, "video_per_class": ..}`."""
        result: dict[str, object] = {"truth_frames": self.truth_frames, "scored_frames": self.scored_frames}
        if self.frame is not None:
            frame = self.frame.to_json()
            result |= {"frame_mAP": frame["mAP"], "frame_per_class": frame["per_class"]}
        if self.video is not None:
            means = {t: None if np.isnan(value) else value for t, value in self.video_means.items()}
            result |= {"video_mAP": means, "video_per_class": self.video.to_json()["per_class"]}
        return with_notes(result, self.notes)

    def table(self) -> str:
        """Plain text."""
        parts = [f"{one.name}\n{one.table()}" for one in (self.frame, self.video) if one is not None]
        if self.video is not None:
            parts.append("\n".join(f"video-mAP@{t:<9} {100 * value:>6.2f}" for t, value in self.video_means.items()))
        if self.scored_frames < self.truth_frames:
            parts.append(
                f"scored on {self.scored_frames} of {self.truth_frames} frames with ground truth: those that have a "
                "line in the detections"
            )
        return "\n\n".join(parts)


def evaluate_tubes(
    groundtruth: str | Path,
    detections: str | Path,
    label_map: str | Path | LabelMap = "jhmdb21",
    how: str = "act",
    split: int | None = None,
    linking: str | None = None,
    videos: str | Path | None = None,
    all_frames: bool = False,
) -> TubeResult:
    """Frame-mAP and video-mAP of boxes on frames (J-HMDB, UCF101-24, MultiSports).

    Both files count frames alike: the ground-truth pickles in the layout of ACT count from 1, `pyannot.pkl` and our own
    files from 0.

    Args:
        groundtruth: An ACT pickle or `pyannot.pkl`, which bring their own labels, or a frame csv.
        detections: A frame csv, JSON Lines of `sf-detect run` (`.jsonl`), or a pickle of MultiSports (boxes or tubes).
        label_map: Labels of csv files: a label set, a label file or a `LabelMap`.
        how: "act", "yowo" or "multisports".
        split: The split whose test videos are evaluated, from 1: of an ACT pickle, or a column of `videos`.
        linking: One of `LINKERS`; by default that of the convention, "viterbi" for yowo and "greedy" for the others.
        videos: List of the videos to evaluate, see `read_video_list`.
        all_frames: JSON Lines hold keyframes: only those are scored, and no video-mAP is computed, unless this is set,
            which counts the other frames as missed.

    Raises:
        UnknownNameError: Another convention, linking, label set or split.
        ConfigError: A split without a list of its videos, or a kind of file that does not go with the other.
        DataError: A malformed file, one that counts frames otherwise, or names of videos that are ambiguous.
    """
    measured = convention(how)
    linking = linking or ("viterbi" if how == "yowo" else "greedy")
    if linking not in LINKERS:
        raise UnknownNameError("linking", linking, LINKERS)
    labels = label_map if isinstance(label_map, LabelMap) else load_labels(label_map)
    truth = _truth(Path(groundtruth), labels, split, videos)
    found = _found(Path(detections), truth, split)
    wanted = {tube.video for tube in truth.tubes} if truth.chosen else None
    if isinstance(found, list):
        names = matched_folders(Path(detections), (tube.video for tube in found), truth.all_videos)
        found = [replace(tube, video=names[tube.video]) for tube in found]
        return _result(truth, None, [t for t in found if wanted is None or t.video in wanted], measured, None)
    found = _named_as(found, truth.all_videos)
    found = found if wanted is None else found.of_videos(wanted)  # other videos are not part of the split
    _check_first_frame(found, truth, Path(groundtruth))
    keyframes = None if all_frames else found.keyframes
    tubes = _linked(found, linking, measured.last_pixel) if keyframes is None else None
    return _result(truth, found, tubes, measured, keyframes)


@dataclass(frozen=True)
class _Truth:
    labels: LabelMap
    tubes: tuple[Tube, ...]
    chosen: bool  # whether other videos are left out
    all_videos: frozenset[str]  # also of those that were not chosen
    annotations: TubeAnnotations | None = None


def _truth(path: Path, labels: LabelMap, split: int | None, videos: str | Path | None) -> _Truth:
    annotations = read_annotation_pickle(path) if path.suffix == ".pkl" else None
    tubes = annotations.tubes if annotations is not None else tuple(read_frame_csv(path, labels).tubes())
    all_videos = frozenset(tube.video for tube in tubes)
    if videos is not None:
        chosen = read_video_list(videos, split)
        tubes = tuple(tube for tube in tubes if tube.video in chosen)
        if not tubes:
            raise DataError(videos, None, f"none of its {len(chosen)} videos has ground truth in {path}")
    elif split is not None:
        if annotations is None or not annotations.test_videos:
            raise ConfigError(
                f"a split needs a list of its videos: ground truth that has one (an ACT .pkl) or --videos; got {path}"
            )
        tubes = annotations.test_split(split)
    if not tubes:
        raise DataError(path, None, "holds no ground truth")
    labels = labels if annotations is None else annotations.labels
    return _Truth(labels, tubes, videos is not None or split is not None, all_videos, annotations)


def _found(path: Path, truth: _Truth, split: int | None) -> FrameTable | list[Tube]:
    if path.suffix == ".jsonl":
        first = 0 if truth.annotations is None else truth.annotations.first_frame
        return frames_of_records(path, read_json_lines(path), truth.labels, first)
    if path.suffix != ".pkl":
        return read_frame_csv(path, truth.labels)
    found = read_detection_pickle(path)
    if isinstance(found, list):
        return found
    if truth.annotations is None or not truth.annotations.test_videos:
        raise ConfigError(f"{path} numbers videos by the test list of a ground-truth pickle; give that pickle")
    names = truth.annotations.videos_of_split(1 if split is None else split)
    if len(found) and not 0 <= found.videos.min() <= found.videos.max() < len(names):
        raise DataError(path, None, f"video numbers lie in 0..{len(names) - 1}, got {found.videos.max()}")
    return FrameTable(path, names, found, ("",) * len(found))


def _named_as(found: FrameTable, truth: frozenset[str]) -> FrameTable:
    """Videos under the names of the ground truth."""
    names = matched_folders(found.path, found.videos, truth)
    keyframes = found.keyframes and frozenset((names.get(video, video), frame) for video, frame in found.keyframes)
    videos = tuple(names[name] for name in found.videos)
    return FrameTable(found.path, videos, found.boxes, found.tracks, keyframes)


def _check_first_frame(found: FrameTable, truth: _Truth, path: Path) -> None:
    first = 0 if truth.annotations is None else truth.annotations.first_frame
    if len(found.boxes) and found.boxes.frames.min() < first:
        raise DataError(
            found.path,
            None,
            f"counts frames from {found.boxes.frames.min()}, {path} from {first}; count alike",
        )


def _result(
    truth: _Truth,
    found: FrameTable | None,
    tubes: list[Tube] | None,
    measured: Convention,
    keyframes: frozenset[tuple[str, int]] | None,
) -> TubeResult:
    videos = sorted({tube.video for tube in truth.tubes})
    true_boxes = _frames_of(truth.tubes, videos)
    frames = scored = _num_frames(true_boxes)
    frame, video, means = None, None, {}
    if found is not None:
        if keyframes is not None:
            rows = zip(true_boxes.videos.tolist(), true_boxes.frames.tolist(), strict=True)
            true_boxes = true_boxes.select(np.array([(videos[v], f) in keyframes for v, f in rows], bool))
            scored = _num_frames(true_boxes)
        frame = frame_map(true_boxes, found.numbered_as(videos), truth.labels, measured)
    if tubes is not None:
        kept = _suppressed(tubes, measured)
        video = video_map(truth.tubes, kept, truth.labels, measured, 0.5)
        means = video_map_over(truth.tubes, kept, truth.labels, measured)
    notes = _notes(truth, found, tubes, frame, video)
    return TubeResult(frame, video, means, frames, scored, tuple(notes))


def _notes(
    truth: _Truth, found: FrameTable | None, tubes: list[Tube] | None, frame: MeanAP | None, video: MeanAP | None
) -> list[str]:
    """What looks wrong in boxes and labels, and why a result may be 0."""
    none = np.zeros((0, 4))
    true_boxes = np.concatenate([none, *(tube.boxes for tube in truth.tubes)])
    boxes = found.boxes.boxes if found is not None else np.concatenate([none, *(t.boxes for t in tubes or ())])
    columns = found.boxes.labels if found is not None else np.array([t.label for t in tubes or ()], np.int64)
    notes = [*pixel_notes(true_boxes, boxes), *corner_notes("ground truth", true_boxes)]
    notes += corner_notes("detections", boxes)
    outside = int(np.count_nonzero((columns < 0) | (columns >= len(truth.labels))))
    if outside:
        notes.append(f"{outside} detections have a label outside the {len(truth.labels)} classes and do not count")
    if not len(boxes):
        notes.append("the detections hold no box of a video that is evaluated")
    elif not notes and frame is not None and frame.mean_ap == 0:
        notes.append(NO_HIT)
    if video is not None and not tubes and len(boxes):
        notes.append("no tube is left of the boxes: greedy linking drops tubes of fewer than 15 frames")
    elif not notes and video is not None and tubes and video.mean_ap == 0:
        notes.append(NO_HIT)
    return notes


def _num_frames(boxes: FrameBoxes) -> int:
    return len(set(zip(boxes.videos.tolist(), boxes.frames.tolist(), strict=True)))


def _suppressed(tubes: list[Tube], measured: Convention) -> list[Tube]:
    groups: dict[tuple[str, int], list[Tube]] = {}
    for tube in tubes:
        groups.setdefault((tube.video, tube.label), []).append(tube)
    return [tube for group in groups.values() for tube in tube_nms(group, _TUBE_NMS, measured)]


def _frames_of(tubes: Iterable[Tube], videos: list[str]) -> FrameBoxes:
    """The boxes of tubes, one by one."""
    tubes = list(tubes)
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


def _linked(found: FrameTable, linking: str, last_pixel: float) -> list[Tube]:
    if linking == "tracks":
        return found.tubes()
    tubes: list[Tube] = []
    for (video, label), frames in found.by_frame().items():
        if linking == "greedy":
            tubes += link_greedy(video, label, frames, last_pixel=last_pixel)
        else:
            tubes += link_viterbi(video, label, frames)
    return tubes
