"""Measuring an action model on J-HMDB as it would be used: clip accuracy on true boxes, frame-mAP on a detector's."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sf_detect.atomic_file import atomic_file, write_text
from sf_detect.build import load_predictor
from sf_detect.data.augmentation import window_indices
from sf_detect.data.jhmdb import JHMDB, JHMDBClip
from sf_detect.errors import MissingExtraError
from sf_detect.evaluation.confusion import confusion
from sf_detect.evaluation.mean_ap import FrameBoxes, MeanAP, frame_map
from sf_detect.evaluation.plots import plot_confusion
from sf_detect.interfaces import ActionModel, ActionStream
from sf_detect.labels import LabelMap
from sf_detect.smoothing import ScoreSmoothing
from sf_detect.structures import ActionDetections, Clip, Detections, Frame
from sf_detect.training.jhmdb.persons import USUAL_PERSON, find_persons, track_persons
from sf_detect.training.jhmdb.views import FrameStore

#: Frames from one window of the action model to the next.
WINDOW_STEP = 6
#: A window that covers this share of a video serves all of it.
MOST = 0.75


def windows(model: ActionModel, clip: JHMDBClip) -> list[tuple[int, int]]:
    """First and last (excluded) frame of the parts whose persons share one window of the action model.

    One part where the model's clip covers nearly all of the video, else one every `WINDOW_STEP` frames.
    """
    spec = model.spec.clip_spec
    whole = spec.num_frames * spec.sampling_rate >= MOST * clip.num_frames
    step = clip.num_frames if whole else WINDOW_STEP
    return [(first, min(first + step, clip.num_frames)) for first in range(0, clip.num_frames, step)]


def cut(
    model: ActionModel, store: FrameStore, clip: JHMDBClip, keyframe: int, persons: Detections, position: int
) -> Clip:
    """The model's clip in which `keyframe` is frame number `position`."""
    spec = model.spec.clip_spec
    indices = window_indices(clip.num_frames, keyframe, spec.num_frames, position, float(spec.sampling_rate))
    return Clip(store.clip(clip)[indices], indices / 25, keyframe / 25, persons, (clip.height, clip.width))


@dataclass(frozen=True, eq=False)
class ClipScores:
    """Scores of one clip.

    Attributes:
        persons: (persons of all frames, C), frame after frame.
        actor: (C,) of the actor's true box on the middle frame; in a stream, on the last frame.
        windows: (n, C) of the actor's true boxes in all windows.
    """

    persons: npt.NDArray[np.float32]
    actor: npt.NDArray[np.float32]
    windows: npt.NDArray[np.float32]


def score_frames(model: ActionModel, store: FrameStore, clip: JHMDBClip, persons: Sequence[Detections]) -> ClipScores:
    """Scores everybody in every window of a clip; the actor by the true box of each window's keyframe."""
    found, actor, half = [], [], model.spec.clip_spec.num_frames // 2
    for first, last in windows(model, clip):
        keyframe = (first + last) // 2
        boxes = np.concatenate([*(p.boxes for p in persons[first:last]), clip.boxes[keyframe][None]])
        together = Detections(boxes, np.ones(len(boxes), np.float32))
        scores = model([cut(model, store, clip, keyframe, together, half)])[0].scores
        found.append(scores[:-1])
        actor.append(scores[-1])
    middle = actor[0] if len(actor) == 1 else middle_score(model, store, clip)  # one window is the middle frame's
    return ClipScores(np.concatenate(found), middle, np.stack(actor))


