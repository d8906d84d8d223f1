"""Where the tables of an archive lie on disk, and what each file says of its video."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sf_detect.archive.schema import FOLDERS, SUFFIX, VERSION, VideoFacts, facts_of_joined
from sf_detect.errors import DataError
from sf_detect.joined_files import JOINED, Joined, JoinedFiles, walk

_JSON_LINES = (".jsonl", ".ndjson")
_BATCH_ROWS = 16_384


@dataclass(frozen=True)
class TableFiles:
    """The files of a table.

    Attributes:
        single: Of one video each, in order of their names.
        index: Of files of many videos.
        hidden: What these hold and does not count: those videos have files of their own, or no rows any more.
    """

    single: list[Path]
    index: JoinedFiles
    hidden: list[Joined]

    @classmethod
    def of(cls, folder: Path) -> TableFiles:
        """Those in the folder of a table.

        Raises:
            DataError: The index of joined files is damaged.
        """
        found, gone = walk(folder, SUFFIX)
        index = JoinedFiles.read(folder)  # after the files of single videos, so that no row is missed
        return cls([folder / path for path in found], index, index.hidden(dict.fromkeys([*found, *gone])))

    @property
    def joined(self) -> list[Path]:
        """Files of many videos each."""
        return self.index.paths

    @property
    def all(self) -> list[Path]:
        """All files."""
        return [*self.single, *self.joined]


@dataclass(frozen=True)
class VideoRows:
    """The rows of one video in a file of many.

    Attributes:
        held: What the index says of them.
        facts: Of the video.
        rows: They.
    """

    held: Joined
    facts: VideoFacts
    rows: pa.Table


def joined_rows(index: JoinedFiles, name: str, hidden: Collection[Joined]) -> Iterator[VideoRows]:
    """The videos of a file of many that count, one at a time in memory.

    Raises:
        DataError: It is no such file, or of a newer version.
    """
    path, hidden = index.folder / JOINED / name, frozenset(hidden)
    facts = read_joined_facts(path)
    with pq.ParquetFile(path, memory_map=True) as file:
        batches = file.iter_batches(_BATCH_ROWS, use_threads=False)
        rest = file.schema_arrow.empty_table()
        for one in index.files[name]:
            while len(rest) < one.rows:
                rest = pa.concat_tables([rest, pa.Table.from_batches([next(batches)])])
            if one not in hidden:
                yield VideoRows(one, facts[one.video], rest.slice(0, one.rows))
            rest = rest.slice(one.rows)


@dataclass(frozen=True)
class ArchiveFiles:
    """The Parquet files below a folder, as they are when they are first asked for.

    Attributes:
        folder: Of the archive.
    """

    folder: Path

    @classmethod
    def find(cls, folder: Path | str) -> ArchiveFiles:
        """The archive in a folder.

        Raises:
            DataError: There is no such folder, or no archive in it; the message says how to make one.
        """
        found = cls(Path(folder))
        if not found.folder.is_dir():
            raise DataError(folder, None, "is no folder. Expected the --out-dir of `sf-detect annotate`.")
        if not any((found.folder / FOLDERS[table]).is_dir() for table in ("persons", "segments")):
            raise DataError(folder, None, _no_archive(found.folder))
        return found

    @cached_property
    def persons(self) -> TableFiles:
        """Files of the table persons."""
        return self.of("persons")

    @cached_property
    def segments(self) -> TableFiles:
        """Files of the table segments."""
        return self.of("segments")

    @cached_property
    def features(self) -> TableFiles:
        """Files of the table features."""
        return self.of("features")

    def moved(self) -> bool:
        """Whether files that were found are not there any more: they were joined with others."""
        known = [self.__dict__[table] for table in FOLDERS if table in self.__dict__]
        return any(not path.exists() for files in known for path in files.all)

    def of(self, table: str) -> TableFiles:
        """Files of a table, as they are now."""
        return TableFiles.of(self.folder / FOLDERS[table])


def read_facts(path: Path) -> VideoFacts:
    """What a file of an archive says of its video.

    Raises:
        DataError: It is not such a file, or of a newer version.
    """
    return facts_in(path, _metadata(path))


def facts_in(path: Path, metadata: Mapping[bytes, bytes] | None) -> VideoFacts:
    """As `read_facts`, of the key-value metadata of a file that is open."""
    known = VideoFacts.from_metadata(metadata)
    if known is None:
        raise _no_table(path)
    version, _, facts = known
    _check_version(path, version)
    return facts


def read_joined_facts(path: Path) -> dict[str, VideoFacts]:
    """What a file of many videos says of them, by name.

    Raises:
        DataError: It is not such a file, or of a newer version.
    """
    known = facts_of_joined(_metadata(path))
    if known is None:
        raise _no_table(path)
    version, facts = known
    _check_version(path, version)
    return facts


def _metadata(path: Path) -> dict[bytes, bytes]:
    try:
        return pq.read_metadata(path).metadata or {}
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            path,
            None,
            f"is not a complete Parquet file ({str(error).splitlines()[0]}). Remove it, and annotate its video again.",
        ) from error


def _no_table(path: Path) -> DataError:
    return DataError(path, None, "is no table of an archive of sf_detect. Remove it from the archive's folder.")


def _check_version(path: Path, version: int) -> None:
    if version > VERSION:
        problem = f"has version {version} of the tables, and this sf_detect reads up to {VERSION}. Update it: "
        raise DataError(path, None, f"{problem}pip install -U sf_detect")


def _walk(folder: Path, endings: tuple[str, ...]) -> Iterator[Path]:
    """Files below a folder; hidden ones are unfinished."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place) / name for name in names if name.endswith(endings) and not name.startswith("."))


def _no_archive(folder: Path) -> str:
    lines = next(_walk(folder, _JSON_LINES), None)
    if lines is not None:
        return f"holds JSON Lines ({lines.relative_to(folder)}), but no tables. Make them with `sf-detect convert`."
    return (
        f"holds no archive: expected {FOLDERS['segments']}/*{SUFFIX}. Make one with: sf-detect annotate VIDEOS "
        "--out-dir FOLDER"
    )
