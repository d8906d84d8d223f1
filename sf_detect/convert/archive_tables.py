"""Records as an archive that `sf-detect query` can ask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sf_detect.archive.rows import person_rows, segment_row
from sf_detect.archive.schema import FOLDERS, PERSONS, SEGMENTS, SUFFIX, VideoFacts
from sf_detect.archive.table_file import TableFile
from sf_detect.convert.video_records import Record, VideoRecords, group_of, labels_that_count
from sf_detect.errors import DataError
from sf_detect.events import Event, EventRules
from sf_detect.file_names import inner_path, printable_name


def write_archive(videos: Iterator[VideoRecords], folder: Path, min_score: float | None) -> list[Path]:
    """Writes the tables persons and segments of each video.

    Events are made anew of the records, with the default settings of events: a label begins where it counts, and goes
    on from 0.8 of the least score at which it counted in that video. Where the end of the video is not known, the last
    keyframe stands for half a keyframe interval more.

    Args:
        videos: What is written.
        folder: Of the archive.
        min_score: See `labels_that_count`.

    Returns:
        The files.

    Raises:
        DataError: A number of a record is not finite.
        SinkError: A file can't be written.
    """
    written = []
    for video in videos:
        written += _write(video, folder, min_score)
    return written


def _write(video: VideoRecords, folder: Path, min_score: float | None) -> list[Path]:
    columns = sorted({(group_of(e), e["label"]) for r in video.records for p in r["persons"] for e in p["actions"]})
    facts = VideoFacts(
        printable_name(video.video),
        printable_name(video.source or video.video),
        *video.size,
        fps=video.fps,
        duration=video.duration,
        labels={group: tuple(label for g, label in columns if g == group) for group, _ in columns},
    )
    name = inner_path(facts.video) + SUFFIX
    persons = TableFile(folder / FOLDERS["persons"] / name, "persons", PERSONS, facts)
    try:
        segments = TableFile(folder / FOLDERS["segments"] / name, "segments", SEGMENTS, facts)
    except BaseException:
        persons.discard()
        raise
    try:
        for record in video.records:
            persons.write(person_rows(record, facts.video))
        for group, event in _events(video, columns, min_score):
            segments.write([segment_row(event, facts.video, facts.source, group)])
        persons.close(len(video.records))
        segments.close(len(video.records))
    except ValueError as error:
        raise DataError(video.video, None, f"a record has a number that can't be: {error}.") from error
    finally:
        persons.discard()
        segments.discard()
    return [persons.path, segments.path]


def _events(
    video: VideoRecords, columns: list[tuple[str, str]], min_score: float | None
) -> Iterator[tuple[str, Event]]:
    """Events of each group, in the order of their ends."""
    for group in dict.fromkeys(group for group, _ in columns):
        labels = [label for g, label in columns if g == group]
        rules = EventRules(video.video, labels, _thresholds(video, group, labels, min_score), stride=video.stride)
        for record in video.records:
            # Whoever was not tracked can't be told apart from keyframe to keyframe.
            tracks = [person["track_id"] for person in record["persons"]]
            ids = None if None in tracks else tracks
            scores = np.array([_scores(person, group, labels) for person in record["persons"]], np.float32)
            for event in rules.push(float(record["time"]), ids, scores):
                yield group, event
        last = float(video.records[-1]["time"])
        for event in rules.finish(last + video.stride / 2 if video.duration is None else video.duration):
            yield group, event


def _scores(person: Record, group: str, labels: list[str]) -> list[float]:
    found = {entry["label"]: float(entry["score"]) for entry in person["actions"] if group_of(entry) == group}
    return [found.get(label, 0.0) for label in labels]


def _thresholds(video: VideoRecords, group: str, labels: list[str], min_score: float | None) -> list[float]:
    """The least score at which each label counted, which is as good as its threshold; infinite where it never did."""
    least = dict.fromkeys(labels, float("inf"))
    for record in video.records:
        for person in record["persons"]:
            for entry in labels_that_count(person, min_score):
                if group_of(entry) == group:
                    least[entry["label"]] = min(least[entry["label"]], float(entry["score"]))
    return [least[label] for label in labels]
