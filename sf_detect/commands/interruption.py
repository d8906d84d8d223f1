"""Ctrl-C, SIGTERM and SIGHUP all end a command in the same way: its outputs are completed, the exit code tells which.

The first signal becomes one `KeyboardInterrupt` in the main thread. Those that follow at once (an impatient second
Ctrl-C, a service manager and its terminal) are dropped: what they ask for is being done.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # SIGHUP is of POSIX, SIGBREAK of Windows
_REPEAT_SECONDS = 3.0


class Interruption:
    """A context in which signals to end raise `KeyboardInterrupt`; the handlers from before come back afterwards.

    A signal that is ignored (SIGHUP under nohup, SIGINT of a job in the background) stays ignored. Outside the main
    thread, where Python takes no handlers, nothing changes.

    Attributes:
        signal_number: Of the first signal; None as long as there was none.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._raised = 0.0
        self._process = os.getpid()
        self._before: dict[int, Any] = {}

    @property
    def exit_code(self) -> int | None:
        """128 + the number of the signal, as shells have it; None without a signal."""
        return None if self.signal_number is None else 128 + self.signal_number

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            for number in (getattr(signal, name) for name in _NAMES if hasattr(signal, name)):
                if signal.getsignal(number) not in (signal.SIG_IGN, None):  # None: not set from Python
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a worker that was forked; its parent ends it
            _default(number)
            return
        now = time.monotonic()
        if self.signal_number is None:
            self.signal_number = number
        elif now - self._raised < _REPEAT_SECONDS:
            return
        # An exception that strikes in a destructor is lost, so a signal that comes later asks once more.
        self._raised = now
        raise KeyboardInterrupt


def _default(number: int) -> None:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
