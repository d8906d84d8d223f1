"""Where the tables of an archive lie on disk, and what each file says of its video."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sf_detect.archive.schema import FOLDERS, SUFFIX, VERSION, VideoFacts
from sf_detect.errors import DataError

_JSON_LINES = (".jsonl", ".ndjson")


@dataclass(frozen=True)
class ArchiveFiles:
    """The Parquet files below a folder.

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
    def persons(self) -> list[Path]:
        """Files of the table persons, in order of their names."""
        return self.of("persons")

    @cached_property
    def segments(self) -> list[Path]:
        """Files of the table segments, in order of their names."""
        return self.of("segments")

    @cached_property
    def features(self) -> list[Path]:
        """Files of the table features, in order of their names."""
        return self.of("features")

    def of(self, table: str) -> list[Path]:
        """Files of a table."""
        return sorted(_walk(self.folder / FOLDERS[table], (SUFFIX,)))


def read_facts(path: Path) -> VideoFacts:
    """What a file of an archive says of its video.

    Raises:
        DataError: It is not such a file, or of a newer version.
    """
    try:
        metadata = pq.read_metadata(path).metadata
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            path,
            None,
            f"is not a complete Parquet file ({str(error).splitlines()[0]}). Remove it, and annotate its video again.",
        ) from error
    known = VideoFacts.from_metadata(metadata)
    if known is None:
        raise DataError(path, None, "is no table of an archive of sf_detect. Remove it from the archive's folder.")
    version, _, facts = known
    if version > VERSION:
        raise DataError(
            path,
            None,
            f"has version {version} of the tables, and this sf_detect reads up to {VERSION}. Update it: "
            "pip install -U sf_detect",
        )
    return facts


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
