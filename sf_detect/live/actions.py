"""The thread of a stream that scores actions: frames go in, in order; keyframes come out as they become known."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from functools import partial

from sf_detect.channels import ChannelClosed
from sf_detect.errors import StageError
from sf_detect.live.counts import Counts
from sf_detect.live.intake import Arrived, Intake
from sf_detect.live.load import ActionForm, Load
from sf_detect.live.retries import Retries
from sf_detect.live.view import View
from sf_detect.pipeline import Schedule
from sf_detect.stages import ActionRun, ActionStage, Scoring
from sf_detect.structures import ActionDetections, Frame, LazyFrame, LiveResult
from sf_detect.threads import step_back

LEAST_LAG = 0.75
"""Seconds that the newest frame may be ahead of the one that is computed."""
CATCH_UP_SECONDS, CATCH_UP_LAG = 12.0, 4.0
"""How long, and by how much, a stream may be behind after its beginning, which costs a whole clip."""
BUSY = 0.8
"""Largest share of its time that clips are computed for."""


@dataclass(frozen=True, eq=False)
class _Keyframe:
    arrived: Arrived
    frame: Frame
    detected_pts: float | None
    scoring: Scoring


class ActionScorer:
    """Scores the actions of one stream, in the form that the load allows.

    A thread that is too far behind leaves frames out and begins its stream anew, rather than show what is long over.

    Args:
        name: Of the source.
        intake: Frames fit for a network.
        view: Knows where persons are, and is told their actions.
        stages: What computes in the caller's thread, a stage for each form of `load`.
        load: Says in which form to compute, and is told what it costs.
        retries: When to try again after a failure.
        counts: Of the stream.
        publish: Given each keyframe as soon as its actions are known.
        state: The state of the source.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        name: str,
        intake: Intake,
        view: View,
        stages: Sequence[ActionStage],
        load: Load,
        retries: Retries,
        counts: Counts,
        publish: Callable[[LiveResult], None],
        state: Callable[[], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._intake, self._view, self._stages, self._load = name, intake, view, stages, load
        self._retries, self._counts, self._publish, self._state = retries, counts, publish, state
        self._clock = clock
        self._form, self._part = -1, -1
        self._run: ActionRun | None = None
        self._keyframes: deque[_Keyframe] = deque()
        self._handed_over: float | None = None
        self._last: Frame | None = None
        self._anew = True
        self._due, self._next_clip = Schedule(0.0), 0.0
        self._cut, self._owed = True, False
        self._begun_at, self._clip_pause = 0.0, 0.0

    def __call__(self) -> None:
        """Works until the intake is finished; then scores what waits.

        Raises:
            StageError: The stage failed and has never worked.
        """
        step_back()
        try:
            while True:
                self._take(self._intake.take())
        except ChannelClosed:
            if self._run is not None and self._retries.ready:
                self._guarded(self._run.finish)
                self._settle()
        finally:
            if self._run is not None:
                self._run.close()

    def abandon(self) -> None:
        """Nobody wants what waits."""
        self._intake.finish(discard=True)

    def _take(self, batch: list[Arrived]) -> None:
        if not self._retries.ready:
            self._counts.dropped("actions", len(batch))
            self._anew = True
            return
        if self._form != self._load.form:
            self._begin(self._load.form)
        batch = self._left_out(batch)
        before, begun, anew = self._last, self._clock(), self._anew
        if not self._guarded(partial(self._push_all, batch)):
            return
        self._settle()
        if anew or before is None:
            self._load.begun(self._name, self._clock() - begun, self._current.begin_seconds)
        elif self._last is not None:
            self._load.computed(self._name, self._clock() - begun, max(0.0, self._last.pts - before.pts))

    def _begin(self, form: int) -> None:
        if self._run is not None:
            self._guarded(self._run.finish)
            self._settle()
            self._run.close()
        self._form = form
        self._run = self._stages[form].begin()
        self._anew = True

    @property
    def _current(self) -> ActionForm:
        return self._load.forms[self._form]

    def _left_out(self, batch: list[Arrived]) -> list[Arrived]:
        """The frames to compute: all, or the newest alone where the thread is too far behind."""
        if not self._current.streaming:
            return batch
        catching_up = self._clock() - self._begun_at < CATCH_UP_SECONDS
        longest = CATCH_UP_LAG if catching_up else max(LEAST_LAG, 2.5 * self._current.stride)
        if self._anew or batch[-1].frame.pts - batch[0].frame.pts <= longest:
            return batch[-1:] if self._anew else batch
        self._counts.dropped("actions", len(batch) - 1)
        self._load.skipped(self._name)
        self._anew = True
        return batch[-1:]

    def _push_all(self, batch: list[Arrived]) -> None:
        for arrived in batch:
            self._push(arrived, arrived is batch[-1])

    def _push(self, arrived: Arrived, is_newest: bool) -> None:
        assert self._run is not None
        if self._anew or arrived.part != self._part:
            self._start_anew(arrived)
        frame = arrived.frame
        persons, detected = self._view.at(arrived.part, frame.pts)
        self._owed = self._is_keyframe(frame, is_newest) or self._owed
        is_keyframe = self._owed and detected is not None  # before that nobody knows whether there is somebody
        self._owed = self._owed and not is_keyframe
        is_fresh = detected is not None and detected != self._handed_over
        self._handed_over = detected
        if not is_fresh:
            persons = replace(persons, keypoints=None)
        begun = self._clock()
        scoring = self._run.push(frame, persons if is_keyframe or is_fresh else None, is_keyframe)
        if not self._current.streaming:
            self._clip_pause = max(self._clip_pause, (self._clock() - begun) / BUSY)
        self._last = frame
        if scoring is not None:
            self._keyframes.append(_Keyframe(arrived, self._as_keyframe(frame), detected, scoring))

    def _is_keyframe(self, frame: Frame, is_newest: bool) -> bool:
        if self._current.streaming:
            return self._due.due(frame.pts)
        # Clips that take longer than a stride come less often; of frames that have waited the newest is one.
        if not is_newest or frame.pts < self._next_clip:
            return False
        self._next_clip, self._clip_pause = frame.pts + max(self._current.stride, self._clip_pause), 0.0
        return True

    def _start_anew(self, arrived: Arrived) -> None:
        assert self._run is not None
        if self._part >= 0:
            self._run.start_anew()
            self._settle()
        self._part, self._anew = arrived.part, False
        self._due, self._next_clip = Schedule(self._current.stride), arrived.frame.pts
        self._begun_at, self._cut, self._owed = self._clock(), True, False

    def _as_keyframe(self, frame: Frame) -> Frame:
        """The frame of a keyframe tells where its stream has begun anew, whatever the first frame was."""
        if not self._cut or frame.starts_anew:
            self._cut = False
            return frame
        self._cut = False
        return LazyFrame(lambda: frame.image, frame.size, frame.index, frame.pts, frame.arrival, starts_anew=True)

    def _guarded(self, work: Callable[[], None]) -> bool:
        try:
            work()
        except StageError as error:
            self._failed(error)
            return False
        return True

    def _failed(self, error: StageError) -> None:
        self._retries.failed(error)
        self._keyframes.clear()
        self._anew = True

    def _settle(self) -> None:
        """Gives out the keyframes whose actions are known."""
        while self._keyframes and self._keyframes[0].scoring.done():
            keyframe = self._keyframes.popleft()
            try:
                actions = keyframe.scoring.result()
            except StageError as error:
                self._failed(error)
                return
            except CancelledError:
                continue
            self._retries.worked()
            self._counts.predicted()
            self._view.scored(keyframe.arrived.part, actions)
            self._publish(self._result(keyframe, actions))

    def _result(self, keyframe: _Keyframe, actions: ActionDetections) -> LiveResult:
        return LiveResult(
            keyframe.frame,
            actions.persons,
            actions,
            is_keyframe=True,
            source=self._name,
            shown=self._clock(),
            utc=keyframe.arrived.utc,
            state=self._state(),
            detected_pts=keyframe.detected_pts,
        )
