"""Workers as processes of this machine.

No pool of the standard library ends a worker that hangs, and goes on; this one does, and each worker has a pipe of its
own, so that one that is killed in the middle of a message disturbs no other.
"""

from __future__ import annotations

import multiprocessing
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from typing import Any

from sf_detect.batch.jobs import FAILED, Job, JobRunner, Limits, Outcome, Progress
from sf_detect.batch.worker_process import NotReady, Ready, portable, serve
from sf_detect.errors import SFDetectError

_JOIN_SECONDS = 5.0
_MAX_STARTS = 3
"""Workers that may end, one after the other, before one of them is ready."""

# A forked process would have locks of threads that do not exist in it.
_SPAWN = multiprocessing.get_context("spawn")


class _Worker:
    """A process, its pipes and its job."""

    def __init__(self, make: Callable[[], JobRunner]) -> None:
        self.jobs, theirs = _SPAWN.Pipe()
        end, self._lifeline = _SPAWN.Pipe(duplex=False)
        self.process: SpawnProcess = _SPAWN.Process(target=serve, args=(make, theirs, end), name="sf-detect worker")
        self.process.daemon = True
        self.process.start()
        theirs.close()
        end.close()
        self.ready = False
        self.job: Job | None = None
        self.begun = self.heard = time.monotonic()

    def give(self, job: Job) -> None:
        self.job = job
        self.begun = self.heard = time.monotonic()
        with suppress(OSError):  # it has ended; that is noticed when its messages are read
            self.jobs.send(job)

    def messages(self) -> Iterator[Any]:
        """What it has sent; EOFError at its end."""
        while self.jobs.poll():
            yield self.jobs.recv()

    def kill(self) -> None:
        self.process.kill()
        self.process.join(_JOIN_SECONDS)
        self.jobs.close()
        self._lifeline.close()


class LocalPool:
    """See `WorkerPool`.

    Args:
        make: Loads the models in a worker; can be pickled.
        workers: How many.
        limits: When a video is given up.

    Raises:
        TypeError: `make` can't be pickled.
    """

    def __init__(self, make: Callable[[], JobRunner], workers: int, limits: Limits | None = None) -> None:
        portable(make)
        self._make, self.workers, self._limits = make, workers, limits or Limits()
        self._alive: list[_Worker] = []
        self._again: deque[Job] = deque()
        self._events: list[Outcome | Progress] = []
        self._ended_early = 0

    def run(self, jobs: Iterator[Job]) -> Iterator[Sequence[Outcome | Progress]]:
        """See `WorkerPool`.

        Raises:
            SFDetectError: The models can't be loaded, or no worker starts.
        """
        more = True
        while True:
            if more or self._again:
                more = self._hand_out(jobs)
            if self._events:
                yield tuple(self._events)
                self._events.clear()  # only now are they handed over
                continue
            if not more and not self._again and all(worker.job is None for worker in self._alive):
                return
            self._wait()

    def close(self) -> list[Outcome]:
        """See `WorkerPool`."""
        for worker in self._alive:
            with suppress(EOFError, OSError, SFDetectError):
                for message in worker.messages():
                    self._take(worker, message)
        for worker in self._alive:
            worker.kill()
        self._alive.clear()
        left = [event for event in self._events if isinstance(event, Outcome)]
        self._events.clear()
        return left

    def _hand_out(self, jobs: Iterator[Job]) -> bool:
        """Gives each idle worker a job, and starts workers while there are jobs; False where there are no more."""
        while (worker := next((w for w in self._alive if w.job is None), None)) or len(self._alive) < self.workers:
            job = self._again.popleft() if self._again else next(jobs, None)
            if job is None:
                return False
            if worker is None:
                worker = _Worker(self._make)
                self._alive.append(worker)
            worker.give(job)
        return True

    def _wait(self) -> None:
        """Until something is heard of a worker, or one has been silent for too long."""
        busy = [worker for worker in self._alive if worker.job is not None]
        deadlines = [self._deadline(worker) for worker in busy if worker.ready]
        timeout = None if not deadlines else max(0.0, min(deadlines) - time.monotonic())
        heard: set[Any] = set(wait([worker.jobs for worker in self._alive], timeout))
        for worker in list(self._alive):
            if worker.jobs in heard:
                self._listen(worker)
            elif worker.job is not None and worker.ready and time.monotonic() >= self._deadline(worker):
                self._give_up(worker, worker.job)

    def _listen(self, worker: _Worker) -> None:
        try:
            for message in worker.messages():
                self._take(worker, message)
        except (EOFError, OSError):
            self._bury(worker)

    def _take(self, worker: _Worker, message: Any) -> None:
        worker.heard = time.monotonic()
        if isinstance(message, Ready):
            worker.ready, self._ended_early = True, 0
            worker.begun = worker.heard
        elif isinstance(message, NotReady):
            error = SFDetectError(message.message)
            error.exit_code = message.exit_code
            raise error
        else:
            if isinstance(message, Outcome):
                worker.job = None
            self._events.append(message)

    def _bury(self, worker: _Worker) -> None:
        """A worker has ended: its job is tried again, or has failed."""
        worker.process.join(_JOIN_SECONDS)
        code, job = worker.process.exitcode, worker.job
        self._drop(worker)
        if not worker.ready:
            self._ended_early += 1
            if self._ended_early >= _MAX_STARTS:
                raise SFDetectError(
                    f"{_MAX_STARTS} workers, one after the other, ended while they loaded the models "
                    f"({_ending(code)}). If memory is short, use fewer (--workers)."
                )
            if job is not None:
                self._again.append(job)
        elif job is not None and job.attempt < self._limits.attempts:
            self._again.append(replace(job, attempt=job.attempt + 1))
        elif job is not None:
            reason = (
                f"its worker ended {job.attempt} time(s) while it annotated this video ({_ending(code)}): out of "
                "memory, or a crash in a decoder. Try it alone with `sf-detect run`."
            )
            self._fail(worker, job, reason)

    def _give_up(self, worker: _Worker, job: Job) -> None:
        silent = time.monotonic() - worker.heard >= self._limits.stall_seconds
        self._drop(worker)
        self._fail(worker, job, self._limits.reason(silent))

    def _fail(self, worker: _Worker, job: Job, reason: str) -> None:
        self._events.append(Outcome(job, FAILED, reason, wall_seconds=time.monotonic() - worker.begun))

    def _drop(self, worker: _Worker) -> None:
        worker.kill()
        self._alive.remove(worker)

    def _deadline(self, worker: _Worker) -> float:
        """When a busy worker is given up, on the monotonic clock."""
        total = self._limits.video_seconds
        silent = worker.heard + self._limits.stall_seconds
        return silent if total is None else min(silent, worker.begun + total)


def _ending(code: int | None) -> str:
    if code is None:
        return "it still hangs"
    return f"signal {-code}" if code < 0 else f"exit status {code}"
