"""Boxes on frames out of files: csv with a header, and the JSON Lines of `sf-detect run`; lists of videos.

A csv has a row per box, `video,frame,x1,y1,x2,y2,label[,score][,track]`; `video_id` and `action` are accepted for
`video` and `label`; a label is a name or an id, which counts from 1. Frames are counted as the ground truth counts
them, from 0 in our own files.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sf_detect.errors import ConfigError, DataError, UnknownNameError
from sf_detect.evaluation.linking import Scored
from sf_detect.evaluation.mean_ap import FrameBoxes
from sf_detect.evaluation.records import record_at
from sf_detect.evaluation.text_lines import read_lines
from sf_detect.evaluation.tubes import Tube
from sf_detect.labels import LabelMap, shown_names
from sf_detect.records import labels_of

_ALIASES = {"video_id": "video", "action": "label", "class": "label", "track_id": "track"}
_FILE = re.compile(r"(.+)\.(?:avi|mp4|mkv|mov|webm)(?:\s+\d+)?$", re.IGNORECASE)
_NEEDED = ("video", "frame", "x1", "y1", "x2", "y2", "label")


@dataclass(frozen=True, eq=False)
class FrameTable:
    """Boxes on frames, of named videos.

    Attributes:
        path: The file.
        videos: Names, by the video numbers of `boxes`.
        boxes: The rows.
        tracks: (N,) names of persons within a video; "" where the file has no such column.
        keyframes: Video and number of every frame that was looked at, also of those without a box; None where the file
            does not tell.
    """

    path: Path
    videos: tuple[str, ...]
    boxes: FrameBoxes
    tracks: tuple[str, ...]
    keyframes: frozenset[tuple[str, int]] | None = None

    def numbered_as(self, videos: Sequence[str]) -> FrameBoxes:
        """The boxes with video numbers of another list of names; those of other videos get numbers behind it."""
        place = {video: i for i, video in enumerate(videos)}
        numbers = np.array([place.setdefault(video, len(place)) for video in self.videos] or [0], np.int64)
        b = self.boxes
        return FrameBoxes(numbers[b.videos], b.frames, b.labels, b.boxes, b.scores)

    def tubes(self) -> list[Tube]:
        """A tube per video, class and track: ground truth, or detections that carry tracks.

        Raises:
            DataError: Two boxes of one class and track share a frame.
        """
        rows: dict[tuple[int, int, str], list[int]] = {}
        b = self.boxes
        for i, key in enumerate(zip(b.videos.tolist(), b.labels.tolist(), self.tracks, strict=True)):
            rows.setdefault(key, []).append(i)
        tubes = []
        for (video, label, _), places in rows.items():
            index = np.array(places)[np.argsort(b.frames[places], kind="stable")]
            if np.any(np.diff(b.frames[index]) == 0):
                where = f"video {self.videos[video]!r} has two boxes of one class on one frame"
                raise DataError(self.path, None, f"{where}; a column 'track' must tell them apart")
            score = float(b.scores[index].mean())
            tubes.append(Tube(self.videos[video], label, b.frames[index], b.boxes[index], score))
        return tubes

    def of_videos(self, videos: Collection[str]) -> FrameTable:
        """The boxes of some of the videos."""
        kept = np.array([video in videos for video in self.videos] or [False])[self.boxes.videos]
        tracks = tuple(itertools.compress(self.tracks, kept))
        return FrameTable(self.path, self.videos, self.boxes.select(kept), tracks, self.keyframes)

    def by_frame(self) -> dict[tuple[str, int], dict[int, Scored]]:
        """Boxes and scores by video and class, then by frame: what the linking functions take."""
        result: dict[tuple[str, int], dict[int, Scored]] = {}
        b = self.boxes
        order = np.lexsort((b.frames, b.labels, b.videos))
        keys = np.stack([b.videos, b.labels, b.frames], axis=1)[order]
        changes = np.flatnonzero((keys[1:] != keys[:-1]).any(axis=1)) + 1
        for part in np.split(order, changes) if len(order) else []:
            video, label, frame = self.videos[b.videos[part[0]]], int(b.labels[part[0]]), int(b.frames[part[0]])
            result.setdefault((video, label), {})[frame] = (b.boxes[part], b.scores[part])
        return result


def read_frame_csv(path: str | Path, labels: LabelMap) -> FrameTable:
    """Reads a csv of boxes on single frames, with a header.

    Raises:
        DataError: Not readable, a column is missing, a malformed row, or an unknown label; with its line.
    """
    path = Path(path)
    reader = csv.reader(read_lines(path))
    columns = _columns(path, next(reader, []))
    columns_of_label = {**{str(i): c for c, i in enumerate(labels.ids)}, **{name: c for c, name in enumerate(labels)}}
    videos: dict[str, int] = {}
    rows, tracks = [], []
    for row in reader:
        rows.append(_frame_row(path, reader.line_num, row, columns, columns_of_label, videos))
        tracks.append(row[columns["track"]] if "track" in columns else "")
    return _table(path, videos, rows, tracks)


def _table(path: Path, videos: Iterable[str], rows: list[list[float]], tracks: list[str]) -> FrameTable:
    table = np.array(rows, np.float64).reshape(-1, 8)
    whole = table[:, :3].astype(np.int64)
    boxes = FrameBoxes(whole[:, 0], whole[:, 1], whole[:, 2], table[:, 3:7], table[:, 7])
    return FrameTable(path, tuple(videos), boxes, tuple(tracks))


def frames_of_records(
    path: str | Path, records: Iterable[Mapping[str, Any]], labels: LabelMap, first_frame: int = 0
) -> FrameTable:
    """Boxes of the JSON Lines of `sf-detect run`: one per person and action, and the keyframes that were looked at.

    Args:
        path: Named in messages.
        records: As `read_json_lines` gives them.
        labels: The classes.
        first_frame: Number that the ground truth gives to the first frame, which is 0 in the records.

    Raises:
        DataError: A malformed record, or an action that is not one of the classes; with its line.
    """
    path = Path(path)
    videos: dict[str, int] = {}
    rows: list[list[float]] = []
    tracks: list[str] = []
    keyframes = set()
    columns = {name: i for names in (shown_names(labels.names), labels.names) for i, name in enumerate(names)}
    for line, record in enumerate(records, start=1):
        with record_at(path, line):
            video, frame = str(record["video"]), int(record["frame"]) + first_frame
            number = videos.setdefault(video, len(videos))
            keyframes.add((video, frame))
            for person in record["persons"]:
                for action in labels_of(person):
                    if action["label"] not in columns:
                        raise ValueError(str(UnknownNameError("label", str(action["label"]), columns)))
                    box = [float(value) for value in person["box"]]
                    x1, y1, x2, y2 = box
                    rows.append([number, frame, columns[action["label"]], x1, y1, x2, y2, float(action["score"])])
                    tracks.append(str(person["track_id"]))
    table = _table(path, videos, rows, tracks)
    return FrameTable(path, table.videos, table.boxes, table.tracks, frozenset(keyframes))


def read_video_list(path: str | Path, split: int | None = None) -> frozenset[str]:
    """Reads which videos to evaluate: a name a line, or a csv with the column `video` (or `video_id`).

    A line of a list may be a file with its ending and a class number, as in UCF101's `trainlist01.txt`.

    Args:
        path: The file.
        split: Of a csv: take the videos that have "test" in the column `split1`, `split2`, ...

    Raises:
        DataError: Not readable, or without such a column.
        ConfigError: A split of a list of names.
    """
    path = Path(path)
    lines = read_lines(path)
    if path.suffix != ".csv":
        if split is not None:
            raise ConfigError(f"a split needs a csv with the columns video and split{split}, got {path}")
        return frozenset(_FILE.sub(r"\1", line.strip()) for line in lines if line.strip())
    rows = list(csv.DictReader(lines))
    header = [] if not lines else next(csv.reader(lines[:1]))
    name = "video" if "video" in header else "video_id"
    for column in (name, *([] if split is None else [f"split{split}"])):
        if column not in header:
            raise DataError(path, 1, f"the header lacks {column}; got {','.join(header)}")
    return frozenset(row[name] for row in rows if split is None or row[f"split{split}"] == "test")


def _columns(path: Path, header: Iterable[str]) -> dict[str, int]:
    columns = {_ALIASES.get(name.strip(), name.strip()): i for i, name in enumerate(header)}
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        expected = f"{','.join(_NEEDED)}[,score][,track]"
        raise DataError(path, 1, f"the header lacks {', '.join(missing)}; expected {expected}, got {','.join(columns)}")
    return columns


def _frame_row(
    path: Path,
    line: int,
    row: Sequence[str],
    columns: Mapping[str, int],
    columns_of_label: Mapping[str, int],
    videos: dict[str, int],
) -> list[float]:
    """Video, frame, label, box and score of one row, as numbers."""
    if len(row) != len(columns):
        raise DataError(path, line, f"{len(row)} columns, the header has {len(columns)}")
    label = row[columns["label"]].strip()
    if label == "0" and label not in columns_of_label:
        raise DataError(path, line, "label ids count from 1 in every set, got 0; add 1 to every id, or write names")
    if label not in columns_of_label:
        raise DataError(path, line, str(UnknownNameError("label", label, columns_of_label)))
    numbers: list[float] = []
    for name in ("frame", "x1", "y1", "x2", "y2", "score"):
        text = row[columns[name]] if name in columns else "1"
        try:
            number = float(int(text) if name == "frame" else text)
        except ValueError:
            number = float("nan")
        if not np.isfinite(number):
            kind = "an integer" if name == "frame" else "a finite number"
            raise DataError(path, line, f"{name} is {kind}, got {text!r}")
        numbers.append(number)
    video = videos.setdefault(row[columns["video"]], len(videos))
    return [video, numbers[0], columns_of_label[label], *numbers[1:]]
