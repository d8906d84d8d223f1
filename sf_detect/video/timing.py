"""Presentation times that strictly increase, whatever the container says."""

from __future__ import annotations

import heapq

_EPSILON_S = 0.001
_DISCONTINUITY_S = 1.0
#: A picture of a file that is shown for longer than this has a wrong stamp behind it. MP4 cannot express more either.
MAX_GAP_S = 6 * 3600.0
#: The same for a live stream, in seconds more than were waited for the picture.
MAX_LIVE_GAP_S = 10.0


class PtsClock:
    """Turns the times of a stream into times a pipeline can rely on.

    The first frame's stamp is kept relative to the start of the stream. A missing stamp becomes the previous one plus
    the nominal interval. A stamp that does not increase is nudged by a millisecond (a single slip must not shift the
    rest of the video). If stamps stay behind, jump back by more than a second (a recording joined from parts, a
    counter that restarted) or ahead by more than `max_gap`, the following times continue from where the clock stood.

    Args:
        start: Time of the stream's start in seconds, on the stream's own clock; None means "the first stamp".
        interval: Nominal distance of two frames in seconds.
        max_gap: Longest distance of two frames in seconds that is believed.

    Attributes:
        jumps: (time, seconds) of the jumps that were closed: where the clock stood, and by how much the stamps went
            ahead (positive) or back.
    """

    def __init__(self, start: float | None, interval: float, max_gap: float = MAX_GAP_S) -> None:
        self.jumps: list[tuple[float, float]] = []
        self._start = start
        self._interval = interval
        self._max_gap = max_gap
        self._last: float | None = None
        self._was_behind = False

    def __call__(self, stamp: float | None, waited: float = 0.0) -> float:
        """The time in seconds of the next frame.

        Args:
            stamp: Its container stamp in seconds, or None.
            waited: Seconds that passed since the frame before, of a live stream; so much more is believed.
        """
        time = self._relative(stamp)
        behind = self._last is not None and time <= self._last
        if behind:
            time = self._repair(time)
        elif time - (self._last or 0.0) > self._max_gap + waited:
            time = self._continue(time)
        self._was_behind = behind
        self._last = time
        return time

    @property
    def start(self) -> float | None:
        """Time of the stream's start in seconds, on the stream's own clock, where it is known."""
        return self._start

    def resume(self, stamp: float) -> None:
        """The next frame is the one at `stamp`: what lies between was passed over on purpose."""
        self._last = max(0.0, stamp - (self._start or 0.0) - self._interval) or None
        self._was_behind = False

    def _relative(self, stamp: float | None) -> float:
        if stamp is None:
            return 0.0 if self._last is None else self._last + self._interval
        if self._start is None or (self._last is None and stamp < self._start):
            self._start = stamp - (0.0 if self._last is None else self._last + self._interval)
        return stamp - self._start

    def _repair(self, time: float) -> float:
        assert self._last is not None
        if not self._was_behind and self._last - time < _DISCONTINUITY_S:
            return self._last + min(_EPSILON_S, self._interval / 4)
        return self._continue(time)

    def _continue(self, time: float) -> float:
        assert self._start is not None
        continued = 0.0 if self._last is None else self._last + self._interval
        if abs(time - continued) >= max(_DISCONTINUITY_S, 2 * self._interval):
            self.jumps.append((self._last or 0.0, time - continued))
        self._start += time - continued
        return continued


class StampChooser:
    """Chooses between a picture's presentation and decoding stamp, as containers err in either.

    Presentation stamps are used until they have gone backwards more often than decoding stamps did (pictures arrive
    in presentation order, so a right stamp increases).
    """

    def __init__(self) -> None:
        self._last_pts: int | None = None
        self._last_dts: int | None = None
        self._faults = 0

    def __call__(self, pts: int | None, dts: int | None) -> int | None:
        """The stamp to use, in the stream's time base; None where it must be made up."""
        self._faults += _goes_back(pts, self._last_pts) - _goes_back(dts, self._last_dts)
        self._last_pts = self._last_pts if pts is None else pts
        self._last_dts = self._last_dts if dts is None else dts
        first, second = (pts, dts) if self._faults <= 0 else (dts, pts)
        return second if first is None else first


class DecodingSlots:
    """Presentation times from decoding times, for containers that store no others (AVI).

    Decoding and presentation use the same slots of time, in another order: the n-th picture shown takes the n-th
    packet's slot. Slots of packets that gave no picture are given up at the next key picture, before which nothing
    that was decoded earlier can still come.
    """

    def __init__(self) -> None:
        self._slots: list[int] = []

    def sent(self, dts: int) -> None:
        """A packet with this decoding stamp goes to the decoder."""
        heapq.heappush(self._slots, dts)

    def shown(self, dts: int | None, is_key: bool) -> int | None:
        """The stamp of the next picture that is shown, which came from the packet `dts`; None where unknown."""
        while is_key and dts is not None and self._slots and self._slots[0] < dts:
            heapq.heappop(self._slots)
        return heapq.heappop(self._slots) if self._slots else None


def _goes_back(stamp: int | None, last: int | None) -> bool:
    return stamp is not None and last is not None and stamp <= last
