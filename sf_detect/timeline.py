"""Boxes and actions become known at their times; frames are released in order once both are.

A released frame carries the boxes at its own time (interpolated per track between two detections) and the actions of
the keyframe nearest in time; a track that is not on it takes those of the keyframe on the frame's other side. With the
keyframe in the middle of its clip this needs half a clip of look-ahead, which a file gives for free.

Frames wait in memory for what comes after them. How far is bounded in frames and bytes, whatever the settings: beyond
the bound a frame takes what is known from before it. The bound counts frames of the video, not what happens to wait,
so that results do not depend on the speed of any stage.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace

import numpy as np

from sf_detect.structures import ActionDetections, Detections, Frame, FrameResult, joined

Interpolation = Callable[[Detections, float, Detections, float, float], Detections]
"""`(before, t0, after, t1, t)`: the boxes at t between two detections."""

LOOK_AHEAD_BYTES = 256_000_000
"""Most bytes of frames that wait for a keyframe or detection not met yet."""
LOOK_AHEAD_FRAMES = 32, 1024
"""Least and most frames of look-ahead, whatever their size."""


@dataclass
class _Keyframe:
    pts: float
    scoring: Future[ActionDetections]

    def known(self, wait: bool) -> bool:
        """Whether its actions are there, or are being computed and whoever asks is ready to wait for them."""
        return self.scoring.done() or (wait and self.scoring.running())


@dataclass
class _Detected:
    pts: float
    persons: Detections


@dataclass
class _Pending:
    """A frame with what is known on either side of it; `open`: what comes after it is not met yet."""

    frame: Frame
    is_keyframe: bool
    keyframe_before: _Keyframe | None
    detected_before: _Detected | None
    keyframe_after: _Keyframe | None = None
    detected_after: _Detected | None = None
    keyframe_open: bool = True
    detected_open: bool = True


class Timeline:
    """The frames of one run on their way out.

    Args:
        interpolate: The boxes between two detections.
        stride: Seconds between keyframes.
        is_live: What is live is not held back for the keyframe on a frame's other side.
        look_ahead_bytes: See `LOOK_AHEAD_BYTES`.
    """

    def __init__(
        self,
        interpolate: Interpolation,
        stride: float,
        is_live: bool = False,
        look_ahead_bytes: int = LOOK_AHEAD_BYTES,
    ) -> None:
        self._interpolate, self._stride, self._is_live = interpolate, stride, is_live
        self._look_ahead_bytes = look_ahead_bytes
        self._pending: deque[_Pending] = deque()
        self._keyframe: _Keyframe | None = None
        self._detected: _Detected | None = None
        self._most = LOOK_AHEAD_FRAMES[1]
        self._ended = False

    def __len__(self) -> int:
        """Frames that wait."""
        return len(self._pending)

    def add(
        self, frame: Frame, persons: Detections | None = None, scoring: Future[ActionDetections] | None = None
    ) -> None:
        """The next frame.

        Args:
            frame: Later than the one before.
            persons: Tracked persons on it, where it was looked at.
            scoring: Its actions, known later, if it is a keyframe; then `persons` are known too.
        """
        if persons is not None:
            self._detected = _Detected(frame.pts, persons)
            self._close_detections(self._detected)
        if scoring is not None:
            self._keyframe = _Keyframe(frame.pts, scoring)
            self._close_keyframes(self._keyframe)
        self._pending.append(_Pending(frame, scoring is not None, self._keyframe, self._detected))
        self._bound(frame)

    def start_anew(self) -> None:
        """What comes next has nothing to do with what came: no frame waits for it, none looks back across."""
        self._close_detections(None)
        self._close_keyframes(None)
        self._keyframe = self._detected = None

    def end(self) -> None:
        """No frame follows; `release` waits for all actions from now on."""
        self.start_anew()
        self._ended = True

    def release(self) -> Iterator[FrameResult]:
        """The frames whose boxes and actions are known, in order.

        Raises:
            StageError: The actions of the next frame failed.
        """
        while self._pending and (result := self._result(self._pending[0])) is not None:
            self._pending.popleft()
            yield result

    @property
    def _waits(self) -> bool:
        """Whether to wait for actions that are being computed, rather than take more frames."""
        return self._ended or len(self._pending) > self._most

    def _close_keyframes(self, after: _Keyframe | None) -> None:
        for pending in reversed(self._pending):
            if not pending.keyframe_open:
                break
            pending.keyframe_after, pending.keyframe_open = after, False

    def _close_detections(self, after: _Detected | None) -> None:
        for pending in reversed(self._pending):
            if not pending.detected_open:
                break
            pending.detected_after, pending.detected_open = after, False

    def _bound(self, newest: Frame) -> None:
        """The frame that the look-ahead leaves behind waits no longer for what is not met yet."""
        least, most = LOOK_AHEAD_FRAMES
        self._most = min(most, max(least, self._look_ahead_bytes // max(1, newest.image.nbytes)))
        if len(self._pending) > self._most:
            left_behind = self._pending[-1 - self._most]
            left_behind.keyframe_open = left_behind.detected_open = False

    def _result(self, pending: _Pending) -> FrameResult | None:
        nearest = self._nearest(pending)
        if nearest is None and pending.keyframe_open:
            return None
        actions = None
        if nearest is not None:
            if not nearest.known(self._waits):
                return None
            actions = nearest.scoring.result()
        persons = self._persons(pending)
        if persons is None:
            return None
        if actions is not None and not pending.is_keyframe and not _all_scored(persons, actions):
            known, other = self._other(pending, nearest)
            if not known:
                return None
            actions = actions if other is None else _filled_up(actions, other)
        return FrameResult(pending.frame, persons, actions, is_keyframe=pending.is_keyframe)

    def _nearest(self, pending: _Pending) -> _Keyframe | None:
        """The keyframe nearest in time (a tie goes to the earlier one); None while that is not decided."""
        before, after, pts = pending.keyframe_before, pending.keyframe_after, pending.frame.pts
        if pending.keyframe_open:
            return before if before is not None and pts - before.pts <= self._stride / 2 else None
        if before is None or after is None:
            return before or after
        return after if after.pts - pts < pts - before.pts else before

    def _other(self, pending: _Pending, nearest: _Keyframe | None) -> tuple[bool, ActionDetections | None]:
        """Whether the actions of the keyframe on the other side than the nearest are decided, and what they are.

        A file is read on for it, by at most a stride; what is live is not held back.
        """
        if nearest is pending.keyframe_after:
            other = pending.keyframe_before
        elif self._is_live:
            other = None
        elif pending.keyframe_open:
            return False, None
        else:
            other = pending.keyframe_after
        if other is None:
            return True, None
        return (True, other.scoring.result()) if other.known(self._waits) else (False, None)

    def _persons(self, pending: _Pending) -> Detections | None:
        """Boxes at the frame's time; None while the detection after it is not known."""
        before, after, pts = pending.detected_before, pending.detected_after, pending.frame.pts
        if before is not None and before.pts == pts:
            return before.persons
        if after is not None and before is not None:
            return self._interpolate(before.persons, before.pts, after.persons, after.pts, pts)
        if pending.detected_open:
            return None
        return before.persons if before is not None else Detections.empty()


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
    persons = joined(own, more.select(lacking))
    scores = np.concatenate([actions.scores, other.scores[lacking]])
    features = None
    if actions.features is not None and other.features is not None:
        features = np.concatenate([actions.features, other.features[lacking]])
    return replace(actions, persons=persons, scores=scores, features=features)
