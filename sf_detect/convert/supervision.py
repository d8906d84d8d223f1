"""Roboflow's supervision: results as `Detections`, and as the csv that its `CSVSink` writes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sf_detect.atomic_file import atomic_file
from sf_detect.convert.video_records import Record, VideoRecords, labels_that_count
from sf_detect.errors import MissingExtraError

if TYPE_CHECKING:
    import supervision

COLUMNS = ("x_min", "y_min", "x_max", "y_max", "class_id", "confidence", "tracker_id")
_MORE = ("video", "frame", "time", "class_name", "actions")


def to_supervision(record: Record, min_score: float | None = None) -> supervision.Detections:
    """The persons of a keyframe as `supervision.Detections`: class 0, person.

    `data["actions"]` has the labels that count of each person, best first, separated by commas; `data["class_name"]`
    is "person".

    Args:
        record: As `records.keyframe_record` makes it, or a line of JSON Lines.
        min_score: Score from which a label counts; None: its decision threshold.

    Raises:
        MissingExtraError: supervision is not installed.
    """
    import numpy as np

    try:
        import supervision
    except ImportError as error:
        raise MissingExtraError("supervision", "convert", "supervision's Detections") from error
    persons = record["persons"]
    tracks = [person["track_id"] for person in persons]
    return supervision.Detections(
        xyxy=np.array([person["box"] for person in persons], np.float32).reshape(-1, 4),
        confidence=np.array([person["score"] for person in persons], np.float32),
        class_id=np.zeros(len(persons), int),
        tracker_id=None if not persons or None in tracks else np.array(tracks, int),
        data={
            "class_name": np.array(["person"] * len(persons), dtype=str),
            "actions": np.array([_names(person, min_score) for person in persons], dtype=str),
        },
    )


def write_supervision(videos: Iterator[VideoRecords], path: Path, min_score: float | None) -> list[Path]:
    """Writes one csv of all persons, with the columns of supervision's `CSVSink`, and video, frame, time and actions.

    Args:
        videos: What is written.
        path: The file.
        min_score: See `labels_that_count`.
    """
    with atomic_file(path) as file:
        file.write(_line((*COLUMNS, *_MORE)))
        for video in videos:
            for record in video.records:
                for person in record["persons"]:
                    track = "" if person["track_id"] is None else person["track_id"]
                    about = (video.video, record["frame"], record["time"], "person", _names(person, min_score))
                    file.write(_line((*person["box"], 0, person["score"], track, *about)))
    return [path]


def _names(person: Record, min_score: float | None) -> str:
    return ",".join(entry["label"] for entry in labels_that_count(person, min_score))


def _line(cells: Sequence[object]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()
