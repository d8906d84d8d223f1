"""The time of live pictures: their own stamps where these can be believed, else that of their arrival."""

from __future__ import annotations

from collections import deque

# A stamp may be ahead of the clock on the wall by so much before it is taken for a jump.
_MOST_AHEAD_S = 2.0
# A stamp that goes back by less is a slip of a single picture.
_SLIP_S = 1.0
_SHORTEST_STEP_S = 0.001
_MOST_JUMPS, _ERRATIC_WITHIN_S = 3, 10.0
# The clocks of a camera and of this machine drift apart by some ten parts in a million.
_DRIFT_ALLOWED_S, _DRIFT_MENDED = 0.25, 0.01


class LiveClock:
    """Seconds since the first picture of a live source, over all its connections, with the gaps between them kept.

    Within a connection the distance of two pictures is that of their time stamps: they were taken at even distances,
    and arrive at uneven ones. A connection's first picture, and the first after a jump of the camera's clock in either
    direction, have the time that has passed on the monotonic clock. A difference that builds up slowly is mended by at
    most one part in a hundred. Stamps that jump again and again are not used any more until the next connection.

    Attributes:
        jumps: Jumps of the camera's clock so far.
    """

    def __init__(self) -> None:
        self.jumps = 0
        self._first_arrival: float | None = None
        self._last = -_SHORTEST_STEP_S
        self._last_arrival = 0.0
        self.connect()

    def connect(self) -> None:
        """The next picture is the first of a new connection, whose stamps continue none."""
        self._offset: float | None = None
        self._last_stamp: float | None = None
        self._slipped = False
        self._jumped_at: deque[float] = deque(maxlen=_MOST_JUMPS)

    def __call__(self, stamp: float | None, arrival: float) -> tuple[float, bool]:
        """The time of the next picture, and whether the camera's clock jumped before it.

        Args:
            stamp: Its time stamp in seconds on the camera's clock; None where it has none.
            arrival: When it arrived, in seconds of the monotonic clock.
        """
        if self._first_arrival is None:
            self._first_arrival = self._last_arrival = arrival
        passed = max(arrival - self._first_arrival, self._last + _SHORTEST_STEP_S)
        time, jumped = passed, False
        if stamp is None or stamp == self._last_stamp or self._is_erratic:
            self._offset = None
        elif self._offset is not None:
            time, jumped = self._continued(stamp, passed, arrival - self._last_arrival)
        if stamp is not None and (self._offset is None or jumped):
            self._offset, self._slipped = time - stamp, False
        if jumped:
            self.jumps += 1
            self._jumped_at.append(time)
        self._last, self._last_arrival, self._last_stamp = time, arrival, stamp
        return time, jumped

    @property
    def _is_erratic(self) -> bool:
        jumps = self._jumped_at
        return len(jumps) == _MOST_JUMPS and jumps[-1] - jumps[0] < _ERRATIC_WITHIN_S

    def _continued(self, stamp: float, passed: float, waited: float) -> tuple[float, bool]:
        """Time by the stamp, or the time that has passed where the stamp has jumped."""
        assert self._offset is not None
        time = stamp + self._offset
        step = time - self._last
        if step <= 0:
            if self._slipped or -step >= _SLIP_S:
                return passed, True
            self._slipped = True
            return self._last + _SHORTEST_STEP_S, False
        self._slipped = False
        if step > waited + _MOST_AHEAD_S and time > passed + _MOST_AHEAD_S:
            return passed, True
        return time + self._mend(passed - time, step), False

    def _mend(self, behind: float, step: float) -> float:
        """Moves the offset towards the time that has passed; returns by how much."""
        assert self._offset is not None
        excess = abs(behind) - _DRIFT_ALLOWED_S
        if excess <= 0:
            return 0.0
        by = min(excess, _DRIFT_MENDED * step)
        by = by if behind > 0 else -by
        self._offset += by
        return by


class Pacer:
    """When to release pictures that come faster than they were taken: from files, or in bursts as HLS brings them.

    Args:
        longest_delay: Pictures that are late are released at once, and those behind them keep the plan, up to this
            many seconds; beyond it, and where the stamps jump, the plan begins anew.
        longest_pause: Two stamps further apart than so many seconds are a jump.
    """

    def __init__(self, longest_delay: float = 1.0, longest_pause: float = 10.0) -> None:
        self._longest_delay, self._longest_pause = longest_delay, longest_pause
        self._offset: float | None = None
        self._last: float | None = None

    def due(self, stamp: float, now: float) -> float:
        """The time on the clock of `now` at which the picture at `stamp` is due; it may have passed.

        Args:
            stamp: Presentation time in seconds.
            now: Seconds of the monotonic clock.
        """
        jumped = self._last is not None and not -_SLIP_S < stamp - self._last < self._longest_pause
        self._last = stamp
        if self._offset is None or jumped or now - (stamp + self._offset) > self._longest_delay:
            self._offset = now - stamp
        return stamp + self._offset
