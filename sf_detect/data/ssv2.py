"""Something-Something v2 (Goyal et al., ICCV 2017): 174 ways of handling things, one per short clip."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from sf_detect.data.media import Media, assemble
from sf_detect.data.samples import ActionDataset, ClipSample
from sf_detect.data.tables import read_text
from sf_detect.errors import DataError, UnknownNameError
from sf_detect.labels import LabelMap, label_set

_ADVICE = "fetch the labels of the data set, or name the file with the options 'annotations' and 'classes'"
_SPLIT_FILES = {"val": "validation"}


@dataclass
class SSv2Options:
    """Something-Something v2 as published.

    Attributes:
        root: Folder of the data set.
        split: "train", "val" or "test".
        annotations: The json list of the split; None takes `something-something-v2-SPLIT.json` (or `SPLIT.json`) in
            `root` or `root/labels`.
        classes: The json of the 174 templates and their numbers; None takes `something-something-v2-labels.json` (or
            `labels.json`) in the same places, and the published numbers where there is none.
        media: Folder of the videos `ID.webm` or of folders of frames; None searches `root`.
        fps: Rate of folders of frames.
    """

    root: str
    split: str = "train"
    annotations: str | None = None
    classes: str | None = None
    media: str | None = None
    fps: float = 30.0


def read_ssv2(options: SSv2Options) -> ActionDataset:
    """Clips with their action; those of the test list have none.

    Raises:
        DataError: A missing or malformed file, an unknown template; all videos are missing.
    """
    root = Path(options.root)
    path = _file(root, options.annotations, _SPLIT_FILES.get(options.split, options.split), options.split)
    classes = _file(root, options.classes, "labels", "labels")
    labels = _labels(classes) if options.classes or classes.is_file() else label_set("ssv2_174")
    folders = [Path(options.media) if options.media else root]
    media = Media(folders)
    fps = Fraction(options.fps).limit_denominator(1001)
    samples, missing = [], []
    for video, targets in _entries(path, labels):
        place = media.find(video)
        if place is None:
            missing.append(video)
        else:
            samples.append(ClipSample(video, place, labels=targets, fps=fps if place.is_dir() else None))
    name = f"Something-Something v2 {options.split}"
    return assemble(name, "classification", samples, labels, False, missing, path, folders)


def _file(root: Path, given: str | None, published: str, short: str) -> Path:
    if given:
        return Path(given)
    places = [
        folder / name
        for folder in (root, root / "labels")
        for name in (f"something-something-v2-{published}.json", f"{short}.json")
    ]
    return next((place for place in places if place.is_file()), places[0])


def _json(path: Path, kind: type, what: str) -> Any:
    try:
        content = json.loads(read_text(path, _ADVICE))
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        raise DataError(path, line, f"is not JSON: {getattr(error, 'msg', error)}") from error
    if not isinstance(content, kind):
        raise DataError(path, None, f"expected {what}, got {type(content).__name__}")
    return content


def _labels(path: Path) -> LabelMap:
    content = _json(path, dict, "an object of template: number")
    try:
        numbers = {int(number): str(name) for name, number in content.items()}
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(path, None, f"expected an object of template: number; {error}") from error
    if sorted(numbers) != list(range(len(content))):
        raise DataError(path, None, f"numbers its {len(content)} classes with gaps or twice; expected 0, 1, 2, ...")
    return LabelMap.of([numbers[i] for i in range(len(numbers))])


def _entries(path: Path, labels: LabelMap) -> list[tuple[str, tuple[tuple[int, ...], ...]]]:
    index = {name: place for place, name in enumerate(labels.names)}
    entries: list[tuple[str, tuple[tuple[int, ...], ...]]] = []
    for number, entry in enumerate(_json(path, list, 'a list of {"id": ..., "template": ...}'), start=1):
        if not isinstance(entry, dict) or "id" not in entry:
            raise DataError(path, None, f'entry {number} is not {{"id": ..., "template": ...}}, got {entry!r}')
        if "template" not in entry:  # of the test list
            entries.append((str(entry["id"]), ()))
            continue
        template = str(entry["template"]).replace("[", "").replace("]", "")
        if template not in index:
            raise DataError(path, None, f"entry {number}: {UnknownNameError('template', template, index)}")
        entries.append((str(entry["id"]), ((index[template],),)))
    return entries
