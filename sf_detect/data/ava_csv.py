"""Rows of AVA's csv files as persons on keyframes.

    video,time,x1,y1,x2,y2,action[,person or score]

A row is one action of one person; rows of one keyframe with the same box are one person. Rows of two cells name a
keyframe on which nobody is labelled and are passed over.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sf_detect.ava_csv import Block, Layout, parse, read_texts
from sf_detect.data.tables import EDGE_TOLERANCE, read_csv
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
        path: The csv, plain or gzip. A first row whose second cell is no number is a header.
        labels: The classes; the action cell holds an id, which counts from 1, or a name, or nothing.
        advice: What to do where the file is missing.
        threshold: Given for proposals, whose last cell is a score: rows below it are left out.
        droppable: Ids that are passed over where `labels` lacks them (all of AVA's, for a subset of its classes).

    Raises:
        DataError: Missing file, malformed row, or an unknown action.
    """
    if not path.exists():
        raise DataError(path, None, f"does not exist; {advice}")
    proposals = threshold is not None
    layout = Layout(
        (2, 8) if proposals else (2, 7, 8),
        _proposal_width if proposals else _row_width,
        more=not proposals,
        persons=not proposals,
        header=True,
        blank=True,
    )
    keyframes: dict[tuple[str, int], _Rows] = {}
    known = _known(labels, droppable)
    for text, line in read_texts(path, layout):
        _add(keyframes, path, parse(path, text, line, layout), known, labels, threshold)
    return [rows.keyframe(key[0], proposals) for key, rows in keyframes.items()]


def _row_width(cells: int) -> str:
    return f"expected video,time,x1,y1,x2,y2,action[,person] or video,time, got {cells} cells"


def _proposal_width(cells: int) -> str:
    return f"a proposal has 8 cells, video,time,x1,y1,x2,y2,action,score, or 2, got {cells}"


@dataclass
class _Rows:
    """Persons of one keyframe, each by the box."""

    time: float
    boxes: dict[tuple[float, ...], set[int]] = field(default_factory=dict)
    scores: list[float] = field(default_factory=list)

    def keyframe(self, video: str, proposals: bool) -> Keyframe:
        boxes = np.array(list(self.boxes), np.float64).clip(0, 1).astype(np.float32)
        classes = tuple(tuple(sorted(found)) for found in self.boxes.values())
        return Keyframe(
            video, self.time, Persons(boxes, classes, np.array(self.scores, np.float32) if proposals else None)
        )


def _known(labels: LabelMap, droppable: Collection[int]) -> dict[str, int | None]:
    """Class of every text that an action cell may hold; None for no action and for one to leave out."""
    known: dict[str, int | None] = {"": None, "-1": None, **{str(label_id): None for label_id in droppable}}
    known |= {name: place for place, name in enumerate(labels.names)}
    return known | {str(label_id): place for place, label_id in enumerate(labels.ids)}


def _add(
    keyframes: dict[tuple[str, int], _Rows],
    path: Path,
    block: Block,
    known: dict[str, int | None],
    labels: LabelMap,
    threshold: float | None,
) -> None:
    """Sorts the rows of a block into their keyframes."""
    keys = [_key(path, block, place) for place in range(len(block.prefixes))]
    kept = np.ones(len(block.rows), bool)
    if threshold is not None:
        kept = block.scores.astype(np.float32) >= np.float32(threshold)
    _check_boxes(path, block, np.unique(block.run_of_row[kept]))
    texts = [text.strip() for text in block.labels]
    prefixes, boxes = block.prefix_of_run.tolist(), block.boxes.tolist()
    columns = zip(
        block.rows.tolist(), block.run_of_row.tolist(), block.label_of_row.tolist(), block.scores, strict=True
    )
    for (row, run, label, score), keep in zip(columns, kept.tolist(), strict=True):
        if not keep:
            continue
        if texts[label] not in known:
            raise DataError(path, block.first_line + row, _unknown(texts[label], labels))
        video, time = keys[prefixes[run]]
        rows = keyframes.setdefault(keyframe_key(video, time), _Rows(time))
        box = tuple(boxes[run])
        if box not in rows.boxes:
            rows.boxes[box] = set()
            rows.scores.append(float(score))
        place = known[texts[label]]
        if place is not None:
            rows.boxes[box].add(place)


def _key(path: Path, block: Block, place: int) -> tuple[str, float]:
    """Video and time of a prefix."""
    video, _, text = block.prefixes[place].decode().rpartition(",")
    try:
        time = float(text)
    except ValueError:
        time = float("nan")
    if not np.isfinite(time):
        run = int(np.flatnonzero(block.prefix_of_run == place)[0])
        raise DataError(path, block.first_line + int(block.first_row[run]), f"time is a number, got {text!r}")
    return video.strip(), time


def _check_boxes(path: Path, block: Block, runs: npt.NDArray[np.intp]) -> None:
    boxes = block.boxes[runs]
    outside = ((boxes < -EDGE_TOLERANCE) | (boxes > 1 + EDGE_TOLERANCE)).any(axis=1)
    turned = (boxes[:, :2] > boxes[:, 2:]).any(axis=1)
    for bad, problem in (
        (
            outside,
            "lies outside the frame; expected shares of width and height between 0 and 1, so divide pixels by the "
            "frame's width and height",
        ),
        (turned, "is not x1 <= x2 and y1 <= y2"),
    ):
        if bad.any():
            run = runs[int(np.flatnonzero(bad)[0])]
            box = ",".join(f"{value:g}" for value in block.boxes[run])
            raise DataError(path, block.first_line + int(block.first_row[run]), f"box {box} {problem}")


def _unknown(text: str, labels: LabelMap) -> str:
    hint = " Ids count from 1: add 1 to every id of the file." if text == "0" else ""
    return f"{UnknownNameError('action', text, (*labels.names, *map(str, labels.ids)))}{hint}"


def read_excluded(path: Path) -> set[tuple[str, int]]:
    """Keys of the keyframes in a csv `video,time`.

    Raises:
        DataError: Missing file or malformed row.
    """
    table = read_csv(path, "fetch it, or exclude nothing with the option exclude=''")
    table.require(np.array([len(row) == 2 for row in table.rows], bool), lambda row: f"expected video,time, got {row}")
    times = table.numbers(1, "time").tolist()
    return {keyframe_key(row[0], time) for row, time in zip(table.rows, times, strict=True)}
