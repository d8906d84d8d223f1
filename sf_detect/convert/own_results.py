"""Our own results as `VideoRecords`: JSON Lines, and archives of Parquet files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sf_detect.archive.files import ArchiveFiles, joined_rows, read_facts
from sf_detect.archive.schema import VideoFacts
from sf_detect.convert.video_records import VideoRecords
from sf_detect.errors import DataError
from sf_detect.records import SCHEMA, read_json_lines

JSON_LINES = (".jsonl", ".ndjson")


def read_lines(path: Path) -> Iterator[VideoRecords]:
    """Every video of a JSON Lines file, or of all such files below a folder, one at a time in memory.

    Where two files name their videos alike, they get the names of the files.

    Raises:
        DataError: A file can't be read or is not of sf_detect, or there is none; with its line.
    """
    root, files = (path.parent, [path]) if path.is_file() else (path, _files(path))
    if not files:
        raise DataError(path, None, f"holds no JSON Lines; expected files that end in {' or '.join(JSON_LINES)}.")
    names = [list(_names(file)) for file in files]
    flat = [name for some in names for name in some]
    for file, own in zip(files, names, strict=True):
        if len(set(own)) < len(own):
            raise DataError(file, None, "comes back to a video after another; expected each video's lines together.")
        for name, group in groupby(read_json_lines(file), key=lambda record: str(record["video"])):
            unique = flat.count(name) == 1
            shown = name if unique else file.relative_to(root).with_suffix("").as_posix()
            records = list(group)
            _check(file, records)
            yield VideoRecords(shown, records, source=name)


def _files(folder: Path) -> list[Path]:
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place) / name for name in names if name.endswith(JSON_LINES) and not name.startswith(".")]
    return sorted(found)


def _names(file: Path) -> Iterator[str]:
    for name, _ in groupby(read_json_lines(file), key=lambda record: str(record["video"])):
        yield name


def _check(file: Path, records: list[dict[str, Any]]) -> None:
    """Numbers are numbers, boxes have four of them, and time goes on."""
    last = float("-inf")
    for number, record in enumerate(records, start=1):
        try:
            time, frame = float(record["time"]), int(record["frame"])
            sizes = int(record["width"]) > 0 and int(record["height"]) > 0
            boxes = all(len([float(v) for v in person["box"]]) == 4 for person in record["persons"])
            [float(entry["score"]) for person in record["persons"] for entry in person["actions"]]
            good = sizes and boxes and last <= time < float("inf") and frame >= 0
        except (TypeError, ValueError, OverflowError):
            good = False
        if not good:
            problem = (
                f"keyframe {number} of {record['video']!r:.60} has a number that can't be, or comes before another."
            )
            raise DataError(file, None, problem)
        last = time


def read_archive(folder: Path) -> Iterator[VideoRecords]:
    """Every video of an archive in which somebody was seen, one at a time in memory.

    Raises:
        DataError: It is no archive, or a file of it can't be read.
    """
    files = ArchiveFiles.find(folder).persons
    for name in files.index.files:
        for video in joined_rows(files.index, name, files.hidden):
            yield from _of_video(video.facts, video.rows)
    for path in files.single:
        facts = read_facts(path)
        try:
            rows = pq.read_table(path)
        except (OSError, pa.ArrowException) as error:
            raise DataError(path, None, f"can't be read: {str(error).splitlines()[0]}.") from error
        yield from _of_video(facts, rows)


def _of_video(facts: VideoFacts, rows: pa.Table) -> Iterator[VideoRecords]:
    if len(rows):
        yield VideoRecords(facts.video, _records(rows.to_pylist()), facts.source, facts.duration, facts.fps)


def _records(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    records = []
    for _, group in groupby(rows, key=lambda row: (row["frame"], row["time"])):
        persons = list(group)
        first = persons[0]
        about = {key: first[key] for key in ("video", "frame", "time", "width", "height")}
        records.append({"schema": SCHEMA, **about, "persons": [_person(row) for row in persons]})
    return records


def _person(row: dict[str, Any]) -> dict[str, Any]:
    def entry(label: dict[str, Any]) -> dict[str, Any]:
        found = {"label": label["label"], "score": round(label["score"], 5), "group": label["label_group"]}
        return found if label["above_threshold"] is None else {**found, "above_threshold": label["above_threshold"]}

    box = [round(row[key], 2) for key in ("x1", "y1", "x2", "y2")]
    return {
        "box": box,
        "score": round(row["score"], 5),
        "track_id": row["track_id"],
        "actions": [entry(label) for label in row["labels"]],
    }
