"""The parts of videos that a question found, as files of their own."""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from sf_detect.archive.database import Answer
from sf_detect.archive.hiding import PersonBoxes
from sf_detect.archive.places import locate
from sf_detect.archive.schema import VideoFacts
from sf_detect.errors import ConfigError, SFDetectError
from sf_detect.file_names import inner_path, printable_name, shortened
from sf_detect.interfaces import VideoSource
from sf_detect.structures import FloatArray, Frame, UInt8Array

_STAY = 0.3
"""Seconds for which a person stays hidden whom the detector found once."""
MARGIN = 0.5
"""Seconds before and after a segment that its clip holds too."""


FindPersons = Callable[[UInt8Array], FloatArray]
HIDING = ("head", "person")
"""What can be hidden of persons."""


@dataclass(frozen=True)
class Part:
    """A part of a video of an archive.

    Attributes:
        video: Its name in the archive.
        start, end: Seconds of the video.
        track: The person; None where unknown.
        label: What is done; empty where unknown.
    """

    video: str
    start: float
    end: float
    track: int | None = None
    label: str = ""

    @property
    def file_name(self) -> str:
        """For a clip: folders and name of the video, time, label and person, without an ending."""
        folder, _, last = inner_path(self.video).rpartition("/")
        stem = last.rpartition(".")[0] or last
        what = "".join(f"_{text}" for text in (self.label, "" if self.track is None else str(self.track)) if text)
        what = re.sub(r"[^\w.-]+", "-", what)
        name = shortened(stem, f"_{self.start:09.3f}-{self.end:09.3f}{what}", limit=200)
        return f"{folder}/{name}" if folder else name


def parts_of(answer: Answer) -> list[Part]:
    """What an answer found, to be cut out or shown.

    Raises:
        ConfigError: It has no columns video, start_time and end_time.
    """
    place = {name: i for i, name in enumerate(answer.columns)}
    missing = [name for name in ("video", "start_time", "end_time") if name not in place]
    if missing:
        raise ConfigError(
            f"clips and sheets need the columns video, start_time and end_time; the answer lacks {', '.join(missing)}. "
            "Add them to the SELECT."
        )

    def part(row: Sequence[Any]) -> Part:
        value = {name: row[i] for name, i in place.items()}
        track, label = value.get("track_id"), value.get("label")
        try:
            start, end = float(value["start_time"]), float(value["end_time"])
            if not (math.isfinite(start) and math.isfinite(end)):
                raise ValueError("a time that is no number")
            return Part(str(value["video"]), start, end, None if track is None else int(track), str(label or ""))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"start_time, end_time and track_id are numbers, got {row!r:.100}.") from error

    return [part(row) for row in answer.rows]


@dataclass(frozen=True)
class Cutting:
    """How clips are cut.

    Attributes:
        folder: Where they go, in folders as those of the videos.
        margin: Seconds before and after each part.
        copy: Copy packets from the key picture before the part on, instead of encoding again.
        videos_root: See `places.locate`.
        hide: "head" or "person": make persons unrecognisable; None shows them.
        find_persons: Looks for persons in a frame, in addition to those that the archive has: boxes (N, 4) xyxy.

    Raises:
        ConfigError: A margin that makes no sense, or hiding in copied pictures.
    """

    folder: Path
    margin: float = MARGIN
    copy: bool = False
    videos_root: Path | None = None
    hide: str | None = None
    find_persons: FindPersons | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.margin < float("inf"):
            raise ConfigError(f"--margin is a number of seconds from 0 up, got {self.margin}.")
        if self.hide not in (None, *HIDING):
            raise ConfigError(f"--anonymise is {' or '.join(HIDING)}, got {self.hide!r}.")
        if self.copy and self.hide is not None:
            raise ConfigError(
                "--copy takes pictures as they are, so --anonymise can't hide anybody in them: leave one."
            )


