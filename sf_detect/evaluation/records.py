"""JSON Lines of `sf-detect run` as input of the evaluators."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from sf_detect import boxes as box_math
from sf_detect.errors import DataError, UnknownNameError
from sf_detect.labels import LabelMap, label_set, shown_names
from sf_detect.records import labels_of


@contextmanager
def record_at(path: Path, line: int) -> Iterator[None]:
    """Turns what goes wrong inside, with the record of that line, into a DataError that names it."""
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(path, line, f"not a record of `sf-detect run`: {error}") from error


def ava_rows_of_records(
    path: Path, records: Iterable[Mapping[str, Any]], labels: LabelMap, invisible: list[int] | None = None
) -> Iterator[str]:
    """Rows of AVA's csv, `video,timestamp,x1,y1,x2,y2,label_id,score`, the best of each keyframe first.

    Boxes are cut to the frame and left out where nothing of them lies in it, as `sf-detect run --out-csv` does.

    Args:
        path: Named in messages.
        records: As `sf_detect.records.read_json_lines` gives them.
        labels: The classes. Beside the 60 of AVA's benchmark the other 20 of AVA are known, though not scored.
        invisible: Gets the number of rows of every line that are left out.

    Raises:
        DataError: A malformed record, or an action that is not one of the classes; with its line.
    """
    ids = _ids(labels)
    for line, record in enumerate(records, start=1):
        with record_at(path, line):
            rows = [row for person in record["persons"] for row in _rows(record, person, ids)]
        visible = [row for row in rows if row is not None]
        if invisible is not None:
            invisible.append(len(rows) - len(visible))
        for _, row in sorted(visible, key=lambda scored: -scored[0]):
            yield row


def _ids(labels: LabelMap) -> dict[str, int]:
    own, ava = (dict(zip(one.names, one.ids, strict=True)) for one in (labels, label_set("ava80")))
    if own.items() <= ava.items():
        return ava
    return {**dict(zip(shown_names(labels.names), labels.ids, strict=True)), **own}


def _rows(
    record: Mapping[str, Any], person: Mapping[str, Any], ids: Mapping[str, int]
) -> Iterator[tuple[float, str] | None]:
    """Score and row of each action of a person; None where nothing of their box lies in the picture."""
    begin: str | None = None
    for i, action in enumerate(labels_of(person)):
        if action["label"] not in ids:
            raise ValueError(str(UnknownNameError("label", str(action["label"]), ids)))
        if i == 0:  # a person without actions has no row whose box could be wrong
            begin = _video_time_and_box(record, person)
        score = float(action["score"])
        if not math.isfinite(score):
            raise ValueError(f"expected a finite number as score, got {score}")
        yield None if begin is None else (score, f"{begin},{ids[action['label']]},{score!r}\n")


def _video_time_and_box(record: Mapping[str, Any], person: Mapping[str, Any]) -> str | None:
    """The cells that all rows of a person begin with; None where nothing of their box lies in the picture."""
    width, height = int(record["width"]), int(record["height"])
    seconds = float(record["time"])
    box = np.array([person["box"]], np.float64)
    if box.shape != (1, 4) or not np.isfinite([*box[0], seconds]).all() or min(width, height) < 1:
        raise ValueError(f"expected finite numbers and a picture with an area, got {width}x{height}, {box.tolist()}")
    part = box_math.clip(box, (height, width)) / np.array([width, height, width, height], np.float64)
    if not box_math.area(part)[0] > 0:
        return None
    time = f"{seconds:.0f}" if seconds.is_integer() else f"{seconds:.6f}"
    return ",".join([_quoted(str(record["video"])), time, *(f"{v:.6f}" for v in part[0])])


def _quoted(cell: str) -> str:
    return f'"{cell.replace(chr(34), chr(34) * 2)}"' if any(mark in cell for mark in ',"\r\n') else cell
