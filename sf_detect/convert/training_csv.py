"""Annotations as csv to train on: video_id,timestamp,x1,y1,x2,y2,action,person (docs/train_your_own.md)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from sf_detect.atomic_file import atomic_file, write_text
from sf_detect.convert.video_records import VideoRecords, group_of, inside, labels_that_count
from sf_detect.errors import DataError
from sf_detect.records import ACTION

HEADER = ("video_id", "timestamp", "x1", "y1", "x2", "y2", "action", "person")
LABELS = "labels.csv"


def write_training(videos: Iterator[VideoRecords], path: Path, min_score: float | None) -> list[Path]:
    """Writes a row for each action of each person of each keyframe, with an empty action for who does nothing.

    `labels.csv` beside it numbers the actions from 1, unless there is such a file already.

    Args:
        videos: What is written.
        path: The csv.
        min_score: See `labels_that_count`.

    Raises:
        DataError: Two videos in different folders have one name, of which only the last part is written.
    """
    names: set[str] = set()
    known: dict[str, str] = {}
    with atomic_file(path) as file:
        file.write(_line(HEADER))
        for video in videos:
            name = Path(video.video).stem
            if known.setdefault(name, video.video) != video.video:
                problem = f"and {known[name]} would both be the video_id {name!r}. Rename one, or convert them apart."
                raise DataError(video.video, None, problem)
            for record, track, person in video.persons():
                box = inside(person, record)
                if box is None:
                    continue
                width, height = record["width"], record["height"]
                shares = [f"{v:.4f}" for v in (box[0] / width, box[1] / height, box[2] / width, box[3] / height)]
                done = [e["label"] for e in labels_that_count(person, min_score) if group_of(e) == ACTION]
                names.update(done)
                for action in done or [""]:
                    file.write(_line((name, f"{record['time']:.3f}", *shares, action, track)))
    labels = path.with_name(LABELS)
    if labels.exists() or not names:
        return [path]
    write_text(labels, "".join(_line(row).decode() for row in [("id", "name"), *enumerate(sorted(names), start=1)]))
    return [path, labels]


def _line(cells: Sequence[object]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()
