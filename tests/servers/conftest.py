"""Pictures with a counter in them, servers that send them, and a reader that notes what comes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.access_units import encode, write_units
from servers.camera_server import CameraServer, Serve, why_not
from servers.pictures import COUNT, FPS, numbered
from servers.reader import Read, Reader
from sf_detect.interfaces import LiveSource


@pytest.fixture(scope="session")
def units(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds of H.264 with a key picture a second."""
    path = tmp_path_factory.mktemp("units") / "h264.units"
    return write_units(path, encode(map(numbered, range(COUNT)), FPS, gop=FPS), FPS)


@pytest.fixture(scope="session")
def jpegs() -> list[bytes]:
    """Ten seconds of JPEG."""
    return list(encode(map(numbered, range(COUNT)), codec="jpeg"))


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts RTSP servers, which end with the test."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    servers: list[CameraServer] = []

    def start(units: Path, *options: str, port: int = 0) -> CameraServer:
        servers.append(CameraServer(units, *options, port=port))
        return servers[-1]

    yield start
    for server in servers:
        server.__exit__(None, None, None)


@pytest.fixture
def read() -> Iterator[Read]:
    """Reads sources in threads, which end with the test."""
    readers: list[Reader] = []

    def start(source: LiveSource) -> Reader:
        readers.append(Reader(source))
        return readers[-1]

    yield start
    for reader in readers:
        assert reader.close() < 2.0, "a source did not close in time"
