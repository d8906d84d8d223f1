"""Answers as text: a table for people, csv and JSON for programs."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from sf_detect.archive.database import Answer
from sf_detect.errors import UnknownNameError
from sf_detect.file_names import printable_name

FORMATS = ("table", "csv", "json")
TABLE_ROWS = 100
"""Most rows of a table where no limit is given."""
_WIDEST = 60


def as_text(answer: Answer, format: str, limit: int | None = None) -> Iterator[str]:
    """Pieces of text, each whole lines.

    Args:
        answer: Read to its end, or to the limit.
        format: One of `FORMATS`.
        limit: Most rows; None is all, and `TABLE_ROWS` of a table, which then says that there are more.

    Raises:
        UnknownNameError: No such format.
    """
    writers: dict[str, Callable[[Answer, int | None], Iterator[str]]] = {"table": _table, "csv": _csv, "json": _json}
    if format not in writers:
        raise UnknownNameError("format", format, FORMATS)
    return writers[format](answer, limit)


def _table(answer: Answer, limit: int | None) -> Iterator[str]:
    rows = [[_shown(value) for value in row] for row in islice(answer.rows, TABLE_ROWS if limit is None else limit)]
    more = next(answer.rows, None) is not None
    if not rows:
        yield "nothing found\n"
        return
    numeric = [all(_is_number(row[i]) for row in rows) for i in range(len(answer.columns))]
    widths = [max(len(row[i]) for row in [list(answer.columns), *rows]) for i in range(len(answer.columns))]
    for row in [list(answer.columns), *rows]:
        cells = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        )
        yield "  ".join(cells).rstrip() + "\n"
    if more:
        yield f"... there are more than {len(rows)}: give another --limit, or --format csv\n"


def _csv(answer: Answer, limit: int | None) -> Iterator[str]:
    yield _csv_line(answer.columns)
    for row in islice(answer.rows, limit):
        yield _csv_line(["" if value is None else _plain(value) for value in row])


def _csv_line(cells: Any) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(
        [json.dumps(c, ensure_ascii=False) if isinstance(c, (list, dict)) else c for c in cells]
    )
    return text.getvalue()


def _json(answer: Answer, limit: int | None) -> Iterator[str]:
    """An array, an object a line."""
    before = "["
    for row in islice(answer.rows, limit):
        content = {name: _plain(value) for name, value in zip(answer.columns, row, strict=True)}
        yield f"{before}\n{json.dumps(content, ensure_ascii=False, allow_nan=False)}"
        before = ","
    yield "[]\n" if before == "[" else "\n]\n"


def _plain(value: Any) -> Any:
    """As JSON has it: what is no number is null, other kinds are text."""
    if isinstance(value, float):
        return _short(value) if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    return str(value)


def _short(value: float) -> float:
    """Without digits that are those of float32 only; times keep their microseconds."""
    return float(f"{value:.7g}") if abs(value) < 10 else round(value, 6)


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}"
    plain = _plain(value)
    text = printable_name(plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False))
    return text if len(text) <= _WIDEST else text[: _WIDEST - 3] + "..."


def _is_number(text: str) -> bool:
    return text == "-" or text.lstrip("-").replace(".", "", 1).isdigit()
