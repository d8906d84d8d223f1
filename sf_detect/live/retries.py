"""When a stage that failed is tried again."""

from __future__ import annotations

import time
from collections.abc import Callable

from sf_detect.errors import SFDetectError

FIRST, LONGEST = 0.5, 30.0
"""Seconds of the first and of the longest wait."""


class Retries:
    """Waits longer after each failure in a row. What never worked is not tried again: its error is the caller's.

    Args:
        on_failure: Told each new failure; the same words are not said twice in a row.
        clock: Monotonic seconds.

    Attributes:
        failures: How many there were.
        error: The newest, until the stage works again.
    """

    def __init__(
        self, on_failure: Callable[[str], None] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.failures = 0
        self.error: SFDetectError | None = None
        self._on_failure, self._clock = on_failure, clock
        self._worked, self._wait, self._next = False, FIRST, 0.0
        self._said = ""

    @property
    def ready(self) -> bool:
        """Whether it may be tried now."""
        return self.error is None or self._clock() >= self._next

    def worked(self) -> None:
        """It did what it should."""
        self._worked, self._wait, self.error = True, FIRST, None

    def failed(self, error: SFDetectError) -> None:
        """It failed.

        Raises:
            SFDetectError: It has never worked; the error itself.
        """
        if not self._worked:
            raise error
        self.failures += 1
        self.error, self._next = error, self._clock() + self._wait
        if self._on_failure is not None and str(error) != self._said:
            self._said = str(error)
            self._on_failure(f"{error} It is tried again in {self._wait:g} s.")
        self._wait = min(LONGEST, 2 * self._wait)
