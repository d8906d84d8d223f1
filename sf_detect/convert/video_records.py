"""What all converters exchange: the keyframes of one video, as records (`sf_detect.records`)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any

from sf_detect.model_spec import DEFAULT_THRESHOLD
from sf_detect.records import ACTION

Record = Mapping[str, Any]
_DEFAULT_FPS = 25.0


@dataclass(frozen=True)
class VideoRecords:
    """The keyframes of a video.

    Attributes:
        video: Its name.
        records: In order of time; at least one.
        source: Path or URL of the video; empty where unknown.
        duration: Seconds; None where unknown.
        stated_fps: Frame rate, where the input states it.
    """

    video: str
    records: Sequence[Record] = field(repr=False)
    source: str = ""
    duration: float | None = None
    stated_fps: float | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the first keyframe."""
        return int(self.records[0]["width"]), int(self.records[0]["height"])

    @property
    def fps(self) -> float:
        """Frame rate: as stated, else from numbers and times of the keyframes, else 25."""
        if self.stated_fps is not None:
            return self.stated_fps
        first, last = self.records[0], self.records[-1]
        frames, seconds = last["frame"] - first["frame"], last["time"] - first["time"]
        if frames > 0 and seconds > 0:
            return round(frames / seconds, 6)
        return round(last["frame"] / last["time"], 6) if last["frame"] > 0 and last["time"] > 0 else _DEFAULT_FPS

    @property
    def stride(self) -> float:
        """Seconds between two keyframes, usually; half a second where there is one."""
        times = [float(record["time"]) for record in self.records]
        steps = [after - before for before, after in pairwise(times) if after > before]
        return median(steps) if steps else 0.5

    @property
    def frame_count(self) -> int:
        """Frames of the video, as far as is known; at least up to the last keyframe."""
        last = int(self.records[-1]["frame"]) + 1
        return last if self.duration is None else max(last, round(self.duration * self.fps))

    def persons(self) -> Iterator[tuple[Record, int, Record]]:
        """(keyframe, track id, person) of everybody; who was not tracked gets a number nobody else has."""
        tracks = [p["track_id"] for record in self.records for p in record["persons"] if p["track_id"] is not None]
        number = max(tracks, default=0)
        for record in self.records:
            for person in record["persons"]:
                track = person["track_id"]
                if track is None:
                    number += 1
                yield record, number if track is None else int(track), person


def labels_that_count(person: Record, min_score: float | None) -> list[Record]:
    """The labels of a person that are said of them, of all groups, best first.

    Args:
        person: Of a record.
        min_score: Score from which a label counts; None: where it is above its decision threshold, and where that is
            not known, from the default threshold on.
    """

    def counts(entry: Record) -> bool:
        if min_score is not None:
            return float(entry["score"]) >= min_score
        above = entry.get("above_threshold")
        return float(entry["score"]) >= DEFAULT_THRESHOLD if above is None else bool(above)

    return [entry for entry in person["actions"] if counts(entry)]


def group_of(entry: Record) -> str:
    """The group of a label of a record."""
    return str(entry.get("group", ACTION))


def inside(person: Record, record: Record) -> tuple[float, float, float, float] | None:
    """The box xyxy in pixels, cut to the frame; None where nothing of it lies there."""
    width, height = float(record["width"]), float(record["height"])
    x1, y1, x2, y2 = (float(v) for v in person["box"])
    if not all(map(math.isfinite, (x1, y1, x2, y2))):
        return None
    x1, x2 = max(0.0, min(x1, width)), max(0.0, min(x2, width))
    y1, y2 = max(0.0, min(y1, height)), max(0.0, min(y2, height))
    return (x1, y1, x2, y2) if x2 > x1 and y2 > y1 else None
