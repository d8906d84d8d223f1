"""Lines of the text files that are evaluated."""

from __future__ import annotations

from pathlib import Path

from sf_detect.errors import DataError


def read_lines(path: str | Path) -> list[str]:
    """The lines of a text file in UTF-8, with or without a byte order mark.

    Raises:
        DataError: Not readable.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(path, None, f"cannot be read as UTF-8 text: {error}") from error
