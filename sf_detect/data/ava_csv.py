"""Rows of AVA's csv files as persons on keyframes.

    video,time,x1,y1,x2,y2,action[,person or score]

A row is one action of one person; rows of one keyframe with the same box are one person. Rows of two cells name a
keyframe on which nobody is labelled and are passed over.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sf_detect.data.tables import Table, read_csv
from sf_detect.errors import DataError, UnknownNameError
from sf_detect.labels import LabelMap

_MICRO = 1e6


@dataclass(frozen=True, eq=False)
class Persons:
    """Persons on a keyframe.

    Attributes:
        boxes: (N, 4) float32 xyxy, shares of the frame.
        labels: Classes of each, 0-based, ascending.
        scores: (N,) float32 of proposals, or None.
    """

    boxes: npt.NDArray[np.float32]
    labels: tuple[tuple[int, ...], ...]
    scores: npt.NDArray[np.float32] | None = None

    @staticmethod
    def join(parts: list[Persons]) -> Persons:
        """All persons of the parts; annotated ones score 1."""
        scores = [np.ones(len(p.labels), np.float32) if p.scores is None else p.scores for p in parts]
        labels = tuple(classes for part in parts for classes in part.labels)
        return Persons(np.concatenate([p.boxes for p in parts]), labels, np.concatenate(scores))


@dataclass(frozen=True, eq=False)
class Keyframe:
    """A labelled moment of a video, `time` in seconds on the annotation's clock."""

    video: str
    time: float
    persons: Persons

    @property
    def key(self) -> tuple[str, int]:
        """Equal for times that are equal to the microsecond, however they are written."""
        return keyframe_key(self.video, self.time)


def keyframe_key(video: str, time: float) -> tuple[str, int]:
    """See `Keyframe.key`."""
    return video, round(time * _MICRO)


def read_boxes(
    path: Path, labels: LabelMap, advice: str, threshold: float | None = None, droppable: Collection[int] = ()
) -> list[Keyframe]:
    """Persons by keyframe, in the order of their first rows.

    Args:
        path: The csv. A first row whose second cell is no number is a header.
        labels: The classes; the action cell holds an id or a name, or nothing.
        advice: What to do where the file is missing.
        threshold: Given for proposals, whose last cell is a score: rows below it are left out.
        droppable: Ids that are passed over where `labels` lacks them (all of AVA's, for a subset of its classes).

    Raises:
        DataError: Missing file, malformed row, or an unknown action.
    """
    table = read_csv(path, advice)
    if len(table) and len(table.rows[0]) > 2 and not _is_number(table.rows[0][1]):
        table = Table(path, table.lines[1:], table.rows[1:])
    width = 6 if threshold is not None else 7
    cells = np.array([len(row) for row in table.rows], np.int64)
    table.require(
        (cells == 2) | (cells >= width),
        lambda row: f"expected video,time,x1,y1,x2,y2,action[,person] or video,time, got {len(row)} cells",
    )
    table.numbers(1, "time")  # rows of two cells, too
    table = table.select(cells >= width)
    if threshold is None:
        return _grouped(table, table.boxes(2), _classes(table, labels, droppable), None)
    table.require(
        np.array([len(row) == 8 for row in table.rows], bool),
        lambda row: "a proposal has 8 cells, the last one its score",
    )
    scores = table.numbers(7, "score").astype(np.float32)
    keep = scores >= np.float32(threshold)
    table = table.select(keep)
    return _grouped(table, table.boxes(2), _classes(table, labels, droppable), scores[keep])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _classes(table: Table, labels: LabelMap, droppable: Collection[int]) -> list[int | None]:
    """Class of each row; None for an empty action and for one to leave out."""
    known: dict[str, int | None] = {"": None, "-1": None, **{str(label_id): None for label_id in droppable}}
    known |= {name: place for place, name in enumerate(labels.names)}
    known |= {str(label_id): place for place, label_id in enumerate(labels.ids)}
    for line, row in zip(table.lines, table.rows, strict=True):
        if row[6] in known:
            continue
        hint = " Ids count from 1: add 1 to every id of the file." if row[6] == "0" else ""
        known_names = (*labels.names, *map(str, labels.ids))
        raise DataError(table.path, line, f"{UnknownNameError('action', row[6], known_names)}{hint}")
    return [known[row[6]] for row in table.rows]


def _grouped(
    table: Table,
    boxes: npt.NDArray[np.float32],
    classes: list[int | None],
    scores: npt.NDArray[np.float32] | None,
) -> list[Keyframe]:
    times = table.numbers(1, "time")
    keyframes: dict[tuple[str, int], dict[tuple[str, ...], int]] = {}
    found: dict[int, set[int]] = {}
    for row, (cells, time) in enumerate(zip(table.rows, times.tolist(), strict=True)):
        persons = keyframes.setdefault(keyframe_key(cells[0], time), {})
        first = persons.setdefault(cells[2:6], row)
        actions = found.setdefault(first, set())
        label = classes[row]
        if label is not None:
            actions.add(label)
    result = []
    for (video, _), persons in keyframes.items():
        index = np.array(list(persons.values()))
        labels = tuple(tuple(sorted(found[i])) for i in index.tolist())
        kept = Persons(boxes[index], labels, None if scores is None else scores[index])
        result.append(Keyframe(video, float(times[index[0]]), kept))
    return result


def read_excluded(path: Path) -> set[tuple[str, int]]:
    """Keys of the keyframes in a csv `video,time`.

    Raises:
        DataError: Missing file or malformed row.
    """
    table = read_csv(path, "fetch it, or exclude nothing with the option exclude=''")
    table.require(np.array([len(row) == 2 for row in table.rows], bool), lambda row: f"expected video,time, got {row}")
    times = table.numbers(1, "time").tolist()
    return {keyframe_key(row[0], time) for row, time in zip(table.rows, times, strict=True)}
