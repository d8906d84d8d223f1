"""Names of files: for people and for text files, and no longer than file systems take."""

from __future__ import annotations

import hashlib
import os
import re

MAX_BYTES = 255
"""Longest name of a file on nearly every file system, in bytes."""

_SURROGATES = re.compile("[\ud800-\udfff]")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_BREAKS = re.compile("[\t\n\u2028\u2029]")


def printable(text: str) -> str:
    """Text that every encoding of Unicode can hold and no terminal obeys.

    Bytes of a name that are not UTF-8, which Python keeps as surrogates (PEP 383), and control characters become
    escapes such as `\\xe9`. Line breaks and tabs stay.
    """
    return _CONTROLS.sub(_escape, _SURROGATES.sub(_escape, text))


def printable_name(name: str) -> str:
    """As `printable`, in one line: a name as it stands in JSON Lines, csv and messages."""
    return _BREAKS.sub(_escape, printable(name))


def inner_path(name: str) -> str:
    """A name with folders, as a path that stays below any folder: without what leads out of it, `/` between parts."""
    parts = [part for part in printable_name(name.replace("\\", "/")).split("/") if part not in ("", ".", "..")]
    return "/".join(parts) or "video"


def shortened(stem: str, suffix: str = "", limit: int = MAX_BYTES) -> str:
    """`stem` + `suffix`, where that has more than `limit` bytes with less of the stem.

    It is cut between two characters; eight digits of its hash take the place of the rest, so that two long names that
    differ stay different.
    """
    if _size(stem + suffix) <= limit:
        return stem + suffix
    digest = hashlib.sha256(os.fsencode(stem)).hexdigest()[:8]
    room = limit - _size(suffix) - len(digest) - 1
    while stem and _size(stem) > room:
        stem = stem[:-1]
    return f"{stem}-{digest}{suffix}"


def _size(name: str) -> int:
    return len(os.fsencode(name))


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
