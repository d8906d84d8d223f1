"""Kinetics-400, -600 and -700 (Kay et al., 2017; Carreira et al., 2018, 2019): one action per ten-second clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sf_detect.data.media import Media, assemble
from sf_detect.data.samples import ActionDataset, ClipSample
from sf_detect.data.tables import Table, read_named_columns, read_text
from sf_detect.errors import DataError, UnknownNameError
from sf_detect.labels import LabelMap, label_set, load_labels

_PUBLISHED = ("kinetics400", "kinetics600")
_ADVICE = "fetch the list of the data set, or name the file with the option 'annotations'"


@dataclass
class KineticsOptions:
    """Kinetics as published, or as lists of files.

    Attributes:
        root: Folder of the data set.
        split: Names the list, `root/SPLIT.csv`, where `annotations` is None.
        annotations: Either the published csv (header `label,youtube_id,time_start,time_end,split`) or a list of files
            without a header, `path label` or `path,label`, the label being a class number.
        media: Folder of the videos, `ID_000010_000020.mp4` or whole videos `ID.mp4`, below any folders; for a list of
            files what their paths are relative to. None takes `root`.
        classes: A label set or label file. None takes the published 400 or 600 where they fit, else the names that
            occur in the published csv, in alphabetical order: give the file where a list may lack some classes.
    """

    root: str
    split: str = "train"
    annotations: str | None = None
    media: str | None = None
    classes: str | None = None


def read_kinetics(options: KineticsOptions) -> ActionDataset:
    """Clips with their action; those of the published test lists have none.

    Raises:
        DataError: A missing or malformed list, an unknown action; all videos are missing.
    """
    root = Path(options.root)
    path = Path(options.annotations) if options.annotations else root / f"{options.split}.csv"
    media = Path(options.media) if options.media else root
    head = read_text(path, _ADVICE).split("\n", 1)[0]
    read = _published if "youtube_id" in head.split(",") else _file_list
    samples, labels, missing = read(path, media, options.classes)
    name = f"Kinetics-{len(labels)} {options.split}"
    return assemble(name, "classification", samples, labels, False, missing, path, [media])


_Read = tuple[list[ClipSample], LabelMap, list[str]]


def _published(path: Path, media: Path, classes: str | None) -> _Read:
    table, places = read_named_columns(path, ("youtube_id", "time_start", "time_end"), _ADVICE)
    starts = table.numbers(places["time_start"], "time_start").tolist()
    ends = table.numbers(places["time_end"], "time_end").tolist()
    names = table.column(places["label"]) if "label" in places else [""] * len(table)
    labels = load_labels(classes) if classes else _classes(names)
    index = {name: place for place, name in enumerate(labels.names)}
    table.require(
        [not name or name in index for name in names],
        lambda row: str(UnknownNameError("action", row[places["label"]], labels.names)),
    )
    found = Media([media])
    samples, missing = [], []
    for video, name, start, end in zip(table.column(places["youtube_id"]), names, starts, ends, strict=True):
        targets = ((index[name],),) if name else ()
        cut = f"{video}_{round(start):06d}_{round(end):06d}"
        clip, whole = found.find(cut), found.find(video)
        if clip is not None:
            samples.append(ClipSample(cut, clip, labels=targets))
        elif whole is not None:
            samples.append(ClipSample(cut, whole, span=(start, end), labels=targets))
        else:
            missing.append(cut)
    return samples, labels, missing


def _classes(names: Sequence[str]) -> LabelMap:
    occurring = sorted({name for name in names if name})
    for known in map(label_set, _PUBLISHED):
        if set(occurring) <= set(known.names):
            return known
    return LabelMap.of(occurring)


def _file_list(path: Path, media: Path, classes: str | None) -> _Read:
    table = read_file_list(path)
    labels = load_labels(classes or "kinetics400")
    _require_class_numbers(table, len(labels))
    samples, missing = [], []
    for name, number in table.rows:
        file = media / name
        if file.exists():
            samples.append(ClipSample(name, file, labels=((int(number),),)))
        else:
            missing.append(name)
    return samples, labels, missing


def read_file_list(path: Path) -> Table:
    """Rows (path, label) of a list without a header, separated by the last blank or comma of each line.

    Raises:
        DataError: Missing file, or a line without two parts.
    """
    lines, rows = [], []
    for line, text in enumerate(read_text(path, _ADVICE).splitlines(), start=1):
        if not text.strip():
            continue
        separator = "," if "," in text else None
        parts = [part.strip() for part in text.strip().rsplit(separator, 1)]
        if len(parts) != 2 or not all(parts):
            raise DataError(path, line, f"expected 'path label' or 'path,label', got {text!r}")
        lines.append(line)
        rows.append((parts[0], parts[1]))
    return Table(path, tuple(lines), tuple(rows))


def _require_class_numbers(table: Table, count: int) -> None:
    table.require(
        [label.isdecimal() and int(label) < count for _, label in table.rows],
        lambda row: (
            f"class {row[1]!r} is not a number from 0 to {count - 1}; name the label file with the option 'classes' "
            "where there are other classes"
        ),
    )
