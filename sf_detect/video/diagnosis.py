"""Why a file cannot be opened, in words that help."""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from sf_detect.errors import SourceOpenError

_WEBP_ANIMATION = 0x02  # a flag of the VP8X chunk
_HEIF_PICTURES = frozenset({b"heic", b"heix", b"heim", b"heis", b"mif1"})


def require_readable_file(path: Path) -> None:
    """Checks what can be checked without a decoder.

    Raises:
        SourceOpenError: Missing (with a similar name from the same folder), a folder, a pipe or device, empty, or
            not permitted to be read.
    """
    try:
        status = path.stat()
    except (OSError, ValueError):
        raise SourceOpenError(missing_message(path)) from None  # it shows the name, which may be a mistyped address
    if stat.S_ISDIR(status.st_mode):
        raise SourceOpenError(
            f"{path} is a folder. Expected a video file; a folder of images is opened with ImageFolderSource."
        )
    if not stat.S_ISREG(status.st_mode):
        raise SourceOpenError(
            f"{path} is not a regular file (a pipe or a device). Expected a video file; write it to a file first, "
            "or give a camera by its number."
        )
    if status.st_size == 0:
        raise SourceOpenError(
            f"{path} is empty (0 bytes). Expected a video file; the copy or download did not finish, so fetch it again."
        )
    if not os.access(path, os.R_OK):
        raise SourceOpenError(f"{path} may not be read by this user. Expected read permission; try: chmod +r {path}")


def missing_message(path: Path) -> str:
    """Message for a path that does not exist, with the most similar name next to it."""
    parent = path.parent
    if not parent.is_dir():
        return f"{path} does not exist, nor does its folder {parent}. Expected an existing video; check the path."
    if path.is_symlink():
        target = os.readlink(path)
        return (
            f"{path} is a link to {target}, which does not exist. Expected an existing video; mend or remove the link."
        )
    names = sorted(os.listdir(parent))
    folded = {name.casefold(): name for name in names}
    close = difflib.get_close_matches(path.name.casefold(), folded, n=1, cutoff=0.6)
    hint = f" Did you mean {str(parent / folded[close[0]])!r}?" if close else ""
    return f"{path} does not exist.{hint} Expected an existing video file; check the path."


def unreadable_message(path: Path, error: Exception) -> str:
    """Message for a file that FFmpeg does not open, with the reason its first bytes suggest."""
    detail = getattr(error, "strerror", None) or str(error)
    return f"{path} cannot be opened as a video ({detail}): {_suspicion(path, error)}"


def content_problem(path: Path) -> str | None:
    """What the first bytes show the file to be, where that is nothing to decode, and what to do; else None."""
    with path.open("rb") as file:
        head = file.read(4096)
    if head.lstrip().lower().startswith((b"<!doctype", b"<html")):
        return "it is a web page under a video's name. Expected video data; download the video itself."
    if head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and head[20:21] and head[20] & _WEBP_ANIMATION:
        return "it is an animated WebP, a format that is not supported. Convert it to MP4, GIF or animated PNG first."
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_PICTURES:
        return "it is a HEIF picture (HEIC), a format that is not supported. Convert it to JPEG or PNG first."
    if not any(byte < 9 for byte in head):
        return "it holds text. Expected video data; check that this is the right file."
    if not any(head):
        return "it holds only zeros. Expected video data; the copy or download did not finish, so fetch it again."
    return None


def _suspicion(path: Path, error: Exception) -> str:
    problem = content_problem(path)
    if problem is not None:
        return problem
    with path.open("rb") as file:
        head = file.read(8)
    if head[4:8] == b"ftyp":
        return _mp4_suspicion(dict(_boxes(path)))
    if isinstance(error, EOFError):
        return (
            "it ends right after its header, without a picture. Expected at least one frame; the recording stopped "
            "before it began, so record or export it again."
        )
    return "its format is not known to FFmpeg, or its start is damaged. Expected a video file such as MP4, MKV or AVI."


def _mp4_suspicion(boxes: dict[str, bool]) -> str:
    if boxes.get("moov"):
        return (
            "it is an MP4 whose index lists no pictures (zero frames) or is damaged. Expected at least one frame; "
            "export or fetch it again."
        )
    found = ", ".join(f"{name}{'' if whole else ' (cut off)'}" for name, whole in boxes.items())
    return (
        f"it is an MP4 without its index (boxes found: {found}; expected a whole moov), as when a recording was "
        "interrupted or a copy did not finish. Fetch it again, or repair it with a tool such as untrunc."
    )


def _boxes(path: Path) -> Iterator[tuple[str, bool]]:
    """Top-level boxes of an ISO base media file (ISO/IEC 14496-12, 4.2): name, and whether the file holds all of it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        position = 0
        while position + 8 <= size:
            file.seek(position)
            header = file.read(16)
            length = int.from_bytes(header[:4], "big")
            if length == 1:
                length = int.from_bytes(header[8:16], "big")
            elif length == 0:  # up to the end of the file
                length = size - position
            if length < 8:
                return
            position += length
            yield header[4:8].decode("latin-1"), position <= size
