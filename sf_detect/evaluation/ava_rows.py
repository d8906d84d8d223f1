"""Rows of AVA csv files, for the evaluators: `video,timestamp[,x1,y1,x2,y2,label id[,score]]`, no header."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sf_detect.ava_csv import Block, Layout, careful_block, fast_block, read_texts
from sf_detect.errors import DataError

_GREATEST_ID = 2**31 - 1


@dataclass
class KeyframeTable:
    """Numbers for keyframes, in order of first appearance.

    Attributes:
        to_time: Gives the form of a timestamp in which two of them are compared; ValueError for a bad one.
        keys: Every keyframe, `video,time`.
        ids: Its number.
    """

    to_time: Callable[[str], str]
    keys: list[str] = field(default_factory=list)
    ids: dict[str, int] = field(default_factory=dict)
    _by_text: dict[bytes, int] = field(default_factory=dict, repr=False)
    _times: dict[bytes, str] = field(default_factory=dict, repr=False)

    def resolve(self, text: bytes) -> int:
        """The number of the keyframe written `video,timestamp`. Raises ValueError for a bad timestamp."""
        number = self._by_text.get(text)
        if number is None:
            video, _, timestamp = text.rpartition(b",")
            time = self._times.get(timestamp)
            if time is None:
                time = self._times[timestamp] = self.to_time(timestamp.decode())
            key = f"{video.decode()},{time}"
            number = self.ids.setdefault(key, len(self.keys))
            if number == len(self.keys):
                self.keys.append(key)
            self._by_text[text] = number
        return number


@dataclass(frozen=True, eq=False)
class AvaRows:
    """Boxes of an AVA csv. Rows of one person share a box, so boxes are held once.

    Attributes:
        keyframes: (N,) int32 numbers of a `KeyframeTable`.
        box_of_row: (N,) int32 rows of `distinct_boxes`.
        distinct_boxes: (M, 4) float64 xyxy, in the unit of the file (AVA: fractions of the image).
        first_lines: (M,) int64 number of a line with the box, from 1.
        classes: (N,) int64 label ids, or what `Selection.columns` makes of them.
        scores: (N,) float64; 1 where the file has no score column.
    """

    keyframes: npt.NDArray[np.int32]
    box_of_row: npt.NDArray[np.int32]
    distinct_boxes: npt.NDArray[np.float64]
    first_lines: npt.NDArray[np.int64]
    classes: npt.NDArray[np.integer]
    scores: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.keyframes)

    @property
    def boxes(self) -> npt.NDArray[np.float64]:
        """(N, 4) float64 xyxy."""
        return self.distinct_boxes.take(self.box_of_row, axis=0)

    def select(self, index: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> AvaRows:
        """The rows at `index`."""
        at = np.flatnonzero(index) if index.dtype == bool else index
        return AvaRows(
            self.keyframes.take(at),
            self.box_of_row.take(at),
            self.distinct_boxes,
            self.first_lines,
            self.classes.take(at),
            self.scores.take(at),
        )

    @classmethod
    def joined(cls, parts: list[AvaRows]) -> AvaRows:
        """All rows of `parts`, in order."""
        if not parts:
            none = np.zeros(0, np.int32)
            return cls(none, none, np.zeros((0, 4)), none.astype(np.int64), none.astype(np.int64), np.zeros(0))
        before = np.cumsum([0, *(len(part.distinct_boxes) for part in parts[:-1])]).astype(np.int32)
        return cls(
            np.concatenate([part.keyframes for part in parts]),
            np.concatenate([part.box_of_row + shift for part, shift in zip(parts, before, strict=True)]),
            np.concatenate([part.distinct_boxes for part in parts]),
            np.concatenate([part.first_lines for part in parts]),
            np.concatenate([part.classes for part in parts]),
            np.concatenate([part.scores for part in parts]),
        )


@dataclass(frozen=True)
class Selection:
    """Which rows to hold in memory.

    Attributes:
        keyframes: Which rows of N keyframes, given their numbers, can count.
        columns: Gives columns of label ids; negative ones do not count.
        limit: Says which of the rows that count to hold, from their keyframes and scores; None for all.
    """

    keyframes: Callable[[npt.NDArray[np.int32]], npt.NDArray[np.bool_]]
    columns: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.integer]]
    limit: Callable[[npt.NDArray[np.int32], npt.NDArray[np.float64]], npt.NDArray[np.bool_]] | None = None


@dataclass(frozen=True, eq=False)
class ReadRows:
    """What was read.

    Attributes:
        rows: Those held.
        lines: Rows in the file.
        counting: Rows of a keyframe and class that count, before any limit.
    """

    rows: AvaRows
    lines: int
    counting: int


def read_ava_rows(
    path: str | Path,
    table: KeyframeTable,
    widths: tuple[int, ...] = (2, 7, 8),
    selection: Selection | None = None,
    person_ids: bool = False,
) -> ReadRows:
    """Reads a csv, plain or gzip.

    Args:
        path: The file.
        table: Gets every keyframe of the file, also of rows with 2 columns, which say "scored, though empty".
        widths: Accepted numbers of columns.
        selection: Which rows to hold; all by default.
        person_ids: Column 8 is a person's id (ground truth), see `Layout.persons`; else a score.

    Raises:
        DataError: Not readable, or a malformed row; with its line.
    """
    path = Path(path)
    layout = Layout(widths, persons=person_ids, label_problem=_label_problem)
    held: list[Future[AvaRows]] = []
    counting: list[int] = []
    lines = 0
    workers = min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers, "ava-csv") as pool:  # pyarrow and NumPy let go of the interpreter
        for text, line, parsed in _ahead(pool, workers, read_texts(path, layout), layout):
            block = parsed if parsed is not None and _label_ids(parsed) is not None else None
            block = block or careful_block(path, text, line, layout)
            numbers = _resolved(path, block, table)
            counts = None if selection is None else selection.keyframes(numbers)
            held.append(pool.submit(_held, block, numbers, counts, selection, counting))
            lines += block.lines
        rows = [part.result() for part in held]
    return ReadRows(AvaRows.joined(rows), lines, sum(counting))


def _label_problem(text: str) -> str | None:
    try:
        label_id = int(text)
    except ValueError:
        return f"the label id is an integer such as 12, got {text!r}"
    return f"a label id is at most {_GREATEST_ID}, got {text!r}" if abs(label_id) > _GREATEST_ID else None


def _label_ids(block: Block) -> npt.NDArray[np.int64] | None:
    """(N,) label ids; None where one of them has a problem."""
    if any(_label_problem(text) is not None for text in block.labels):
        return None
    return np.array([int(text) for text in block.labels], np.int64).take(block.label_of_row)


def _ahead(
    pool: ThreadPoolExecutor, depth: int, texts: Iterator[tuple[bytes, int]], layout: Layout
) -> Iterator[tuple[bytes, int, Block | None]]:
    """Every text and its first line with its parsed form, while threads work on the next ones."""
    waiting: deque[tuple[bytes, int, Future[Block | None]]] = deque()
    for text, line in texts:
        waiting.append((text, line, pool.submit(fast_block, text, line, layout)))
        if len(waiting) > depth:
            text, line, result = waiting.popleft()
            yield text, line, result.result()
    while waiting:
        text, line, result = waiting.popleft()
        yield text, line, result.result()


def _resolved(path: Path, block: Block, table: KeyframeTable) -> npt.NDArray[np.int32]:
    """Numbers of the block's keyframes."""
    numbers: list[int] = []
    try:
        numbers.extend(map(table.resolve, block.prefixes))
    except ValueError as error:
        run = int(np.flatnonzero(block.prefix_of_run == len(numbers))[0])
        raise DataError(path, block.first_line + int(block.first_row[run]), str(error)) from error
    return np.array(numbers, np.int32)


def _held(
    block: Block,
    numbers: npt.NDArray[np.int32],
    counts: npt.NDArray[np.bool_] | None,
    selection: Selection | None,
    counting: list[int],
) -> AvaRows:
    """The rows of the block that are held; how many count goes to `counting`."""
    keyframes = numbers.take(block.prefix_of_run).take(block.run_of_row)
    ids = _label_ids(block)
    assert ids is not None
    classes: npt.NDArray[np.integer] = ids
    wanted = np.ones(len(keyframes), bool)
    if selection is not None and counts is not None:
        classes = selection.columns(ids)
        wanted = classes >= 0
        if not counts.all():
            wanted &= counts.take(block.prefix_of_run).take(block.run_of_row)
    at = np.flatnonzero(wanted)
    counting.append(len(at))
    if selection is not None and selection.limit is not None:
        if len(at) == len(wanted):
            at = np.flatnonzero(selection.limit(keyframes, block.scores))
        else:
            at = at[selection.limit(keyframes.take(at), block.scores.take(at))]
    return AvaRows(
        keyframes.take(at),
        block.run_of_row.take(at).astype(np.int32),
        block.boxes,
        block.first_row + block.first_line,
        classes.take(at),
        block.scores.take(at),
    )