def stream_frames(model: ActionStream, store: FrameStore, clip: JHMDBClip, persons: Sequence[Detections]) -> ClipScores:
    """As `score_frames`, in a stream: everybody is scored every `WINDOW_STEP` frames, on what was seen by then."""
    found, actor, half = [], list[npt.NDArray[np.float32]](), WINDOW_STEP // 2
    model.reset()
    seen = 0
    for first in range(0, clip.num_frames, WINDOW_STEP):
        last = min(first + WINDOW_STEP, clip.num_frames)
        keyframe = min(first + half, clip.num_frames - 1)
        for index in range(seen, keyframe + 1):
            model.push(Frame(np.ascontiguousarray(store.clip(clip)[index]), index, index / 25))
        seen = keyframe + 1
        boxes = np.concatenate([*(p.boxes for p in persons[first:last]), clip.boxes[keyframe][None]])
        together = Detections(boxes, np.ones(len(boxes), np.float32))
        scores = model.score(together, keyframe / 25, (clip.height, clip.width)).scores
        found.append(scores[:-1])
        actor.append(scores[-1])
    for index in range(seen, clip.num_frames):
        model.push(Frame(np.ascontiguousarray(store.clip(clip)[index]), index, index / 25))
    true = Detections(clip.boxes[-1:], np.ones(1, np.float32))
    last_scores = model.score(true, (clip.num_frames - 1) / 25, (clip.height, clip.width)).scores[0]
    return ClipScores(np.concatenate(found), last_scores, np.stack(actor))


