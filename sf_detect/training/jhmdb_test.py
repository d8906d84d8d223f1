"""Measuring an action model on J-HMDB as it would be used: clip accuracy on true boxes, frame-mAP on a detector's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sf_detect.data.augmentation import window_indices
from sf_detect.data.jhmdb import JHMDBClip, read_frames
from sf_detect.evaluation.mean_ap import FrameBoxes, MeanAP, frame_map
from sf_detect.interfaces import ActionModel, PersonDetector
from sf_detect.labels import LabelMap
from sf_detect.structures import Clip, Detections
from sf_detect.training.views import FrameStore

#: Frames from one look of the detector to the next: 0.24 s, as `sf-detect run` does it.
DETECTION_STEP = 6
#: Frames from one window of the action model to the next.
WINDOW_STEP = 6

Track = Callable[[Sequence[Detections], Sequence[float], int], list[Detections]]


def tracked(detected: Mapping[int, Detections], num_frames: int, new_track_score: float) -> list[Detections]:
    """Persons on every frame of a clip: detections tracked by ByteTrack, boxes in between interpolated.

    Args:
        detected: By frame number; the first and the last frame are among them.
        num_frames: Of the clip.
        new_track_score: Least score to start a track.
    """
    from sf_detect.tracking import ByteTrack, interpolate

    tracker, found = ByteTrack(new_track_score=new_track_score), {}
    for frame, persons in sorted(detected.items()):
        found[frame] = tracker.update(persons, frame / 25)
    looks = sorted(found)
    frames = []
    for frame in range(num_frames):
        before = max(look for look in looks if look <= frame)
        after = min((look for look in looks if look > frame), default=before)
        if after == before:
            frames.append(found[before])
        else:
            frames.append(interpolate(found[before], before / 25, found[after], after / 25, frame / 25))
    return frames


def detect_persons(
    clips: Sequence[JHMDBClip], detector: PersonDetector, path: Path, say: Callable[[str], None]
) -> dict[str, dict[int, Detections]]:
    """Detections on every `DETECTION_STEP`-th and the last frame of each clip, kept in a file for the next time."""
    known: dict[str, npt.NDArray[np.float32]] = dict(np.load(path)) if path.exists() else {}
    for number, clip in enumerate(clips):
        wanted = sorted({*range(0, clip.num_frames, DETECTION_STEP), clip.num_frames - 1})
        if f"{clip.video_id}|{wanted[-1]}" in known:
            continue
        for frame, image in enumerate(read_frames(clip, clip.width, clip.height)):
            if frame in wanted:
                found = detector([image])[0]
                known[f"{clip.video_id}|{frame}"] = np.concatenate([found.boxes, found.scores[:, None]], 1)
        if number % 50 == 49:
            _store(path, known)
            say(f"persons of {number + 1} of {len(clips)} clips")
    _store(path, known)
    result: dict[str, dict[int, Detections]] = {clip.video_id: {} for clip in clips}
    for key, rows in known.items():
        video, _, frame_number = key.rpartition("|")
        if video in result:
            result[video][int(frame_number)] = Detections(rows[:, :4], rows[:, 4])
    return result


def _store(path: Path, arrays: Mapping[str, npt.NDArray[np.float32]]) -> None:
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, **arrays)  # type: ignore[arg-type]
    partial.replace(path)


def windows(model: ActionModel, store: FrameStore, clip: JHMDBClip, persons: Sequence[Detections]) -> Iterator[Clip]:
    """Clips around every `WINDOW_STEP`-th frame (one in the middle where the model's clip is longer than the video).

    Each holds the persons of the frames that are nearest to its keyframe, frame after frame.
    """
    spec, images = model.clip_spec, store.clip(clip)
    whole = spec.num_frames * spec.sampling_rate >= clip.num_frames
    step = clip.num_frames if whole else WINDOW_STEP
    for first in range(0, clip.num_frames, step):
        last = min(first + step, clip.num_frames)
        keyframe = (first + last) // 2
        indices = window_indices(
            clip.num_frames, keyframe, spec.num_frames, spec.num_frames // 2, float(spec.sampling_rate)
        )
        mine = persons[first:last]
        boxes = np.concatenate([p.boxes for p in mine])
        together = Detections(boxes, np.concatenate([p.scores for p in mine]))
        yield Clip(images[indices], indices / 25, keyframe / 25, together, (clip.height, clip.width))


def score_frames(
    model: ActionModel, store: FrameStore, clip: JHMDBClip, persons: Sequence[Detections]
) -> npt.NDArray[np.float32]:
    """Action scores (all persons of all frames, C), frame after frame."""
    return np.concatenate([found.scores for found in model(list(windows(model, store, clip, persons)))])


def middle_scores(
    model: ActionModel, store: FrameStore, clips: Sequence[JHMDBClip], trailing: bool = False
) -> npt.NDArray[np.float32]:
    """Scores (clips, C) of the actor's true box on the middle frame, or on the last one with the window before it."""
    spec, found = model.clip_spec, []
    for clip in clips:
        keyframe = clip.num_frames - 1 if trailing else clip.num_frames // 2
        position = spec.num_frames - 1 if trailing else spec.num_frames // 2
        indices = window_indices(clip.num_frames, keyframe, spec.num_frames, position, float(spec.sampling_rate))
        actor = Detections(clip.boxes[keyframe][None], np.ones(1, np.float32))
        frames = store.clip(clip)[indices]
        cut = Clip(frames, indices / 25, keyframe / 25, actor, (clip.height, clip.width))
        found.append(model([cut])[0].scores[0])
    return np.stack(found)


@dataclass(frozen=True, eq=False)
class FrameScores:
    """What a model says of every tracked person of a test side.

    Attributes:
        truth: The actors.
        video, frame: (N,) where each person is.
        boxes: (N, 4) xyxy pixels.
        persons: (N,) scores of the detector.
        actions: (N, C) scores of the model.
    """

    truth: FrameBoxes
    video: npt.NDArray[np.int64]
    frame: npt.NDArray[np.int64]
    boxes: npt.NDArray[np.float64]
    persons: npt.NDArray[np.float64]
    actions: npt.NDArray[np.float64]

    def mean_ap(self, labels: Sequence[str], how: str, weigh: bool = True) -> MeanAP:
        """Frame-mAP at IoU 0.5.

        Args:
            labels: The classes.
            how: A convention of `evaluation.conventions`.
            weigh: Multiply action scores by the detector's.
        """
        count, classes = self.actions.shape
        scores = self.actions * self.persons[:, None] if weigh else self.actions
        found = FrameBoxes(
            np.repeat(self.video, classes),
            np.repeat(self.frame, classes),
            np.tile(np.arange(classes), count),
            np.repeat(self.boxes, classes, axis=0),
            scores.ravel(),
        )
        return frame_map(self.truth, found, LabelMap.of(list(labels)), how)


def frame_scores(
    model: ActionModel,
    store: FrameStore,
    clips: Sequence[JHMDBClip],
    persons: Mapping[str, Sequence[Detections]],
    say: Callable[[str], None],
) -> FrameScores:
    """Scores every tracked person of every frame.

    Args:
        model: Scores clips.
        store: Decoded frames.
        clips: What is measured.
        persons: By video, one `Detections` a frame.
        say: Told about progress.
    """
    parts: list[tuple[npt.NDArray[np.generic], ...]] = []
    truths: list[tuple[npt.NDArray[np.generic], ...]] = []
    for number, clip in enumerate(clips):
        mine, n = persons[clip.video_id], clip.num_frames
        truths.append((np.full(n, number), np.arange(n), np.full(n, clip.label), clip.boxes, np.ones(n)))
        frames = np.repeat(np.arange(n), [len(p) for p in mine])
        if len(frames):
            boxes, scores = np.concatenate([p.boxes for p in mine]), np.concatenate([p.scores for p in mine])
            actions = score_frames(model, store, clip, mine)
            parts.append((np.full(len(frames), number), frames, boxes, scores, actions))
        if number % 50 == 49:
            say(f"actions of {number + 1} of {len(clips)} clips")
    truth = [np.concatenate(column) for column in zip(*truths, strict=True)]
    video, frame, boxes, scores, actions = (np.concatenate(column) for column in zip(*parts, strict=True))
    return FrameScores(
        FrameBoxes(truth[0], truth[1], truth[2], truth[3].astype(np.float64), truth[4]),
        video,
        frame,
        boxes.astype(np.float64),
        scores.astype(np.float64),
        actions.astype(np.float64),
    )
