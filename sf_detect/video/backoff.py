"""How long to wait between tries to connect, and the clock that tells it."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

_FIRST_WAIT_S = 0.5
_JITTER = 0.25
# A try that gets no answer lasts a little longer than the wait would have been: so who comes back in the middle of one
# that is lost is found within that wait and two seconds, and who is slow to answer is given more time at each try.
_TRY_AND_WAIT_S, _LONGEST_TRY_S = 1.5, 15.0


class Timing:
    """The monotonic clock, waiting by it, and threads; what a test puts its own in place of."""

    def now(self) -> float:
        """Seconds."""
        return time.monotonic()

    def wait(self, condition: threading.Condition, ready: Callable[[], bool], timeout: float | None) -> bool:
        """Waits with `condition` held until `ready`, at most `timeout` seconds; returns whether it is."""
        return condition.wait_for(ready, timeout)

    def start(self, work: Callable[[], None]) -> None:
        """Runs `work` in a thread that does not keep the process alive."""
        threading.Thread(target=work, name="live source", daemon=True).start()


class Backoff:
    """How long to wait before the next try: doubling, and shortened at random so that many do not come at once.

    Args:
        longest: Seconds.
        jitter: Gives numbers from 0 to 1.
    """

    def __init__(self, longest: float = 30.0, jitter: Callable[[], float] = random.random) -> None:
        self._longest, self._jitter = longest, jitter
        self._next = _FIRST_WAIT_S

    def wait(self) -> float:
        """Seconds to wait this time."""
        seconds = min(self._next, self._longest)
        self._next = min(2 * self._next, self._longest)
        return seconds * (1 - _JITTER * self._jitter())

    def patience(self) -> float:
        """Seconds that a try may take before it is given up."""
        return min(min(self._next, self._longest) + _TRY_AND_WAIT_S, _LONGEST_TRY_S)

    def reset(self) -> None:
        """The next wait is the first one again."""
        self._next = _FIRST_WAIT_S