def cut(
    parts: Iterable[Part],
    videos: Mapping[str, VideoFacts],
    how: Cutting,
    boxes: Mapping[str, PersonBoxes],
    on_problem: Callable[[str], None],
) -> Iterator[Path]:
    """Writes a clip for each part; what fails is told and left out.

    Args:
        parts: Of any videos of the archive.
        videos: What is known of the videos, by name.
        how: How they are cut.
        boxes: Of all persons, by video; needed where they are hidden.
        on_problem: Receives what went wrong with a video or a clip, and what is to be known of one.

    Yields:
        The files, as they are written.
    """
    ordered = sorted(parts, key=lambda part: (part.video, part.start, part.end))
    used: set[str] = set()
    for video, of_video in groupby(ordered, key=lambda part: part.video):
        named = [(part, _unused(part.file_name, used)) for part in of_video]
        try:
            source = locate(facts_of(video, videos), how.videos_root)
            yield from _cut_video(source, named, how, boxes.get(video), on_problem)
        except SFDetectError as error:
            on_problem(f"{error} No clip of it was cut ({len(named)}).")


def facts_of(video: str, videos: Mapping[str, VideoFacts]) -> VideoFacts:
    """What is known of a video.

    Raises:
        ConfigError: The archive does not have it.
    """
    if video not in videos:
        raise ConfigError(f"the archive has no video {printable_name(video)!r}.")
    return videos[video]


def _unused(name: str, used: set[str]) -> str:
    """The name, with a number where it is taken."""
    found, number = name, 1
    while found.lower() in used:
        number += 1
        found = f"{name}_{number}"
    used.add(found.lower())
    return found


def _cut_video(
    source: str,
    parts: Sequence[tuple[Part, str]],
    how: Cutting,
    boxes: PersonBoxes | None,
    on_problem: Callable[[str], None],
) -> Iterator[Path]:
    from sf_detect.video import open_source

    file = Path(source) if Path(source).is_file() else None
    if how.copy and file is None:
        raise ConfigError(f"{source}: only files can be copied from; leave --copy out.")
    if how.hide is not None and boxes is None:
        raise ConfigError(f"nobody can be hidden in {source}: the archive has no boxes of its persons.")
    with closing(open_source(source)) as opened:
        for part, name in parts:
            try:
                yield _cut_part(opened, file, part, how.folder / f"{name}.mp4", how, boxes, on_problem)
            except SFDetectError as error:
                on_problem(f"{error} The clip was not cut.")


def _cut_part(
    opened: VideoSource,
    file: Path | None,
    part: Part,
    target: Path,
    how: Cutting,
    boxes: PersonBoxes | None,
    on_problem: Callable[[str], None],
) -> Path:
    from sf_detect.video.excerpts import copy_excerpt, encode_excerpt

    start, end = max(0.0, part.start - how.margin), part.end + how.margin
    if how.copy and file is not None:
        return copy_excerpt(file, target, start, end)
    change = None if how.hide is None or boxes is None else Hiding(boxes, how.hide, how.find_persons)
    problem = encode_excerpt(opened, target, start, end, file, change)
    if problem is not None:
        on_problem(f"{target}: {problem}")
    return target


class Hiding:
    """Makes persons in the frames of a part unrecognisable.

    Args:
        boxes: Of the persons that the archive has.
        what: "head" or "person".
        find_persons: Finds more in a frame; they are hidden for a moment longer, as it may miss one.
    """

    def __init__(self, boxes: PersonBoxes, what: str, find_persons: FindPersons | None = None) -> None:
        self._boxes, self._what, self._find = boxes, what, find_persons
        self._found: deque[tuple[float, FloatArray]] = deque()

    def __call__(self, frame: Frame) -> UInt8Array:
        """The picture without faces; frames come in order of time."""
        from sf_detect.rendering.anonymise import anonymise

        image = frame.image.copy()
        anonymise(image, np.concatenate([self._boxes.at(frame.pts, frame.size), *self._looked(frame)]), self._what)
        return image

    def _looked(self, frame: Frame) -> list[FloatArray]:
        if self._find is None:
            return []
        while self._found and not 0 <= frame.pts - self._found[0][0] <= _STAY + 1e-6:
            self._found.popleft()
        self._found.append((frame.pts, self._find(frame.image)))
        return [boxes for _, boxes in self._found]
