"""One job from its source to its files: all of them, or none and the reason."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from sf_detect.atomic_file import DISK_FULL
from sf_detect.batch.jobs import DONE, FAILED, Job, Outcome, Report, VideoAnnotator, VideoStats
from sf_detect.batch.layout import KINDS, ArchiveFolder
from sf_detect.errors import SFDetectError, causes
from sf_detect.file_names import printable, printable_name
from sf_detect.redaction import redacted

_FULL = {*DISK_FULL, errno.EROFS}
"""Errors of an output that every other video would meet too."""

Fetch = Callable[[str, Path, Report], AbstractContextManager[tuple[str, str]]]
"""A local file for a source, in a folder for such files, for as long as the context lasts, and the source as it may be
shown."""


class ArchiveWorker:
    """Does jobs: fetches, annotates, and puts the outputs in their places when all of them are complete.

    Args:
        annotate: Annotates a local file.
        folder: The archive.
        kinds: Of files to write.
        fetch: Brings a source here.
    """

    def __init__(self, annotate: VideoAnnotator, folder: ArchiveFolder, kinds: Sequence[str], fetch: Fetch) -> None:
        self._annotate, self._folder, self._kinds, self._fetch = annotate, folder, tuple(kinds), fetch

    def __call__(self, job: Job, report: Report) -> Outcome:
        """See `JobRunner`."""
        start = time.monotonic()
        try:
            stats, sizes = self._write(job, report)
        except Exception as error:
            return self._failure(job, error, time.monotonic() - start)
        return Outcome(job, DONE, _incomplete(stats), stats, sizes, time.monotonic() - start)

    def _write(self, job: Job, report: Report) -> tuple[VideoStats, dict[str, int]]:
        with self._folder.staging() as staging:
            # Short names of their own: only the final ones are the user's, and may be as long as names can be.
            staged = {kind: staging / f"{kind}{KINDS[kind][1]}" for kind in self._kinds}
            with self._fetch(job.source, staging, report) as (path, shown):
                stats = self._annotate(path, job.name, shown, staged, report)
            return stats, self._folder.publish(job.name, staged)

    def _failure(self, job: Job, error: Exception, seconds: float) -> Outcome:
        reason = reason_of(error)
        if (cause := full_disk(error)) is not None:
            # The sinks' own messages tell what they kept, which goes with the staging folder.
            reason = f"{self._folder.path}: {cause.strerror or cause}, while {job.name} was written."
            return Outcome(job, FAILED, reason_of(SFDetectError(reason)), wall_seconds=seconds, stop=True)
        self._folder.remove(job.name)  # of an earlier version of the video
        return Outcome(job, FAILED, reason, wall_seconds=seconds)


def full_disk(error: BaseException) -> OSError | None:
    """What the system said, where the disk is full or can't be written any more; else None."""
    found = (cause for cause in causes(error) if isinstance(cause, OSError) and cause.errno in _FULL)
    return next(found, None)


def reason_of(error: BaseException) -> str:
    """One line for people, without credentials."""
    if isinstance(error, SFDetectError):
        return printable_name(" ".join(str(error).split()))
    text = f"unexpected {type(error).__name__}: {error}"
    return printable_name(" ".join(printable(redacted(text)).split()))


def _incomplete(stats: VideoStats) -> str:
    if not stats.decode_errors:
        return ""
    return f"damaged: {stats.decode_errors} decoding error(s); the part that decodes was annotated"
