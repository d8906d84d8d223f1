"""FiftyOne: a folder that `fiftyone.Dataset.from_dir` reads as `FiftyOneVideoLabelsDataset`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sf_detect.atomic_file import write_text
from sf_detect.convert.video_records import Record, VideoRecords, group_of, inside, labels_that_count
from sf_detect.errors import ConfigError

_ATTRIBUTE = "eta.core.data.CategoricalAttribute"


def write_fiftyone(videos: Iterator[VideoRecords], folder: Path, min_score: float | None) -> list[Path]:
    """Writes a file of labels for each video, and `manifest.json`, which names the videos where they are.

    Persons are objects `person` with their track as index and the best label of each group that counts as attribute;
    frames count from 1. The videos themselves are not copied.

    Args:
        videos: What is written.
        folder: Of the data set.
        min_score: See `labels_that_count`.

    Raises:
        ConfigError: It is not known where a video is: FiftyOne needs the videos.
    """
    written, index = [], []
    for number, video in enumerate(videos, start=1):
        if not video.source or "://" in video.source:
            raise ConfigError(f"{video.video}: FiftyOne needs the file of the video, got {video.source or 'none'!r}.")
        path = folder / "labels" / f"{number:06d}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(_labels(video, min_score), allow_nan=False) + "\n")
        written.append(path)
        index.append({"data": str(Path(video.source).absolute()), "labels": f"labels/{path.name}"})
    manifest = {"type": "eta.core.datasets.LabeledVideoDataset", "description": "sf_detect", "index": index}
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "manifest.json", json.dumps(manifest) + "\n")
    return [*written, folder / "manifest.json"]


def _labels(video: VideoRecords, min_score: float | None) -> dict[str, Any]:
    frames: dict[str, Any] = {}
    for record, track, person in video.persons():
        found = _object(record, track, person, min_score)
        if found is not None:
            number = int(record["frame"]) + 1
            frame = frames.setdefault(str(number), {"frame_number": number, "objects": {"objects": []}})
            frame["objects"]["objects"].append(found)
    return {"frames": frames}


def _object(record: Record, track: int, person: Record, min_score: float | None) -> dict[str, Any] | None:
    box = inside(person, record)
    if box is None:
        return None
    width, height = record["width"], record["height"]
    corners = [round(v, 6) for v in (box[0] / width, box[1] / height, box[2] / width, box[3] / height)]
    best: dict[str, Record] = {}
    for entry in labels_that_count(person, min_score):
        best.setdefault(group_of(entry), entry)
    attributes = [
        {"type": _ATTRIBUTE, "name": group, "value": entry["label"], "confidence": entry["score"]}
        for group, entry in best.items()
    ]
    return {
        "label": "person",
        "index": track,
        "confidence": person["score"],
        "frame_number": int(record["frame"]) + 1,
        "bounding_box": {
            "top_left": {"x": corners[0], "y": corners[1]},
            "bottom_right": {"x": corners[2], "y": corners[3]},
        },
        "attrs": {"attrs": attributes},
    }
