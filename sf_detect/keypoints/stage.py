"""Postures in a pipeline: a stage around that of the actions, so that clips, streams and live sources have them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace

import numpy as np

from sf_detect.interfaces import ActionModel, ActionStream, ResizableModel
from sf_detect.keypoints.appearance import TrackPictures
from sf_detect.keypoints.camera_motion import CameraMotion, CameraPlace
from sf_detect.keypoints.estimator import LandmarkNetwork
from sf_detect.keypoints.looks import FRESH, TrackLooks
from sf_detect.keypoints.postures import Floats, PostureScores
from sf_detect.model_spec import ModelSpec
from sf_detect.smoothing import ScoreSmoothing
from sf_detect.stages import ActionRun, ActionStage, Scoring, StageCounts, run_stage
from sf_detect.structures import ActionDetections, Clip, Detections, Frame

ALONE_SECONDS = 0.25
"""How often postures without an action model change, in seconds."""
_SAME_TIME = 1e-6  # seconds


class PostureModel:
    """An `ActionModel` whose labels have postures behind its own.

    Alone it scores clips as the model that it holds does, without knowing anybody's landmarks: postures have a score
    of 0. `PostureActions` adds what landmarks tell.

    Args:
        model: Scores the actions; None where postures are all that is wanted.
        scores: Made for the model's labels.
        landmarks: Finds the landmarks of one person.
        new_pictures: Makes what looks at the pictures of a run's persons; None where landmarks alone tell postures.
    """

    def __init__(
        self,
        model: ActionModel | None,
        scores: PostureScores,
        landmarks: LandmarkNetwork,
        new_pictures: Callable[[], TrackPictures] | None = None,
    ) -> None:
        self.model, self.scores, self.landmarks = model, scores, landmarks
        self.new_pictures = new_pictures

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
        scores = self.scores.resized(smaller.spec.short_side)
        return PostureModel(smaller, scores, self.landmarks, self.new_pictures)


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
    actions are known; with `look_ahead` also from what comes within that time: the logits at the keyframe and at each
    later detection are averaged. Somebody who has just come in is a walker by then.

    Args:
        actions: Scores the actions, each keyframe by itself: its own smoothing is off.
        scores: Made for its labels.
        smoothing: Time constant in seconds of each track's mean scores, see `ScoreSmoothing`.
        look_ahead: Seconds after a keyframe that count for it; 0 where the past alone is known.
        new_pictures: See `PostureModel`.
    """

    def __init__(
        self,
        actions: ActionStage,
        scores: PostureScores,
        smoothing: float = 0.0,
        look_ahead: float = 0.0,
        new_pictures: Callable[[], TrackPictures] | None = None,
    ) -> None:
        ScoreSmoothing(smoothing)  # refuses what makes no sense
        self._actions, self._scores, self._smoothing, self._look_ahead = actions, scores, smoothing, look_ahead
        self._new_pictures = new_pictures

    def begin(self, counts: StageCounts | None = None) -> ActionRun:
        """A run with looks and running means of its own."""
        pictures = None if self._new_pictures is None else self._new_pictures()
        smoothing = ScoreSmoothing(self._smoothing)
        return _PostureRun(self._actions.begin(counts), self._scores, smoothing, self._look_ahead, pictures)


class _Keyframe(Future[ActionDetections]):
    """The scores of a keyframe with its postures: being computed while those of its actions are and no look is due."""

    def __init__(self, frame: Frame, persons: Detections, actions: Scoring) -> None:
        super().__init__()
        self.frame, self.actions, self.complete = frame, actions, False
        self.ids = [None] * len(persons) if persons.track_ids is None else persons.track_ids.tolist()
        self._looked: list[list[Floats]] = [[] for _ in self.ids]
        self.pictures: list[list[Floats]] = [[] for _ in self.ids]
        """What pictures of each person said."""

    def running(self) -> bool:
        return not self.done() and self.complete and (self.actions.running() or self.actions.done())

    def add(self, logits: Sequence[Floats | None]) -> None:
        """The logits of its persons at one look; None for whom it did not see."""
        for known, new in zip(self._looked, logits, strict=True):
            if new is not None:
                known.append(new)

    def logits(self) -> list[Floats | None]:
        """Their means: what several looks agree on counts more than what one of them is sure of."""
        return [np.mean(known, axis=0) if known else None for known in self._looked]


