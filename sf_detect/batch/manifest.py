"""What is known of every video of an archive: one row a video in an SQLite file.

SQLite rather than a journal of our own: a transaction is whole or absent whatever kills the process or the machine,
and 100,000 rows are searched, sorted and resumed without being held in memory. It has one writer (`lock`); the
rollback journal, unlike the write-ahead log, also works on file systems that can't share memory.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from sf_detect.atomic_file import AtomicFile
from sf_detect.batch.jobs import DONE, FAILED, Job, Outcome, VideoStats
from sf_detect.errors import DataError, SinkError
from sf_detect.file_names import printable_name

PENDING = "pending"
SCHEMA_VERSION = 1
COLUMNS: dict[str, str] = {
    "name": "TEXT PRIMARY KEY",
    "folded": "TEXT UNIQUE NOT NULL",
    "source": "UNIQUE NOT NULL",
    "size": "INTEGER NOT NULL DEFAULT 0",
    "stamp": "TEXT NOT NULL DEFAULT ''",
    "state": "TEXT NOT NULL DEFAULT 'pending'",
    "reason": "TEXT NOT NULL DEFAULT ''",
    "attempts": "INTEGER NOT NULL DEFAULT 0",
    "settings": "TEXT NOT NULL DEFAULT ''",
    "drawing": "TEXT NOT NULL DEFAULT ''",
    "model": "TEXT NOT NULL DEFAULT ''",
    "backend": "TEXT NOT NULL DEFAULT ''",
    "version": "TEXT NOT NULL DEFAULT ''",
    "seconds": "REAL",
    "frames": "INTEGER",
    "keyframes": "INTEGER",
    "persons": "INTEGER",
    "decode_errors": "INTEGER",
    "wall_seconds": "REAL",
    "labels": "TEXT NOT NULL DEFAULT '{}'",
    "outputs": "TEXT NOT NULL DEFAULT '{}'",
    "warnings": "TEXT NOT NULL DEFAULT '[]'",
    "finished": "TEXT",
    "run": "INTEGER NOT NULL DEFAULT 0",
}
"""Columns of the table `videos`. `folded` is the name without upper case, for file systems that have none; `run` is the
number of the newest run that was given the video."""

_HIDDEN = ("folded", "run")
_PAGE = 200
_CACHE_KIB = 8192


@dataclass(frozen=True)
class Versions:
    """What results depend on beside the video.

    Attributes:
        settings: Fingerprint of the settings and weights that decide what is found.
        drawing: Fingerprint of those that decide how it is drawn.
        version: Of this package; recorded only.
    """

    settings: str
    drawing: str
    version: str


class Manifest:
    """The rows; `Listing` adds to them, `record` notes how jobs ended. Not for several threads.

    Args:
        path: The SQLite file; made where it is not there.

    Raises:
        DataError: It is no manifest, or a newer version's.
        SinkError: It can't be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._errors():
            # SQLite takes no name for a temporary file of its own.
            self._db = sqlite3.connect("" if path == Path() else path, isolation_level=None)
            self._db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            self._db.execute("PRAGMA synchronous = FULL")
            self._make()

    @classmethod
    def copy_of(cls, path: Path) -> Manifest:
        """A copy in a temporary file that goes with it; empty where there is none at `path`. Nothing is locked."""
        copy = cls(Path())
        if path.exists():
            with (
                copy._errors(),
                contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as file,
            ):
                file.backup(copy._db)
        return copy

    def _make(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            problem = f"has the form {version} of a newer sf_detect, expected {SCHEMA_VERSION}. Update sf_detect."
            raise DataError(self.path, None, problem)
        columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
        with self.transaction():
            self._db.execute(f"CREATE TABLE IF NOT EXISTS videos ({columns})")
            self._db.execute("CREATE INDEX IF NOT EXISTS waiting ON videos (run, state, size DESC, name)")
            self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @contextlib.contextmanager
    def transaction(self, kind: str = "IMMEDIATE") -> Iterator[None]:
        """All or nothing of what is written within; "DEFERRED" locks a file only when it is used."""
        with self._errors():
            self._db.execute(f"BEGIN {kind}")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # a full disk has rolled back already
                    self._db.execute("ROLLBACK")
                raise

    def execute(self, query: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """One statement on the table `videos`.

        Raises:
            SinkError: The disk is full or fails.
            DataError: The file is damaged.
        """
        with self._errors():
            return self._db.execute(query, values)

    def adopt(self, other: Path) -> None:
        """Takes the finished videos of another manifest over that this one does not have."""
        names = ", ".join(COLUMNS)
        with self._errors():
            self._db.execute("ATTACH ? AS other", (os.fspath(other),))
            try:
                with self.transaction("DEFERRED"):  # the other may be at work, and is only read
                    self._db.execute(
                        f"INSERT OR IGNORE INTO videos ({names}) SELECT {names} FROM other.videos WHERE state != ?",
                        (PENDING,),
                    )
            finally:
                self._db.execute("DETACH other")

    def begin_run(self) -> int:
        """The number of a new run."""
        (newest,) = self.execute("SELECT coalesce(max(run), 0) FROM videos").fetchone()
        return int(newest) + 1

    def waiting(self, run: int) -> Iterator[Job]:
        """The jobs of a run that are to be done, largest first, so that no worker has a long one left at the end.

        Rows may change meanwhile; jobs that have been given are not given again.
        """
        last: tuple[int, str] | None = None
        while True:
            beyond, values = "", [run, PENDING]
            if last is not None:
                beyond = "AND (size < ? OR (size = ? AND name > ?))"
                values += [last[0], last[0], last[1]]
            rows = self.execute(
                f"SELECT size, name, source FROM videos WHERE run = ? AND state = ? {beyond} "
                f"ORDER BY size DESC, name LIMIT {_PAGE}",
                values,
            ).fetchall()
            if not rows:
                return
            for size, name, source in rows:
                yield Job(name, source_text(source), size)
            last = rows[-1][:2]

    def record(self, outcomes: Iterable[Outcome], versions: Versions) -> None:
        """Notes how jobs ended, in one transaction: what is noted survives a power failure."""
        with self.transaction():
            for outcome in outcomes:
                self._db.execute(_RECORD, _values(outcome, versions))

    def rows(self, where: str = "1", values: Sequence[Any] = ()) -> Iterator[sqlite3.Row]:
        """Rows by name."""
        with self._errors():
            cursor = self._db.cursor()
            cursor.row_factory = sqlite3.Row
            yield from cursor.execute(f"SELECT * FROM videos WHERE {where} ORDER BY name", values)

    def write_csv(self, path: Path) -> None:
        """Writes all rows as csv, whole or not at all.

        Raises:
            SinkError: It can't be written.
        """
        shown = [name for name in COLUMNS if name not in _HIDDEN]
        try:
            output = AtomicFile(path)
            try:
                with io.TextIOWrapper(io.BufferedWriter(output.file), "utf-8", newline="") as file:
                    writer = csv.writer(file, lineterminator="\n")
                    writer.writerow(shown)
                    for row in self.rows():
                        writer.writerow(
                            [printable_name(source_text(row[k])) if k == "source" else row[k] for k in shown]
                        )
                    file.flush()
                    os.fsync(output.file.fileno())
                output.commit()
            finally:
                output.discard()
        except OSError as error:
            raise SinkError.unwritable(path, error) from error

    def close(self) -> None:
        """Closes the file. Idempotent."""
        self._db.close()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _told(self.path, error) from error


def _told(path: Path, error: sqlite3.Error) -> SinkError | DataError:
    text = str(error)
    if "not a database" in text or "malformed" in text or "no such column" in text:
        problem = (
            f"is no manifest of sf_detect, or damaged ({text}). Move it away; finished videos are then done again."
        )
        return DataError(path, None, problem)
    if "full" in text:
        return SinkError(
            f"{path}: the disk is full. Free some space and give the same command again: finished videos stay."
        )
    if "locked" in text:
        return SinkError(f"{path} is in use by another program. Wait for it, or close it, and try again.")
    return SinkError(f"{path} can't be used ({text}). Check the folder's permissions and free space.")


def source_text(value: str | bytes) -> str:
    """A source as Python has it; the file holds names that are not UTF-8 as bytes."""
    return os.fsdecode(value) if isinstance(value, bytes) else value


def source_value(source: str) -> str | bytes:
    """The reverse of `source_text`."""
    try:
        source.encode()
    except UnicodeEncodeError:
        return os.fsencode(source)
    return source


_RECORD = """
UPDATE videos SET state = ?, reason = ?, attempts = attempts + 1, settings = ?, drawing = ?, version = ?,
    model = ?, backend = ?, seconds = ?, frames = ?, keyframes = ?, persons = ?, decode_errors = ?, wall_seconds = ?,
    labels = ?, outputs = ?, warnings = ?, finished = ? WHERE name = ?
"""


def _values(outcome: Outcome, versions: Versions) -> tuple[Any, ...]:
    stats = outcome.stats or VideoStats()
    known = outcome.stats is not None
    numbers = (stats.seconds, stats.frames, stats.keyframes, stats.persons, stats.decode_errors)
    return (
        DONE if outcome.state == DONE else FAILED,
        outcome.reason,
        versions.settings,
        versions.drawing,
        versions.version,
        stats.model,
        stats.backend,
        *(numbers if known else (None,) * len(numbers)),
        round(outcome.wall_seconds, 3),
        json.dumps({label: round(seconds, 3) for label, seconds in sorted(stats.labels.items())}),
        json.dumps(dict(outcome.outputs)),
        json.dumps(list(stats.warnings)),
        datetime.now(timezone.utc).isoformat(timespec="seconds"),
        outcome.job.name,
    )
