"""Label Studio: tasks with rectangles on video (`VideoRectangle`) as json, there and back."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from sf_detect.atomic_file import atomic_file
from sf_detect.convert.video_records import Record, VideoRecords, inside, labels_that_count
from sf_detect.errors import ConfigError, DataError
from sf_detect.records import SCHEMA

PERSON = "person"
MOST_BYTES = 1 << 28
"""Largest file that is read."""
_MOST_FRAMES = 10_000_000
_MOST_LOOKS = 5_000_000
_TRACK = re.compile(r"track (\d{1,9})")
_NOMINAL = (1000, 1000)  # where nobody says how large the video is, shares of it are kept

_Look = tuple[Record, Record]
"""Keyframe and person."""


def write_label_studio(videos: Iterator[VideoRecords], path: Path, min_score: float | None) -> list[Path]:
    """Writes one file of tasks with predictions.

    A region is a person who does one thing for a while: it has a label, and a box for each keyframe. Who does nothing
    that counts is a `person`. The track id is in the region's meta text. The labelling configuration needs
    `<Labels name="label" toName="video">` and `<VideoRectangle name="box" toName="video">` over `<Video name="video">`.

    Args:
        videos: What is written.
        path: The file.
        min_score: See `labels_that_count`.
    """
    with atomic_file(path) as file:
        for number, video in enumerate(videos):
            file.write(("[\n" if not number else ",\n").encode())
            file.write(json.dumps(_task(video, min_score), allow_nan=False).encode())
        file.write(b"\n]\n" if file.tell() else b"[]\n")
    return [path]


def _task(video: VideoRecords, min_score: float | None) -> dict[str, Any]:
    tracks: dict[int, list[_Look]] = defaultdict(list)
    for record, track, person in video.persons():
        if inside(person, record) is not None:
            tracks[track].append((record, person))
    result = [region for track, looks in sorted(tracks.items()) for region in _regions(video, track, looks, min_score)]
    prediction = {"model_version": "sf_detect", "result": result}
    return {"data": {"video": video.source or video.video}, "predictions": [prediction]}


def _regions(video: VideoRecords, track: int, looks: list[_Look], min_score: float | None) -> Iterator[dict[str, Any]]:
    counted = [{entry["label"] for entry in labels_that_count(person, min_score)} or {PERSON} for _, person in looks]
    for label in sorted(set().union(*counted)):
        for on, group in groupby(range(len(looks)), key=lambda i: label in counted[i]):
            if on:
                yield _region(video, track, label, [looks[i] for i in group])


def _region(video: VideoRecords, track: int, label: str, looks: list[_Look]) -> dict[str, Any]:
    width, height = video.size
    sequence = [_placed(video, record, person, enabled=True) for record, person in looks]
    sequence[-1]["enabled"] = False  # nothing is interpolated behind it
    digest = hashlib.sha256(json.dumps([video.video, track, label, sequence[0]["frame"]]).encode()).hexdigest()[:10]
    return {
        "id": digest,
        "type": "videorectangle",
        "from_name": "box",
        "to_name": "video",
        "original_width": width,
        "original_height": height,
        "meta": {"text": [f"track {track}"]},
        "value": {
            "framesCount": video.frame_count,
            "duration": round(video.frame_count / video.fps, 6),
            "sequence": sequence,
            "labels": [label],
        },
    }


def _placed(video: VideoRecords, record: Record, person: Record, enabled: bool) -> dict[str, Any]:
    """A look in percent of the frame; frames count from 1."""
    box = inside(person, record)
    assert box is not None
    width, height = record["width"] / 100, record["height"] / 100
    x1, y1, x2, y2 = box[0] / width, box[1] / height, box[2] / width, box[3] / height
    place = {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}
    about = {"frame": int(record["frame"]) + 1, "enabled": enabled, "rotation": 0, "time": record["time"]}
    return {**about, **{key: round(value, 4) for key, value in place.items()}}


def read_label_studio(path: Path, fps: float | None = None, every: float = 0.5) -> Iterator[VideoRecords]:
    """Persons and actions of an export of Label Studio ("JSON"), at keyframes; boxes between looks are interpolated.

    Every rectangle is a person, who does what its labels say unless they say `person`. Rectangles with the same
    `track N` in their meta text are of one person.

    Args:
        path: The file.
        fps: Frame rate of the videos; None: as the regions tell.
        every: Seconds between two keyframes; 0 takes every frame.

    Raises:
        ConfigError: The frame rate is not known.
        DataError: It is not such a file, or too large; names the task.
    """
    some = False
    for number, task in enumerate(_tasks(path), start=1):
        what = f"task {number}"
        try:
            found = _video(path, what, task, fps, every)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            problem = f"{what} is none of Label Studio with rectangles on video ({type(error).__name__}: {error})."
            raise DataError(path, None, problem) from error
        if found is not None:
            some = True
            yield found
    if not some:
        raise DataError(path, None, 'holds no rectangle on a video. Export the tasks in the format "JSON".')


def _tasks(path: Path) -> list[Any]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(path, None, f"is larger than {MOST_BYTES >> 20} MiB; export fewer tasks at a time.")
        tasks = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(path, None, f"cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(path, None, f"is not JSON ({error}); expected an export of Label Studio.") from error
    if not isinstance(tasks, list) or not all(isinstance(task, Mapping) for task in tasks):
        raise DataError(path, None, "is no list of tasks; expected an export of Label Studio in the format JSON.")
    return tasks


def _video(path: Path, what: str, task: Mapping[str, Any], fps: float | None, every: float) -> VideoRecords | None:
    answers = [one for one in task.get("annotations") or () if not one.get("was_cancelled")]
    answers = answers or list(task.get("predictions") or ())
    regions = [r for r in (answers[-1]["result"] if answers else ()) if r.get("type") == "videorectangle"]
    if not regions:
        return None
    rate = fps or _rate(regions)
    if rate is None or not 0 < rate < 1001:
        raise ConfigError(f"{path}: {what} does not tell the frame rate of its video; give it with --fps.")
    size = _size(regions)
    frames: dict[int, dict[int, dict[str, Any]]] = defaultdict(dict)
    looks = 0
    for number, region in enumerate(regions):
        track = _track(region, number)
        for frame, box in _boxes(region["value"]["sequence"], max(1, round(every * rate)), size):
            looks += 1
            if looks > _MOST_LOOKS:
                raise ValueError(f"more than {_MOST_LOOKS} boxes")
            person = frames[frame].setdefault(track, {"box": box, "score": 1.0, "track_id": track, "actions": []})
            known = {entry["label"] for entry in person["actions"]}
            new = [str(name) for name in region["value"].get("labels") or () if str(name).lower() != PERSON]
            person["actions"] += [
                {"label": name, "score": 1.0, "above_threshold": True} for name in new if name not in known
            ]
    about = {"schema": SCHEMA, "video": _name(task), "width": size[0], "height": size[1]}
    records: list[Record] = [
        {**about, "frame": frame, "time": round(frame / rate, 6), "persons": list(persons.values())}
        for frame, persons in sorted(frames.items())
    ]
    return VideoRecords(_name(task), records, stated_fps=rate) if records else None


def _rate(regions: Sequence[Mapping[str, Any]]) -> float | None:
    for region in regions:
        count, duration = region["value"].get("framesCount"), region["value"].get("duration")
        if count and duration and math.isfinite(count / duration):
            return float(count / duration)
    return None


def _size(regions: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    width, height = regions[0].get("original_width"), regions[0].get("original_height")
    return (int(width), int(height)) if width and height and min(width, height) > 0 else _NOMINAL


def _track(region: Mapping[str, Any], number: int) -> int:
    texts = (region.get("meta") or {}).get("text") or ()
    found = [match for text in texts if (match := _TRACK.fullmatch(str(text).strip()))]
    return int(found[0][1]) if found else 1_000_000_000 + number


def _boxes(
    sequence: Sequence[Mapping[str, Any]], step: int, size: tuple[int, int]
) -> Iterator[tuple[int, list[float]]]:
    """(frame from 0, box in pixels) at keyframes. A region goes on from a look to the next unless it is disabled."""
    looks = sorted(sequence, key=lambda look: look["frame"])
    for look, following in zip(looks, [*looks[1:], None], strict=True):
        first = int(look["frame"]) - 1
        if not 0 <= first < _MOST_FRAMES:
            raise ValueError(f"frame {look['frame']}")
        if following is None or not look.get("enabled", True):
            if first % step == 0:
                yield first, _box(look, size)
            continue
        last = int(following["frame"]) - 1
        for frame in range(-(-first // step) * step, min(last, _MOST_FRAMES), step):
            share = (frame - first) / (last - first)
            one, other = _box(look, size), _box(following, size)
            yield frame, [a + share * (b - a) for a, b in zip(one, other, strict=True)]


def _box(look: Mapping[str, Any], size: tuple[int, int]) -> list[float]:
    x, y, width, height = (float(look[key]) for key in ("x", "y", "width", "height"))
    if not all(map(math.isfinite, (x, y, width, height))):
        raise ValueError("a box that is not finite")
    across, down = size[0] / 100, size[1] / 100
    return [x * across, y * down, (x + width) * across, (y + height) * down]


def _name(task: Mapping[str, Any]) -> str:
    """Of the file that the task shows, without what uploading put in front of it."""
    data = task.get("data") or {}
    shown = str(data.get("video") or next((v for v in data.values() if isinstance(v, str)), "video"))
    last = re.split(r"[/\\]", re.split(r"[?#]", shown)[0])[-1] or "video"
    return re.sub(r"^[0-9a-f]{8}-", "", last)
