"""Workers as actors of a Ray cluster: the same jobs, on many machines that share the archive's folder.

An actor loads the models once and does one job at a time; a second method tells meanwhile how far it is. Ray restarts
nothing by itself: what a lost actor was doing is handed out again here, so that one place counts attempts.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from sf_detect.batch.jobs import FAILED, Job, JobRunner, Limits, Outcome, Progress
from sf_detect.batch.worker import reason_of
from sf_detect.batch.worker_process import NotReady, Ready
from sf_detect.errors import MissingExtraError, SFDetectError
from sf_detect.file_names import printable_name
from sf_detect.redaction import redacted

_TICK_SECONDS = 1.0
_MAX_STARTS = 3
"""Actors a worker that may end, one after the other, before any of them is ready."""

_MAX_LOST = 10
"""Actors a worker that may be lost with their jobs, one after the other, before any of them ends one."""


@dataclass(frozen=True)
class Resources:
    """What an actor takes of its node.

    Attributes:
        cpus, gpus: As Ray counts them; parts of one are possible.
        place_seconds: How long to wait for a node that has them.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    place_seconds: float = 120.0


class BatchActor:
    """Runs in a process of the cluster."""

    def __init__(self, make: Callable[[], JobRunner]) -> None:
        self._name, self._seconds, self._total = "", 0.0, None
        self._problem: NotReady | None = None
        try:
            self._run = make()
        except Exception as error:
            self._problem = NotReady(reason_of(error), error.exit_code if isinstance(error, SFDetectError) else 1)

    def ready(self) -> Ready | NotReady:
        """Whether the models are loaded."""
        return self._problem or Ready()

    def run(self, job: Job) -> Outcome:
        """Does a job."""
        self._name, self._seconds, self._total = job.name, 0.0, None
        return self._run(job, self._report)

    def progress(self) -> Progress:
        """How far the job is; for another thread than `run`."""
        return Progress(self._name, self._seconds, self._total)

    def _report(self, seconds: float, total: Any) -> None:
        self._seconds, self._total = seconds, total


