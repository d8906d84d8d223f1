"""The one reader of AVA's csv files: `video,timestamp[,x1,y1,x2,y2,label[,score or person]]`.

Evaluation and datasets share it. A file is read in blocks of whole lines, so memory does not grow with it. Regular
blocks are parsed by pyarrow; what it does not take (quotes, numbers in rare forms, malformed rows) is read row by row,
where the messages come from. Both give the same numbers.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow
import pyarrow.csv

from sf_detect.errors import DataError

BLOCK_BYTES = 1 << 21
"""Text handled at a time: calls cost less than the work they do, and arrays stay in a processor's caches."""

_LONGEST_LINE = 1 << 22
_COLUMNS = ("video", "time", "x1", "y1", "x2", "y2", "label", "last")
_FLOAT = pyarrow.float64()
_TEXT = pyarrow.dictionary(pyarrow.int32(), pyarrow.binary())

Index = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Layout:
    """What a file's rows look like.

    Attributes:
        widths: Accepted numbers of columns.
        width_problem: What is wrong with a row of so many columns, without the row itself.
        more: More than eight columns are accepted as well, and passed over.
        persons: Column 8 is a person's id, any text; one that is no number stands for a score of 1. Else a score.
        header: The first line may be a header.
        blank: Empty lines are passed over.
        label_problem: What is wrong with the text of a label, or None.
    """

    widths: tuple[int, ...] = (2, 7, 8)
    width_problem: Callable[[int], str] | None = None
    more: bool = False
    persons: bool = False
    header: bool = False
    blank: bool = False
    label_problem: Callable[[str], str | None] = lambda _: None

    def takes(self, width: int) -> bool:
        """Whether a row may have so many columns."""
        return width in self.widths or (self.more and width > 8)


@dataclass(frozen=True, eq=False)
class Block:
    """Parsed lines: R runs of lines with the same keyframe and box, N lines that hold a box.

    Attributes:
        first_line: Number of the first line, from 1.
        lines: How many there are, also without a box.
        prefixes: Distinct `video,timestamp`, in the order in which they come.
        prefix_of_run: (R,) which of them a run has.
        first_row: (R,) its first line, from 0 in the block.
        boxes: (R, 4) float64 xyxy; zeros for lines of two columns.
        rows: (N,) lines with a box, from 0 in the block.
        run_of_row: (N,) their runs.
        labels: Distinct texts of labels.
        label_of_row: (N,) which of them a line has.
        scores: (N,) float64; 1 where there is no column for them.
    """

    first_line: int
    lines: int
    prefixes: list[bytes]
    prefix_of_run: Index
    first_row: Index
    boxes: Floats
    rows: Index
    run_of_row: Index
    labels: list[str]
    label_of_row: Index
    scores: Floats


def read_texts(path: Path, layout: Layout) -> Iterator[tuple[bytes, int]]:
    """Whole lines, about `BLOCK_BYTES` at a time, each ending with a newline, and the number of the first, from 1.

    The file is plain or gzip, with or without a byte order mark, with line ends of Unix or Windows. A header is left
    out where the layout allows one.

    Raises:
        DataError: Not readable, or no csv.
    """
    line = 1
    for text in _texts(path):
        if line == 1 and layout.header and _is_header(text):
            end = text.index(b"\n") + 1
            text, line = text[end:], 2
        if text:
            yield text, line
        line += text.count(b"\n")


