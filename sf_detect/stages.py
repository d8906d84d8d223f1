"""What happens to a frame: its persons' actions are scored from clips or from a stream; `person_stage` finds them.

A stage holds the models, which many runs share. `begin` starts a run and returns what that run remembers, so nothing
of one video can reach the next, also after a `break`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from sf_detect.errors import SFDetectError, StageError
from sf_detect.interfaces import ActionModel, ActionStream, ClipSampler
from sf_detect.smoothing import ScoreSmoothing
from sf_detect.structures import ActionDetections, Clip, Detections, Frame
from sf_detect.tasks import Tasks

T = TypeVar("T")
Scoring = Future[ActionDetections]
"""The actions of a keyframe, known later."""

CLOSE_SECONDS = 60.0
"""Longest wait for a model at the close of a run; one that hangs is left behind."""


@dataclass
class StageCounts:
    """How often each stage of a run worked; for progress, benchmarks and tests."""

    frames: int = 0
    detections: int = 0
    clips: int = 0
    persons: int = 0


def run_stage(name: str, frame: Frame, function: Callable[..., T], *args: object) -> T:
    """`function(*args)`; what it raises becomes a `StageError` that names the stage and the frame."""
    try:
        return function(*args)
    except SFDetectError:
        raise
    except Exception as error:
        raise StageError(
            f"{name} failed on frame {frame.index} (pts {frame.pts:.3f} s): {type(error).__name__}: {error}. "
            "The results before it are kept; please report this with the video, or try another model or detector."
        ) from error


class ActionRun(Protocol):
    """The actions of one run. Frames go in in order; actions of keyframes come out as futures."""

    def push(self, frame: Frame, persons: Detections | None, is_keyframe: bool = True) -> Scoring | None:
        """Take the next frame.

        Args:
            frame: Later than the one before.
            persons: Tracked persons on it, of every frame on which they were looked for; None on all others.
            is_keyframe: Whether their actions are wanted. Between keyframes persons show how they move.

        Returns:
            The actions of a keyframe; None where there are no persons, or it is no keyframe.
        """
        ...

    def start_anew(self) -> None:
        """The next frame continues nothing: what was pushed so far is scored without it."""
        ...

    def finish(self) -> None:
        """No frame follows: score what waits. Raises what failed and no keyframe's actions will tell."""
        ...

    def close(self) -> None:
        """Give up what is not being computed yet, and wait for what is. Idempotent."""
        ...


class ActionStage(Protocol):
    """Scores actions, for any number of runs, one after the other."""

    def begin(self, counts: StageCounts | None = None) -> ActionRun: ...


