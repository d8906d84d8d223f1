"""Handing items from one thread to another: `Channel` drops nothing and waits, `Mailbox` waits for nobody and drops.

    producer                              consumer
    put(item)   ------ items ------>      get(), or a for loop
    finish()    the items are all there: they still come, then the end (or the producer's error)
    close()     either side gives up: what is queued is discarded, whoever waits wakes up

Each has one condition. Every method may be called from any thread, also from a signal handler that interrupts one of
them; `finish` and `close` do nothing the second time. An error that is given to them is raised on the other side at its
next call, and at all later ones.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class ChannelClosed(Exception):  # noqa: N818  an end, like StopIteration
    """No item can be taken or put any more: the end was reached, or someone has closed."""


class _Handover(Generic[T]):
    """What `Channel` and `Mailbox` have in common: items, an end and one condition."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._items: deque[T] = deque()
        self._finished = self._closed = False
        self._error: BaseException | None = None

    def __len__(self) -> int:
        """Items that wait to be taken."""
        return len(self._items)

    @property
    def closed(self) -> bool:
        """Whether nothing can be put any more."""
        return self._finished or self._closed

    def get(self, timeout: float | None = None) -> T:
        """Takes the next item, waiting for it.

        Args:
            timeout: Seconds to wait at most; None waits for ever.

        Raises:
            ChannelClosed: There is none and there will be none.
            TimeoutError: There was none in time.
            BaseException: What the other side gave to `finish` or `close`.
        """
        with self._changed:
            self._wait(lambda: bool(self._items) or self.closed, timeout)
            if not self._items:
                self._raise_end()
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def __iter__(self) -> Iterator[T]:
        """Takes items until the end; raises what the other side gave as an error."""
        while True:
            try:
                item = self.get()
            except ChannelClosed:
                return
            yield item

    def finish(self, error: BaseException | None = None) -> None:
        """Nothing more will be put: what is queued still comes, then `error` or the end."""
        with self._changed:
            if not self.closed:
                self._finished, self._error = True, error
                self._changed.notify_all()

    def close(self, error: BaseException | None = None) -> None:
        """Gives up: discards what is queued and wakes everyone who waits.

        Args:
            error: Why, raised on the other side; None ends it quietly.
        """
        with self._changed:
            if not self._closed:
                # An error that the consumer has not met was the producer's business with items that nobody wants now.
                self._closed, self._error = True, error
                self._items.clear()
                self._changed.notify_all()

    def _wait(self, ready: Callable[[], bool], timeout: float | None) -> None:
        if not self._changed.wait_for(ready, timeout):
            raise TimeoutError(f"nothing happened within {timeout:g} s")

    def _raise_end(self) -> None:
        if self._error is not None:
            raise self._error
        raise ChannelClosed("the channel is closed: no more items are taken or given")


class Channel(_Handover[T]):
    """A queue of at most `size` items; who puts into a full one waits, and nothing is dropped.

    Args:
        size: Items that may wait.

    Raises:
        ValueError: A size below 1.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"a channel holds at least 1 item, got size={size}")
        super().__init__()
        self._size = size

    def put(self, item: T, timeout: float | None = None) -> None:
        """Appends `item`, waiting while the channel is full.

        Args:
            item: Anything.
            timeout: Seconds to wait at most; None waits for ever.

        Raises:
            ChannelClosed: Somebody has finished or closed; the item was not taken.
            TimeoutError: No place became free in time.
            BaseException: What the other side gave to `close`.
        """
        with self._changed:
            self._wait(lambda: len(self._items) < self._size or self.closed, timeout)
            if self.closed:
                self._raise_end()
            self._items.append(item)
            self._changed.notify_all()


class Mailbox(_Handover[T]):
    """Holds the newest item only; `put` never waits.

    Attributes:
        dropped: Items that a newer one replaced before anyone took them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.dropped = 0

    def put(self, item: T) -> None:
        """Leaves `item` in place of one that nobody has taken.

        Raises:
            ChannelClosed: Somebody has finished or closed; the item was not taken.
            BaseException: What the other side gave to `close`.
        """
        with self._changed:
            if self.closed:
                self._raise_end()
            self.dropped += len(self._items)
            self._items.clear()
            self._items.append(item)
            self._changed.notify_all()
