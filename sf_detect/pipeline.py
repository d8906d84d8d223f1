"""The semantics of action detection on a video: synchronous, deterministic, implementation-free.

    frame -> [every detection_interval] detect -> track -> [every stride] clip -> action model
          -> released in order, once its boxes and its actions are known

A released frame carries the boxes at its own time (interpolated per track between two detections) and the actions of
the keyframe nearest in time; a track that is not on it takes those of the keyframe on the frame's other side. With the
keyframe in the middle of its clip this needs half a clip of look-ahead, which a file gives for free.

Scores are those of one keyframe, or each track's running mean over the keyframes so far.

A streaming action model takes every frame instead of clips, and scores a keyframe when it comes, from the past alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sf_detect.box_regression import BoxRegression
from sf_detect.errors import ConfigError, SFDetectError, SourceError, StageError
from sf_detect.interfaces import (
    ActionModel,
    ClipSampler,
    PersonDetector,
    StreamingActionModel,
    TimedDetector,
    Tracker,
    VideoSource,
)
from sf_detect.smoothing import ScoreSmoothing
from sf_detect.structures import ActionDetections, Clip, Detections, Frame, FrameResult, VideoInfo

Interpolation = Callable[[Detections, float, Detections, float, float], Detections]


@dataclass
class Schedule:
    """Fires at the first frame at or after every multiple of `interval` seconds, counted from the first frame.

    Attributes:
        interval: Seconds; 0 fires on every frame.
    """

    interval: float
    _next: float | None = None

    def due(self, pts: float) -> bool:
        """True if it fires at `pts`; later calls must not go back in time."""
        if self._next is None:
            self._next = pts
        if pts < self._next - 1e-6:
            return False
        if self.interval > 0:
            # After a gap in a variable-rate video the grid is kept, the missed beats are not made up for.
            self._next += self.interval * (int((pts - self._next + 1e-6) / self.interval) + 1)
        return True


@dataclass
class _Keyframe:
    """A keyframe on its way: `scoring` is set once its clip is complete."""

    frame: Frame
    persons: Detections
    scoring: Future[ActionDetections] | None = None

    def known(self, wait: bool) -> bool:
        """Whether its actions are there; waits for them if they are being computed and `wait` is set."""
        return self.scoring is not None and (wait or self.scoring.done())


@dataclass
class _Pending:
    frame: Frame
    persons: Detections | None = None
    keyframe: _Keyframe | None = None


@dataclass
class StageCounts:
    """How often each stage ran; for progress, benchmarks and tests."""

    frames: int = 0
    detections: int = 0
    clips: int = 0
    persons: int = 0


@dataclass
class _State:
    """Everything one run remembers; a new run starts with a new one."""

    info: VideoInfo
    pending: deque[_Pending] = field(default_factory=deque)
    waiting: deque[_Keyframe] = field(default_factory=deque)
    keyframes: deque[_Keyframe] = field(default_factory=deque)
    passed: _Keyframe | None = None
    detected: deque[tuple[float, Detections]] = field(default_factory=deque)
    scoring: Future[ActionDetections] | None = None
    unseen: list[Frame] = field(default_factory=list)
    streaming: Future[Any] | None = None
    ended: bool = False


class Pipeline:
    """Detector, tracker and action model, run over a source.

    Args:
        detector: Finds persons; a `TimedDetector` is asked by time instead of by picture.
        tracker: Gives them identities; reset at the start of every run.
        action_model: Scores clips, or takes every frame if it is a `StreamingActionModel`; that is reset at the start
            of every run.
        clips: Cuts clips around keyframes; cleared at the start of every run. A streaming model needs none.
        interpolate: `(before, t0, after, t1, t) -> Detections`, the boxes between two detections.
        stride: Seconds between keyframes.
        detection_interval: Seconds between detections; every keyframe is a detection too.
        smoothing: Time constant in seconds of each track's mean scores, see `ScoreSmoothing`; 0 switches it off.
        box_regression: Moves the boxes of tracked persons before they are scored and shown.
        executor: Runs the action model beside everything else, one clip at a time; None runs it in line. Results are
            the same either way.
    """

    def __init__(
        self,
        detector: PersonDetector | TimedDetector,
        tracker: Tracker,
        action_model: ActionModel | StreamingActionModel,
        clips: ClipSampler | None,
        interpolate: Interpolation,
        *,
        stride: float = 0.5,
        detection_interval: float = 0.25,
        smoothing: float = 0.0,
        box_regression: BoxRegression | None = None,
        executor: Executor | None = None,
    ) -> None:
        self._detector, self._tracker, self._interpolate = detector, tracker, interpolate
        if isinstance(action_model, StreamingActionModel):
            self._stream: StreamingActionModel | None = action_model
        elif clips is None:
            raise ConfigError(
                "an action model that scores clips needs a clip sampler, got clips=None; pass a ClipBuffer"
            )
        else:
            self._stream, self._action_model, self._clips = None, action_model, clips
        self._stride, self._detection_interval = stride, detection_interval
        self._smooth = ScoreSmoothing(smoothing)
        self._box_regression = box_regression
        self._executor = executor
        self.counts = StageCounts()

    def run(self, source: VideoSource | Iterable[Frame], info: VideoInfo | None = None) -> Iterator[FrameResult]:
        """Results for every frame of `source`, in order.

        Args:
            source: A video source, or any iterable of frames (then `info` is needed).
            info: The source's information where `source` is a plain iterable.

        Raises:
            StageError: A stage failed on a frame; the results before that frame have been released.
        """
        info = info or source.info  # type: ignore[union-attr]
        self._tracker.reset()
        self._smooth.reset()
        if self._stream is None:
            self._clips.clear()
        else:
            self._stream.reset()
        self.counts = StageCounts()
        state = _State(info)
        detection_due, keyframe_due = Schedule(self._detection_interval), Schedule(self._stride)
        failure: SFDetectError | None = None
        try:
            for frame in source:
                is_keyframe = keyframe_due.due(frame.pts)
                is_detection = detection_due.due(frame.pts) or is_keyframe
                self._take(state, frame, is_detection, is_keyframe)
                yield from self._release(state)
        except SourceError as error:  # what was decoded before it still gets its results
            failure = error
        finally:
            if state.streaming is not None:  # the next run must not meet a model that is still at work
                wait([state.streaming])
        state.ended = True
        self._score_ready(state)
        yield from self._release(state)
        if failure is not None:
            raise failure

    def _take(self, state: _State, frame: Frame, is_detection: bool, is_keyframe: bool) -> None:
        self.counts.frames += 1
        pending = _Pending(frame)
        state.pending.append(pending)
        if self._stream is None:
            self._clips.push(frame)
        if is_detection:
            persons = self._stage("person detection and tracking", frame, self._detect, state.info, frame)
            pending.persons = persons
            state.detected.append((frame.pts, persons))
            if is_keyframe:
                pending.keyframe = _Keyframe(frame, persons)
                state.waiting.append(pending.keyframe)
                state.keyframes.append(pending.keyframe)
        if self._stream is None:
            self._score_ready(state)
        else:
            self._stream_on(self._stream, state, frame)

    def _detect(self, info: VideoInfo, frame: Frame) -> Detections:
        self.counts.detections += 1
        if isinstance(self._detector, TimedDetector):
            found = self._detector.at(info.name, frame.pts, frame.size)
        else:
            found = self._detector([frame.image])[0]
        persons = self._tracker.update(found, frame.pts)
        return persons if self._box_regression is None else self._box_regression(persons, frame.size)

    def _score_ready(self, state: _State) -> None:
        while state.waiting and (state.ended or self._clips.ready(state.waiting[0].frame.pts)):
            keyframe = state.waiting.popleft()
            if state.scoring is not None:
                wait([state.scoring])  # one clip at a time bounds the frames that are held back
            clip = self._clips.clip(keyframe.frame.pts, keyframe.persons, keyframe.frame.size)
            self.counts.clips += 1
            self.counts.persons += len(keyframe.persons)
            state.scoring = keyframe.scoring = self._submit(keyframe.frame, clip)

    def _stream_on(self, stream: StreamingActionModel, state: _State, frame: Frame) -> None:
        """Feeds the streaming model, and scores the keyframe if `frame` is one.

        One task at a time, so that frames stay in order on any executor; while it is busy they gather, at most up to
        the next keyframe.
        """
        state.unseen.append(frame)
        before = state.streaming
        if before is not None and not before.done():
            if not state.waiting:
                return
            wait([before])
        keyframe = state.waiting.popleft() if state.waiting else None
        frames, state.unseen = state.unseen, []
        if self._executor is not None:
            state.streaming = self._executor.submit(self._advance, stream, before, frames, keyframe)
        else:
            done: Future[Any] = Future()
            done.set_result(self._advance(stream, before, frames, keyframe))
            state.streaming = done
        if keyframe is not None:
            self.counts.clips += 1
            self.counts.persons += len(keyframe.persons)
            keyframe.scoring = state.streaming

    def _advance(
        self, stream: StreamingActionModel, before: Future[Any] | None, frames: list[Frame], keyframe: _Keyframe | None
    ) -> ActionDetections | None:
        if before is not None:
            before.result()  # what failed there comes out with the next keyframe
        for frame in frames:
            self._stage("action model", frame, stream.push, frame)
        if keyframe is None:
            return None
        frame = keyframe.frame
        actions: ActionDetections = self._stage(
            "action model", frame, stream.score, keyframe.persons, frame.pts, frame.size
        )
        return self._smooth(actions)

    def _submit(self, frame: Frame, clip: Clip) -> Future[ActionDetections]:
        if self._executor is not None:
            return self._executor.submit(self._stage, "action model", frame, self._score, clip)
        done: Future[ActionDetections] = Future()
        done.set_result(self._stage("action model", frame, self._score, clip))
        return done

    def _score(self, clip: Clip) -> ActionDetections:
        return self._smooth(self._action_model([clip])[0])

    def _stage(self, name: str, frame: Frame, function: Callable, *args: object):  # type: ignore[no-untyped-def]
        try:
            return function(*args)
        except SFDetectError:
            raise
        except Exception as error:
            raise StageError(
                f"{name} failed on frame {frame.index} (pts {frame.pts:.3f} s): {type(error).__name__}: {error}. "
                "The results before it are kept; please report this with the video, or try another model or detector."
            ) from error

    def _release(self, state: _State) -> Iterator[FrameResult]:
        while state.pending:
            pending = state.pending[0]
            known, actions = self._actions_of(state, pending.frame.pts)
            if not known:
                return
            persons = pending.persons if pending.persons is not None else self._between(state, pending.frame.pts)
            if persons is None:
                return
            if actions is not None and pending.keyframe is None and not _all_scored(persons, actions):
                known, other = self._other_actions(state, pending.frame.pts)
                if not known:
                    return
                actions = actions if other is None else _filled_up(actions, other)
            state.pending.popleft()
            yield FrameResult(pending.frame, persons, actions, is_keyframe=pending.keyframe is not None)

    def _actions_of(self, state: _State, pts: float) -> tuple[bool, ActionDetections | None]:
        """Whether the actions at `pts` are decided, and what they are: those of the nearest keyframe."""
        keyframes = state.keyframes
        while len(keyframes) > 1 and keyframes[1].frame.pts - pts < pts - keyframes[0].frame.pts:
            state.passed = keyframes.popleft()
        if not keyframes:
            return state.ended, None
        nearest = keyframes[0]
        decided = len(keyframes) > 1 or state.ended or pts - nearest.frame.pts <= self._stride / 2
        if not decided or not nearest.known(wait=state.ended):
            return False, None
        assert nearest.scoring is not None
        return True, nearest.scoring.result()

    def _other_actions(self, state: _State, pts: float) -> tuple[bool, ActionDetections | None]:
        """As `_actions_of`, of the keyframe on the other side of `pts` than the nearest.

        A file is read on for it, by at most a stride; what is live is not held back.
        """
        if state.keyframes[0].frame.pts > pts:
            other = state.passed
        elif state.info.is_live:
            other = None
        elif len(state.keyframes) > 1:
            other = state.keyframes[1]
        else:
            return state.ended, None
        if other is None:
            return True, None
        if not other.known(wait=state.ended):
            return False, None
        assert other.scoring is not None
        return True, other.scoring.result()

    def _between(self, state: _State, pts: float) -> Detections | None:
        """Boxes at `pts` between the two detections around it; None while the later one is not known."""
        detected = state.detected
        while len(detected) > 1 and detected[1][0] <= pts:
            detected.popleft()
        (before_pts, before) = detected[0]
        if len(detected) > 1:
            after_pts, after = detected[1]
            return self._interpolate(before, before_pts, after, after_pts, pts)
        return before if state.ended else None


def _all_scored(persons: Detections, actions: ActionDetections) -> bool:
    """Whether every track of `persons` is among those of `actions`; without ids there is nothing to ask for."""
    if persons.track_ids is None or actions.persons.track_ids is None:
        return True
    return bool(np.isin(persons.track_ids, actions.persons.track_ids).all())


def _filled_up(actions: ActionDetections, other: ActionDetections) -> ActionDetections:
    """`actions`, and of `other` the tracks that they lack."""
    own, more = actions.persons, other.persons
    if own.track_ids is None or more.track_ids is None:
        return actions
    lacking = ~np.isin(more.track_ids, own.track_ids)
    persons = Detections(
        np.concatenate([own.boxes, more.boxes[lacking]]),
        np.concatenate([own.scores, more.scores[lacking]]),
        np.concatenate([own.track_ids, more.track_ids[lacking]]),
    )
    return ActionDetections(actions.pts, persons, np.concatenate([actions.scores, other.scores[lacking]]))