class _PostureRun:
    def __init__(
        self,
        actions: ActionRun,
        scores: PostureScores,
        smooth: ScoreSmoothing,
        look_ahead: float,
        pictures: TrackPictures | None = None,
    ) -> None:
        self._actions, self._scores, self._smooth, self._look_ahead = actions, scores, smooth, look_ahead
        self._pictures = pictures
        self._looks, self._camera = TrackLooks(), CameraMotion()
        self._waiting: deque[_Keyframe] = deque()
        self._known: dict[int, tuple[float, Floats]] = {}  # time of the newest look, and what it tells
        # The actions become known in whichever thread scores them; their callbacks may call back.
        self._lock = threading.RLock()

    def push(self, frame: Frame, persons: Detections | None, is_keyframe: bool = True) -> Scoring | None:
        if persons is not None:
            self._looks.add(persons, frame.pts, frame.size, run_stage("postures", frame, self._place, persons, frame))
            if self._pictures is not None and is_keyframe:
                run_stage("postures", frame, self._pictures.look, frame, persons)
        self._look_back(frame.pts, persons is not None)
        scoring = self._actions.push(frame, persons, is_keyframe)
        if scoring is None or persons is None:
            return None
        keyframe = _Keyframe(frame, persons, scoring)
        self._look(keyframe, frame.pts, -np.inf)
        keyframe.complete = self._look_ahead <= 0
        with self._lock:
            self._waiting.append(keyframe)
        scoring.add_done_callback(lambda known: self._settle())
        return keyframe

    def start_anew(self) -> None:
        self._complete()
        self._actions.start_anew()  # what waits is scored, and smoothed, before anything is forgotten
        self._looks.reset()
        self._known.clear()
        self._camera.reset()
        if self._pictures is not None:
            self._pictures.reset()
        self._smooth.reset()

    def finish(self) -> None:
        self._complete()
        self._actions.finish()

    def close(self) -> None:
        self._actions.close()
        self._complete()

    def _place(self, persons: Detections, frame: Frame) -> CameraPlace:
        return self._camera.update(frame.image, persons.boxes, frame.pts)

    def _look_back(self, time: float, looked: bool) -> None:
        """A frame at `time` comes, looked at or not: what that means for the keyframes before it."""
        for keyframe in self._now_waiting():
            left = keyframe.frame.pts + self._look_ahead - time
            if looked and not keyframe.complete and left > -_SAME_TIME:
                self._look(keyframe, time, time)
            keyframe.complete = keyframe.complete or left < _SAME_TIME
        self._settle()

    def _look(self, keyframe: _Keyframe, time: float, pictures_since: float) -> None:
        keyframe.add(run_stage("postures", keyframe.frame, self._logits, keyframe.ids, time))
        if self._pictures is not None:
            for said, track in zip(keyframe.pictures, keyframe.ids, strict=True):
                said += self._pictures.since(track, pictures_since)

    def _logits(self, ids: Sequence[int | None], time: float) -> list[Floats | None]:
        self._known = {track: known for track, known in self._known.items() if time - known[0] <= FRESH}
        return [None if track is None else self._logits_of(track, time) for track in ids]

    def _logits_of(self, track: int, time: float) -> Floats | None:
        """Of a track at the newest time; several keyframes ask for the same, and not every detection is a look."""
        newest = self._looks.newest(track, time)
        if newest is None:
            return None
        if track not in self._known or self._known[track][0] != newest:
            window = self._looks.window(track, time)
            assert window is not None
            self._known[track] = newest, self._scores.logits(window)
        return self._known[track][1]

    def _complete(self) -> None:
        """No look follows."""
        for keyframe in self._now_waiting():
            keyframe.complete = True
        self._settle()

    def _now_waiting(self) -> list[_Keyframe]:
        with self._lock:
            return list(self._waiting)

    def _settle(self) -> None:
        """Gives out what is known, in the order of the keyframes, which the means along tracks depend on."""
        with self._lock:
            while self._waiting and self._waiting[0].complete and self._waiting[0].actions.done():
                keyframe = self._waiting.popleft()
                try:
                    keyframe.set_result(run_stage("postures", keyframe.frame, self._join, keyframe))
                except BaseException as error:
                    keyframe.set_exception(error)

    def _join(self, keyframe: _Keyframe) -> ActionDetections:
        actions, logits = keyframe.actions.result(), keyframe.logits()
        if self._pictures is not None:
            logits = self._pictures.joined(keyframe.frame.pts, keyframe.ids, logits, keyframe.pictures)
        smoothed = self._smooth(replace(actions, scores=self._scores.joined(actions.scores, logits)))
        return replace(smoothed, scores=self._scores.labelled(smoothed.scores))
