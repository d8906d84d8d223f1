"""When FFmpeg's RTP receiver misses packets, which it only tells its log.

A decoder does not see it: of H.264 pictures with CABAC that had a packet cut out of their middle, a third decoded to
garbage without a complaint.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any

import av.logging

_SIGNS = ("RTP: missed", "bad cseq", "Continuity check failed")
_MOST_KEPT = 1000

_lock = threading.Lock()
_users = 0
_before: tuple[Any, bool] = (None, True)
_swallowed: Any = None


class LossLog:
    """Within it, and in its thread, `lost` tells whether packets were missed since it was asked the last time.

    PyAV has one level of log for the process. While somebody is within, it is at least that of warnings; what was not
    shown before still isn't, and the last who leaves restores it.
    """

    def __enter__(self) -> LossLog:
        _begin()
        self._capture: Any = av.logging.Capture(local=True)
        self._logs: list[tuple[int, str, str]] = self._capture.__enter__()
        return self

    def lost(self) -> bool:
        """Whether the receiver has missed packets since the last call."""
        found = any(sign in message for _, _, message in self._logs for sign in _SIGNS)
        self._logs.clear()
        _forget()
        return found

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._capture.__exit__(kind, error, trace)
        _end()


def _begin() -> None:
    global _users, _before, _swallowed
    with _lock:
        _users += 1
        if _users > 1:
            return
        level = av.logging.get_level()
        _before = (level, bool(av.logging.get_skip_repeated()))
        if level is None:
            _swallowed = av.logging.Capture(local=False)
            _swallowed.__enter__()
        if level is None or level < av.logging.WARNING:
            av.logging.set_level(av.logging.WARNING)
        av.logging.set_skip_repeated(False)


def _forget() -> None:
    with _lock:
        if _swallowed is not None and len(_swallowed.logs) > _MOST_KEPT:
            _swallowed.logs.clear()


def _end() -> None:
    global _users, _swallowed
    with _lock:
        _users -= 1
        if _users:
            return
        level, skip = _before
        if av.logging.get_level() == av.logging.WARNING:  # else somebody else has set it since
            av.logging.set_level(level)
        av.logging.set_skip_repeated(skip)
        if _swallowed is not None:
            _swallowed.__exit__(None, None, None)
            _swallowed = None
