"""Rows of AVA csv files, for the evaluators: `video,timestamp[,x1,y1,x2,y2,label id[,score]]`, no header.

A regular block of the file is read with array operations (`_fast_block`), any other row by row (`_careful_block`),
which is where the messages about malformed rows come from. Both give the same numbers.
"""

from __future__ import annotations

import csv
import gzip
import os
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sf_detect.errors import DataError
from sf_detect.evaluation.decimal_text import (
    FIRST_BYTES,
    PADDING,
    Positions,
    Words,
    parse_decimals,
    parse_integers,
    words_of,
)

BLOCK_BYTES = 1 << 20
"""Text handled at a time: small enough for a processor's second-level cache."""

Index = npt.NDArray[np.intp]

_COMMA, _NEWLINE = 44, 10
_EXPECTED = "video,timestamp,x1,y1,x2,y2,label_id,score"
_LONGEST_LINE = 1 << 22
_PAD = b"\n" * PADDING


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
    """Boxes of an AVA csv.

    Attributes:
        keyframes: (N,) int32 numbers of a `KeyframeTable`.
        boxes: (N, 4) float64 xyxy, in the unit of the file (AVA: fractions of the image).
        classes: (N,) int32 label ids.
        scores: (N,) float64; 1 where the file has no score column.
        lines: (N,) int32 line numbers, from 1.
    """

    keyframes: npt.NDArray[np.int32]
    boxes: npt.NDArray[np.float64]
    classes: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float64]
    lines: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.keyframes)

    def select(self, index: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> AvaRows:
        """The rows at `index`."""
        at = np.flatnonzero(index) if index.dtype == bool else index
        return AvaRows(
            self.keyframes.take(at),
            self.boxes.take(at, axis=0),
            self.classes.take(at),
            self.scores.take(at),
            self.lines.take(at),
        )

    @classmethod
    def joined(cls, parts: list[AvaRows]) -> AvaRows:
        """All rows of `parts`, in order."""
        if not parts:
            none = np.zeros(0, np.int32)
            return cls(none, np.zeros((0, 4)), none, np.zeros(0), none)
        columns = ("keyframes", "boxes", "classes", "scores", "lines")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns))


Keep = Callable[[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.float64]], npt.NDArray[np.bool_]]
"""Says which of N rows to hold, from their (N,) keyframe numbers, label ids and scores."""


def read_ava_rows(
    path: str | Path, table: KeyframeTable, widths: tuple[int, ...] = (2, 7, 8), keep: Keep | None = None
) -> tuple[AvaRows, int]:
    """Reads a csv, plain or gzip.

    Args:
        path: The file.
        table: Gets every keyframe of the file, also of rows with 2 columns, which say "scored, though empty".
        widths: Accepted numbers of columns.
        keep: Says which rows of a block to hold in memory; all by default.

    Returns:
        The kept rows, and the number of rows in the file.

    Raises:
        DataError: Not readable, or a malformed row; with its line.
    """
    parts: list[AvaRows] = []
    line = 1
    for text, parsed in _ahead(_blocks(Path(path)), lambda text: _fast_block(text, widths)):
        block = parsed or _careful_block(Path(path), text, line, widths)
        parts.append(_resolved(Path(path), block, table, line, keep))
        line += len(block.prefix_of_row)
    return AvaRows.joined(parts), line - 1


def _ahead(texts: Iterator[bytes], parse: Callable[[bytes], _Block | None]) -> Iterator[tuple[bytes, _Block | None]]:
    """Every text with its parsed form; threads work on the next ones, for NumPy lets go of the interpreter."""
    workers = min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers, "ava-csv") as pool:
        waiting: deque[tuple[bytes, Future[_Block | None]]] = deque()
        for text in texts:
            waiting.append((text, pool.submit(parse, text)))
            if len(waiting) > workers:
                text, result = waiting.popleft()
                yield text, result.result()
        while waiting:
            text, result = waiting.popleft()
            yield text, result.result()


def _blocks(path: Path) -> Iterator[bytes]:
    """Whole lines, about `BLOCK_BYTES` at a time, each ending with a newline."""
    try:
        with path.open("rb") as raw:
            file = gzip.GzipFile(fileobj=raw) if raw.peek(2)[:2] == b"\x1f\x8b" else raw
            rest, first = b"", True
            while data := file.read(BLOCK_BYTES):
                if first:
                    data, first = data.removeprefix(b"\xef\xbb\xbf"), False
                cut = data.rfind(b"\n") + 1
                if cut > 0:
                    yield _plain_line_ends(rest + data[:cut])
                    rest = data[cut:]
                elif len(rest) > _LONGEST_LINE:
                    raise DataError(path, None, f"no line end within {_LONGEST_LINE} bytes; expected a csv file")
                else:
                    rest += data
            if rest:
                yield _plain_line_ends(rest + b"\n")
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(path, None, f"cannot be read: {error}. Expected a csv file, plain or gzip") from error


