"""The newest result of each of several streams, for one consumer."""

from __future__ import annotations

import threading
from collections import OrderedDict

from sf_detect.channels import ChannelClosed
from sf_detect.structures import LiveResult


class NewestResults:
    """Holds one result a stream; the stream that waits longest comes first. `put` never waits."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._results: OrderedDict[str, LiveResult] = OrderedDict()
        self._closed = False
        self._error: BaseException | None = None

    def put(self, result: LiveResult) -> None:
        """Leaves a result in place of an older one of the same stream."""
        with self._changed:
            self._results[result.source] = result
            self._changed.notify_all()

    def get(self, timeout: float | None = None) -> LiveResult:
        """Takes the newest result of a stream, waiting for it.

        Args:
            timeout: Seconds to wait at most; None waits for ever.

        Raises:
            TimeoutError: There was none in time.
            ChannelClosed: Nothing will come any more.
            BaseException: What was given to `close`.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: bool(self._results) or self._closed, timeout):
                raise TimeoutError(f"no stream had a new result within {timeout:g} s")
            if self._error is not None:
                raise self._error
            if not self._results:
                raise ChannelClosed("the streams have ended")
            return self._results.popitem(last=False)[1]

    def close(self, error: BaseException | None = None) -> None:
        """Nothing more comes; what waits is still there unless there is an error. Idempotent."""
        with self._changed:
            self._closed = True
            self._error = self._error or error
            self._changed.notify_all()
