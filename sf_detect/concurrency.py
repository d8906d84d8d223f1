"""Threads for file processing: one that reads ahead of a consumer, and one that writes behind a producer.

Decoding, inference and encoding release the interpreter lock, so three threads overlap them. Order is kept, nothing is
dropped, and memory is bounded by the queue lengths. A worker's exception reaches the other side at its next call.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from sf_detect.channels import Channel, ChannelClosed
from sf_detect.errors import SinkError
from sf_detect.interfaces import Sink
from sf_detect.structures import FrameResult

T = TypeVar("T")
_JOIN_SECONDS = 1.0
_STALL_SECONDS = 600.0


class Prefetch(Generic[T]):
    """Iterates over `items` in a thread of its own, at most `size` items ahead.

    Use it as a context manager, or call `close`, so that an early `break` stops the thread.
    """

    def __init__(self, items: Iterable[T], size: int = 16) -> None:
        self._channel: Channel[T] = Channel(size)
        self._thread = threading.Thread(target=self._work, args=(items,), name="prefetch", daemon=True)
        self._thread.start()

    def _work(self, items: Iterable[T]) -> None:
        iterator: Iterator[T] | None = None
        try:
            iterator = iter(items)
            for item in iterator:
                self._channel.put(item)
            self._channel.finish()
        except ChannelClosed:
            pass
        except BaseException as error:  # handed to the consumer, whatever it is
            self._channel.finish(error)
        finally:
            if (close := getattr(iterator, "close", None)) is not None:
                close()  # a generator ends in the thread that ran it

    def __iter__(self) -> Iterator[T]:
        """The items; then what `items` raised, if it did. Ends where `close` is called, from whatever thread."""
        return iter(self._channel)

    def close(self, timeout: float = _JOIN_SECONDS) -> bool:
        """Stop the thread and wake whoever waits for an item; idempotent, from any thread.

        Args:
            timeout: Seconds to wait for the thread. One that is stuck in `items` (a stalled source) ends when `items`
                comes back, or with the process.

        Returns:
            Whether the thread has ended.
        """
        self._channel.close()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def __enter__(self) -> Prefetch[T]:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class BackgroundSink:
    """Writes to `sink` from a thread of its own, which also closes it, at most `size` results behind.

    `close` waits until everything queued is written, so an interrupted run still completes its outputs.

    Args:
        sink: Any sink; nobody else uses it.
        size: Results that may wait.
        stall_seconds: How long `close` waits for a sink that takes nothing any more.
    """

    def __init__(self, sink: Sink, size: int = 16, stall_seconds: float = _STALL_SECONDS) -> None:
        self._sink, self._stall_seconds = sink, stall_seconds
        self._channel: Channel[FrameResult] = Channel(size)
        self._written = 0
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="sink", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            for result in self._channel:
                self._sink.write(result)
                self._written += 1
        except BaseException as error:  # handed to the producer at its next call
            self._error = error
            self._channel.close(error)
        try:
            self._sink.close()
        except BaseException as error:
            self._error = self._error or error

    def write(self, result: FrameResult) -> None:
        """Queue a result; raises what the sink raised on an earlier one, once the sink is closed.

        Raises:
            SinkError: This sink is closed.
        """
        try:
            self._channel.put(result)
        except ChannelClosed:
            raise SinkError("the output is closed and takes no more results.") from None
        except BaseException as error:
            if error is self._error:
                self.close(swallow=True)
            raise

    def close(self, swallow: bool = False) -> None:
        """Write out what is queued and close the sink; idempotent, from any thread.

        Args:
            swallow: Do not raise a pending error (the caller already has it).

        Raises:
            SinkError: The sink has taken nothing for `stall_seconds`; the thread is left to itself.
            BaseException: What the sink raised, where no call has raised it yet.
        """
        self._channel.finish()
        self._join()
        error, self._error = self._error, None
        if error is not None and not swallow:
            raise error

    def _join(self) -> None:
        """Waits for the thread as long as it gets on."""
        if threading.current_thread() is self._thread:
            return
        written = -1
        while self._thread.is_alive():
            if written == self._written:
                raise SinkError(
                    f"the output took nothing for {self._stall_seconds:g} s: {written} results are written, "
                    f"{len(self._channel)} were waiting. Check the disk or the program that reads the output."
                )
            written = self._written
            self._thread.join(self._stall_seconds)


class Direct(Generic[T]):
    """In place of `Prefetch`, without a thread: `items` are made when they are asked for."""

    def __init__(self, items: Iterable[T]) -> None:
        self._items = iter(items)

    def __iter__(self) -> Iterator[T]:
        """The items."""
        return self._items

    def close(self, timeout: float = 0.0) -> bool:
        """Ends the items; see `Prefetch`."""
        if (close := getattr(self._items, "close", None)) is not None:
            close()
        return True


class DirectSink:
    """In place of `BackgroundSink`, without a thread: results are written when they come.

    Args:
        sink: Any sink; nobody else uses it.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, result: FrameResult) -> None:
        """Writes a result; raises what the sink raises."""
        self._sink.write(result)

    def close(self, swallow: bool = False) -> None:
        """Closes the sink; see `BackgroundSink`."""
        try:
            self._sink.close()
        except Exception:
            if not swallow:
                raise