class NoActions:
    """In place of an action model where only persons and tracks are wanted: nobody has a score."""

    def begin(self, counts: StageCounts | None = None) -> ActionRun:
        """It remembers nothing."""
        return self

    def push(self, frame: Frame, persons: Detections | None, is_keyframe: bool = True) -> Scoring | None:
        """The persons of a keyframe with scores of shape (N, 0)."""
        if persons is None or not is_keyframe:
            return None
        known: Scoring = Future()
        known.set_result(ActionDetections(frame.pts, persons, np.zeros((len(persons), 0), np.float32), frame.pts))
        return known

    def start_anew(self) -> None:
        """Nothing to forget."""

    def finish(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing to wait for."""


class ClipActions:
    """Actions from a clip around each keyframe.

    Args:
        model: Scores clips.
        new_sampler: Makes the clip sampler of a run.
        smoothing: Time constant in seconds of each track's mean scores, see `ScoreSmoothing`; 0 switches it off.
        executor: Runs the model beside everything else, one clip at a time; None runs it in line. Results are the
            same either way.
    """

    def __init__(
        self,
        model: ActionModel,
        new_sampler: Callable[[], ClipSampler],
        smoothing: float = 0.0,
        executor: Executor | None = None,
    ) -> None:
        ScoreSmoothing(smoothing)  # refuses what makes no sense
        self._model, self._new_sampler = model, new_sampler
        self._smoothing, self._executor = smoothing, executor

    def begin(self, counts: StageCounts | None = None) -> ActionRun:
        """A run with a buffer and running means of its own."""
        smooth = ScoreSmoothing(self._smoothing)
        return _ClipRun(self._model, self._new_sampler, smooth, Tasks(self._executor), counts or StageCounts())


class StreamActions:
    """Actions from a stream of frames, each computed once; keyframes are scored from the past alone.

    Args:
        model: Has a streaming form.
        smoothing: See `ClipActions`.
        executor: See `ClipActions`. Frames gather while it is busy, at most up to the next keyframe.
    """

    def __init__(self, model: ActionModel, smoothing: float = 0.0, executor: Executor | None = None) -> None:
        ScoreSmoothing(smoothing)
        self._model, self._smoothing, self._executor = model, smoothing, executor

    def begin(self, counts: StageCounts | None = None) -> ActionRun:
        """A run with a stream and running means of its own."""
        stream = self._model.open_stream()
        return _StreamRun(stream, ScoreSmoothing(self._smoothing), Tasks(self._executor), counts or StageCounts())


@dataclass
class _Keyframe:
    frame: Frame
    persons: Detections
    scoring: Scoring

    def settle(self, score: Callable[[], ActionDetections]) -> None:
        """Sets its actions, or the exception in their place."""
        try:
            self.scoring.set_result(score())
        except BaseException as error:
            self.scoring.set_exception(error)
            raise


class _ClipRun:
    def __init__(
        self,
        model: ActionModel,
        new_sampler: Callable[[], ClipSampler],
        smooth: ScoreSmoothing,
        tasks: Tasks,
        counts: StageCounts,
    ) -> None:
        self._model, self._new_sampler, self._sampler = model, new_sampler, new_sampler()
        self._smooth, self._tasks, self._counts = smooth, tasks, counts
        self._waiting: deque[_Keyframe] = deque()

    def push(self, frame: Frame, persons: Detections | None, is_keyframe: bool = True) -> Scoring | None:
        scoring: Scoring | None = None
        self._sampler.push(frame)
        if persons is not None and is_keyframe:
            scoring = Future()
            self._waiting.append(_Keyframe(frame, persons, scoring))
            self._sampler.expect(frame.pts)
        while self._waiting and self._sampler.ready(self._waiting[0].frame.pts):
            self._score(self._waiting.popleft())
        return scoring

    def start_anew(self) -> None:
        self.finish()
        self._sampler = self._new_sampler()
        self._smooth.reset()

    def finish(self) -> None:
        while self._waiting:
            self._score(self._waiting.popleft())
        self._tasks.join()

    def close(self) -> None:
        self._tasks.close(CLOSE_SECONDS)
        for keyframe in self._waiting:
            keyframe.scoring.set_exception(CancelledError())
        self._waiting.clear()

    def _score(self, keyframe: _Keyframe) -> None:
        clip = self._sampler.clip(keyframe.frame.pts, keyframe.persons, keyframe.frame.size)
        self._counts.clips += 1
        self._counts.persons += len(keyframe.persons)
        keyframe.scoring.set_running_or_notify_cancel()
        self._tasks.start(
            lambda: keyframe.settle(lambda: run_stage("action model", keyframe.frame, self._actions, clip))
        )

    def _actions(self, clip: Clip) -> ActionDetections:
        return self._smooth(self._model([clip])[0])


class _StreamRun:
    def __init__(self, stream: ActionStream, smooth: ScoreSmoothing, tasks: Tasks, counts: StageCounts) -> None:
        self._stream, self._smooth, self._tasks, self._counts = stream, smooth, tasks, counts
        self._unseen: list[Frame] = []
        self._anew = False

    def push(self, frame: Frame, persons: Detections | None, is_keyframe: bool = True) -> Scoring | None:
        self._unseen.append(frame)
        if persons is None or not is_keyframe:
            if not self._tasks.busy:
                self._advance(None)
            return None
        keyframe = _Keyframe(frame, persons, Future())
        keyframe.scoring.set_running_or_notify_cancel()
        self._counts.clips += 1
        self._counts.persons += len(persons)
        self._advance(keyframe)
        return keyframe.scoring

    def start_anew(self) -> None:
        self.finish()
        self._anew = True

    def finish(self) -> None:
        if self._unseen:
            self._advance(None)
        self._tasks.check()

    def close(self) -> None:
        self._tasks.close(CLOSE_SECONDS)

    def _advance(self, keyframe: _Keyframe | None) -> None:
        self._tasks.check()
        frames, self._unseen = self._unseen, []
        self._tasks.start(lambda: self._take(frames, keyframe))

    def _take(self, frames: list[Frame], keyframe: _Keyframe | None) -> None:
        if keyframe is None:
            self._feed(frames)
        else:
            keyframe.settle(lambda: self._score(frames, keyframe))

    def _feed(self, frames: list[Frame]) -> None:
        if self._anew:  # here, as a failure is the stage's, and then it is still due
            run_stage("action model", frames[0], self._forget)
        for frame in frames:
            run_stage("action model", frame, self._stream.push, frame)

    def _forget(self) -> None:
        self._stream.reset()
        self._smooth.reset()
        self._anew = False

    def _score(self, frames: list[Frame], keyframe: _Keyframe) -> ActionDetections:
        self._feed(frames)
        frame = keyframe.frame
        return self._smooth(
            run_stage("action model", frame, self._stream.score, keyframe.persons, frame.pts, frame.size)
        )
