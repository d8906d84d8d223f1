"""What a run would do, and about how long it would take, without doing it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sf_detect.batch.inputs import Input
from sf_detect.batch.jobs import DONE, Job
from sf_detect.batch.listing import Listed, Listing
from sf_detect.batch.manifest import Manifest
from sf_detect.batch.run import Batch, adopt_parts, manifest_path
from sf_detect.errors import SFDetectError

_SAMPLE = 32
_ENOUGH_VIDEOS, _ENOUGH_SECONDS = 5, 30.0
_TRIALS = 5


@dataclass(frozen=True)
class Cost:
    """Of a second of video.

    Attributes:
        wall_seconds: That one worker takes.
        core_seconds: Of processor time.
        basis: Where the numbers come from, for people.
    """

    wall_seconds: float
    core_seconds: float
    basis: str


@dataclass(frozen=True)
class Estimate:
    """What a run would do.

    Attributes:
        listed: Which videos.
        video_seconds: Of those to be done, from the lengths of a sample; None where none of it opens.
        wall_seconds: That it would take; None where that is not known.
        unreadable: Videos of the sample that do not open.
        sample: Videos that were opened.
        basis: Where the speed comes from.
    """

    listed: Listed
    video_seconds: float | None = None
    wall_seconds: float | None = None
    unreadable: int = 0
    sample: int = 0
    basis: str = ""


Length = Callable[[str], float | None]
"""Seconds of a video; None where it does not tell. Raises SFDetectError where it does not open."""


def estimate(
    batch: Batch,
    inputs: Iterable[Input],
    length: Length,
    measure: Callable[[str], Cost],
    workers: int,
    cores: int,
) -> Estimate:
    """Lists the videos and looks at a sample of them; writes nothing.

    Args:
        batch: What the run would do.
        inputs: The videos.
        length: See `Length`.
        measure: Annotates some seconds of a video; asked where the archive has no finished videos to learn from.
        workers, cores: That there would be.
    """
    manifest = Manifest.copy_of(manifest_path(batch.folder))
    try:
        adopt_parts(manifest, batch.folder)
        listing = Listing(manifest, batch.folder, batch.versions, batch.kinds, batch.selection)
        listed = listing.add(inputs)
        sample = list(batch.resolved(_sample(manifest, listing.run, listed.waiting)))
        known = _known_cost(manifest, batch.versions.settings)
    finally:
        manifest.close()
    lengths, good = _lengths(sample, length)
    unreadable = len(sample) - len(good)
    if not lengths:
        return Estimate(listed, unreadable=unreadable, sample=len(sample))
    seconds = sum(lengths) * _scale(listed, sample)
    cost = known or _measured(good, measure)
    if cost is None:
        return Estimate(listed, seconds, None, unreadable, len(sample))
    per_second = max(cost.wall_seconds / workers, cost.core_seconds / cores)
    return Estimate(listed, seconds, seconds * per_second, unreadable, len(sample), cost.basis)


def _sample(manifest: Manifest, run: int, waiting: int) -> list[Job]:
    """Some of the videos that wait, evenly over their sizes."""
    step = max(1, waiting // _SAMPLE)
    return [job for place, job in enumerate(manifest.waiting(run)) if place % step == 0][:_SAMPLE]


def _lengths(sample: list[Job], length: Length) -> tuple[list[float], list[Job]]:
    """Seconds of the videos that open and tell, and those that open."""
    lengths, good = [], []
    for job in sample:
        try:
            seconds = length(job.source)
        except SFDetectError:
            continue
        good.append(job)
        if seconds is not None:
            lengths.append(seconds)
    return lengths, good


def _scale(listed: Listed, sample: list[Job]) -> float:
    """How much more there is than the sample: by bytes where they are known."""
    size = sum(job.size for job in sample)
    return listed.waiting_bytes / size if size else listed.waiting / len(sample)


def _known_cost(manifest: Manifest, settings: str) -> Cost | None:
    """From videos that were done with these settings."""
    count, seconds, wall = manifest.execute(
        "SELECT count(*), total(seconds), total(wall_seconds) FROM videos WHERE state = ? AND settings = ?",
        (DONE, settings),
    ).fetchone()
    if count < _ENOUGH_VIDEOS or seconds < _ENOUGH_SECONDS:
        return None
    return Cost(wall / seconds, 0.0, f"{count} videos of this archive that are done")


def _measured(sample: list[Job], measure: Callable[[str], Cost]) -> Cost | None:
    # The middle one by size is as typical as one can be.
    order = sorted(range(len(sample)), key=lambda i: abs(i - len(sample) // 2))
    for place in order[:_TRIALS]:
        try:
            return measure(sample[place].source)
        except SFDetectError:
            continue
    return None
