"""Work that one part of a run hands to another thread, one piece at a time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future, wait
from typing import Any


class Tasks:
    """Runs one task at a time, in line or on an executor, in the order given."""

    def __init__(self, executor: Executor | None) -> None:
        self._executor = executor
        self._current: Future[Any] | None = None

    @property
    def busy(self) -> bool:
        """Whether a task is being done."""
        return self._current is not None and not self._current.done()

    def start(self, task: Callable[[], object]) -> None:
        """Waits for the task before; an exception of `task` in line is the caller's, else kept for `check`."""
        self.join()
        if self._executor is None:
            task()
        else:
            self._current = self._executor.submit(task)

    def join(self) -> None:
        """Wait for the last task, whatever becomes of it."""
        if self._current is not None:
            wait([self._current])

    def check(self) -> None:
        """Wait for the last task and raise what it raised."""
        if self._current is not None:
            self._current.result()

    def close(self, seconds: float) -> None:
        """Give up the last task if it has not begun, and wait so long for it at most."""
        if self._current is not None:
            self._current.cancel()
            wait([self._current], timeout=seconds)
