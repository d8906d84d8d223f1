"""Ctrl-C, SIGTERM and SIGHUP all end a command in the same way: its outputs are completed, the exit code tells which.

The first signal becomes one `KeyboardInterrupt` in the main thread. Those that follow at once (an impatient second
Ctrl-C, a service manager and its terminal) are dropped: what they ask for is being done.

Where the exception would be lost it is raised a moment later: while a module is imported (compiled ones drop what is
raised as they set themselves up, or stay half made), and in destructors and callbacks of the garbage collector.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # SIGHUP is of POSIX, SIGBREAK of Windows
_REPEAT_SECONDS = 3.0
_LATER_SECONDS = 0.05
_MOST_SECONDS = 20.0  # an import that takes longer, say from a network disk that is gone, is interrupted after all
_IMPORT_SYSTEM = "<frozen importlib._bootstrap>"


class Interruption:
    """A context in which signals to end raise `KeyboardInterrupt`; the handlers from before come back afterwards.

    A signal that is ignored (SIGHUP under nohup, SIGINT of a job in the background) stays ignored. Outside the main
    thread, where Python takes no handlers, nothing changes.

    Attributes:
        signal_number: Of the first signal; None as long as there was none.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._first = self._raised = float("-inf")
        self._process = os.getpid()
        self._before: dict[int, Any] = {}
        self._depth = 0  # of the calls that entered this context
        self._active = threading.Lock()  # held while a signal is sent and while the handlers are put back
        self._answered = 0  # signals that the handler has seen
        self._unraisable_before = sys.unraisablehook

    @property
    def exit_code(self) -> int | None:
        """128 + the number of the signal, as shells have it; None without a signal."""
        return None if self.signal_number is None else 128 + self.signal_number

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._depth = sum(1 for _ in _calls(sys._getframe(1)))
            sys.unraisablehook = self._unraisable
            for number in (getattr(signal, name) for name in _NAMES if hasattr(signal, name)):
                if signal.getsignal(number) not in (signal.SIG_IGN, None):  # None: not set from Python
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._active:
            before, self._before = self._before, {}
        for number, handler in before.items():
            signal.signal(number, handler)
        if sys.unraisablehook == self._unraisable:
            sys.unraisablehook = self._unraisable_before

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a worker that was forked; its parent ends it
            _default(number)
            return
        self._answered += 1
        now = time.monotonic()
        if self.signal_number is None:
            self.signal_number, self._first = number, now
        elif now - self._raised < _REPEAT_SECONDS:
            return
        if self._importing(frame) and now - self._first < _MOST_SECONDS:
            self._again(number)
            return
        self._raised = now
        raise KeyboardInterrupt

    def _importing(self, frame: FrameType | None) -> bool:
        files = [call.f_code.co_filename for call in _calls(frame)]
        return _IMPORT_SYSTEM in files[: len(files) - self._depth]

    def _unraisable(self, lost: sys.UnraisableHookArgs) -> None:
        if self.signal_number is None or not self._before:
            self._unraisable_before(lost)
        elif issubclass(lost.exc_type, KeyboardInterrupt):
            self._raised = float("-inf")
            self._again(self.signal_number)
        # Other errors come of objects that were half made when the signal struck.

    def _again(self, number: int) -> None:
        # Not a `threading.Thread`: to start one takes locks that the interrupted code may hold.
        _thread.start_new_thread(self._send, (number, self._answered))

    def _send(self, number: int, answered: int) -> None:
        """Sends a signal until the main thread has seen it, which one that strikes just before a wait has not."""
        while True:
            time.sleep(_LATER_SECONDS)
            with self._active:
                if self._answered != answered or number not in self._before:
                    return
                if hasattr(signal, "pthread_kill"):  # it also ends a wait, where there is one by now
                    signal.pthread_kill(threading.main_thread().ident or 0, number)
                else:
                    _thread.interrupt_main(signal.Signals(number))


def _calls(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _default(number: int) -> None:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
