"""A local camera through OpenCV."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator
from fractions import Fraction

import cv2
import numpy as np

from sf_detect.errors import DecodeError, SourceError, SourceOpenError
from sf_detect.structures import Frame, UInt8Array, VideoInfo
from sf_detect.video.base import BaseSource

_MAX_READ_FAILURES = 30


class CameraSource(BaseSource):
    """A camera of this machine by its number, in its simplest form. Live; iterates once.

    Times are those of arrival, from a monotonic clock that starts at the first frame.

    Args:
        index: The camera's number, 0 for the first.

    Raises:
        SourceOpenError: There is no such camera, or another program holds it.
        DecodeError: The camera opened but gives no picture.
    """

    def __init__(self, index: int) -> None:
        self.index = index
        with quiet_opencv():
            self._capture = cv2.VideoCapture(index)
            opened = self._capture.isOpened()
        if not opened:
            self._capture.release()
            raise SourceOpenError(
                f"camera {index} cannot be opened. Expected a connected camera that no other program uses; check the "
                "cable and the permission, or try another number (the first camera is 0)."
            )
        self._first = self._read()
        if self._first is None:
            self._capture.release()
            raise DecodeError(
                f"camera {index} opened but gave no picture in {_MAX_READ_FAILURES} tries. Expected a working camera; "
                "unplug it and plug it in again."
            )
        height, width = self._first.shape[:2]
        self.info = VideoInfo(width, height, fps=self._fps(), is_live=True, name=f"camera{index}")
        self._iterating = False

    def _fps(self) -> Fraction | None:
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        return Fraction(rate).limit_denominator(1001) if 0 < rate < 1000 else None

    def _read(self) -> UInt8Array | None:
        for _ in range(_MAX_READ_FAILURES):
            with quiet_opencv():
                received, image = self._capture.read()
            if received and image is not None:
                return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
            self.decode_errors += 1
        return None

    def _frames(self) -> Generator[Frame, None, None]:
        image, self._first = self._first, None
        if image is None:
            raise SourceError(
                f"camera {self.index} was already iterated. Expected a single iteration; open the camera again."
            )
        self._iterating = True
        start, last = time.monotonic(), -1.0
        try:
            index = 0
            while image is not None and not self._closed:
                last = max(time.monotonic() - start, last + 1e-6) if index else 0.0
                yield Frame(image, index, last)
                index += 1
                image = None if self._closed else self._read()
        finally:
            self._capture.release()

    def _release(self) -> None:
        # A running iteration releases the camera itself: freeing it under a read in another thread would crash.
        if not self._iterating:
            self._capture.release()


@contextlib.contextmanager
def quiet_opencv() -> Iterator[None]:
    """Keeps OpenCV's own log off standard error; our errors say what went wrong."""
    log = getattr(getattr(cv2, "utils", None), "logging", None)
    if log is None:
        yield
        return
    level = log.getLogLevel()
    log.setLogLevel(log.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        log.setLogLevel(level)
