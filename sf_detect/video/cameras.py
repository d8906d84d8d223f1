"""Which cameras this machine has."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2

from sf_detect.file_names import printable_name
from sf_detect.video.camera import quiet_opencv

_DEVICES = Path("/dev")
_NAMES = Path("/sys/class/video4linux")
_NUMBERS_TRIED = 10


@dataclass(frozen=True)
class CameraInfo:
    """A camera of this machine.

    Attributes:
        index: Its number, as a source.
        name: What the system calls it, or "camera N".
        size: (height, width) in pixels, as it starts; None where it gives no picture: another program may use it.
        fps: Nominal rate; None where it does not say.
        backend: What OpenCV reads it with.
    """

    index: int
    name: str
    size: tuple[int, int] | None
    fps: Fraction | None
    backend: str

    def __str__(self) -> str:
        """A line for people."""
        if self.size is None:
            seen = "no picture; another program may use it"
        else:
            rate = f" at {float(self.fps):.4g} pictures/s" if self.fps else ""
            seen = f"{self.size[1]}x{self.size[0]}{rate}"
        return f"{self.index}: {printable_name(self.name)}, {seen} ({self.backend})"


def list_cameras() -> list[CameraInfo]:
    """The cameras that open, by number; each is opened for a moment, and its lamp may flash."""
    found = (_look_at(index) for index in _numbers())
    return [camera for camera in found if camera is not None]


def _numbers() -> list[int]:
    """Numbers worth a try: Linux has a device for each camera; elsewhere they count from 0."""
    if not sys.platform.startswith("linux"):
        return list(range(_NUMBERS_TRIED))
    matches = (re.fullmatch(r"video(\d{1,3})", path.name) for path in _DEVICES.glob("video*"))
    return sorted(int(match[1]) for match in matches if match)


def _look_at(index: int) -> CameraInfo | None:
    with quiet_opencv():
        capture = cv2.VideoCapture(index)
        try:
            if not capture.isOpened():
                return None
            received, image = capture.read()
            size = (image.shape[0], image.shape[1]) if received and image is not None else None
            rate = capture.get(cv2.CAP_PROP_FPS)
            fps = Fraction(rate).limit_denominator(1001) if 0 < rate < 1000 else None
            return CameraInfo(index, _name(index), size, fps, capture.getBackendName())
        finally:
            capture.release()


def _name(index: int) -> str:
    try:
        return (_NAMES / f"video{index}" / "name").read_text("utf-8", "replace").strip() or f"camera {index}"
    except OSError:
        return f"camera {index}"