def middle_score(
    model: ActionModel, store: FrameStore, clip: JHMDBClip, trailing: bool = False
) -> npt.NDArray[np.float32]:
    """Scores (C,) of the actor's true box on the middle frame, or on the last one with the window before it."""
    frames = model.spec.clip_spec.num_frames
    keyframe, position = (clip.num_frames - 1, frames - 1) if trailing else (clip.num_frames // 2, frames // 2)
    actor = Detections(clip.boxes[keyframe][None], np.ones(1, np.float32))
    return model([cut(model, store, clip, keyframe, actor, position)])[0].scores[0]


@dataclass(frozen=True, eq=False)
class FrameScores:
    """What a model says of every tracked person of a test side.

    Attributes:
        truth: The actors.
        video, frame: (N,) where each person is, in ascending order.
        track: (N,) who it is, among those of the video.
        boxes: (N, 4) xyxy pixels.
        persons: (N,) scores of the detector.
        actions: (N, C) scores of the model.
        actors: (clips, C) scores of the true box on the middle frame; in a stream, on the last frame.
        clip_actors: (clips, C) mean scores of the true boxes in all windows of the clip.
    """

    truth: FrameBoxes
    video: npt.NDArray[np.int64]
    frame: npt.NDArray[np.int64]
    track: npt.NDArray[np.int64]
    boxes: npt.NDArray[np.float64]
    persons: npt.NDArray[np.float64]
    actions: npt.NDArray[np.float64]
    actors: npt.NDArray[np.float64]
    clip_actors: npt.NDArray[np.float64]

    def confident(self, threshold: float) -> FrameScores:
        """Without persons whom the detector scored lower."""
        keep = self.persons >= threshold
        return replace(
            self,
            video=self.video[keep],
            frame=self.frame[keep],
            track=self.track[keep],
            boxes=self.boxes[keep],
            persons=self.persons[keep],
            actions=self.actions[keep],
        )

    def smoothed(self, seconds: float) -> FrameScores:
        """With each track's running mean for scores, as `sf-detect run` has it; see `ScoreSmoothing`."""
        actions, smooth, video = np.empty_like(self.actions), ScoreSmoothing(seconds), -1
        changes = np.flatnonzero(np.diff(self.video) | np.diff(self.frame)) + 1
        for rows in np.split(np.arange(len(self.video)), changes) if len(self.video) else ():
            if self.video[rows[0]] != video:
                smooth.reset()
                video = self.video[rows[0]]
            boxes, weights = self.boxes[rows].astype(np.float32), self.persons[rows].astype(np.float32)
            persons, pts = Detections(boxes, weights, self.track[rows]), float(self.frame[rows[0]]) / 25
            actions[rows] = smooth(ActionDetections(pts, persons, self.actions[rows].astype(np.float32))).scores
        return replace(self, actions=actions)

    def averaged(self) -> FrameScores:
        """With each track's mean over its whole video for scores, which takes a video that is over."""
        _, whose = np.unique(np.stack([self.video, self.track]), axis=1, return_inverse=True)
        whose = whose.ravel()
        totals = np.zeros((whose.max(initial=-1) + 1, self.actions.shape[1]))
        np.add.at(totals, whose, self.actions)
        return replace(self, actions=(totals / np.bincount(whose)[:, None])[whose])

    def mean_ap(self, labels: Sequence[str], how: str, exponent: float = 1.0) -> MeanAP:
        """Frame-mAP at IoU 0.5.

        Args:
            labels: The classes.
            how: A convention of `evaluation.conventions`.
            exponent: Action scores are multiplied by this power of the detector's.
        """
        count, classes = self.actions.shape
        scores = self.actions * self.persons[:, None] ** exponent
        found = FrameBoxes(
            np.repeat(self.video, classes),
            np.repeat(self.frame, classes),
            np.tile(np.arange(classes), count),
            np.repeat(self.boxes, classes, axis=0),
            scores.ravel(),
        )
        return frame_map(self.truth, found, LabelMap.of(list(labels)), how)


def frame_scores(
    score: Callable[[JHMDBClip, Sequence[Detections]], ClipScores],
    clips: Sequence[JHMDBClip],
    persons: Mapping[str, Sequence[Detections]],
    say: Callable[[str], None],
) -> FrameScores:
    """Scores every tracked person of every frame.

    Args:
        score: `score_frames` or `stream_frames` of a model.
        clips: What is measured.
        persons: By video, one `Detections` a frame, with track ids.
        say: Told about progress.
    """
    columns: list[list[npt.NDArray[np.generic]]] = [[] for _ in range(6)]
    truths: list[list[npt.NDArray[np.generic]]] = [[] for _ in range(5)]
    actors, clip_actors = [], []
    for number, clip in enumerate(clips):
        mine, n = persons[clip.video_id], clip.num_frames
        frames = np.repeat(np.arange(n), [len(p) for p in mine])
        boxes, weights = np.concatenate([p.boxes for p in mine]), np.concatenate([p.scores for p in mine])
        tracks = np.concatenate([p.track_ids for p in mine if p.track_ids is not None])
        scores = score(clip, mine)
        actors.append(scores.actor)
        clip_actors.append(scores.windows.mean(0))
        where = np.full(len(frames), number)
        row: list[npt.NDArray[np.generic]] = [where, frames, tracks, boxes, weights, scores.persons]
        for column, values in zip(columns, row, strict=True):
            column.append(values)
        truth = (np.full(n, number), np.arange(n), np.full(n, clip.label), clip.boxes.astype(np.float64), np.ones(n))
        for column, values in zip(truths, truth, strict=True):
            column.append(values)
        if number % 50 == 49:
            say(f"actions of {number + 1} of {len(clips)} clips")
    video, frame, track, box, weight, action = (np.concatenate(column) for column in columns)
    return FrameScores(
        FrameBoxes(*(np.concatenate(column) for column in truths)),  # type: ignore[arg-type]
        video.astype(np.int64),
        frame.astype(np.int64),
        track.astype(np.int64),
        box.astype(np.float64),
        weight.astype(np.float64),
        action.astype(np.float64),
        np.stack(actors).astype(np.float64),
        np.stack(clip_actors).astype(np.float64),
    )


def measure(
    name: str,
    weights: Path | None,
    data: JHMDB,
    split: int,
    folder: Path,
    say: Callable[[str], None],
    causal: bool = False,
    tile: str = "auto",
    smoothing: float = 0.0,
    exponent: float = 1.0,
) -> dict[str, Any]:
    """Everything that a model card of J-HMDB states, also written to `folder` as JSON, a picture and the scores.

    Frame-mAP is read in several ways: each window for itself; tracks smoothed as `sf-detect run` does it, with all
    persons and with those it shows; each track's mean over its video.

    Args:
        name: Of the zoo.
        weights: A file; None takes what ships.
        data: J-HMDB.
        split: Whose test side is measured.
        folder: For decoded frames, detections and results.
        say: Told about progress.
        causal: Measure the window that ends with the last frame too, what a live run sees, and the streaming form.
        tile: The detector's mode, see `detection.tiling`.
        smoothing: Time constant in seconds of each track's running mean scores, for the figures called smoothed.
        exponent: In frame-mAP action scores are multiplied by this power of the detector's.
    """
    clips = data.split(split, "test")
    model = load_predictor(name, weights)
    store = FrameStore(folder / "frames.npy", data.clips)
    detected = find_persons(clips, folder, tile, say)
    persons = track_persons(clips, detected, model.spec.box_regression)
    found = frame_scores(partial(score_frames, model, store), clips, persons, say)
    labels = np.array([clip.label for clip in clips])
    result: dict[str, Any] = {"model": name, "split": split, "clips": len(clips)}
    result["clip_accuracy"] = float((found.actors.argmax(1) == labels).mean())
    result["clip_accuracy_of_all_windows"] = float((found.clip_actors.argmax(1) == labels).mean())
    if causal:
        last = np.stack([middle_score(model, store, clip, trailing=True) for clip in clips])
        result["clip_accuracy_trailing"] = float((last.argmax(1) == labels).mean())
        stream = model.open_stream()
        streamed = frame_scores(partial(stream_frames, stream, store), clips, persons, say)
        result["clip_accuracy_streaming"] = float((streamed.actors.argmax(1) == labels).mean())
        for what, scored in _readings(streamed, smoothing).items():
            result[f"frame_map_act_streaming{what}"] = scored.mean_ap(data.labels, "act", exponent).mean_ap
    maps = {
        f"{how}{what}": scored.mean_ap(data.labels, how, exponent)
        for what, scored in _readings(found, smoothing).items()
        for how in ("act", "yowo")
    }
    result |= {f"frame_map_{name}": each.mean_ap for name, each in maps.items()}
    result["per_class_ap"] = maps["act"].per_class
    result |= _labelled(found.actors, labels, np.asarray(model.spec.thresholds))
    matrix = confusion(labels, found.actors.argmax(1), len(data.labels))
    result["confusion"] = matrix.tolist()
    _report(result, say)
    path = folder / f"test_{name}_split{split}.json"
    write_text(path, json.dumps(result, indent=1) + "\n")
    with suppress(MissingExtraError):
        plot_confusion(matrix, data.labels, path.with_suffix(".png"))
    rows = {name: getattr(found, name) for name in ("video", "frame", "track", "boxes", "persons", "actions")}
    with atomic_file(path.with_suffix(".npz")) as file:
        np.savez(file, actors=found.actors, labels=labels, **rows)
    say(f"wrote {path}")
    return result


def _readings(found: FrameScores, smoothing: float) -> dict[str, FrameScores]:
    """The ways to read the scores of a test side, by what their names end with."""
    smooth = found.smoothed(smoothing)
    return {
        "": found,
        "_smoothed": smooth,
        f"_smoothed_persons_from_{USUAL_PERSON}": smooth.confident(USUAL_PERSON),
        "_track_means": found.averaged(),
    }


def _labelled(
    scores: npt.NDArray[np.float64], labels: npt.NDArray[np.integer], thresholds: npt.NDArray[np.floating]
) -> dict[str, float]:
    """What the thresholds do: how many actors get their best label, and how many rightly."""
    best = scores.argmax(1)
    said = scores[np.arange(len(scores)), best] >= thresholds[best]
    right = float((best == labels)[said].mean()) if said.any() else float("nan")
    own = scores[np.arange(len(scores)), labels]
    return {"labelled": float(said.mean()), "labelled_right": right, "median_true_score": float(np.median(own))}


def _report(result: Mapping[str, Any], say: Callable[[str], None]) -> None:
    for key, value in result.items():
        if isinstance(value, float):
            say(f"{key}: {value:.4f}")
    for label, ap in result["per_class_ap"].items():
        say(f"  AP {label:<16}{ap:.3f}")
