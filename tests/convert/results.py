"""Results to convert, made on the spot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sf_detect.convert.video_records import VideoRecords

FPS = 10.0


def person(track: int | None, box: tuple[float, float, float, float], **labels: float) -> dict[str, Any]:
    """A person; labels with scores, `posture_sit=0.8` is of the group posture. From 0.5 on they count."""
    actions = []
    for name, score in sorted(labels.items(), key=lambda item: -item[1]):
        group, _, label = name.rpartition("posture_")
        entry: dict[str, Any] = {"label": label, "score": score, "above_threshold": score >= 0.5}
        actions.append({**entry, "group": "posture"} if group or name.startswith("posture_") else entry)
    return {"box": list(box), "score": 0.9, "track_id": track, "actions": actions}


def keyframe(video: str, frame: int, *persons: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": "sf-detect/1",
        "video": video,
        "frame": frame,
        "time": round(frame / FPS, 6),
        "width": 200,
        "height": 100,
        "persons": list(persons),
    }


RECORDS = [
    keyframe("cam/a.mp4", 0, person(1, (10, 10, 50, 90), wave=0.8, walk=0.6), person(2, (100, 10, 140, 90), walk=0.2)),
    keyframe("cam/a.mp4", 5, person(1, (20, 10, 60, 90), wave=0.7, posture_stand=0.9)),
    keyframe("cam/a.mp4", 10),
    keyframe("cam/a.mp4", 15, person(1, (40, 10, 80, 90), walk=0.9)),
    keyframe("b.mp4", 0, person(None, (-10, 10, 30, 120), wave=0.6), person(None, (300, 10, 310, 20), wave=0.6)),
]


def videos() -> Iterator[VideoRecords]:
    yield VideoRecords("cam/a.mp4", RECORDS[:4], source="/videos/cam/a.mp4")
    yield VideoRecords("b.mp4", RECORDS[4:], source="/videos/b.mp4")


def write_lines(path: Path, records: list[dict[str, Any]] = RECORDS) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path
