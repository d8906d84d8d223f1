"""Annotation tables, read in one go and checked by column, so that millions of rows take seconds.

Whatever is wrong is told with file, line, what was got and what was expected.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sf_detect.errors import DataError

# Detectors' boxes may hang over the edge by a rounding error or a little more; they are cut there.
EDGE_TOLERANCE = 0.05


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of a file.

    Attributes:
        path: The file.
        lines: 1-based line of each row.
        rows: Cells without surrounding blanks; rows may differ in length.
    """

    path: Path
    lines: tuple[int, ...]
    rows: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.rows)

    def select(self, keep: npt.NDArray[np.bool_]) -> Table:
        """The rows where `keep` (N,) is True."""
        index = np.flatnonzero(keep)
        return Table(self.path, tuple(self.lines[i] for i in index), tuple(self.rows[i] for i in index))

    def require(self, good: npt.ArrayLike, problem: Callable[[tuple[str, ...]], str]) -> None:
        """Refuses the first row where `good` (N,) is False.

        Args:
            good: Per row.
            problem: Says what is wrong with a row's cells and what was expected.

        Raises:
            DataError: With the line.
        """
        bad = np.flatnonzero(~np.asarray(good, bool))
        if len(bad):
            row = int(bad[0])
            raise DataError(self.path, self.lines[row], problem(self.rows[row]))

    def column(self, place: int) -> list[str]:
        """Cells of a column that every row has."""
        return [row[place] for row in self.rows]

    def numbers(self, place: int, what: str) -> npt.NDArray[np.float64]:
        """A column as finite float64.

        Raises:
            DataError: A cell is not a finite number; `what` names the column.
        """
        cells = self.column(place)
        try:
            values = np.array(cells, np.float64)
        except ValueError:
            values = np.array([_number(cell) for cell in cells])
        self.require(np.isfinite(values), lambda row: f"{what} is a number, got {row[place]!r}")
        return values

    def boxes(self, place: int) -> npt.NDArray[np.float32]:
        """Four columns from `place` on as (N, 4) float32 xyxy in shares of the frame, cut to it.

        Raises:
            DataError: Not numbers, in pixels, or with sides in the wrong order.
        """
        values = np.stack([self.numbers(place + i, name) for i, name in enumerate(("x1", "y1", "x2", "y2"))], 1)
        inside = ((values >= -EDGE_TOLERANCE) & (values <= 1 + EDGE_TOLERANCE)).all(1)
        self.require(
            inside,
            lambda row: (
                f"box {','.join(row[place : place + 4])} lies outside the frame; expected shares of width and height "
                "between 0 and 1, so divide pixels by the frame's width and height"
            ),
        )
        ordered = (values[:, :2] <= values[:, 2:]).all(1)
        self.require(ordered, lambda row: f"box {','.join(row[place : place + 4])} is not x1 <= x2 and y1 <= y2")
        return values.clip(0, 1).astype(np.float32)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def read_text(path: Path, advice: str) -> str:
    """The text of an annotation file; `advice` says what to do where it isn't there.

    Raises:
        DataError: Missing, or not UTF-8 text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(path, None, f"does not exist; {advice}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(path, None, f"cannot be read as UTF-8 text: {error}") from error


def read_csv(path: Path, advice: str) -> Table:
    """All rows of a comma-separated file, blank lines left out.

    Raises:
        DataError: Missing, or not UTF-8 text.
    """
    reader = csv.reader(read_text(path, advice).splitlines())
    lines, rows = [], []
    try:
        for row in reader:
            cells = tuple(cell.strip() for cell in row)
            if any(cells):
                lines.append(reader.line_num)
                rows.append(cells)
    except csv.Error as error:
        raise DataError(path, reader.line_num, f"is not comma-separated text: {error}") from error
    return Table(path, tuple(lines), tuple(rows))


def read_named_columns(path: Path, needed: tuple[str, ...], advice: str) -> tuple[Table, dict[str, int]]:
    """A csv file with a header; the rows behind it, and the place of each column by name.

    Raises:
        DataError: Missing, a column of `needed` lacks in the header, or a row has another number of cells.
    """
    table = read_csv(path, advice)
    header = table.rows[0] if len(table) else ()
    places = {name: place for place, name in enumerate(header)}
    lacking = [name for name in needed if name not in places]
    if lacking:
        raise DataError(
            path, 1, f"the header lacks {', '.join(lacking)}; expected {','.join(needed)}, got {','.join(header)}"
        )
    body = Table(path, table.lines[1:], table.rows[1:])
    body.require(
        np.array([len(row) == len(header) for row in body.rows], bool),
        lambda row: f"{len(row)} cells, the header has {len(header)}",
    )
    return body, places
