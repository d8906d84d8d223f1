"""From what a user types to a source."""

from __future__ import annotations

import os
import re
from fractions import Fraction
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sf_detect.interfaces import VideoSource
from sf_detect.interruptible import interruptible
from sf_detect.video.camera import CameraSource
from sf_detect.video.images import ImageFolderSource
from sf_detect.video.sources import FileSource, StreamSource


def open_source(spec: str | Path, fps: Fraction | None = None, threads: int | None = None) -> VideoSource:
    """Opens a camera ("0", "/dev/video0"), a stream ("scheme://..."), a folder of images or a video file.

    An existing file or folder comes first where a name could mean both (a folder called "0").

    Args:
        spec: What to open.
        fps: Rate of a folder of images; 25 where None. Not used by the others, which have their own time.
        threads: That decode a file; None takes FFmpeg's choice, one a core.

    Raises:
        SourceOpenError: It cannot be opened; the message says why.
        DecodeError: It opened, but holds no picture that decodes.
    """
    text = os.fspath(spec)
    number = camera_number(text)
    if number is not None:
        return CameraSource(number)  # in this thread: macOS asks the user for permission in the main one only
    return interruptible(lambda: _open(text, fps, threads), lambda source: source.close())


def camera_number(spec: str) -> int | None:
    """The number of the camera that is meant ("0", "/dev/video0"); None where something else is."""
    device = re.fullmatch(r"(?:/dev/video)?(\d{1,3})", spec)
    return int(device[1]) if device and not (spec.isdecimal() and Path(spec).exists()) else None


def is_stream(spec: str) -> bool:
    """Whether an address of a network is meant ("scheme://...", not "file://...")."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", spec) is not None and not spec.startswith("file://")


def _open(text: str, fps: Fraction | None, threads: int | None) -> VideoSource:
    if is_stream(text):
        return StreamSource(text)
    if text.startswith("file://"):
        text = unquote(urlsplit(text).path, errors="surrogateescape")
    path = Path(text).expanduser()
    if path.is_dir():
        return ImageFolderSource(path, fps)
    return FileSource(path, threads)
