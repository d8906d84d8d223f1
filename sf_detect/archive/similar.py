"""Who moves alike: exact search by the cosine of pooled features, over all persons of an archive.

What all persons have in common (a person, upright, in a picture) is most of a feature, so the mean of the archive is
taken off first, less so where it is of few; then the cosine is 1 for the same movement, about 0 for any other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from sf_detect.archive.database import Answer
from sf_detect.archive.features import SECONDS
from sf_detect.archive.files import ArchiveFiles, TableFiles
from sf_detect.errors import ConfigError, DataError

COLUMNS = ("video", "track_id", "start_time", "end_time", "similarity")
_CHUNK = 8192
_FEW = 100  # rows; the mean of so few is taken off by half, as it says little of what all persons have in common
_LISTED = 10


@dataclass(frozen=True)
class Moment:
    """A person at a time.

    Attributes:
        video: Name in the archive, or the last part of it, with or without ending.
        time: Seconds of the video.
        track: Track id.
    """

    video: str
    time: float
    track: int

    @classmethod
    def parse(cls, text: str) -> Moment:
        """VIDEO:TIME:TRACK, such as door.mp4:12.5:3.

        Raises:
            ConfigError: It is something else.
        """
        parts = text.rsplit(":", 2)
        try:
            moment = cls(parts[0], float(parts[1]), int(parts[2]))
        except (IndexError, ValueError):
            moment = cls("", 0.0, 0)
        if not moment.video or not np.isfinite(moment.time):
            raise ConfigError(f"--like {text}: expected VIDEO:TIME:TRACK, such as door.mp4:12.5:3, TIME in seconds.")
        return moment


@dataclass(frozen=True)
class _Stretches:
    """Rows of the table features, but for the features.

    Attributes:
        videos: Their names, of all rows together.
        video: (N,) which of them each row is of.
        track: (N,) track ids; -1 for persons that were not tracked.
        model: (N,) number of the model that made them.
        start, end: (N,) seconds.
        vectors: (N, size) float16 in pieces, in order of the rows.
    """

    videos: list[str]
    video: npt.NDArray[np.int64]
    track: npt.NDArray[np.int64]
    model: npt.NDArray[np.int64]
    start: npt.NDArray[np.float64]
    end: npt.NDArray[np.float64]
    vectors: list[npt.NDArray[np.float16]]

    def chunks(self) -> Iterator[npt.NDArray[np.float32]]:
        """The features in pieces of at most `_CHUNK` rows."""
        for piece in self.vectors:
            for start in range(0, len(piece), _CHUNK):
                yield piece[start : start + _CHUNK].astype(np.float32)

    def vector(self, row: int) -> npt.NDArray[np.float32]:
        """The features of a row."""
        for piece in self.vectors:
            if row < len(piece):
                return piece[row].astype(np.float32)
            row -= len(piece)
        raise IndexError(row)


def find_alike(files: ArchiveFiles, moment: Moment, videos: Sequence[str] | None = None) -> Answer:
    """Persons who move as that one does then, the most alike first; one row for each.

    Args:
        files: Of the archive.
        moment: Who is looked for; the person itself is left out.
        videos: Names of videos to look in; None takes all.

    Raises:
        ConfigError: There is nobody with features there; the message names who there is.
        DataError: There are no features, or a file of them is damaged.
    """
    if not files.features.all:
        raise DataError(files.folder, None, "holds no features. Annotate with --features to find who moves alike.")
    try:
        stretches = _read(files.features)
    except DataError:
        if not files.moved():
            raise
        stretches = _read(ArchiveFiles(files.folder).features)
    row = _row(stretches, moment)
    likeness = _cosines(stretches, row)
    same_model = stretches.model == stretches.model[row]
    chosen = None if videos is None else set(videos)
    allowed = np.array([chosen is None or name in chosen for name in stretches.videos], bool)
    itself = (stretches.video == stretches.video[row]) & (stretches.track == moment.track)
    best = np.argsort(-likeness, kind="stable")
    best = best[allowed[stretches.video[best]] & ~itself[best] & same_model[best]]
    persons = np.stack([stretches.video[best], stretches.track[best]], axis=1)
    _, first = np.unique(persons, axis=0, return_index=True)
    tracked = np.isin(np.arange(len(best)), first) | (stretches.track[best] < 0)
    return Answer(COLUMNS, (_shown(stretches, int(i), float(likeness[i])) for i in best[tracked]))


def _shown(stretches: _Stretches, row: int, likeness: float) -> tuple[Any, ...]:
    track = int(stretches.track[row])
    return (
        stretches.videos[stretches.video[row]],
        None if track < 0 else track,
        float(stretches.start[row]),
        float(stretches.end[row]),
        likeness,
    )


def matching(name: str, videos: Sequence[str] | dict[str, Any]) -> list[str]:
    """Videos with that name; else those whose last part it is, with or without ending."""
    if name in videos:
        return [name]
    lasts = {video: video.rsplit("/", 1)[-1] for video in videos}
    return [video for video, last in lasts.items() if name in (last, last.rpartition(".")[0])]


def _read(files: TableFiles) -> _Stretches:
    try:
        hidden = {one.video for one in files.hidden}
        tables = [_table(path) for path in files.single] + [_without(_table(path), hidden) for path in files.joined]
        kind = tables[0].schema.field("features").type
        table = pa.concat_tables(tables)
    except (OSError, KeyError, pa.ArrowException) as error:
        raise DataError(
            files.index.folder,
            None,
            f"a table of features can't be read: {str(error).splitlines()[0]}. Delete that file, or the folder of "
            "features, and annotate those videos again with --features.",
        ) from error
    if not pa.types.is_fixed_size_binary(kind) or kind.byte_width % 2 or not kind.byte_width:
        raise DataError(files.all[0], None, f"features are {kind}; expected bytes of float16 numbers.")
    videos, video = _numbered(table["video"])
    track = table["track_id"]
    return _Stretches(
        videos,
        video,
        (track.fill_null(-1) if track.null_count else track).to_numpy(),
        _numbered(table["model"])[1],
        table["start_time"].to_numpy(),
        table["end_time"].to_numpy(),
        [_numbers(chunk, kind.byte_width) for chunk in table["features"].chunks],
    )


def _numbered(column: pa.ChunkedArray) -> tuple[list[str], npt.NDArray[np.int64]]:
    """The distinct texts of a column, and (N,) which of them each row has."""
    known: dict[str, int] = {}
    rows = [np.zeros(0, np.int64)]
    for chunk in column.chunks:
        places = [known.setdefault(text, len(known)) for text in chunk.dictionary.to_pylist()]
        rows.append(np.array(places, np.int64)[chunk.indices.to_numpy()])
    return list(known), np.concatenate(rows)


def _table(path: Path) -> pa.Table:
    """A file without the threads and caches that help with large ones, at half the cost of a small one."""
    with pq.ParquetFile(path, memory_map=True, pre_buffer=False, read_dictionary=["video", "model"]) as file:
        return file.read(use_threads=False)


def _without(table: pa.Table, videos: Collection[str]) -> pa.Table:
    """The rows of other videos."""
    if not videos:
        return table
    names, video = _numbered(table["video"])
    return table.filter(pa.array(~np.isin(video, [place for place, name in enumerate(names) if name in videos])))


def _numbers(chunk: pa.FixedSizeBinaryArray, width: int) -> npt.NDArray[np.float16]:
    """(n, width / 2) of a chunk, without a copy."""
    buffer = chunk.buffers()[1]
    if buffer is None or not len(chunk):
        return np.zeros((0, width // 2), "<f2")
    content = np.frombuffer(buffer, np.uint8)[chunk.offset * width : (chunk.offset + len(chunk)) * width]
    return content.view("<f2").reshape(len(chunk), width // 2)


def _row(stretches: _Stretches, moment: Moment) -> int:
    """The row that holds the moment, or the nearest one of that person within the length of one."""
    named = matching(moment.video, stretches.videos)
    if len(named) != 1:
        known = ", ".join(sorted(named or stretches.videos)[:_LISTED])
        many = "several videos are called so" if named else "no video with features is called so"
        raise ConfigError(f"--like: {moment.video!r}: {many}. Expected one of: {known}.")
    of_video = stretches.video == stretches.videos.index(named[0])
    distance = np.maximum(np.maximum(stretches.start - moment.time, moment.time - stretches.end), 0)
    near = of_video & (distance <= SECONDS)
    rows = np.flatnonzero(near & (stretches.track == moment.track))
    if not len(rows):
        there = sorted({int(track) for track in stretches.track[near] if track >= 0})
        tracks = ", ".join(map(str, there[:_LISTED])) or "nobody"
        raise ConfigError(
            f"--like: {named[0]} has no person {moment.track} at {moment.time:g} s. Persons there then: {tracks}."
        )
    return int(rows[np.argmin(distance[rows])])


def _cosines(stretches: _Stretches, row: int) -> npt.NDArray[np.float32]:
    """Likeness of every row to one, (N,) in [-1, 1], the mean of all taken off."""
    count = len(stretches.video)
    total = sum(chunk.sum(0, dtype=np.float64) for chunk in stretches.chunks())
    mean = (total / (count + _FEW)).astype(np.float32)
    wanted = stretches.vector(row) - mean
    wanted = wanted / max(float(np.linalg.norm(wanted)), 1e-12)
    found = []
    for chunk in stretches.chunks():
        moved = chunk - mean
        lengths = np.sqrt(np.einsum("nd,nd->n", moved, moved))
        found.append(moved @ wanted / np.maximum(lengths, 1e-12))
    return np.clip(np.concatenate(found), -1, 1)