class _Worker:
    """An actor, its job, and the answers that are to come."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.ready = False
        self.begun = self.heard = time.monotonic()
        self.job: Job | None = None
        self.newest: Progress | None = None
        self.answers: dict[Any, str] = {actor.ready.remote(): "ready"}

    def give(self, job: Job) -> None:
        self.job = job
        self.newest = None
        self.begun = self.heard = time.monotonic()
        self.answers[self.actor.run.remote(job)] = "run"

    def ask(self) -> None:
        """Asks how far it is, unless an answer to that is still to come."""
        if self.job is not None and "progress" not in self.answers.values():
            self.answers[self.actor.progress.remote()] = "progress"


class RayPool:
    """See `WorkerPool`.

    Args:
        make: Loads the models in an actor; can be pickled.
        workers: Actors; None takes as many as the cluster has room for.
        limits: When a video is given up.
        resources: Of each actor.
        address: Of the cluster ("auto", "HOST:PORT", "ray://..."); None uses the one this process is connected to, the
            one that RAY_ADDRESS names, or starts one on this machine.

    Raises:
        MissingExtraError: Ray is not installed.
        SFDetectError: The cluster does not answer, or has no room for an actor.
    """

    def __init__(
        self,
        make: Callable[[], JobRunner],
        workers: int | None = None,
        limits: Limits | None = None,
        resources: Resources | None = None,
        address: str | None = None,
    ) -> None:
        self._ray = import_ray()
        self._make, self._limits, self._resources = make, limits or Limits(), resources or Resources()
        self._connected = self._connect(address)
        try:
            self.workers = min(workers or self._room(), max(1, self._room()))
        except BaseException:
            self._disconnect()
            raise
        self._alive: list[_Worker] = []
        self._again: deque[Job] = deque()
        self._events: list[Outcome | Progress] = []
        self._ended_early = self._lost = 0

    def run(self, jobs: Iterator[Job]) -> Iterator[Sequence[Outcome | Progress]]:
        """See `WorkerPool`.

        Raises:
            SFDetectError: The models can't be loaded, or the cluster has no room for an actor any more.
        """
        first = next(jobs, None)
        if first is None:
            return
        self._again.append(first)
        more = True
        while True:
            self._fill()
            more = self._hand_out(jobs, more)
            if self._events:
                yield tuple(self._events)
                self._events.clear()  # only now are they handed over
            elif not more and not self._again and all(worker.job is None for worker in self._alive):
                return
            else:
                self._wait()

    def close(self) -> list[Outcome]:
        """See `WorkerPool`."""
        for worker in self._alive:
            with suppress(Exception):  # what a lost node leaves; it is done again
                self._listen(worker, set(self._done(worker)))
        for worker in self._alive:
            self._kill(worker)
        self._alive.clear()
        self._disconnect()
        left = [event for event in self._events if isinstance(event, Outcome)]
        self._events.clear()
        return left

    def _connect(self, address: str | None) -> bool:
        """Connects where nobody has; True where we did."""
        if address is None and self._ray.is_initialized():
            return False
        address = address or os.environ.get("RAY_ADDRESS")
        ours = {"include_dashboard": False} if address is None else {}  # where one runs already, that is decided
        try:
            self._ray.init(address=address, configure_logging=False, log_to_driver=False, **ours)
        except Exception as error:
            where = "on this machine" if address is None else f"at {address}"
            raise SFDetectError(f"Ray: no cluster {where}: {reason_of(error)}. Check --ray-address.") from error
        return True

    def _disconnect(self) -> None:
        if self._connected:
            self._connected = False
            self._ray.shutdown()

    def _room(self) -> int:
        """Actors that the nodes have room for, each by itself."""
        wanted, room = self._resources, 0
        for node in self._ray.nodes():
            if not node["Alive"]:
                continue
            by_cpu = node["Resources"].get("CPU", 0) / wanted.cpus if wanted.cpus else float("inf")
            by_gpu = node["Resources"].get("GPU", 0) / wanted.gpus if wanted.gpus else float("inf")
            room += int(min(by_cpu, by_gpu))
        if not room:
            raise SFDetectError(
                f"Ray: no node of the cluster has {wanted.cpus:g} CPU(s) and {wanted.gpus:g} GPU(s) for a worker. "
                "Start nodes that have them, or choose another --device."
            )
        return room

    def _fill(self) -> None:
        """Starts actors in place of lost ones, as long as there may be work for them."""
        wanted = self._resources
        remote = self._ray.remote(num_cpus=wanted.cpus, num_gpus=wanted.gpus, max_restarts=0, max_concurrency=2)(
            BatchActor
        )
        while len(self._alive) < self.workers:
            self._alive.append(_Worker(remote.remote(self._make)))

    def _hand_out(self, jobs: Iterator[Job], more: bool) -> bool:
        """Gives each idle actor a job, which is taken only then; False where there are no more."""
        for worker in self._alive:
            if not worker.ready or worker.job is not None:
                continue
            job = self._again.popleft() if self._again else next(jobs, None) if more else None
            if job is None:
                return False
            worker.give(job)
        return more

    def _wait(self) -> None:
        """Until something is heard of an actor, or for a tick; then those that are silent are looked at."""
        pending = [answer for worker in self._alive for answer in worker.answers]
        done, _ = self._ray.wait(pending, num_returns=1, timeout=_TICK_SECONDS)
        if done:  # and all others that are there too
            done, _ = self._ray.wait(pending, num_returns=len(pending), timeout=0)
        for worker in list(self._alive):
            self._listen(worker, set(done) & set(worker.answers))
        for worker in list(self._alive):
            if worker.job is not None and time.monotonic() >= self._deadline(worker):
                self._give_up(worker, worker.job)
            elif not done:
                worker.ask()
        self._require_place()

    def _done(self, worker: _Worker) -> list[Any]:
        done, _ = self._ray.wait(list(worker.answers), num_returns=len(worker.answers), timeout=0)
        return list(done)

    def _listen(self, worker: _Worker, answers: set[Any]) -> None:
        for answer in sorted(answers, key=lambda one: worker.answers[one] != "run"):
            kind = worker.answers.pop(answer)
            try:
                value = self._ray.get(answer)
            except self._ray.exceptions.RayError as error:
                self._bury(worker, error)
                return
            self._take(worker, kind, value)

    def _take(self, worker: _Worker, kind: str, value: Any) -> None:
        if kind == "run":
            worker.job, self._lost = None, 0
            self._events.append(value)
        elif kind == "progress":
            if worker.job is not None and value.name == worker.job.name and value != worker.newest:
                worker.newest, worker.heard = value, time.monotonic()
                self._events.append(value)
        elif isinstance(value, NotReady):
            error = SFDetectError(value.message)
            error.exit_code = value.exit_code
            raise error
        else:
            worker.ready, self._ended_early = True, 0

    def _bury(self, worker: _Worker, error: Exception) -> None:
        """An actor is lost: its job is tried again, or has failed."""
        job = worker.job
        self._kill(worker)
        self._alive.remove(worker)
        why = printable_name(redacted(str(error)).strip().partition("\n")[0].partition(". ")[0])
        if not worker.ready:
            self._ended_early += 1
            if self._ended_early >= _MAX_STARTS * self.workers:
                raise SFDetectError(f"Ray: workers end while they load the models ({why}). Is memory short?")
        if job is None:
            return
        self._lost += 1
        if self._lost >= _MAX_LOST * self.workers:  # that is not the videos' fault
            raise SFDetectError(
                f"Ray: {self._lost} workers, one after the other, were lost ({why}). Check the cluster, and give the "
                "same command again, with --retry-failed."
            )
        if job.attempt < self._limits.attempts:
            self._again.append(replace(job, attempt=job.attempt + 1))
            return
        reason = (
            f"its worker was lost {job.attempt} time(s) while it annotated this video ({why}): out of memory, or a "
            "crash in a decoder. Try it alone with `sf-detect run`."
        )
        self._fail(worker, job, reason)

    def _give_up(self, worker: _Worker, job: Job) -> None:
        silent = time.monotonic() - worker.heard >= self._limits.stall_seconds
        self._kill(worker)
        self._alive.remove(worker)
        self._fail(worker, job, self._limits.reason(silent))

    def _fail(self, worker: _Worker, job: Job, reason: str) -> None:
        self._events.append(Outcome(job, FAILED, reason, wall_seconds=time.monotonic() - worker.begun))

    def _deadline(self, worker: _Worker) -> float:
        total = self._limits.video_seconds
        silent = worker.heard + self._limits.stall_seconds
        return silent if total is None else min(silent, worker.begun + total)

    def _require_place(self) -> None:
        """Ends the run where no actor is ready, and none has found a node for too long."""
        if any(worker.ready for worker in self._alive):
            return
        waited = time.monotonic() - max((worker.begun for worker in self._alive), default=time.monotonic())
        if waited > self._resources.place_seconds:
            self._room()  # says so where no node could take one
            raise SFDetectError(
                f"Ray: no worker was ready within {waited:.0f} s; other work may have all of the cluster. "
                "Give the same command again when it has room."
            )

    def _kill(self, worker: _Worker) -> None:
        with suppress(Exception):  # it may be dead, or its node
            self._ray.kill(worker.actor, no_restart=True)


def import_ray() -> Any:
    """Ray.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise MissingExtraError("ray", "ray", "--engine ray") from error
    return ray
