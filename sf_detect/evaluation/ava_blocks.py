"""Blocks of lines of AVA csv files as arrays: `video,timestamp[,x1,y1,x2,y2,label id[,score]]`.

Rows of one person follow each other and differ in class and score only, so lines are split from their end, and what
precedes the class is parsed once for a run of lines that share it (`_repeating`). Other regular blocks are split at
every comma (`_varied`). What is irregular or malformed is read row by row (`careful_block`), where the messages come
from. All give the same numbers.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sf_detect.errors import DataError
from sf_detect.evaluation.decimal_text import (
    MOST_WORDS,
    PADDING,
    Positions,
    last_byte,
    parse_decimals,
    parse_integers,
    words_at,
)

PAD = b"\n" * PADDING
"""What precedes and follows the lines of a block."""

Index = npt.NDArray[np.intp]

_COMMA, _NEWLINE = 44, 10
_GREATEST_ID = 2**31 - 1
_FEW = 2000  # of numbers: a call costs more than they do
# Row n: the n first bytes of a field.
_FIRST_BYTES = np.tri(8 * MOST_WORDS + 1, 8 * MOST_WORDS, -1, np.uint8).view("<u8") * np.uint64(255)
_EXPECTED = "video,timestamp,x1,y1,x2,y2,label_id,score"


@dataclass(frozen=True, eq=False)
class Block:
    """Parsed lines: R runs of lines with the same keyframe and box, N lines that hold a box.

    Attributes:
        prefixes: Distinct `video,timestamp`.
        prefix_of_run: (R,) which of them a run has.
        first_row: (R,) its first line, from 0.
        boxes: (R, 4) float64; zeros for lines of two columns.
        run_of_row: (N,) the run of a line.
        classes: (N,) int64 label ids.
        scores: (N,) float64.
        lines: How many there are, also without a box.
    """

    prefixes: list[bytes]
    prefix_of_run: Index
    first_row: Index
    boxes: npt.NDArray[np.float64]
    run_of_row: Index
    classes: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]
    lines: int


def fast_block(text: bytes, widths: tuple[int, ...]) -> Block | None:
    """The lines as arrays, or None where it takes a careful look (quotes, other numbers of columns, bad numbers).

    Args:
        text: Lines that end with a newline each, between two `PAD`.
        widths: Accepted numbers of columns.
    """
    if b'"' in text or b"\r" in text:
        return None
    try:
        block = (_repeating(text) if 8 in widths else None) or _varied(text, widths)
    except (ValueError, OverflowError):
        return None
    if block is None or not (np.isfinite(block.boxes).all() and np.isfinite(block.scores).all()):
        return None
    return None if np.any(np.abs(block.classes) > _GREATEST_ID) else block


def _repeating(text: bytes) -> Block | None:
    """The block if all lines have 8 columns and most repeat the box of the line before. Raises ValueError."""
    buffer = np.frombuffer(text, np.uint8)
    end = np.flatnonzero(buffer[PADDING:-PADDING] == _NEWLINE) + PADDING
    start = np.concatenate([[PADDING], end[:-1] + 1])
    label_end = last_byte(text, _COMMA, end)
    labels = None if label_end is None else _short_labels(buffer, label_end)
    if label_end is None or labels is None:
        return None
    box_end, classes = labels
    if np.any(box_end <= start):
        return None
    heads, run = _runs_of_equal_text(text, start, box_end)
    if 4 * len(heads) > len(start):
        return None
    bounds = zip(start[heads].tolist(), box_end[heads].tolist(), strict=True)
    shared = b"\n".join([PAD[:-1], *[text[first:last] for first, last in bounds], PAD])
    layout = _layout(shared, (6,))
    if layout is None:
        return None
    starts, ends, width = layout
    prefixes, prefix_of_run = _distinct(shared, starts, ends[1])
    boxes = _boxes(shared, ends, width)
    scores = parse_decimals(text, label_end + 1, end)
    return Block(prefixes, prefix_of_run, heads, boxes, run, classes, scores, len(start))


def _short_labels(buffer: npt.NDArray[np.uint8], end: Positions) -> tuple[Positions, npt.NDArray[np.int64]] | None:
    """Where the comma before label ids that end at `end` is, and their values; None unless all have 1 to 3 digits."""
    zero, comma = np.uint8(48), np.uint8(_COMMA - 48 + 256)
    position = end - 1
    values = buffer.take(position) - zero
    position -= 1
    tens = buffer.take(position) - zero
    two = tens != comma
    tens *= two
    if max(values.max(), tens.max()) > 9:
        return None
    values += tens * np.uint8(10)
    position -= two
    before = buffer.take(position) - zero
    three = np.flatnonzero(before != comma)
    if not len(three):
        return position, values.astype(np.int64)
    hundreds = before.take(three)
    position[three] -= 1
    if hundreds.max() > 9 or np.any(buffer.take(position) != _COMMA):
        return None
    hundreds_of = np.zeros(len(end), np.int64)
    hundreds_of[three] = hundreds
    return position, values + 100 * hundreds_of


def _varied(text: bytes, widths: tuple[int, ...]) -> Block | None:
    """The block if all lines have one of the `widths`. Raises ValueError."""
    layout = _layout(text, widths)
    if layout is None:
        return None
    starts, ends, width = layout
    with_box = np.flatnonzero(width > 2)
    prefixes, prefix_of_row = _distinct(text, starts, ends[1])
    boxes = _boxes(text, ends, width)
    classes = parse_integers(text, ends[5][with_box] + 1, ends[6][with_box])
    scores = _scores(text, ends[6][with_box] + 1, ends[7][with_box], width[with_box])
    return Block(prefixes, prefix_of_row, np.arange(len(width)), boxes, with_box, classes, scores, len(width))


def _boxes(text: bytes, ends: npt.NDArray[np.int64], width: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """(N, 4) boxes of N lines; zeros for lines without. Raises ValueError."""
    boxes = np.zeros((len(width), 4))
    rows = np.flatnonzero(width > 2)
    for columns in np.split(np.arange(4), 1 if len(rows) < _FEW else 4):
        start, end = ends[columns + 1][:, rows] + 1, ends[columns + 2][:, rows]
        values = parse_decimals(text, start.ravel(), end.ravel())
        boxes[np.ix_(rows, columns)] = values.reshape(len(columns), -1).T
    return boxes


def _scores(text: bytes, start: Positions, end: Positions, width: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """(N,) scores of N lines with a box; 1 where there is no column for them. Raises ValueError."""
    if (width == 8).all():
        return parse_decimals(text, start, end)
    scores = np.ones(len(width))
    rows = np.flatnonzero(width == 8)
    scores[rows] = parse_decimals(text, start[rows], end[rows])
    return scores


def _layout(
    text: bytes, widths: tuple[int, ...]
) -> tuple[Positions, npt.NDArray[np.int64], npt.NDArray[np.intp]] | None:
    """Where the fields of N lines lie: (N,) line starts, (8, N) ends of the columns, (N,) numbers of columns.

    Ends beyond a line's own columns mean nothing. None where a line has another number of columns than `widths`.
    """
    buffer = np.frombuffer(text, np.uint8)
    body = buffer[PADDING:-PADDING]
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


def _runs_of_equal_text(text: bytes, start: Positions, end: Positions) -> tuple[Index, Index]:
    """Where runs of equal fields begin, and for each of N fields the number of its run, from 0."""
    length = end - start
    changed = np.ones(len(start), bool)
    changed[1:] = length[1:] != length[:-1]
    alike = length[:1] if (length == length[0]).all() else length[1:]
    longest = int(length.max())
    for offset in range(0, longest, 8 * MOST_WORDS):
        count = min(MOST_WORDS, -(-(longest - offset) // 8))
        words = words_at(text, np.minimum(start + offset, end), count)
        own_bytes = _FIRST_BYTES[np.clip(alike - offset, 0, 8 * count)]
        for word, own in zip(words.T, own_bytes.T, strict=False):
            changed[1:] |= (word[1:] ^ word[:-1]) & own != 0
    heads = np.flatnonzero(changed)
    return heads, np.repeat(np.arange(len(heads)), np.diff(heads, append=len(start)))


def _distinct(text: bytes, start: Positions, end: Positions) -> tuple[list[bytes], Index]:
    """The distinct fields `text[start:end]`, and which of them each is."""
    heads, run = _runs_of_equal_text(text, start, end)
    texts: dict[bytes, int] = {}
    bounds = zip(start[heads].tolist(), end[heads].tolist(), strict=True)
    of_head = np.array([texts.setdefault(text[first:last], len(texts)) for first, last in bounds], np.intp)
    return list(texts), of_head[run]


def careful_block(path: Path, text: bytes, first_line: int, widths: tuple[int, ...], person_ids: bool = False) -> Block:
    """The block read row by row.

    Args:
        path: Named in messages.
        text: As for `fast_block`.
        first_line: Its number, from 1.
        widths: Accepted numbers of columns.
        person_ids: Column 8 is a person's id, any text; one that is no number stands for a score of 1.

    Raises:
        DataError: The first malformed row.
    """
    prefixes: dict[bytes, int] = {}
    prefix_of_row, box_rows, values = [], [], []
    for i, line_bytes in enumerate(text[PADDING:-PADDING].split(b"\n")[:-1]):
        line = first_line + i
        cells = _cells(path, line, line_bytes, widths)
        prefix_of_row.append(prefixes.setdefault(f"{cells[0]},{cells[1]}".encode(), len(prefixes)))
        if len(cells) > 2:
            box_rows.append(i)
            values.append(_numbers(path, line, cells, person_ids))
    table = np.array(values, np.float64).reshape(-1, 6)
    boxes = np.zeros((len(prefix_of_row), 4))
    boxes[box_rows] = table[:, :4]
    return Block(
        list(prefixes),
        np.array(prefix_of_row, np.intp),
        np.arange(len(prefix_of_row)),
        boxes,
        np.array(box_rows, np.intp),
        table[:, 4].astype(np.int64),
        table[:, 5],
        len(prefix_of_row),
    )


def _cells(path: Path, line: int, text: bytes, widths: tuple[int, ...]) -> list[str]:
    if b"\r" in text:
        raise DataError(path, line, "a carriage return within a line; save the file with line feeds as line ends")
    if text.startswith(b"{"):
        raise DataError(path, line, "this is JSON; expected csv, as `sf-detect run --out-csv` writes it")
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


def _numbers(path: Path, line: int, cells: list[str], person_ids: bool) -> list[float]:
    numbers: list[float] = []
    for name, text in zip(("x1", "y1", "x2", "y2"), cells[2:6], strict=True):
        numbers.append(_finite(path, line, name, text))
    try:
        label_id = int(cells[6])
    except ValueError:
        raise DataError(path, line, f"the label id is an integer such as 12, got {cells[6]!r}") from None
    if abs(label_id) > _GREATEST_ID:
        raise DataError(path, line, f"a label id is at most {_GREATEST_ID}, got {cells[6]!r}")
    numbers.append(label_id)
    if len(cells) < 8:
        numbers.append(1.0)
    else:
        numbers.append(_person(cells[7]) if person_ids else _finite(path, line, "score", cells[7]))
    return numbers


def _person(text: str) -> float:
    """What the official evaluator would take for a score, where it is a number."""
    try:
        value = float(text)
    except ValueError:
        return 1.0
    return value if np.isfinite(value) else 1.0


def _finite(path: Path, line: int, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        hint = " (a header? AVA csv files have none)" if line == 1 else ""
        raise DataError(path, line, f"{name} is a number, got {text!r}{hint}") from None
    if not np.isfinite(value):
        raise DataError(path, line, f"{name} is a finite number, got {text!r}")
    return value
