"""Rows of the tables, from records (`sf_detect.records`) and events."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sf_detect.events import Event
from sf_detect.records import ACTION


def person_rows(record: Mapping[str, Any], video: str | None = None) -> list[dict[str, Any]]:
    """Rows of `schema.PERSONS`, one a person of a keyframe's record.

    Args:
        record: As `records.keyframe_record` makes and `records.parse_record` reads it.
        video: Name of the video in the archive; None takes the record's.

    Raises:
        ValueError: A box or score is not a finite number.
        KeyError, TypeError: It is not such a record.
    """
    frame = {
        "video": str(record["video"]) if video is None else video,
        "frame": int(record["frame"]),
        "time": _finite(record["time"]),
        "width": int(record["width"]),
        "height": int(record["height"]),
    }
    return [{**frame, **_person(person)} for person in record["persons"]]


def _person(person: Mapping[str, Any]) -> dict[str, Any]:
    x1, y1, x2, y2 = map(_finite, person["box"])
    track = person["track_id"]
    return {
        "track_id": None if track is None else int(track),
        "x1": x1,
        "y1": y1,
        "x2": x2,
        "y2": y2,
        "score": _finite(person["score"]),
        "labels": [_label(entry) for entry in person["actions"]],
    }


def _label(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "label": str(entry["label"]),
        "label_group": entry.get("group", ACTION),
        "score": _finite(entry["score"]),
        "above_threshold": entry.get("above_threshold"),
    }


def segment_row(event: Event, video: str, source: str, group: str = ACTION) -> dict[str, Any]:
    """A row of `schema.SEGMENTS`."""
    return {
        "video": video,
        "source": source,
        "track_id": event.track_id,
        "label_group": group,
        "label": event.label,
        "start_time": round(event.start, 6),
        "end_time": round(event.end, 6),
        "score": event.score,
    }


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"expected finite numbers, got {value!r}")
    return number
