"""Stand-ins for batches: runners that worker processes can import, a pool without processes, a listener."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from sf_detect.batch.inputs import Input
from sf_detect.batch.jobs import DONE, FAILED, Job, JobRunner, Outcome, Progress, Report, VideoStats
from sf_detect.batch.listing import Listed
from sf_detect.batch.manifest import Versions
from sf_detect.batch.summary import BatchSummary
from sf_detect.errors import SourceOpenError, WeightsError

STATS = VideoStats(2.0, 50, 4, 1, labels={"wave": 1.5}, model="fake", backend="none")
VERSIONS = Versions("s", "d", "0")


def video(name: str, size: int = 10, stamp: str = "1", source: str | None = None) -> Input:
    return Input(source or f"/in/{name}", name, size, stamp)


def done(job: Job, **outputs: int) -> Outcome:
    return Outcome(job, DONE, stats=STATS, outputs=outputs, wall_seconds=1.0)


def failed(job: Job, reason: str = "it is bad") -> Outcome:
    return Outcome(job, FAILED, reason)


class FakeAnnotator:
    """Writes its name into every output; names that hold "bad" fail after the first."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str]] = []

    def __call__(self, path: str, name: str, source: str, outputs: Mapping[str, Path], report: Report) -> VideoStats:
        self.calls.append((path, name, source))
        for place in outputs.values():
            place.write_text(name)
            if "bad" in name:
                raise SourceOpenError(f"{path} is bad. Expected a good one.")
        report(1.0, 2.0)
        return STATS


class FakePool:
    """Does jobs in the caller's process, `group` at a time."""

    def __init__(self, run: Callable[[Job], Outcome], workers: int = 2, group: int = 1) -> None:
        self._run, self.workers, self._group = run, workers, group
        self.left: list[Outcome] = []
        self.closed = 0

    def run(self, jobs: Iterator[Job]) -> Iterator[Sequence[Outcome | Progress]]:
        group: list[Outcome | Progress] = []
        for job in jobs:
            group += [Progress(job.name, 1.0, 2.0), self._run(job)]
            if len(group) >= 2 * self._group:
                yield group
                group = []
        if group:
            yield group

    def close(self) -> list[Outcome]:
        self.closed += 1
        left, self.left = self.left, []
        return left


class Listener:
    """Remembers what an `Observer` hears."""

    def __init__(self) -> None:
        self.started: list[tuple[Listed, int]] = []
        self.events: list[Outcome | Progress] = []
        self.stopped = 0

    def start(self, listed: Listed, workers: int) -> None:
        self.started.append((listed, workers))

    def event(self, event: Outcome | Progress, summary: BatchSummary) -> None:
        self.events.append(event)

    def stop(self, summary: BatchSummary) -> None:
        self.stopped += 1


def make_runner() -> JobRunner:
    """In a worker process: does what the name of the job's source says."""
    return run_by_name


def make_nothing() -> JobRunner:
    raise WeightsError("these weights can't be read. Expected others.")


def make_and_die() -> JobRunner:
    os._exit(7)


def run_by_name(job: Job, report: Report) -> Outcome:
    report(0.5, 1.0)
    if "die-once" in job.source and job.attempt == 1:
        os._exit(9)
    if job.source.startswith("die-always"):
        os._exit(9)
    if "hang" in job.source:
        time.sleep(3600)  # ended by the pool
    if "pid" in job.source:
        return Outcome(job, DONE, str(os.getpid()), STATS)
    return done(job)
