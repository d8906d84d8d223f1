"""COCO json with videos (as of CocoVID): images are keyframes, annotations are persons with tracks and labels."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sf_detect.atomic_file import atomic_file
from sf_detect.convert.video_records import VideoRecords, group_of, inside, labels_that_count

_PERSON = {"id": 1, "name": "person", "supercategory": "person"}


def write_coco(videos: Callable[[], Iterator[VideoRecords]], path: Path, min_score: float | None) -> list[Path]:
    """Writes one file for all videos.

    Category 1 is the person. `track_id` and `instance_id` are unique in the file; `attributes` has `track_id`, as in
    the results, and the labels of each group that count, separated by commas. Images are called VIDEO/FRAME.jpg, with
    `frame_id` from 0.

    Args:
        videos: Gives what is written; called three times.
        path: The file.
        min_score: See `labels_that_count`.
    """
    info = {"description": "sf_detect: who does what, where and when"}
    with atomic_file(path) as file:

        def put(text: str) -> None:
            file.write(text.encode())

        put(f'{{"info": {json.dumps(info)}, "licenses": [], "categories": {json.dumps([_PERSON])}')
        for name, entries in (
            ("videos", _videos(videos())),
            ("images", _images(videos())),
            ("annotations", _annotations(videos(), min_score)),
        ):
            put(f',\n"{name}": [')
            for number, entry in enumerate(entries):
                put(("," if number else "") + "\n" + json.dumps(entry, allow_nan=False))
            put("]")
        put("}\n")
    return [path]


def _videos(videos: Iterator[VideoRecords]) -> Iterator[dict[str, Any]]:
    for number, video in enumerate(videos, start=1):
        width, height = video.size
        yield {"id": number, "name": video.video, "width": width, "height": height, "fps": video.fps}


def _images(videos: Iterator[VideoRecords]) -> Iterator[dict[str, Any]]:
    number = 0
    for video_id, video in enumerate(videos, start=1):
        for record in video.records:
            number += 1
            yield {
                "id": number,
                "video_id": video_id,
                "frame_id": record["frame"],
                "file_name": f"{video.video}/{record['frame']:06d}.jpg",
                "width": record["width"],
                "height": record["height"],
                "time": record["time"],
            }


def _annotations(videos: Iterator[VideoRecords], min_score: float | None) -> Iterator[dict[str, Any]]:
    number, image_id = 0, 0
    tracks: dict[tuple[int, int], int] = {}
    for video_id, video in enumerate(videos, start=1):
        images = {id(record): image_id + i for i, record in enumerate(video.records, start=1)}
        image_id += len(video.records)
        for record, track, person in video.persons():
            box = inside(person, record)
            if box is None:
                continue
            number += 1
            x1, y1, x2, y2 = (round(v, 2) for v in box)
            instance = tracks.setdefault((video_id, track), len(tracks) + 1)
            labels: dict[str, list[str]] = {}
            for entry in labels_that_count(person, min_score):
                labels.setdefault(group_of(entry), []).append(entry["label"])
            yield {
                "id": number,
                "image_id": images[id(record)],
                "video_id": video_id,
                "category_id": 1,
                "bbox": [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)],
                "area": round((x2 - x1) * (y2 - y1), 2),
                "segmentation": [],
                "iscrowd": 0,
                "score": person["score"],
                "track_id": instance,
                "instance_id": instance,
                "attributes": {"track_id": track, **{group: ",".join(names) for group, names in labels.items()}},
            }
