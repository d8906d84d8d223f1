"""Local cameras for a `ReconnectingSource`, through OpenCV."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import cv2
import numpy as np

from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.structures import UInt8Array
from sf_detect.video.camera import quiet_opencv
from sf_detect.video.connection import ConnectionLost, Picture

_MAX_READ_FAILURES = 30
_ANY = "any"


@dataclass(frozen=True)
class CameraOptions:
    """What a camera is asked for; it gives what it has.

    Attributes:
        width, height: Pixels; None leaves the camera's own.
        fps: Pictures a second; None leaves the camera's own.
        backend: What OpenCV reads it with, such as "v4l2" (Linux), "dshow" or "msmf" (Windows) or "avfoundation"
            (macOS); "any" lets it choose.
    """

    width: int | None = None
    height: int | None = None
    fps: float | None = None
    backend: str = _ANY

    def __post_init__(self) -> None:
        for name in ("width", "height", "fps"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ConfigError(f"the camera's {name} is {value}; expected a number above 0.")
        if self.backend != _ANY and self.backend not in camera_backends():
            raise UnknownNameError("camera backend", self.backend, [_ANY, *camera_backends()])


def camera_backends() -> dict[str, int]:
    """OpenCV's number of each backend that this build has for cameras, by its name in small letters."""
    registry = cv2.videoio_registry
    return {registry.getBackendName(number).lower(): number for number in registry.getCameraBackends()}


class CameraConnection:
    """An open camera, see `Connection`. Times are those of arrival.

    Args:
        index: The camera's number, 0 for the first.
        options: What it is asked for.
        stopped: Set where nobody wants it any more.
        patience: Not used: OpenCV takes as long as the driver does.

    Raises:
        ConnectionLost: There is no such camera, or another program holds it.
    """

    is_recording, late = False, 0

    def __init__(self, index: int, options: CameraOptions, stopped: threading.Event, patience: float) -> None:
        self.errors = 0
        self._stopped = stopped
        with quiet_opencv():
            self._capture = cv2.VideoCapture(index, camera_backends().get(options.backend, cv2.CAP_ANY))
            if not self._capture.isOpened():
                self._capture.release()
                raise ConnectionLost(f"there is no camera {index}, or another program uses it")
            self._ask_for(options)
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = Fraction(rate).limit_denominator(1001) if 0 < rate < 1000 else None
        self.note = self._missed(options)

    def _ask_for(self, options: CameraOptions) -> None:
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # a driver's queue makes pictures old
        wanted = {
            cv2.CAP_PROP_FRAME_WIDTH: options.width,
            cv2.CAP_PROP_FRAME_HEIGHT: options.height,
            cv2.CAP_PROP_FPS: options.fps,
        }
        for what, value in wanted.items():
            if value is not None:
                self._capture.set(what, value)

    def _missed(self, options: CameraOptions) -> str:
        """What the camera does not do as asked."""
        width, height = (
            round(self._capture.get(what)) for what in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        asked = (options.width or width, options.height or height)
        if asked == (width, height):
            return ""
        return f"the camera gives {width}x{height} instead of {asked[0]}x{asked[1]}"

    def pictures(self) -> Iterator[Picture]:
        """See `Connection`."""
        failures = 0
        while failures < _MAX_READ_FAILURES and not self._stopped.is_set():
            with quiet_opencv():
                received, image = self._capture.read()
            if not received or image is None:
                failures += 1
                self.errors += 1
                continue
            failures = 0
            bgr: UInt8Array = np.asarray(image, np.uint8)
            yield Picture(partial(_rgb, bgr), (bgr.shape[0], bgr.shape[1]), None, time.monotonic())
        raise ConnectionLost("the camera gives no picture")

    def close(self) -> None:
        """Frees the camera for others."""
        self._capture.release()


def _rgb(image: UInt8Array) -> UInt8Array:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
