"""Tables of training material, labelled by hand: csv, one example a row."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from sf_detect.errors import DataError

T = TypeVar("T")


def read_rows(path: Path, parse: Callable[[Mapping[str, str]], T | None], row_is: str, expected: str) -> list[T]:
    """What the rows of a table say, in their order.

    Args:
        path: The csv file.
        parse: Makes something of a row, or passes it over by None; refuses it by `KeyError`, `TypeError` or
            `ValueError`.
        row_is: What a row is that is not refused.
        expected: What a user should do if the file does not exist.

    Raises:
        DataError: The file is missing, or a row is refused.
    """
    if not path.is_file():
        raise DataError(path, None, f"does not exist; {expected}")
    found = []
    with path.open(newline="", encoding="utf-8") as file:
        for row in (reader := csv.DictReader(file)):
            try:
                parsed = parse(row)
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(path, reader.line_num, f"is no {row_is}: {error!r}") from error
            if parsed is not None:
                found.append(parsed)
    return found