def _plain_line_ends(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n") if b"\r" in text else text


@dataclass(frozen=True, eq=False)
class _Block:
    """Parsed lines: `prefix_of_row` covers all lines, the other columns only those that hold a box (`box_rows`)."""

    prefixes: list[bytes]
    prefix_of_row: Index
    box_rows: Index
    boxes: npt.NDArray[np.float64]  # distinct ones
    box_of_row: Index
    classes: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]


def _resolved(path: Path, block: _Block, table: KeyframeTable, first_line: int, keep: Keep | None) -> AvaRows:
    numbers = np.zeros(len(block.prefixes), np.int32)
    for i, prefix in enumerate(block.prefixes):
        try:
            numbers[i] = table.resolve(prefix)
        except ValueError as error:
            line = first_line + int(np.flatnonzero(block.prefix_of_row == i)[0])
            raise DataError(path, line, str(error)) from error
    all_boxes = len(block.box_rows) == len(block.prefix_of_row)
    keyframes = numbers[block.prefix_of_row if all_boxes else block.prefix_of_row[block.box_rows]]
    kept = np.arange(len(keyframes))
    if keep is not None:
        kept = np.flatnonzero(keep(keyframes, block.classes, block.scores))
    return AvaRows(
        keyframes.take(kept),
        block.boxes.take(block.box_of_row.take(kept), axis=0),
        np.clip(block.classes.take(kept), -1, 2**31 - 1).astype(np.int32),
        block.scores.take(kept),
        block.box_rows.take(kept).astype(np.int32) + np.int32(first_line),
    )


def _fast_block(text: bytes, widths: tuple[int, ...]) -> _Block | None:
    """The block, or None where it takes a careful look (quotes, other numbers of columns, bad numbers)."""
    if b'"' in text or b"\r" in text:
        return None
    padded = _PAD + text + _PAD
    layout = _layout(padded, len(text), widths)
    if layout is None:
        return None
    starts, ends, width = layout
    words = words_of(np.frombuffer(padded, np.uint8))
    # Rows of one person follow each other and differ in class and score only: parse what they share once.
    all_boxes = bool(width.min() > 2)
    heads, run = _runs_of_equal_text(words, starts, ends[5] if all_boxes else np.where(width > 2, ends[5], ends[1]))
    prefixes, prefix_of_head = _distinct(words, padded, starts[heads], ends[1][heads])
    box_rows = np.flatnonzero(width > 2)
    with_box = slice(None) if all_boxes else box_rows
    try:
        boxes = _shared_boxes(words, padded, ends[:, heads], width[heads])
        classes = parse_integers(words, padded, ends[5][with_box] + 1, ends[6][with_box])
        scores = _scores(words, padded, ends[6][with_box] + 1, ends[7][with_box], width[with_box])
    except ValueError:
        return None
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        return None
    return _Block(prefixes, prefix_of_head[run], box_rows, boxes, run[with_box], classes, scores)


def _shared_boxes(
    words: Words, text: bytes, ends: npt.NDArray[np.int64], width: npt.NDArray[np.intp]
) -> npt.NDArray[np.float64]:
    """(N, 4) boxes of N lines; zeros for lines without. Raises ValueError."""
    boxes = np.zeros((len(width), 4))
    rows = np.flatnonzero(width > 2)
    for k in range(4):
        boxes[rows, k] = parse_decimals(words, text, ends[k + 1, rows] + 1, ends[k + 2, rows])
    return boxes


def _scores(
    words: Words, text: bytes, start: Positions, end: Positions, width: npt.NDArray[np.intp]
) -> npt.NDArray[np.float64]:
    """(N,) scores of N lines with a box; 1 where there is no column for them. Raises ValueError."""
    if (width == 8).all():
        return parse_decimals(words, text, start, end)
    scores = np.ones(len(width))
    rows = np.flatnonzero(width == 8)
    scores[rows] = parse_decimals(words, text, start[rows], end[rows])
    return scores


