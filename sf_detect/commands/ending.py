"""How a command leaves its process where threads are still at work in native code.

Such a thread (FFmpeg at a silent address, a model that hangs, torch's of a group of processes) cannot be ended. The
interpreter must not be taken down around it: what it uses next has been freed by then, and a complete command would end
in a segmentation fault or an abort.
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
    if must_leave_at_once(before):
        atexit._run_exitfuncs()  # what os._exit leaves out: temporary folders, worker processes
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    raise SystemExit(code)


def must_leave_at_once(before: Collection[threading.Thread]) -> bool:
    """Whether threads may be in native code."""
    # torch's own threads: now and then a process of torchrun that ends in the usual way is aborted.
    of_a_group = "WORLD_SIZE" in os.environ and "torch.distributed" in sys.modules
    return of_a_group or threads_left(before)


def threads_left(before: Collection[threading.Thread]) -> bool:
    """Whether threads that the interpreter would not wait for are still at work after a moment."""
    late = time.monotonic() + _PATIENCE_S
    while any(thread.daemon and thread not in before for thread in threading.enumerate()):
        if time.monotonic() > late:
            return True
        time.sleep(0.01)  # not joined: one whose start was interrupted cannot be
    return False
