"""An output of a live stream in a thread of its own: what is slow or fails there holds up nothing else."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from sf_detect.errors import SFDetectError, SinkError
from sf_detect.interfaces import Sink
from sf_detect.structures import LiveResult

PICTURES, RECORDS = 8, 256
"""Results that may wait for an output of pictures, or of data alone."""


class LiveOutput:
    """Writes results to a sink that is opened with the first of them.

    Where it is too slow the oldest waiting results are left out. A failure closes it, and the rest goes on.

    Args:
        name: For people, such as "recording".
        open_sink: Makes the sink from the first result that has a frame of the source.
        size: Results that may wait.
        on_failure: Told what failed.
        sink: One that is open already; `open_sink` is not used then.

    Attributes:
        dropped: Results that were left out.
        failure: What failed, or None.
    """

    def __init__(
        self,
        name: str,
        open_sink: Callable[[LiveResult], Sink],
        size: int = PICTURES,
        on_failure: Callable[[SFDetectError], None] | None = None,
        sink: Sink | None = None,
    ) -> None:
        self.name, self.dropped = name, 0
        self.failure: SFDetectError | None = None
        self._open_sink, self._size, self._on_failure = open_sink, size, on_failure
        self._sink = sink
        self._changed = threading.Condition()
        self._waiting: deque[LiveResult] = deque()
        self._finished = False
        self._thread = threading.Thread(target=self._work, name=f"output {name}", daemon=True)
        self._thread.start()

    def put(self, result: LiveResult) -> None:
        """Take a result; never waits, and does nothing once closed or failed."""
        with self._changed:
            if self._finished:
                return
            self._waiting.append(result)
            if len(self._waiting) > self._size:
                self._waiting.popleft()
                self.dropped += 1
            self._changed.notify_all()

    def finish(self) -> None:
        """Nothing more comes. Idempotent."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def close(self, deadline: float) -> None:
        """Write what waits, and complete the sink.

        Args:
            deadline: Of the monotonic clock; what takes longer is left to itself and told as a failure.
        """
        self.finish()
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive() and self.failure is None:
            self._fail(
                SinkError(
                    f"the {self.name} could not be completed in time: {len(self._waiting)} results were waiting. Check "
                    "the disk, or the program that reads it."
                )
            )

    def _work(self) -> None:
        try:
            while (result := self._next()) is not None:
                self._write(result)
        except Exception as error:
            self._fail(error)
            self.finish()
            self._waiting.clear()
        try:
            if self._sink is not None:
                self._sink.close()
        except Exception as error:
            self._fail(error)

    def _next(self) -> LiveResult | None:
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting) or self._finished)
            return self._waiting.popleft() if self._waiting else None

    def _write(self, result: LiveResult) -> None:
        if self._sink is None:
            if result.notice:  # of no size that the source has
                return
            self._sink = self._open_sink(result)
        self._sink.write(result)

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, SFDetectError):
            cause = error
            error = SinkError(
                f"the {self.name} failed with {type(cause).__name__}: {cause}. The rest goes on; please report this, "
                "or leave this output out."
            )
            error.__cause__ = cause
        if self.failure is None:
            self.failure = error
            if self._on_failure is not None:
                self._on_failure(error)
