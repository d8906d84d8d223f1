"""Postures in a pipeline: a stage around that of the actions, so that clips, streams and live sources have them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace

import numpy as np

from sf_detect.interfaces import ActionModel, ActionStream, ResizableModel
from sf_detect.keypoints.estimator import LandmarkNetwork
from sf_detect.keypoints.looks import TrackLooks
from sf_detect.keypoints.postures import Floats, PostureScores
from sf_detect.model_spec import ModelSpec
from sf_detect.smoothing import ScoreSmoothing
from sf_detect.stages import ActionRun, ActionStage, Scoring, StageCounts, run_stage
from sf_detect.structures import ActionDetections, Clip, Detections, Frame

ALONE_SECONDS = 0.25
"""How often postures without an action model change, in seconds."""


class PostureModel:
    """An `ActionModel` whose labels have postures behind its own.

    Alone it scores clips as the model that it holds does, without knowing anybody's landmarks: postures have a score
    of 0. `PostureActions` adds what landmarks tell.

    Args:
        model: Scores the actions; None where postures are all that is wanted.
        scores: Made for the model's labels.
        landmarks: Finds the landmarks of one person.
    """

    def __init__(self, model: ActionModel | None, scores: PostureScores, landmarks: LandmarkNetwork) -> None:
        self.model, self.scores, self.landmarks = model, scores, landmarks

    @property
    def spec(self) -> ModelSpec:
        """See `ActionModel`."""
        return self.scores.spec

    def __call__(self, clips: Sequence[Clip]) -> list[ActionDetections]:
        """See `ActionModel`."""
        if self.model is None:
            return [self._labelled(_unscored(c.persons, c.keyframe_pts, float(c.pts[-1]))) for c in clips]
        return [self._labelled(actions) for actions in self.model(clips)]

    def open_stream(self) -> ActionStream:
        """See `ActionModel`."""
        return _LabelledStream(None if self.model is None else self.model.open_stream(), self)

    def _labelled(self, actions: ActionDetections) -> ActionDetections:
        joined = self.scores.joined(actions.scores, [None] * len(actions.persons))
        return replace(actions, scores=self.scores.labelled(joined))


class ResizablePostureModel(PostureModel):
    """A `PostureModel` of a `ResizableModel`, which it is too."""

    def resized(self, short_side: int) -> PostureModel:
        """See `ResizableModel`; postures do not depend on the size."""
        assert isinstance(self.model, ResizableModel)
        smaller = self.model.resized(short_side)
        return PostureModel(smaller, self.scores.resized(smaller.spec.short_side), self.landmarks)


class _LabelledStream:
    """The stream of a `PostureModel`; without one to wrap, nobody does anything."""

    def __init__(self, stream: ActionStream | None, model: PostureModel) -> None:
        self._stream, self._model = stream, model

    @property
    def warning(self) -> str | None:
        return None if self._stream is None else self._stream.warning

    @property
    def step_seconds(self) -> float:
        return ALONE_SECONDS if self._stream is None else self._stream.step_seconds

    def push(self, frame: Frame) -> None:
        if self._stream is not None:
            self._stream.push(frame)

    def score(self, persons: Detections, pts: float, image_size: tuple[int, int]) -> ActionDetections:
        if self._stream is None:
            return self._model._labelled(_unscored(persons, pts, pts))
        return self._model._labelled(self._stream.score(persons, pts, image_size))

    def reset(self) -> None:
        if self._stream is not None:
            self._stream.reset()


def _unscored(persons: Detections, pts: float, seen_until: float) -> ActionDetections:
    return ActionDetections(pts, persons, np.zeros((len(persons), 0), np.float32), seen_until)


class PostureActions:
    """An `ActionStage` that adds postures to what another one scores.

    Landmarks come with the persons that are pushed. A keyframe is scored from what was pushed up to it, whenever its
    actions are known.

    Args:
        actions: Scores the actions, each keyframe by itself: its own smoothing is off.
        scores: Made for its labels.
        smoothing: Time constant in seconds of each track's mean scores, see `ScoreSmoothing`.
    """

    def __init__(self, actions: ActionStage, scores: PostureScores, smoothing: float = 0.0) -> None:
        ScoreSmoothing(smoothing)  # refuses what makes no sense
        self._actions, self._scores, self._smoothing = actions, scores, smoothing

    def begin(self, counts: StageCounts | None = None) -> ActionRun:
        """A run with looks and running means of its own."""
        return _PostureRun(self._actions.begin(counts), self._scores, ScoreSmoothing(self._smoothing))


class _Joined(Future[ActionDetections]):
    """The scores of a keyframe with its postures: known, and being computed, when those of its actions are."""

    def __init__(self, actions: Scoring) -> None:
        super().__init__()
        self._actions = actions

    def running(self) -> bool:
        return not self.done() and (self._actions.running() or self._actions.done())


class _PostureRun:
    def __init__(self, actions: ActionRun, scores: PostureScores, smooth: ScoreSmoothing) -> None:
        self._actions, self._scores, self._smooth = actions, scores, smooth
        self._looks = TrackLooks()

    def push(self, frame: Frame, persons: Detections | None, is_keyframe: bool = True) -> Scoring | None:
        if persons is not None:
            self._looks.add(persons, frame.pts, frame.size)
        scoring = self._actions.push(frame, persons, is_keyframe)
        if scoring is None or persons is None:
            return None
        logits = run_stage("postures", frame, self._logits, persons, frame.pts)
        joined = _Joined(scoring)
        scoring.add_done_callback(lambda known: self._settle(frame, known, logits, joined))
        return joined

    def start_anew(self) -> None:
        self._actions.start_anew()  # what waits is scored, and smoothed, before anything is forgotten
        self._looks.reset()
        self._smooth.reset()

    def finish(self) -> None:
        self._actions.finish()

    def close(self) -> None:
        self._actions.close()

    def _logits(self, persons: Detections, time: float) -> list[Floats | None]:
        ids = persons.track_ids
        windows = [None if ids is None else self._looks.window(int(ids[i]), time) for i in range(len(persons))]
        return [None if window is None else self._scores.logits(window) for window in windows]

    def _settle(self, frame: Frame, known: Scoring, logits: list[Floats | None], joined: Scoring) -> None:
        """Called once the actions are known, in the order of the keyframes, in whichever thread scored them."""
        try:
            joined.set_result(run_stage("postures", frame, self._join, known.result(), logits))
        except BaseException as error:
            joined.set_exception(error)

    def _join(self, actions: ActionDetections, logits: list[Floats | None]) -> ActionDetections:
        smoothed = self._smooth(replace(actions, scores=self._scores.joined(actions.scores, logits)))
        return replace(smoothed, scores=self._scores.labelled(smoothed.scores))
