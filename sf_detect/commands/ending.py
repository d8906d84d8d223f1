"""How a command leaves its process where a thread of its own is still at work.

A thread that waits in native code (FFmpeg at a silent address, a model that hangs) cannot be ended. The interpreter
must not be taken down around it: what it uses next has been freed by then, and a complete command would end in a
segmentation fault.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import time
from collections.abc import Collection
from typing import NoReturn

_PATIENCE_S = 0.5  # for threads that are about to end anyway


def leave(code: int, before: Collection[threading.Thread]) -> NoReturn:
    """Ends the process with this exit code, at once where threads are left.

    Args:
        code: The exit code.
        before: The threads that ran before the command.
    """
    if threads_left(before):
        atexit._run_exitfuncs()  # what os._exit leaves out: temporary folders, worker processes
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    raise SystemExit(code)


def threads_left(before: Collection[threading.Thread]) -> bool:
    """Whether threads that the interpreter would not wait for are still at work after a moment."""
    late = time.monotonic() + _PATIENCE_S
    while any(thread.daemon and thread not in before for thread in threading.enumerate()):
        if time.monotonic() > late:
            return True
        time.sleep(0.01)  # not joined: one whose start was interrupted cannot be
    return False