def _texts(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as raw:
            file = gzip.GzipFile(fileobj=raw) if raw.peek(2)[:2] == b"\x1f\x8b" else raw
            rest, first = b"", True
            while data := file.read(BLOCK_BYTES):
                if first:
                    data, first = data.removeprefix(b"\xef\xbb\xbf"), False
                cut = data.rfind(b"\n") + 1
                if cut > 0:
                    yield _plain_line_ends(b"".join((rest, memoryview(data)[:cut])))
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


def _is_header(text: bytes) -> bool:
    cells = text[: text.index(b"\n")].split(b",")
    try:
        return len(cells) > 2 and not np.isfinite(float(cells[1].strip(b' "')))
    except ValueError:
        return True


def parse(path: Path, text: bytes, first_line: int, layout: Layout) -> Block:
    """The lines of a block as arrays.

    Raises:
        DataError: The first malformed row.
    """
    return fast_block(text, first_line, layout) or careful_block(path, text, first_line, layout)


def fast_block(text: bytes, first_line: int, layout: Layout) -> Block | None:
    """The lines as pyarrow reads them, or None where it takes a careful look."""
    if b'"' in text or b"\r" in text or not _is_utf8(text):
        return None
    width = text.count(b",", 0, text.index(b"\n")) + 1
    if not layout.takes(width):
        return None
    try:
        table = _table(text, width, layout)
        widths = np.full(len(table["video"]), width)
    except pyarrow.ArrowInvalid:
        mixed = _same_width(text, layout)
        if mixed is None:
            return None
        table, widths = mixed
    return _block(table, widths, first_line, layout)


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


_Table = dict[str, pyarrow.Array]


def _table(text: bytes, width: int, layout: Layout, null_values: tuple[str, ...] = ()) -> _Table:
    """The columns; cells of numbers are null where they are one of `null_values`. Raises ArrowInvalid."""
    names = [*_COLUMNS[:width], *(f"more{i}" for i in range(width - 8))]
    texts = ("video", "time", "label", "last") if layout.persons else ("video", "time", "label")
    found = pyarrow.csv.read_csv(
        pyarrow.BufferReader(text),
        read_options=pyarrow.csv.ReadOptions(use_threads=False, column_names=names, block_size=len(text) + 1),
        parse_options=pyarrow.csv.ParseOptions(quote_char=False, ignore_empty_lines=False),
        convert_options=pyarrow.csv.ConvertOptions(
            check_utf8=False,
            column_types={name: _TEXT if name in texts else _FLOAT for name in names[:8]},
            null_values=list(null_values),
            strings_can_be_null=False,
            include_columns=names[:8],
        ),
    )
    return {name: found.column(name).chunk(0) for name in names[:8]}


def _same_width(text: bytes, layout: Layout) -> tuple[_Table, Index] | None:
    """Columns of lines of different accepted widths, and the width of each; None where they take a careful look."""
    lines = text.split(b"\n")[:-1]
    widths = np.array([line.count(b",") for line in lines]) + 1
    if not all(map(layout.takes, np.unique(widths).tolist())):
        return None
    filled = [b",".join((line + b"," * 8).split(b",", 8)[:8]) for line in lines]
    try:
        table = _table(b"\n".join([*filled, b""]), 8, layout, ("",))
    except pyarrow.ArrowInvalid:
        return None
    for name, least in (("x1", 3), ("y1", 3), ("x2", 3), ("y2", 3), ("last", 8)):
        if name != "last" or not layout.persons:
            if (np.asarray(table[name].is_null()) != (widths < least)).any():  # an empty cell in a row that has it
                return None
            table[name] = table[name].fill_null(1.0 if name == "last" else 0.0)
    return table, widths


def _block(table: _Table, widths: Index, first_line: int, layout: Layout) -> Block | None:
    (videos, video), (times, time) = _codes(table["video"]), _codes(table["time"])
    changed = np.ones(len(widths), bool)
    changed[1:] = (video[1:] != video[:-1]) | (time[1:] != time[:-1])
    heads = np.flatnonzero(changed)
    places: dict[tuple[int, int], int] = {}
    keys = zip(video[heads].tolist(), time[heads].tolist(), strict=True)
    prefix_of_head = np.array([places.setdefault(key, len(places)) for key in keys], np.intp)
    prefix_of_line = prefix_of_head[np.cumsum(changed) - 1]
    prefixes = [b"%b,%b" % (videos[v], times[t]) for v, t in places]
    if "x1" not in table:
        none = np.zeros(0, np.intp)
        boxes = np.zeros((len(heads), 4))
        return Block(first_line, len(widths), prefixes, prefix_of_head, heads, boxes, none, none, [], none, np.zeros(0))
    sides = [table[name].to_numpy() for name in ("x1", "y1", "x2", "y2")]
    for side in sides:
        changed[1:] |= side[1:] != side[:-1]
    heads = np.flatnonzero(changed)
    boxes = np.stack([side[heads] for side in sides], axis=1)
    rows = np.flatnonzero(widths > 2)
    labels, label = _codes(table["label"])
    scores = _scores(table, widths, layout)[rows]
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        return None
    run = (np.cumsum(changed) - 1)[rows]
    return Block(
        first_line,
        len(widths),
        prefixes,
        prefix_of_line[heads],
        heads,
        boxes,
        rows,
        run,
        [one.decode() for one in labels],
        label.astype(np.intp)[rows],
        scores,
    )


def _scores(table: _Table, widths: Index, layout: Layout) -> Floats:
    if "last" not in table:
        return np.ones(len(widths))
    if not layout.persons:
        return np.asarray(table["last"].to_numpy(), np.float64)
    persons, person = _codes(table["last"])
    return np.where(widths < 8, 1.0, np.array([_number_or_one(one) for one in persons])[person])


def _codes(column: pyarrow.Array) -> tuple[list[bytes], npt.NDArray[np.int32]]:
    """Distinct texts of a column, and which of them each line has."""
    return column.dictionary.to_pylist(), column.indices.to_numpy()


def careful_block(path: Path, text: bytes, first_line: int, layout: Layout) -> Block:
    """The block read row by row.

    Args:
        path: Named in messages.
        text: Lines that end with a newline each.
        first_line: Number of the first, from 1.
        layout: What they look like.

    Raises:
        DataError: The first malformed row.
    """
    prefixes: dict[bytes, int] = {}
    labels: dict[str, int] = {}
    prefix_of_row, first_row, boxed, values, label = [], [], [], [], []
    lines = text.split(b"\n")[:-1]
    for place, line_bytes in enumerate(lines):
        line = first_line + place
        if layout.blank and not line_bytes.strip(b" \t\r,"):
            continue
        cells = _cells(path, line, line_bytes, layout)
        prefix_of_row.append(prefixes.setdefault(f"{cells[0]},{cells[1]}".encode(), len(prefixes)))
        first_row.append(place)
        if len(cells) > 2:
            boxed.append(len(first_row) - 1)
            values.append(_numbers(path, line, cells, layout))
            label.append(labels.setdefault(cells[6], len(labels)))
    table = np.array(values, np.float64).reshape(-1, 5)
    boxes = np.zeros((len(first_row), 4))
    boxes[boxed] = table[:, :4]
    lines_of_run, runs = np.array(first_row, np.intp), np.array(boxed, np.intp)
    return Block(
        first_line,
        len(lines),
        list(prefixes),
        np.array(prefix_of_row, np.intp),
        lines_of_run,
        boxes,
        lines_of_run[runs],
        runs,
        list(labels),
        np.array(label, np.intp),
        table[:, 4],
    )


def _cells(path: Path, line: int, text: bytes, layout: Layout) -> list[str]:
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
    if not layout.takes(len(cells)):
        allowed = " or ".join(map(str, layout.widths))
        problem = f"{len(cells)} columns, expected {allowed} (video,timestamp,x1,y1,x2,y2,label_id,score)"
        if layout.width_problem is not None:
            problem = layout.width_problem(len(cells))
        raise DataError(path, line, f"{problem}: {','.join(cells)[:120]!r}")
    return cells


def _numbers(path: Path, line: int, cells: list[str], layout: Layout) -> list[float]:
    """The box and the score of a row."""
    numbers = [_finite(path, line, name, text) for name, text in zip(("x1", "y1", "x2", "y2"), cells[2:6], strict=True)]
    problem = layout.label_problem(cells[6])
    if problem is not None:
        raise DataError(path, line, problem)
    if len(cells) < 8:
        return [*numbers, 1.0]
    return [*numbers, _number_or_one(cells[7]) if layout.persons else _finite(path, line, "score", cells[7])]


def _number_or_one(text: str | bytes) -> float:
    """A person's id as the official evaluator takes it for a score, where it is a number."""
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
