"""A run of a batch: the folder is taken, videos are listed, jobs handed out, and their ends recorded."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sf_detect.batch.inputs import Input
from sf_detect.batch.jobs import DONE, Job, Outcome, Progress, WorkerPool
from sf_detect.batch.layout import ArchiveFolder
from sf_detect.batch.listing import Listed, Listing, Selection
from sf_detect.batch.locking import FolderLock
from sf_detect.batch.manifest import Manifest, Versions
from sf_detect.batch.summary import BatchSummary
from sf_detect.errors import SFDetectError, SinkError


class Observer(Protocol):
    """Hears how a run goes on."""

    def start(self, listed: Listed, workers: int) -> None: ...

    def event(self, event: Outcome | Progress, summary: BatchSummary) -> None: ...

    def stop(self, summary: BatchSummary) -> None: ...


@dataclass(frozen=True)
class Batch:
    """What a run does.

    Attributes:
        folder: The archive.
        kinds: Of files that each video gets.
        versions: Of settings and weights.
        selection: Which of the videos.
        resolved: Gives jobs the sources that no file may hold.
    """

    folder: ArchiveFolder
    kinds: Sequence[str]
    versions: Versions
    selection: Selection
    resolved: Callable[[Iterable[Job]], Iterator[Job]] = iter


@contextlib.contextmanager
def opened(folder: ArchiveFolder) -> Iterator[Manifest]:
    """The manifest of an archive, which nobody else writes meanwhile.

    Raises:
        SinkError: Another run is at it, or the folder can't be written.
        DataError: The manifest is damaged.
    """
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"folder {folder.path} can't be made: {error.strerror}. Choose another --out-dir.") from error
    with FolderLock(folder.path, folder.part), contextlib.closing(Manifest(manifest_path(folder))) as manifest:
        folder.clear_staging()
        adopt_parts(manifest, folder)
        try:
            yield manifest
        finally:
            folder.clear_staging()  # of workers that were ended


def adopt_parts(manifest: Manifest, folder: ArchiveFolder) -> None:
    """What the other runs into this folder did, of the whole or of parts of it."""
    for other in sorted(folder.path.glob("manifest*.sqlite")):
        if other != manifest_path(folder):
            manifest.adopt(other)


def manifest_path(folder: ArchiveFolder, ending: str = ".sqlite") -> Path:
    """Where the manifest lies."""
    return folder.path / f"manifest{folder.part}{ending}"


def run_batch(
    batch: Batch,
    inputs: Iterable[Input],
    make_pool: Callable[[Listed], WorkerPool],
    observer: Observer,
) -> BatchSummary:
    """Annotates what is to be done, and writes manifest and summary.

    Ctrl-C (KeyboardInterrupt) ends it with everything recorded that is finished.

    Args:
        batch: What to do.
        inputs: The videos.
        make_pool: Makes the workers for what was found; called where there is something to do.
        observer: Hears how it goes on.

    Raises:
        SFDetectError: The archive can't be written, or the models can't be loaded.
    """
    begun = time.monotonic()
    summary = BatchSummary()
    with opened(batch.folder) as manifest:
        listing = Listing(manifest, batch.folder, batch.versions, batch.kinds, batch.selection)
        summary.listed = listing.add(inputs)
        try:
            if summary.listed.waiting:
                _work(batch, manifest, listing.run, make_pool(summary.listed), observer, summary)
        except KeyboardInterrupt:
            summary.interrupted = True
        finally:
            summary.wall_seconds = time.monotonic() - begun
            observer.stop(summary)
        _write_reports(batch.folder, manifest, summary)
    return summary


def _work(
    batch: Batch, manifest: Manifest, run: int, pool: WorkerPool, observer: Observer, summary: BatchSummary
) -> None:
    summary.workers = pool.workers
    recorder = _Recorder(batch, manifest, summary)
    try:
        observer.start(summary.listed, pool.workers)
        for events in pool.run(batch.resolved(manifest.waiting(run))):
            recorder.record(events)
            for event in events:
                observer.event(event, summary)
            if summary.stopped:
                return
    finally:
        recorder.record(pool.close())


class _Recorder:
    """Notes the ends of jobs once, also where Ctrl-C strikes in between and the pool gives them again."""

    def __init__(self, batch: Batch, manifest: Manifest, summary: BatchSummary) -> None:
        self._batch, self._manifest, self._summary = batch, manifest, summary
        self._newest = frozenset[str]()

    def record(self, events: Sequence[Outcome | Progress]) -> None:
        outcomes = [event for event in events if isinstance(event, Outcome) and event.job.name not in self._newest]
        if not outcomes:
            return
        ended = [outcome for outcome in outcomes if not outcome.stop]
        for outcome in ended:
            if outcome.state != DONE:  # its worker may have been ended while it moved files to their places
                self._batch.folder.remove(outcome.job.name)
        if ended:
            self._manifest.record(ended, self._batch.versions)
        self._newest = frozenset(outcome.job.name for outcome in outcomes)
        for outcome in outcomes:
            self._summary.add(outcome)


def _write_reports(folder: ArchiveFolder, manifest: Manifest, summary: BatchSummary) -> None:
    """The manifest as csv and the summary; a full disk, of which the summary tells already, is no second error."""
    try:
        manifest.write_csv(manifest_path(folder, ".csv"))
        summary.write(folder.path / f"summary{folder.part}.json")
    except SFDetectError:
        if not summary.stopped:
            raise
