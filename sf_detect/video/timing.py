"""Presentation times that strictly increase, whatever the container says."""

from __future__ import annotations

_EPSILON_S = 0.001
_DISCONTINUITY_S = 1.0


class PtsClock:
    """Turns the times of a stream into times a pipeline can rely on.

    The first frame's stamp is kept relative to the start of the stream. A missing stamp becomes the previous one plus
    the nominal interval. A stamp that does not increase is nudged by a millisecond (a single slip must not shift the
    rest of the video); if stamps stay behind or jump back by more than a second (a recording joined from parts, a
    counter that restarted), the following times continue from where the clock stood.

    Args:
        start: Time of the stream's start in seconds, on the stream's own clock; None means "the first stamp".
        interval: Nominal distance of two frames in seconds.
    """

    def __init__(self, start: float | None, interval: float) -> None:
        self._start = start
        self._interval = interval
        self._last: float | None = None
        self._was_behind = False

    def __call__(self, stamp: float | None) -> float:
        """The time in seconds of the next frame, whose container stamp is `stamp` (seconds, or None)."""
        time = self._relative(stamp)
        behind = self._last is not None and time <= self._last
        if behind:
            time = self._repair(time)
        self._was_behind = behind
        self._last = time
        return time

    def _relative(self, stamp: float | None) -> float:
        if stamp is None:
            return 0.0 if self._last is None else self._last + self._interval
        if self._start is None or (self._last is None and stamp < self._start):
            self._start = stamp - (0.0 if self._last is None else self._last + self._interval)
        return stamp - self._start

    def _repair(self, time: float) -> float:
        assert self._last is not None
        assert self._start is not None
        if not self._was_behind and self._last - time < _DISCONTINUITY_S:
            return self._last + min(_EPSILON_S, self._interval / 4)
        continued = self._last + self._interval
        self._start -= continued - time
        return continued


class StampChooser:
    """Chooses between a picture's presentation and decoding stamp, as containers err in either.

    Presentation stamps are used until they have gone backwards more often than decoding stamps did (pictures arrive
    in presentation order, so a right stamp increases).

    Args:
        trust_pts: False for containers that store no presentation times (AVI), whose stamps are the demuxer's guess.
    """

    def __init__(self, trust_pts: bool = True) -> None:
        self._trust_pts = trust_pts
        self._last_pts: int | None = None
        self._last_dts: int | None = None
        self._faults = 0

    def __call__(self, pts: int | None, dts: int | None) -> int | None:
        """The stamp to use, in the stream's time base; None where it must be made up."""
        self._faults += _goes_back(pts, self._last_pts) - _goes_back(dts, self._last_dts)
        self._last_pts = self._last_pts if pts is None else pts
        self._last_dts = self._last_dts if dts is None else dts
        if not self._trust_pts:
            return dts
        first, second = (pts, dts) if self._faults <= 0 else (dts, pts)
        return second if first is None else first


def _goes_back(stamp: int | None, last: int | None) -> bool:
    return stamp is not None and last is not None and stamp <= last