def _layout(
    padded: bytes, length: int, widths: tuple[int, ...]
) -> tuple[Positions, npt.NDArray[np.int64], npt.NDArray[np.intp]] | None:
    """Where the fields of N lines lie: (N,) line starts, (8, N) ends of the columns, (N,) numbers of columns.

    Ends beyond a line's own columns mean nothing. None where a line has another number of columns than `widths`.
    """
    buffer = np.frombuffer(padded, np.uint8)
    body = buffer[PADDING : PADDING + length]
    is_newline = body == _NEWLINE
    lines = np.count_nonzero(is_newline)
    separators = np.flatnonzero((body == _COMMA) | is_newline) + PADDING
    width, uneven = divmod(len(separators), lines)
    if not uneven and width in widths and (buffer[separators[width - 1 :: width]] == _NEWLINE).all():
        ends = separators.reshape(-1, width).T  # all lines alike
        ends = ends[np.minimum(np.arange(8), width - 1)] if width < 8 else ends
        starts, all_widths = np.concatenate([[PADDING], ends[-1, :-1] + 1]), np.full(lines, width)
        return starts, ends, all_widths
    last = np.flatnonzero(buffer[separators] == _NEWLINE)
    first = np.concatenate([[0], last[:-1] + 1])
    all_widths = last - first + 1
    if not np.isin(all_widths, widths).all():
        return None
    starts = np.concatenate([[PADDING], separators[last[:-1]] + 1])
    return starts, separators[np.minimum(first + np.arange(8)[:, None], len(separators) - 1)], all_widths


def _runs_of_equal_text(words: Words, start: Positions, end: Positions) -> tuple[Index, Index]:
    """Which of N fields differ from the one before, and for each field the number of such fields up to it, from 0."""
    length = end - start
    changed = np.ones(len(start), bool)
    changed[1:] = length[1:] != length[:-1]
    shortest, longest = int(length.min()), int(length.max())
    for offset in range(0, longest, 8):
        word = words[np.minimum(start + offset, len(words) - 1)]
        if offset + 8 > shortest:
            word &= FIRST_BYTES[np.clip(length - offset, 0, 8)]
        changed[1:] |= word[1:] != word[:-1]
    return np.flatnonzero(changed), np.cumsum(changed) - 1


def _distinct(words: Words, text: bytes, start: Positions, end: Positions) -> tuple[list[bytes], Index]:
    """The distinct fields `text[start:end]`, and which of them each is."""
    heads, run = _runs_of_equal_text(words, start, end)
    texts: dict[bytes, int] = {}
    bounds = zip(start[heads].tolist(), end[heads].tolist(), strict=True)
    of_head = np.array([texts.setdefault(text[first:last], len(texts)) for first, last in bounds], np.intp)
    return list(texts), of_head[run]


def _careful_block(path: Path, text: bytes, first_line: int, widths: tuple[int, ...]) -> _Block:
    """The block read row by row.

    Raises:
        DataError: The first malformed row.
    """
    prefixes: dict[bytes, int] = {}
    prefix_of_row, box_rows, values = [], [], []
    for i, line_bytes in enumerate(text.split(b"\n")[:-1]):
        line = first_line + i
        cells = _cells(path, line, line_bytes, widths)
        prefix_of_row.append(prefixes.setdefault(f"{cells[0]},{cells[1]}".encode(), len(prefixes)))
        if len(cells) > 2:
            box_rows.append(i)
            values.append(_numbers(path, line, cells))
    table = np.array(values, np.float64).reshape(-1, 6)
    return _Block(
        list(prefixes),
        np.array(prefix_of_row, np.intp),
        np.array(box_rows, np.intp),
        table[:, :4],
        np.arange(len(table)),
        table[:, 4].astype(np.int64),
        table[:, 5],
    )


def _cells(path: Path, line: int, text: bytes, widths: tuple[int, ...]) -> list[str]:
    try:
        cells = next(csv.reader([text.decode()], strict=True), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(path, line, f"not a line of csv in UTF-8: {error}") from error
    if not cells:
        raise DataError(path, line, "an empty line; remove it")
    if len(cells) not in widths:
        allowed = " or ".join(map(str, widths))
        got = ",".join(cells)[:120]
        raise DataError(path, line, f"{len(cells)} columns, expected {allowed} ({_EXPECTED}): {got!r}")
    return cells


def _numbers(path: Path, line: int, cells: list[str]) -> list[float]:
    numbers = []
    for name, text in zip(("x1", "y1", "x2", "y2"), cells[2:6], strict=True):
        numbers.append(_finite(path, line, name, text))
    try:
        numbers.append(int(cells[6]))
    except ValueError:
        raise DataError(path, line, f"the label id is an integer such as 12, got {cells[6]!r}") from None
    numbers.append(_finite(path, line, "score", cells[7]) if len(cells) == 8 else 1.0)
    return numbers


def _finite(path: Path, line: int, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        hint = " (a header? AVA csv files have none)" if line == 1 else ""
        raise DataError(path, line, f"{name} is a number, got {text!r}{hint}") from None
    if not np.isfinite(value):
        raise DataError(path, line, f"{name} is a finite number, got {text!r}")
    return value
