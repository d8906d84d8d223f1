"""What is known about a stream by now: written by the threads that find persons and actions, read by the display."""

from __future__ import annotations

import threading

from sf_detect.live.motion import TrackMotion
from sf_detect.live.newest_actions import NewestActions
from sf_detect.structures import ActionDetections, Detections


class View:
    """The newest persons and actions of one stream, from whatever thread.

    Each part of a stream that continues nothing (a reconnection, a jump of the clock, another size) has a number of
    its own; what was found in an earlier part is not shown in a later one.

    Args:
        linger: See `TrackMotion`.
    """

    def __init__(self, linger: float = 0.0) -> None:
        self._lock = threading.Lock()
        self._motion, self._actions = TrackMotion(linger), NewestActions()
        self._part = -1

    def found(self, part: int, persons: Detections, pts: float) -> None:
        """Persons were detected and tracked on the frame at `pts` seconds."""
        with self._lock:
            if self._enter(part):
                self._motion.update(persons, pts)

    def scored(self, part: int, actions: ActionDetections) -> None:
        """Actions of a keyframe are known."""
        with self._lock:
            if self._enter(part):
                self._actions.add(actions)

    def forget_persons(self) -> None:
        """What is known of persons holds no longer: the detector has failed."""
        with self._lock:
            self._motion.reset()

    def at(self, part: int, pts: float) -> tuple[Detections, float | None]:
        """The persons at `pts` seconds, and the time of the detection that they come from."""
        with self._lock:
            if not self._enter(part):
                return Detections.empty(), None
            return self._motion.at(pts), self._motion.pts

    def actions_of(self, part: int, persons: Detections, pts: float) -> ActionDetections | None:
        """See `NewestActions.of`."""
        with self._lock:
            return self._actions.of(persons, pts) if self._enter(part) else None

    def _enter(self, part: int) -> bool:
        """Whether `part` is the current one, or the next, which begins with nothing known."""
        if part > self._part:
            self._part = part
            self._motion.reset()
            self._actions.reset()
        return part == self._part
