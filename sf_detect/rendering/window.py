"""A window on the screen, where there is one."""

from __future__ import annotations

import math
import os
import re
import socket
import sys
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from sf_detect.structures import UInt8Array

_KEYS = {ord("q"), ord("Q"), 27}
_CONNECT_SECONDS = 1.0


def missing_display() -> str | None:
    """Why no window can be opened here; None where one can."""
    if re.search(r"GUI:\s*NONE", cv2.getBuildInformation()):
        return "this build of OpenCV has no windows (install opencv-python instead of opencv-python-headless)"
    if sys.platform in ("win32", "darwin"):
        return None
    display = os.environ.get("DISPLAY", "")
    if not display:
        return "there is no display (DISPLAY is not set)"
    # Qt ends the whole process where it can't connect.
    return None if _answers(display) else f"the display {display} does not answer"


def _answers(display: str) -> bool:
    found = re.fullmatch(r"(?:unix)?(?P<host>[^:/]*):(?P<number>\d+)(?:\.\d+)?", display)
    if found is None:  # a path, as on some systems: whoever set it knows
        return os.path.exists(display.rpartition(":")[0] or display)
    number = int(found["number"])
    families = [(socket.AF_UNIX, address) for address in (f"/tmp/.X11-unix/X{number}", f"\0/tmp/.X11-unix/X{number}")]
    if found["host"]:
        families = [(socket.AF_INET, (found["host"], 6000 + number))]  # type: ignore[list-item]
    for family, address in families:
        with socket.socket(family) as connection:
            connection.settimeout(_CONNECT_SECONDS)
            try:
                connection.connect(address)
            except OSError:
                continue
            return True
    return False


class Window:
    """Shows the pictures of one or more sources side by side. To be used in the main thread.

    Args:
        title: Of the window.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._opened = self._closed = False
        self._shape: tuple[int, ...] = ()

    def show(self, pictures: Mapping[str, UInt8Array]) -> None:
        """Shows the newest pictures (H, W, 3) uint8 RGB, by source."""
        if not pictures or self._closed:
            return
        image = mosaic(list(pictures.values()))
        if not self._opened:
            cv2.namedWindow(self._title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
            self._opened = True
        if image.shape != self._shape:
            self._shape = image.shape
            cv2.resizeWindow(self._title, image.shape[1], image.shape[0])
        cv2.imshow(self._title, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))

    def poll(self) -> bool:
        """Lets the window work; False once somebody has closed it, or pressed q or Escape."""
        if self._opened and not self._closed:
            key = cv2.waitKey(1)
            visible = cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1
            self._closed = not visible or (key >= 0 and key & 0xFF in _KEYS)
        return not self._closed

    def close(self) -> None:
        """Closes it. Idempotent."""
        if self._opened:
            self._opened, self._closed = False, True
            cv2.destroyAllWindows()


def mosaic(pictures: Sequence[UInt8Array]) -> UInt8Array:
    """Pictures side by side, each fitted into a cell of the first one's size."""
    if len(pictures) == 1:
        return pictures[0]
    columns = math.ceil(math.sqrt(len(pictures)))
    size = pictures[0].shape[0], pictures[0].shape[1]
    cells = [_fitted(picture, size) for picture in pictures]
    cells += [np.zeros((*size, 3), np.uint8)] * (-len(cells) % columns)
    return np.vstack([np.hstack(cells[i : i + columns]) for i in range(0, len(cells), columns)])


def _fitted(picture: UInt8Array, size: tuple[int, int]) -> UInt8Array:
    if picture.shape[:2] == size:
        return picture
    scale = min(size[0] / picture.shape[0], size[1] / picture.shape[1])
    height, width = (max(1, min(most, round(side * scale))) for side, most in zip(picture.shape, size, strict=False))
    cell = np.zeros((*size, 3), np.uint8)
    cell[:height, :width] = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return cell
