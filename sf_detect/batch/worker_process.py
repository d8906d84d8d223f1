"""What runs in a worker process of `local`.

The process ends when the one that started it does, whatever ended that: a thread waits for the end of a pipe whose
other end only the starter holds.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

from sf_detect.batch.jobs import JobRunner, Outcome, Progress
from sf_detect.batch.worker import reason_of
from sf_detect.errors import SFDetectError

_REPORT_SECONDS = 0.5
_ORPHANED = 1


@dataclass(frozen=True)
class Ready:
    """The models are loaded."""


@dataclass(frozen=True)
class NotReady:
    """The models can't be loaded.

    Attributes:
        message: Why.
        exit_code: Of the error.
    """

    message: str
    exit_code: int


Message = Ready | NotReady | Outcome | Progress


def serve(make: Callable[[], JobRunner], jobs: Connection, lifeline: Connection) -> None:
    """Does the jobs that come, until None comes.

    Args:
        make: Loads the models.
        jobs: Jobs in, messages out.
        lifeline: Ends with the process that started this one; nothing comes through it.
    """
    # Ctrl-C at a terminal reaches every process; the starter alone decides what it means.
    for name in ("SIGINT", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(lifeline,), name="lifeline", daemon=True).start()
    try:
        run = make()
    except Exception as error:
        jobs.send(NotReady(reason_of(error), error.exit_code if isinstance(error, SFDetectError) else 1))
        return
    jobs.send(Ready())
    with contextlib.suppress(EOFError, BrokenPipeError):  # the starter is gone
        while (job := jobs.recv()) is not None:
            jobs.send(run(job, _Reporter(job.name, jobs)))


def _end_with(lifeline: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv()
    os._exit(_ORPHANED)


class _Reporter:
    """Sends progress, at most twice a second."""

    def __init__(self, name: str, jobs: Connection) -> None:
        self._name, self._jobs, self._next = name, jobs, 0.0

    def __call__(self, seconds: float, total: float | None) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _REPORT_SECONDS
            self._jobs.send(Progress(self._name, seconds, total))


def portable(make: Callable[[], JobRunner]) -> None:
    """Refuses what can't be sent to another process.

    Raises:
        TypeError: It is a local function, or holds an open file or the like.
    """
    try:
        pickle.dumps(make)
    except Exception as error:
        raise TypeError(f"workers are other processes, and {make!r} can't be sent there: {error}") from error
