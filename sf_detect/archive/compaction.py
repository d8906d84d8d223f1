"""Joins the files of single videos to files of many: a question then opens some files instead of 200,000.

See `sf_detect.joined_files` for what is where. A file of many videos is complete before the index names it, and the
index is replaced before files of single videos go, so whatever ends a compaction leaves every row where it counts once.
Memory is bounded by some ten thousand rows and what is known of the videos of one file.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sf_detect.archive.files import ArchiveFiles, VideoRows, facts_in, joined_rows
from sf_detect.archive.schema import FOLDERS, SUFFIX, VideoFacts, joined_metadata
from sf_detect.archive.table_file import write_options
from sf_detect.atomic_file import AtomicFile
from sf_detect.errors import DataError, SinkError
from sf_detect.joined_files import JOINED, Joined, JoinedFiles, leftovers, mark_of, walk

_GROUP_ROWS = 16_384
"""Rows that are kept in memory, and are a row group of a file."""
_FILE_VIDEOS, _FILE_ROWS = 4096, 2_000_000
"""Most videos of a file, and about how many rows."""
_SMALL = 4
"""A file with less than this part of the videos that it may have is joined again with what is new."""


@dataclass
class Compaction:
    """What became of the files.

    Attributes:
        before, after: Parquet files.
        problems: Files that can't be read, which were left as they are.
    """

    before: int = 0
    after: int = 0
    problems: list[str] = field(default_factory=list)


def compact(folder: Path) -> Compaction:
    """Joins the files of an archive; nobody else writes to it meanwhile, questions may be asked.

    Raises:
        DataError: It is no archive, or an index is damaged.
        SinkError: The disk is full or can't be written; the archive is as it was.
    """
    ArchiveFiles.find(folder)
    done = Compaction()
    for table, place in FOLDERS.items():
        if (folder / place).is_dir():
            try:
                _compact(table, folder / place, done)
            except OSError as error:
                problem = f"{folder / place} can't be written: {error.strerror or error}. The archive is as it was."
                raise SinkError(problem) from error
    return done


def _compact(table: str, folder: Path, done: Compaction) -> None:
    single, gone = walk(folder, SUFFIX)
    index = JoinedFiles.read(folder)
    done.before += len(single) + len(index.files)
    for left in leftovers(index, SUFFIX):
        left.unlink()
    hidden = frozenset(index.hidden([*single, *gone]))
    again = _to_join_again(index, hidden, bool(single))
    if single or again:
        (folder / JOINED).mkdir(exist_ok=True)
        kept = {name: held for name, held in index.files.items() if name not in again}
        sources = _sources(index, again, hidden, single, done)
        new = dict(_write(table, folder / JOINED, sources))
        JoinedFiles(folder, {**kept, **new}).write()
        written = {one.path for held in new.values() for one in held}
        for name in again:
            (folder / JOINED / name).unlink(missing_ok=True)
        single = _without(folder, single, written)
        done.after += len(single) + len(kept) + len(new)
    else:
        done.after += len(index.files)
    for path in gone:
        mark_of(folder / path).unlink(missing_ok=True)


def _to_join_again(index: JoinedFiles, hidden: Collection[Joined], more: bool) -> list[str]:
    """Files of many videos with rows that do not count, and small ones that what is new can be added to."""
    stale = [name for name, held in index.files.items() if any(one in hidden for one in held)]
    small = [name for name, held in index.files.items() if len(held) < _FILE_VIDEOS // _SMALL]
    return list(dict.fromkeys([*stale, *(small if more or len(small) > _SMALL else [])]))


def _without(folder: Path, single: Sequence[str], written: set[str]) -> list[str]:
    """Removes the files whose rows are in files of many videos now, and folders that are empty then."""
    parents = set[Path]()
    for path in single:
        if path in written:
            (folder / path).unlink(missing_ok=True)
            parents.add((folder / path).parent)
    for parent in sorted(parents, key=lambda each: -len(each.parts)):
        while parent != folder:
            try:
                parent.rmdir()
            except OSError:
                break
            parent = parent.parent
    return [path for path in single if path not in written]


def _sources(
    index: JoinedFiles, again: Sequence[str], hidden: Collection[Joined], single: Sequence[str], done: Compaction
) -> Iterator[VideoRows]:
    """Rows that count, video by video."""
    for name in again:
        yield from joined_rows(index, name, hidden)
    for path in single:
        try:
            with pq.ParquetFile(index.folder / path, memory_map=True, pre_buffer=False) as file:
                facts = facts_in(index.folder / path, file.metadata.metadata)
                rows = file.read(use_threads=False)
        except (DataError, OSError, pa.ArrowException) as error:
            about = "" if isinstance(error, DataError) else f"{index.folder / path} is not a complete Parquet file: "
            done.problems.append(about + str(error).splitlines()[0])
            continue
        size = (index.folder / path).stat().st_size
        yield VideoRows(Joined(path, size, facts.video, len(rows)), facts, rows)


def _write(table: str, folder: Path, sources: Iterator[VideoRows]) -> Iterator[tuple[str, tuple[Joined, ...]]]:
    """Names of complete files of many videos, and what each holds."""
    file: _JoinedFile | None = None
    try:
        for source in sources:
            if file is not None and not file.takes(source.rows.schema):
                yield file.close()
                file = None
            file = file or _JoinedFile(table, folder, source.rows.schema)
            file.add(source)
        if file is not None:
            yield file.close()
            file = None
    finally:
        if file is not None:
            file.discard()


class _JoinedFile:
    """One that is being written."""

    def __init__(self, table: str, folder: Path, schema: pa.Schema) -> None:
        self.name = f"rows-{secrets.token_hex(8)}{SUFFIX}"
        self._table, self._schema = table, schema.remove_metadata()
        self._held: list[Joined] = []
        self._facts: list[VideoFacts] = []
        self._waiting: list[pa.Table] = []
        self._rows = self._written = 0
        self._output = AtomicFile(folder / self.name)
        self._writer = pq.ParquetWriter(self._output.file, self._schema, **write_options(self._schema))

    def takes(self, schema: pa.Schema) -> bool:
        """Whether there is room for another video with such rows."""
        room = len(self._held) < _FILE_VIDEOS and self._written + self._rows < _FILE_ROWS
        return room and schema.remove_metadata().equals(self._schema)

    def add(self, source: VideoRows) -> None:
        self._held.append(source.held)
        self._facts.append(source.facts)
        self._waiting.append(source.rows.replace_schema_metadata(None))
        self._rows += len(source.rows)
        if self._rows >= _GROUP_ROWS:
            self._flush()

    def close(self) -> tuple[str, tuple[Joined, ...]]:
        """Completes the file and gives it its name."""
        self._flush()
        self._writer.add_key_value_metadata(joined_metadata(self._table, self._facts))
        self._writer.close()
        self._output.commit()
        return self.name, tuple(self._held)

    def discard(self) -> None:
        """Leaves nothing behind."""
        with suppress(OSError):
            self._writer.close()
        self._writer.is_open = False  # or it tries again when it is collected
        self._output.discard()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting), row_group_size=_GROUP_ROWS)
        self._written += self._rows
        self._waiting, self._rows = [], 0
