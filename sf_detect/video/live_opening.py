"""From what a user types to a live source."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.interfaces import LiveSource
from sf_detect.redaction import public_host
from sf_detect.video.network import NetworkConnection, SeenPackets, require_known_scheme
from sf_detect.video.reconnecting import ReconnectingSource

_TRANSPORTS = ("tcp", "udp")


@dataclass(frozen=True)
class LiveOptions:
    """How live sources are read.

    Attributes:
        stall_seconds: Without a picture for so long, a connection is given up and made again.
        longest_wait: Most seconds between two tries to connect.
        rtsp_transport: "tcp", or "udp", which loses packets instead of falling behind.
    """

    stall_seconds: float = 3.0
    longest_wait: float = 30.0
    rtsp_transport: str = "tcp"

    def __post_init__(self) -> None:
        for name in ("stall_seconds", "longest_wait"):
            value = getattr(self, name)
            if not 0 < value < float("inf"):
                raise ConfigError(f"{name} is {value}; expected a number of seconds above 0.")
        if self.rtsp_transport not in _TRANSPORTS:
            raise UnknownNameError("transport of RTSP", self.rtsp_transport, _TRANSPORTS)


def open_live_source(spec: str | Path, options: LiveOptions | None = None) -> LiveSource:
    """Opens a stream ("scheme://...") without waiting for it; one that is offline is waited for.

    Args:
        spec: What to open.
        options: How.

    Raises:
        SourceOpenError: Trying again would not help: an unknown scheme.
    """
    text, options = os.fspath(spec), options or LiveOptions()
    require_known_scheme(text)
    return ReconnectingSource(
        public_host(text) or "stream",
        partial(NetworkConnection, text, rtsp_transport=options.rtsp_transport, seen=SeenPackets()),
        stall_seconds=options.stall_seconds,
        longest_wait=options.longest_wait,
    )
