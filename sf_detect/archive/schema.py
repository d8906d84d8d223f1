"""The tables of an archive, as Parquet: `docs/archive.md` describes them for users. NumPy and pyarrow only.

Every video has a file of each table: parquet/persons/NAME.parquet, parquet/segments/NAME.parquet and, where asked for,
features/NAME.parquet; `compaction` joins them to files of many videos. A reader of version N takes files of every
version up to N: columns are only ever added at the end, and what is missing reads as null.

Columns are called `start_time`, `end_time` and `label_group` because `end` and `group` are words of SQL.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa

VERSION = 1
"""Of the tables. Raise it with every new column."""
KEY = b"sf_detect.archive"
"""Of the key-value metadata of a file: `VideoFacts` as JSON."""

LABEL = pa.struct(
    [
        pa.field("label", pa.string(), nullable=False),
        pa.field("label_group", pa.string(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("above_threshold", pa.bool_()),
    ]
)
"""An action, or a label of another group, of a person on a keyframe."""

PERSONS = pa.schema(
    [
        pa.field("video", pa.string(), nullable=False),
        pa.field("frame", pa.int64(), nullable=False),
        pa.field("time", pa.float64(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("track_id", pa.int64()),
        pa.field("x1", pa.float32(), nullable=False),
        pa.field("y1", pa.float32(), nullable=False),
        pa.field("x2", pa.float32(), nullable=False),
        pa.field("y2", pa.float32(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("labels", pa.list_(LABEL), nullable=False),
    ]
)
"""A row for each person of each keyframe: box in pixels of the frame, seconds of the video, labels best first."""

SEGMENTS = pa.schema(
    [
        pa.field("video", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("track_id", pa.int64()),
        pa.field("label_group", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("start_time", pa.float64(), nullable=False),
        pa.field("end_time", pa.float64(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
    ]
)
"""A row for each event (`sf_detect.events`): who did what from when to when, in seconds of the video."""


def features_schema(size: int) -> pa.Schema:
    """Rows of one person over a stretch of time: the unit mean of their pooled features, (size,) float16, as bytes.

    Bytes, little-endian, are read five times faster than lists of numbers.
    """
    return pa.schema(
        [
            pa.field("video", pa.string(), nullable=False),
            pa.field("track_id", pa.int64()),
            pa.field("start_time", pa.float64(), nullable=False),
            pa.field("end_time", pa.float64(), nullable=False),
            pa.field("model", pa.string(), nullable=False),
            pa.field("features", pa.binary(2 * size), nullable=False),
        ]
    )


FOLDERS: Mapping[str, str] = {
    "persons": "parquet/persons",
    "segments": "parquet/segments",
    "features": "features",
}
"""Where the files of each table lie in an archive, in folders as those of the videos."""
SUFFIX = ".parquet"


@dataclass(frozen=True)
class VideoFacts:
    """What a file of an archive knows about its video, beside the rows.

    Attributes:
        video: Its name in the archive; unique there.
        source: Path or URL (without credentials) that was read.
        width, height: Pixels.
        fps: Nominal frame rate; None where unknown.
        duration: Seconds; None where unknown.
        model: Name of the action model.
        labels: Label names of each group that the models know, whether they occur or not.
        settings: Fingerprint of the settings that it was annotated with; empty where unknown.
        keyframes: How many were seen, with and without persons; None before the file is complete.
    """

    video: str
    source: str
    width: int
    height: int
    fps: float | None = None
    duration: float | None = None
    model: str = ""
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    settings: str = ""
    keyframes: int | None = None

    def to_metadata(self, table: str) -> dict[bytes, bytes]:
        """Key-value metadata of a Parquet file."""
        content = {"version": VERSION, "table": table, **asdict(self)}
        return {KEY: json.dumps(content, sort_keys=True).encode()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[bytes, bytes] | None) -> tuple[int, str, VideoFacts] | None:
        """Version, table and facts of a file; None where it is no file of an archive."""
        try:
            content: dict[str, Any] = json.loads((metadata or {})[KEY])
            version, table = int(content.pop("version")), str(content.pop("table"))
            known = {key: content[key] for key in cls.__dataclass_fields__ if key in content}
            known["labels"] = {str(group): tuple(map(str, names)) for group, names in known["labels"].items()}
            return version, table, cls(**known)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
            return None


def joined_metadata(table: str, facts: Sequence[VideoFacts]) -> dict[bytes, bytes]:
    """Key-value metadata of a file of many videos; equal sets of labels are written once."""
    sets: dict[str, int] = {}
    videos = []
    for one in facts:
        content = asdict(one)
        labels = json.dumps(content.pop("labels"), sort_keys=True)
        videos.append({**content, "labels": sets.setdefault(labels, len(sets))})
    content = {"version": VERSION, "table": table, "label_sets": [json.loads(text) for text in sets], "videos": videos}
    return {KEY: json.dumps(content, sort_keys=True).encode()}


def facts_of_joined(metadata: Mapping[bytes, bytes] | None) -> tuple[int, dict[str, VideoFacts]] | None:
    """Version and facts, by video, of a file of many videos; None where it is no such file."""
    try:
        content: dict[str, Any] = json.loads((metadata or {})[KEY])
        sets = [{str(group): tuple(map(str, names)) for group, names in one.items()} for one in content["label_sets"]]
        facts = {}
        for video in content["videos"]:
            known = {key: video[key] for key in VideoFacts.__dataclass_fields__ if key in video}
            facts[str(video["video"])] = VideoFacts(**{**known, "labels": sets[video["labels"]]})
        return int(content["version"]), facts
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError):
        return None
