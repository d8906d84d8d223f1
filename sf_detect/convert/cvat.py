"""CVAT: "CVAT for video 1.1" xml, one file for each video, there and back."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from sf_detect.atomic_file import atomic_file
from sf_detect.convert.video_records import Record, VideoRecords, group_of, inside, labels_that_count
from sf_detect.errors import ConfigError, DataError
from sf_detect.records import ACTION, SCHEMA

PERSON = "person"
MOST_BYTES = 1 << 30
"""Largest file that is read."""
_MOST_SIZE = 1 << 16
_LONGEST_GAP = 1_000_000  # frames
_ATTRIBUTE = "action"  # an attribute of this name holds names of actions


def write_cvat(video: VideoRecords, path: Path, min_score: float | None) -> Path:
    """Writes a video's persons as tracks, each label as a checkbox of the box.

    Boxes are keyframes of CVAT, which interpolates between them; a track ends a keyframe interval after its last box.

    Args:
        video: What is written.
        path: The file.
        min_score: See `labels_that_count`.
    """
    boxes: dict[int, list[tuple[Record, Record]]] = defaultdict(list)
    for record, track, person in video.persons():
        if inside(person, record) is not None:
            boxes[track].append((record, person))
    names = sorted({_name(e) for looks in boxes.values() for _, p in looks for e in labels_that_count(p, min_score)})
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    root.append(_meta(video, names))
    step = max(1, round(video.stride * video.fps))
    for track, looks in sorted(boxes.items()):
        element = ElementTree.SubElement(root, "track", id=str(track), label=PERSON, source="auto")
        for record, person in looks:
            counted = {_name(entry) for entry in labels_that_count(person, min_score)}
            element.append(_box(record, person, int(record["frame"]), counted, names))
        after = int(looks[-1][0]["frame"]) + step
        if after < video.frame_count:
            element.append(_box(*looks[-1], after, set(), names, outside=True))
    ElementTree.indent(root)
    with atomic_file(path) as file:
        ElementTree.ElementTree(root).write(file, encoding="utf-8", xml_declaration=True)
    return path


def _meta(video: VideoRecords, names: list[str]) -> ElementTree.Element:
    meta = ElementTree.Element("meta")
    task = ElementTree.SubElement(meta, "task")
    for key, value in {
        "name": video.video,
        "size": str(video.frame_count),
        "mode": "interpolation",
        "overlap": "0",
        "start_frame": "0",
        "stop_frame": str(video.frame_count - 1),
    }.items():
        ElementTree.SubElement(task, key).text = value
    label = ElementTree.SubElement(ElementTree.SubElement(task, "labels"), "label")
    ElementTree.SubElement(label, "name").text = PERSON
    attributes = ElementTree.SubElement(label, "attributes")
    for name in names:
        attribute = ElementTree.SubElement(attributes, "attribute")
        fields = {
            "name": name,
            "mutable": "True",
            "input_type": "checkbox",
            "default_value": "false",
            "values": "false",
        }
        for key, value in fields.items():
            ElementTree.SubElement(attribute, key).text = value
    size = ElementTree.SubElement(task, "original_size")
    ElementTree.SubElement(size, "width").text, ElementTree.SubElement(size, "height").text = map(str, video.size)
    ElementTree.SubElement(task, "source").text = video.video
    return meta


def _box(
    record: Record, person: Record, frame: int, counted: set[str], names: list[str], outside: bool = False
) -> ElementTree.Element:
    box = inside(person, record)
    assert box is not None
    corners = {key: f"{value:.2f}" for key, value in zip(("xtl", "ytl", "xbr", "ybr"), box, strict=True)}
    flags = {"frame": str(frame), "outside": str(int(outside)), "occluded": "0", "keyframe": "1", "z_order": "0"}
    element = ElementTree.Element("box", {**flags, **corners})
    for name in names:
        ElementTree.SubElement(element, "attribute", name=name).text = str(name in counted).lower()
    return element


def _name(entry: Record) -> str:
    """Postures and actions may have one name."""
    group = group_of(entry)
    return entry["label"] if group == ACTION else f"{group}:{entry['label']}"


def read_cvat(path: Path, fps: float | None, video: str | None = None, every: float = 0.5) -> VideoRecords:
    """Persons and actions of a "CVAT for video 1.1" file, at keyframes.

    Every box is a person. What they do: the label of the track unless it is `person`, the value of an attribute
    `action` (several separated by commas), and the names of checkboxes that are ticked.

    Args:
        path: The xml.
        fps: Frame rate of the video, which the file does not tell.
        video: Name of the video; None takes that of the file.
        every: Seconds between two keyframes; 0 takes every frame.

    Raises:
        ConfigError: No frame rate.
        DataError: It is not such a file, too large, or declares entities.
    """
    if fps is None or not 0 < fps < float("inf"):
        raise ConfigError("files of CVAT do not tell the frame rate of their video; give it with --fps.")
    step = max(1, round(every * fps))
    task: dict[str, str] = {}
    frames: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for kind, element in _elements(path):
        if kind == "task":
            task = _task(element)
        elif kind == "image":
            raise DataError(path, None, 'is "CVAT for images"; export the task as "CVAT for video 1.1".')
        else:
            _add_track(path, element, frames, step)
    if not task.get("width") or not task.get("height"):
        raise DataError(path, None, 'has no meta/task/original_size; expected "CVAT for video 1.1" of a task.')
    width, height = (_whole(path, task[side], "original_size") for side in ("width", "height"))
    if not (0 < width <= _MOST_SIZE and 0 < height <= _MOST_SIZE):
        raise DataError(path, None, f"original_size is {width}x{height}; expected pixels from 1 to {_MOST_SIZE}.")
    name = video or os.path.basename(task.get("source") or task.get("name") or "") or path.stem
    about = {"schema": SCHEMA, "video": name, "width": width, "height": height}
    records: list[Record] = [
        {**about, "frame": frame, "time": round(frame / fps, 6), "persons": persons}
        for frame, persons in sorted(frames.items())
    ]
    if not records:
        raise DataError(path, None, "holds no box on a keyframe; expected tracks of persons.")
    return VideoRecords(name, records, stated_fps=fps)


def _elements(path: Path) -> Iterator[tuple[str, ElementTree.Element]]:
    """meta/task, tracks and images, each complete, one at a time in memory."""
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import ParseError, iterparse

    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(path, None, f"is larger than {MOST_BYTES >> 20} MiB.")
        depth = 0
        root: ElementTree.Element | None = None
        for event, element in iterparse(str(path), events=("start", "end"), forbid_dtd=True):
            depth += 1 if event == "start" else -1
            if root is None:
                root = element
                if element.tag != "annotations":
                    raise DataError(
                        path, None, f'is <{element.tag:.40}>; expected <annotations> of "CVAT for video 1.1".'
                    )
            if depth > 100:
                raise DataError(path, None, "is nested too deeply.")
            if event == "end" and element.tag in ("task", "track", "image"):
                yield element.tag, element
                element.clear()
            if event == "end" and depth == 1:
                root.clear()
    except (ParseError, DefusedXmlException, UnicodeError, ValueError) as error:
        raise DataError(path, None, f"is no XML that is read ({error}); expected an export of CVAT.") from error
    except OSError as error:
        raise DataError(path, None, f"cannot be read: {error.strerror}.") from error


def _task(element: ElementTree.Element) -> dict[str, str]:
    found = {key: element.findtext(key, "") for key in ("name", "source")}
    return {**found, **{side: element.findtext(f"original_size/{side}", "") for side in ("width", "height")}}


def _add_track(path: Path, track: ElementTree.Element, frames: dict[int, list[dict[str, Any]]], step: int) -> None:
    """Boxes at keyframes; where a track has none, between two of its boxes, as CVAT interpolates them."""
    number = _whole(path, track.get("id", ""), "id of a track")
    boxes = sorted(track.iter("box"), key=lambda box: _whole(path, box.get("frame", ""), "frame of a box"))
    for box, following in zip(boxes, [*boxes[1:], None], strict=True):
        if box.get("outside") == "1":
            continue
        first = int(box.get("frame", "0"))
        last = first + 1 if following is None else int(following.get("frame", "0"))
        if last - first > _LONGEST_GAP:
            raise DataError(path, None, f"track {number} has no box for {last - first} frames; expected fewer.")
        corners = _corners(path, box)
        after = corners if following is None or following.get("outside") == "1" else _corners(path, following)
        for frame in range(-(-first // step) * step, last, step):
            share = (frame - first) / (last - first)
            moved = [one + share * (other - one) for one, other in zip(corners, after, strict=True)]
            actions = [{"label": name, "score": 1.0, "above_threshold": True} for name in _actions(track, box)]
            frames[frame].append({"box": moved, "score": 1.0, "track_id": number, "actions": actions})


def _corners(path: Path, box: ElementTree.Element) -> list[float]:
    return [_number(path, box.get(key, "")) for key in ("xtl", "ytl", "xbr", "ybr")]


def _actions(track: ElementTree.Element, box: ElementTree.Element) -> list[str]:
    names = [] if track.get("label", PERSON).lower() == PERSON else [str(track.get("label"))]
    for attribute in (*track.findall("attribute"), *box.findall("attribute")):
        name, value = attribute.get("name", ""), (attribute.text or "").strip()
        if name.lower() == _ATTRIBUTE:
            names += [part.strip() for part in value.split(",") if part.strip()]
        elif value.lower() == "true":
            names.append(name)
    return list(dict.fromkeys(names))


def _whole(path: Path, text: str, what: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text):
        raise DataError(path, None, f"the {what} is {text!r:.40}; expected a whole number.")
    return int(text)


def _number(path: Path, text: str) -> float:
    if not re.fullmatch(r"-?\d{1,9}(\.\d{0,20})?", text):
        raise DataError(path, None, f"a corner of a box is {text!r:.40}; expected a number of pixels.")
    return float(text)
