"""From the videos that a run is given to rows of the manifest, and which of them are to be done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from sf_detect.batch.inputs import Input
from sf_detect.batch.jobs import DONE, FAILED
from sf_detect.batch.layout import ArchiveFolder
from sf_detect.batch.manifest import PENDING, Manifest, Versions, source_value
from sf_detect.errors import ConfigError

_DRAWN = {"video", "sheet"}


@dataclass(frozen=True)
class Selection:
    """Which videos of those that are listed a run does.

    Attributes:
        retry_failed: Also those that failed before, unchanged.
        redo: Also those that are done.
        shard: `(i, n)`: only the i-th of n parts, from 1; None for all.
        limit: So many at most, of those that are to be done; None for all.
    """

    retry_failed: bool = False
    redo: bool = False
    shard: tuple[int, int] | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.shard is not None and not 1 <= self.shard[0] <= self.shard[1]:
            raise ConfigError(f"shard {self.shard[0]}/{self.shard[1]}: expected I/N with I from 1 to N, such as 3/10.")
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"limit is {self.limit}; expected 1 or more videos.")

    def has(self, name: str) -> bool:
        """Whether a video is in the part, by the name that it asks for: each machine finds the same parts by itself,
        and videos that ask for one name are in one part, where they are told apart."""
        if self.shard is None:
            return True
        part, count = self.shard
        digest = hashlib.sha256(name.casefold().encode()).digest()
        return int.from_bytes(digest[:8], "big") % count == part - 1


@dataclass
class Listed:
    """What a listing found.

    Attributes:
        videos: In the run.
        waiting: To be done now; `waiting_bytes` are theirs.
        done: Finished before and unchanged.
        failed: Failed before and unchanged, not tried again.
        changed: Finished before, but the video, the settings or the outputs changed.
        beyond: To be done, but more than the limit; not among `videos`.
    """

    videos: int = 0
    waiting: int = 0
    waiting_bytes: int = 0
    done: int = 0
    failed: int = 0
    changed: int = 0
    beyond: int = 0


class Listing:
    """Enters videos in the manifest.

    Args:
        manifest: Where.
        folder: Of the outputs, which are looked at.
        versions: Of settings and weights now.
        kinds: Of files that are wanted.
        selection: Which videos to do.
    """

    def __init__(
        self,
        manifest: Manifest,
        folder: ArchiveFolder,
        versions: Versions,
        kinds: Iterable[str],
        selection: Selection,
    ) -> None:
        self._manifest, self._folder, self._versions = manifest, folder, versions
        self._kinds, self._selection = frozenset(kinds), selection
        self.run = manifest.begin_run()
        self.found = Listed()

    def add(self, inputs: Iterable[Input]) -> Listed:
        """Enters all inputs in one transaction; returns what was found."""
        with self._manifest.transaction():
            for video in inputs:
                self._add(video)
        return self.found

    def _add(self, video: Input) -> None:
        if not self._selection.has(video.name):
            return
        row = self._manifest.execute(
            "SELECT name, state, stamp, settings, drawing, outputs, run FROM videos WHERE source = ?",
            (source_value(video.source),),
        ).fetchone()
        if row is None:
            self._insert(video)
            return
        name, state, stamp, settings, drawing, outputs, run = row
        if run == self.run:  # named twice
            return
        current = stamp == video.stamp and settings == self._versions.settings
        if state == DONE and current:
            current = self._intact(name, drawing, json.loads(outputs))
        following = self._next_state(state, current)
        if self._counted(video, following, state):
            self._manifest.execute(
                "UPDATE videos SET run = ?, stamp = ?, size = ?, state = ? WHERE name = ?",
                (self.run, video.stamp, video.size, following, name),
            )

    def _insert(self, video: Input) -> None:
        if not self._counted(video, PENDING, PENDING):
            return
        name = self._free_name(video)
        self._manifest.execute(
            "INSERT INTO videos (name, folded, source, size, stamp, run) VALUES (?, ?, ?, ?, ?, ?)",
            (name, name.casefold(), source_value(video.source), video.size, video.stamp, self.run),
        )

    def _intact(self, name: str, drawing: str, outputs: dict[str, int]) -> bool:
        if not self._kinds <= set(outputs):
            return False
        if self._kinds & _DRAWN and drawing != self._versions.drawing:
            return False
        wanted = {kind: size for kind, size in outputs.items() if kind in self._kinds}
        return self._folder.complete(name, wanted)

    def _next_state(self, state: str, current: bool) -> str:
        if state == DONE and current and not self._selection.redo:
            return DONE
        if state == FAILED and current and not (self._selection.retry_failed or self._selection.redo):
            return FAILED
        return PENDING

    def _counted(self, video: Input, state: str, before: str) -> bool:
        """Counts a video; False where it is one beyond the limit."""
        if state == PENDING and self._selection.limit is not None and self.found.waiting >= self._selection.limit:
            self.found.beyond += 1
            return False
        self.found.videos += 1
        self.found.done += state == DONE
        self.found.failed += state == FAILED
        self.found.changed += state == PENDING and before == DONE
        if state == PENDING:
            self.found.waiting += 1
            self.found.waiting_bytes += video.size
        return True

    def _free_name(self, video: Input) -> str:
        """The name of a new video; one that is taken gets eight digits of the hash of its source."""
        name, digest = video.name, hashlib.sha256(video.source.encode("utf-8", "surrogateescape")).hexdigest()
        for length in (8, 16, 64):
            taken = self._manifest.execute("SELECT 1 FROM videos WHERE folded = ?", (name.casefold(),)).fetchone()
            if taken is None:
                return name
            path = PurePosixPath(video.name)
            name = str(path.with_name(f"{path.stem}~{digest[:length]}{path.suffix}"))
        return name
