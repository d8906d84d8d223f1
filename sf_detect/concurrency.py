"""Threads for file processing: a bounded queue in front of a consumer, and one in front of a sink.

Decoding, inference and encoding release the interpreter lock, so three threads overlap them. Order is kept, nothing is
dropped, and memory is bounded by the queue lengths. A worker's exception reaches the other side at its next call.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from sf_detect.interfaces import Sink
from sf_detect.structures import FrameResult

T = TypeVar("T")
_JOIN_SECONDS = 10.0
_POLL_SECONDS = 0.2


class _End:
    """Marks the end of a queue, with the exception that caused it."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class Prefetch(Generic[T]):
    """Iterates over `items` in a thread of its own, at most `size` items ahead.

    Use it as a context manager, or call `close`, so that an early `break` stops the thread.
    """

    def __init__(self, items: Iterable[T], size: int = 16) -> None:
        self._queue: queue.Queue[T | _End] = queue.Queue(size)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(items,), name="prefetch", daemon=True)
        self._thread.start()

    def _work(self, items: Iterable[T]) -> None:
        end = _End()
        try:
            for item in items:
                if not self._put(item):
                    return
        except BaseException as error:  # handed to the consumer, whatever it is
            end = _End(error)
        self._put(end)

    def _put(self, item: T | _End) -> bool:
        while not self._stopped.is_set():
            with contextlib.suppress(queue.Full):
                self._queue.put(item, timeout=_POLL_SECONDS)
                return True
        return False

    def __iter__(self) -> Iterator[T]:
        while not self._stopped.is_set():
            item = self._queue.get()
            if isinstance(item, _End):
                self._stopped.set()
                if item.error is not None:
                    raise item.error
                return
            yield item

    def close(self) -> None:
        """Stop the thread; idempotent."""
        self._stopped.set()
        self._thread.join(_JOIN_SECONDS)

    def __enter__(self) -> Prefetch[T]:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class BackgroundSink:
    """Writes to `sink` from a thread of its own, at most `size` results behind.

    `close` waits until everything queued is written, so an interrupted run still completes its outputs.
    """

    def __init__(self, sink: Sink, size: int = 16) -> None:
        self._sink = sink
        self._queue: queue.Queue[FrameResult | None] = queue.Queue(size)
        self._error: BaseException | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="sink", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while (result := self._queue.get()) is not None:
            if self._error is not None:
                continue  # keep draining so that the producer is never stuck in a full queue
            try:
                self._sink.write(result)
            except BaseException as error:  # handed to the producer at its next call
                self._error = error

    def _raise_pending(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def write(self, result: FrameResult) -> None:
        """Queue a result; raises what the sink raised on an earlier one."""
        if self._error is not None:
            error = self._error
            self.close(swallow=True)
            raise error
        self._queue.put(result)

    def close(self, swallow: bool = False) -> None:
        """Write out what is queued and close the sink; idempotent.

        Args:
            swallow: Do not raise a pending error (the caller already has it).
        """
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        self._thread.join()
        try:
            self._sink.close()
        finally:
            if not swallow:
                self._raise_pending()
