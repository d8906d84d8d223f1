"""From what a user types to a live source."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.interfaces import LiveSource
from sf_detect.redaction import public_host
from sf_detect.video.addresses import require_known_scheme
from sf_detect.video.connection import Connect
from sf_detect.video.live_camera import CameraConnection, CameraOptions
from sf_detect.video.network import NetworkConnection, SeenPackets
from sf_detect.video.opening import camera_number, is_stream, open_source
from sf_detect.video.paced import PacedSource
from sf_detect.video.reconnecting import ReconnectingSource

_TRANSPORTS = ("tcp", "udp")


@dataclass(frozen=True)
class LiveOptions:
    """How live sources are read.

    Attributes:
        stall_seconds: Without a picture for so long, a connection is given up and made again.
        longest_wait: Most seconds between two tries to connect.
        rtsp_transport: "tcp", or "udp", which loses packets instead of falling behind.
        camera_width, camera_height, camera_fps, camera_backend: See `CameraOptions`.
    """

    stall_seconds: float = 3.0
    longest_wait: float = 30.0
    rtsp_transport: str = "tcp"
    camera_width: int | None = None
    camera_height: int | None = None
    camera_fps: float | None = None
    camera_backend: str = "any"

    def __post_init__(self) -> None:
        for name in ("stall_seconds", "longest_wait"):
            value = getattr(self, name)
            if not 0 < value < float("inf"):
                raise ConfigError(f"{name} is {value}; expected a number of seconds above 0.")
        if self.rtsp_transport not in _TRANSPORTS:
            raise UnknownNameError("transport of RTSP", self.rtsp_transport, _TRANSPORTS)

    @property
    def camera(self) -> CameraOptions:
        """What a camera is asked for; raises ConfigError where that makes no sense."""
        return CameraOptions(self.camera_width, self.camera_height, self.camera_fps, self.camera_backend)


def open_live_source(spec: str | Path, options: LiveOptions | None = None, fps: Fraction | None = None) -> LiveSource:
    """Opens a camera ("0"), a stream ("scheme://..."), or a file or folder of images, which is played at its own speed.

    Cameras and streams are not waited for here, and those that are offline are waited for while they are iterated.

    Args:
        spec: What to open; an existing file or folder comes first where a name could mean both.
        options: How.
        fps: Rate of a folder of images; 25 where None.

    Raises:
        SourceOpenError: Trying again would not help: a file that is missing or no video, or an unknown scheme.
        DecodeError: A file of which no picture decodes.
        ConfigError: Options of a camera that make no sense.
    """
    text, options = os.fspath(spec), options or LiveOptions()
    number = camera_number(text)
    if number is not None:
        connect: Connect = partial(CameraConnection, number, options.camera)
        return _reconnecting(f"camera{number}", connect, options, exclusive=True)
    if is_stream(text):
        require_known_scheme(text)
        connect = partial(NetworkConnection, text, rtsp_transport=options.rtsp_transport, seen=SeenPackets())
        return _reconnecting(public_host(text) or "stream", connect, options)
    return PacedSource(open_source(spec, fps))


def _reconnecting(name: str, connect: Connect, options: LiveOptions, exclusive: bool = False) -> ReconnectingSource:
    return ReconnectingSource(
        name,
        connect,
        stall_seconds=options.stall_seconds,
        longest_wait=options.longest_wait,
        exclusive=exclusive,
    )
