"""What passes between the one who hands out videos and those who annotate them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

DONE, FAILED = "done", "failed"


@dataclass(frozen=True)
class Job:
    """One video to annotate.

    Attributes:
        name: Unique in the archive, with "/" between folders; outputs are named by it.
        source: Path or address.
        size: Bytes, as listed; 0 where unknown.
        attempt: 1 for the first.
    """

    name: str
    source: str
    size: int = 0
    attempt: int = 1


@dataclass(frozen=True)
class VideoStats:
    """What annotating one video gave.

    Attributes:
        seconds: Of video.
        frames, keyframes, persons: How many; persons are tracks.
        decode_errors: Errors met while decoding; the good part was annotated.
        labels: Seconds of each label, by the rules of events, summed over persons.
        model, backend: The action model and what computed it.
        warnings: What a user should know of the outputs.
    """

    seconds: float = 0.0
    frames: int = 0
    keyframes: int = 0
    persons: int = 0
    decode_errors: int = 0
    labels: Mapping[str, float] = field(default_factory=dict)
    model: str = ""
    backend: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        job: Which.
        state: `DONE` or `FAILED`.
        reason: Why it failed, or what is incomplete; empty where there is nothing to say.
        stats: None where it failed.
        outputs: Bytes of each file that was written, by kind.
        wall_seconds: Time it took.
        stop: The whole batch can't go on (a full disk); the video is to be done again.
    """

    job: Job
    state: str
    reason: str = ""
    stats: VideoStats | None = None
    outputs: Mapping[str, int] = field(default_factory=dict)
    wall_seconds: float = 0.0
    stop: bool = False


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Attributes:
        name: Of the job.
        seconds: Of video, annotated so far.
        total: Seconds of the video; None where unknown.
    """

    name: str
    seconds: float
    total: float | None = None


Report = Callable[[float, float | None], None]
"""Takes the seconds annotated so far and those of the whole video; may be called for every frame."""


class VideoAnnotator(Protocol):
    """Annotates videos one after the other; made once in each worker, with its models.

    Called with where the video is (a file), its name in the archive, where it came from (path or public address, for
    the record) and the files to write by kind. Raises SFDetectError where the video can't be annotated.
    """

    def __call__(
        self, path: str, name: str, source: str, outputs: Mapping[str, Path], report: Report
    ) -> VideoStats: ...


JobRunner = Callable[[Job, Report], Outcome]
"""Does a job, whatever happens to the video: an `Outcome` always comes back."""


class WorkerPool(Protocol):
    """Workers that do jobs: processes of this machine, or of a cluster.

    `run` takes the next job only when a worker is free, and gives what happened since, in groups, as it comes; every
    job has exactly one outcome. An outcome counts as handed over when `run` is asked for more. `close` ends the
    workers, wherever they are, and returns outcomes that `run` has not handed over; it is idempotent.
    """

    workers: int

    def run(self, jobs: Iterator[Job]) -> Iterator[Sequence[Outcome | Progress]]: ...

    def close(self) -> list[Outcome]: ...


@dataclass(frozen=True)
class Limits:
    """When a video is given up.

    Attributes:
        stall_seconds: Without a new result.
        video_seconds: In all; None for as long as it takes.
        attempts: Times that a video is tried whose worker ends under it (out of memory, a crash in a decoder).
    """

    stall_seconds: float = 120.0
    video_seconds: float | None = None
    attempts: int = 2

    def reason(self, silent: bool) -> str:
        """Why a video was given up: it gave no result for too long, or took too long in all."""
        if silent or self.video_seconds is None:
            after = "its decoder hangs, or --stall-timeout is too short"
            return f"it gave no result for {self.stall_seconds:g} s and was given up; {after}"
        after = "to give it more, raise --timeout and add --retry-failed"
        return f"it took more than {self.video_seconds:g} s and was given up; {after}"
