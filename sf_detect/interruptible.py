"""Waiting for code that cannot be interrupted, in a way that can."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
# A signal that arrives just before a wait does not end it, and on Windows none does: waits are short.
_LOOK_SECONDS = 0.2


def interruptible(work: Callable[[], T], discard: Callable[[T], None]) -> T:
    """Runs `work` in a thread and waits for it.

    Python runs signal handlers in the main thread only, and only between its own instructions: a C function that waits
    for a network there keeps Ctrl-C waiting too. Here it waits elsewhere.

    Args:
        work: What may take long.
        discard: Called with the result where nobody waits for it any more.

    Raises:
        BaseException: What `work` raised, or what a signal handler raised meanwhile; then `work` is left to itself.
    """
    task = _Task(work, discard)
    thread = threading.Thread(target=task.run, name="interruptible", daemon=True)
    try:
        thread.start()  # a signal may strike in here, with the thread at work already
        while not task.done.wait(_LOOK_SECONDS):
            pass
    except BaseException:
        task.abandon()
        raise
    return task.result()


class _Task(Generic[T]):
    def __init__(self, work: Callable[[], T], discard: Callable[[T], None]) -> None:
        self.done = threading.Event()
        self._work, self._discard = work, discard
        self._lock = threading.Lock()
        self._abandoned = False
        self._results: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as error:  # handed to the one who waits, whatever it is
            self._error = error
        with self._lock:
            self.done.set()
            abandoned = self._abandoned
        if abandoned:
            self._throw_away()

    def abandon(self) -> None:
        with self._lock:
            self._abandoned = True
            finished = self.done.is_set()
        if finished:
            self._throw_away()

    def result(self) -> T:
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # no cycle of frame and exception
        return self._results.pop()

    def _throw_away(self) -> None:
        while self._results:
            self._discard(self._results.pop())
