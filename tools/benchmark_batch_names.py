"""A hundred thousand names in the manifest: see `benchmark_batch`."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from benchmark_batch_faults import Finding

COUNT = 100_000
LIMIT_SECONDS = 10.0
_PER_FOLDER = 500


def names(folder: Path, count: int = COUNT) -> Iterator[Finding]:
    """Lists names, records all but a few as done, resumes; files are made for each, as they would be."""
    from sf_detect.batch.jobs import DONE, Outcome, VideoStats
    from sf_detect.batch.layout import ArchiveFolder, kinds_of
    from sf_detect.batch.listing import Listed, Listing, Selection
    from sf_detect.batch.manifest import Manifest, Versions
    from sf_detect.batch.remote import RemoteInputs
    from sf_detect.build_batch import DEFAULT_FORMATS, BatchOptions, build_inputs

    source, archive, kinds = folder / "names", ArchiveFolder(folder / "archive"), kinds_of(DEFAULT_FORMATS)
    for each in (source, archive.path):
        shutil.rmtree(each, ignore_errors=True)
    archive.path.mkdir()
    for place in range(count):
        if place % _PER_FOLDER == 0:
            parent = source / f"camera {place // _PER_FOLDER:04}"
            parent.mkdir(parents=True)
        (parent / f"door {place:06}.mp4").touch()
    versions, begun = Versions("s" * 64, "d" * 64, "0"), memory_megabytes()

    def listed(what: str) -> tuple[Manifest, Listing, Finding]:
        wall, core = time.perf_counter(), time.process_time()
        manifest = Manifest(archive.path / "manifest.sqlite")
        listing = Listing(manifest, archive, versions, kinds, Selection())
        found: Listed = listing.add(build_inputs(archive.path, BatchOptions(), RemoteInputs()).of([str(source)]))
        first = next(manifest.waiting(listing.run), None)
        wall, core = time.perf_counter() - wall, time.process_time() - core
        told = (
            f"{found.videos} names, {found.waiting} to do, {wall:.1f} s ({core:.1f} s of processor), memory "
            f"{memory_megabytes() - begun:+.0f} MB; first: {first.name if first else None}"
        )
        return manifest, listing, Finding(what, told, core < LIMIT_SECONDS)

    manifest, listing, finding = listed("listing")
    yield finding
    stats, group = VideoStats(2.0, 50, 4, 1, labels={"wave": 1.5}, model="m"), []
    for place, job in enumerate(manifest.waiting(listing.run)):
        for kind in kinds:
            path = archive.place(kind, job.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"1234")
        if place % 1000:
            group.append(Outcome(job, DONE, stats=stats, outputs=dict.fromkeys(kinds, 4)))
        if len(group) == 1000:
            manifest.record(group, versions)
            group = []
    manifest.record(group, versions)
    manifest.close()
    manifest, _, finding = listed("resume")
    manifest.close()
    yield finding
    for each in (source, archive.path):
        shutil.rmtree(each)


def memory_megabytes() -> float:
    """Of this process, now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6
