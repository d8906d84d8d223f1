"""Charades (Sigurdsson et al., ECCV 2016): everyday activities at home, several at once, each with its time span."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np

from sf_detect.data.media import Media, assemble
from sf_detect.data.samples import ActionDataset, ClipSample
from sf_detect.data.tables import Table, read_named_columns, read_text
from sf_detect.errors import ConfigError, DataError
from sf_detect.labels import LabelMap, label_set

NUM_CLASSES = 157
_ADVICE = "fetch the annotations of the data set, or name the file with the option 'annotations'"
_FRAME_COLUMNS = ("original_vido_id", "video_id", "frame_id", "path", "labels")


@dataclass
class CharadesOptions:
    """Charades as published, or as lists of frames.

    Attributes:
        root: Folder of the data set.
        split: "train" or "test" names the csv, where `annotations` is None.
        annotations: Either the published csv (with the columns id, actions, length) or a list of frames (header
            `original_vido_id video_id frame_id path labels`); None takes `root/Charades_v1_SPLIT.csv`.
        media: Folder of the videos, or of the folders of frames; None searches `root`.
        classes: A list of the 157 classes, `c000 Holding some clothes` a line; None takes the published ones.
        window: None makes each video one sample with all its actions, as it is tested. A number of seconds cuts it into
            parts that long, each with the actions that happen in it, as it is trained.
        fps: Rate of folders of frames.
    """

    root: str
    split: str = "train"
    annotations: str | None = None
    media: str | None = None
    classes: str | None = None
    window: float | None = None
    fps: float = 24.0


@dataclass(frozen=True)
class _Video:
    name: str
    length: float
    actions: tuple[tuple[int, float, float], ...]  # class, start, end in seconds
    person: str = ""  # who filmed it, at home; "" where the file does not say


def read_charades(options: CharadesOptions) -> ActionDataset:
    """Videos, or parts of them, with all their actions.

    Raises:
        ConfigError: The window is not positive.
        DataError: A missing or malformed file; all videos are missing.
    """
    if options.window is not None and options.window <= 0:
        raise ConfigError(f"window is a positive number of seconds or nothing, got {options.window}")
    root = Path(options.root)
    path = Path(options.annotations) if options.annotations else root / f"Charades_v1_{options.split}.csv"
    folders = [Path(options.media) if options.media else root]
    media = Media(folders)
    head = read_text(path, _ADVICE).split("\n", 1)[0]
    videos = _frame_list(path, options.fps) if head.startswith(_FRAME_COLUMNS[0]) else _published(path)
    samples, missing = [], []
    for video in videos:
        place = media.find(video.name)
        if place is None:
            missing.append(video.name)
        else:
            samples += list(_samples(video, place, options))
    labels = _labels(Path(options.classes)) if options.classes else label_set("charades157")
    dataset = assemble(f"Charades {options.split}", "classification", samples, labels, True, missing, path, folders)
    return replace(dataset, sources={video.name: f"person {video.person}" for video in videos if video.person})


def _labels(path: Path) -> LabelMap:
    names: list[str] = []
    for line, text in enumerate(read_text(path, _ADVICE).splitlines(), start=1):
        match = re.fullmatch(r"c(\d{3}) (.+)", text.strip())
        if match is None or int(match[1]) != len(names):
            raise DataError(path, line, f"expected 'c{len(names):03d} NAME', got {text!r}")
        names.append(match[2])
    if len(names) != NUM_CLASSES:
        raise DataError(path, None, f"lists {len(names)} classes; Charades has {NUM_CLASSES}")
    return LabelMap.of(names)


def _published(path: Path) -> list[_Video]:
    table, places = read_named_columns(path, ("id", "actions", "length"), _ADVICE)
    lengths = table.numbers(places["length"], "length").tolist()
    videos = []
    for line, row, length in zip(table.lines, table.rows, lengths, strict=True):
        actions = tuple(_actions(path, line, row[places["actions"]]))
        person = row[places["subject"]] if "subject" in places else ""
        videos.append(_Video(row[places["id"]], length, actions, person))
    return videos


def _actions(path: Path, line: int, text: str) -> Iterator[tuple[int, float, float]]:
    for part in filter(None, (part.strip() for part in text.split(";"))):
        match = re.fullmatch(r"c(\d{3}) (\d+(?:\.\d+)?) (\d+(?:\.\d+)?)", part)
        if match is None or int(match[1]) >= NUM_CLASSES:
            raise DataError(path, line, f"expected actions such as 'c092 11.90 21.20', c000 to c156, got {part!r}")
        yield int(match[1]), float(match[2]), float(match[3])


def _frame_list(path: Path, fps: float) -> list[_Video]:
    """Videos of a list of frames, in which every frame has a row; runs of a class become its spans."""
    table = _frame_table(path)
    videos: dict[str, dict[int, list[int]]] = {}
    for line, row in zip(table.lines, table.rows, strict=True):
        classes = row[4].strip('"')
        if not row[2].isdecimal() or not re.fullmatch(r"(\d+(,\d+)*)?", classes):
            raise DataError(path, line, f'expected a frame number and classes such as "12,145", got {row[2:]}')
        numbers = [int(number) for number in filter(None, classes.split(","))]
        if max(numbers, default=0) >= NUM_CLASSES:
            raise DataError(path, line, f"classes are 0 to {NUM_CLASSES - 1}, got {classes}")
        videos.setdefault(row[0], {})[int(row[2])] = numbers
    return [_from_frames(name, frames, fps) for name, frames in videos.items()]


def _frame_table(path: Path) -> Table:
    lines, rows = [], []
    for line, text in enumerate(read_text(path, _ADVICE).splitlines(), start=1):
        cells = text.split()
        if line == 1 or not cells:
            continue
        if len(cells) not in (4, 5):
            raise DataError(path, line, f"expected {' '.join(_FRAME_COLUMNS)}, got {text!r}")
        lines.append(line)
        rows.append((*cells, "") if len(cells) == 4 else tuple(cells))
    return Table(path, tuple(lines), tuple(rows))


def _from_frames(name: str, frames: dict[int, list[int]], fps: float) -> _Video:
    first = min(frames)
    actions = []
    for label in sorted({number for numbers in frames.values() for number in numbers}):
        places = np.array(sorted(f - first for f, numbers in frames.items() if label in numbers))
        for run in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1):
            actions.append((label, run[0] / fps, (run[-1] + 1) / fps))
    return _Video(name, (max(frames) - first + 1) / fps, tuple(actions))


def _samples(video: _Video, path: Path, options: CharadesOptions) -> Iterator[ClipSample]:
    fps = Fraction(options.fps).limit_denominator(1001) if path.is_dir() else None
    if options.window is None:
        labels = (tuple(sorted({label for label, _, _ in video.actions})),)
        yield ClipSample(video.name, path, labels=labels, fps=fps)
        return
    count = max(1, round(video.length / options.window))
    edges = np.linspace(0, video.length, count + 1).tolist()
    for start, end in pairwise(edges):
        inside = {label for label, first, last in video.actions if first < end and last > start}
        yield ClipSample(video.name, path, span=(start, end), labels=(tuple(sorted(inside)),), fps=fps)
