"""Connections to addresses, with servers in this process that answer at once."""

from __future__ import annotations

import functools
import http.server
import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest

from servers.access_units import encode
from servers.web_cameras import MjpegCamera
from sf_detect.errors import SourceOpenError
from sf_detect.video.addresses import loses_packets, require_known_scheme, stream_options
from sf_detect.video.connection import ConnectionLost, ConnectionRefused
from sf_detect.video.network import NetworkConnection, SeenPackets
from synthetic_video import index_image, read_index, write_audio_only, write_video

SECRET = "CANARY"


def connect(url: str, patience: float = 10.0) -> NetworkConnection:
    return NetworkConnection(url, threading.Event(), patience)


@pytest.fixture
def camera() -> Iterator[MjpegCamera]:
    jpegs = list(encode(map(index_image, range(20)), codec="jpeg"))
    with MjpegCamera(jpegs, 100, "me", SECRET) as camera:
        yield camera


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_pictures_without_stamps_and_not_yet_converted(camera: MjpegCamera) -> None:
    connection = connect(camera.url.replace("//", f"//me:{SECRET}@"))
    pictures = list(itertools.islice(connection.pictures(), 3))
    connection.close()
    assert (connection.fps, connection.is_recording, connection.errors, connection.late) == (None, False, 0, 0)
    assert [picture.stamp for picture in pictures] == [None] * 3
    assert [read_index(picture.convert()) for picture in pictures] == [0, 1, 2]
    assert {picture.size for picture in pictures} == {(48, 64)}


@pytest.mark.parametrize("user", ["", f"me:not{SECRET}@", f"not{SECRET}:x@"])
def test_a_wrong_password(camera: MjpegCamera, user: str) -> None:
    with pytest.raises(ConnectionRefused, match=r"^user name and password were not accepted$"):
        connect(camera.url.replace("//", f"//{user}"))


def test_the_end_of_a_live_stream_is_no_error_of_its_own() -> None:
    jpegs = list(encode(map(index_image, range(20)), codec="jpeg"))
    with MjpegCamera(jpegs, 100, pictures_per_client=5) as camera:
        connection = connect(camera.url)
        try:
            count = len(list(connection.pictures()))
        except ConnectionLost:
            count = 5
        connection.close()
    assert count in (4, 5)


def test_a_path_that_is_not_there(site: str) -> None:
    with pytest.raises(ConnectionLost, match="404") as caught:
        connect(f"{site.replace('//', f'//me:{SECRET}@')}/none.ts?token={SECRET}")
    assert not isinstance(caught.value, ConnectionRefused)
    assert SECRET not in str(caught.value)


def test_a_stream_without_video(site: str, tmp_path: Path) -> None:
    write_audio_only(tmp_path / "a.ts")
    with pytest.raises(ConnectionLost, match="holds no video stream"):
        connect(f"{site}/a.ts")


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_server_that_says_nothing(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"{scheme}://me:{SECRET}@127.0.0.1:{silent.getsockname()[1]}/live"
        with pytest.raises(ConnectionLost, match=r"^no answer$"):
            connect(url, patience=0.2)


def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"rtsp://me:{SECRET}@127.0.0.1:{taken.getsockname()[1]}/live"
        with pytest.raises(ConnectionLost, match=r"^Connection refused$"):
            connect(url)


def test_a_recording_is_read_to_its_end_at_its_own_pace(site: str, tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", 6, 60, faststart=True)
    connection = connect(f"{site}/clip.mp4")
    assert connection.is_recording
    pictures = list(connection.pictures())
    connection.close()
    assert [read_index(picture.convert()) for picture in pictures] == list(range(6))
    assert pictures[-1].arrival - pictures[0].arrival == pytest.approx(5 / 60, abs=1e-3)


def test_a_recording_that_nobody_wants_any_more_ends(site: str, tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", 6, 1, faststart=True)
    stopped = threading.Event()
    connection = NetworkConnection(f"{site}/clip.mp4", stopped, 10.0)
    pictures = connection.pictures()
    next(pictures)
    stopped.set()
    assert list(pictures) == []
    connection.close()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("rtsp://camera/a", {"analyzeduration": "100000", "probesize": "50000", "rtsp_transport": "udp"}),
        ("RTSP://camera/a", {"analyzeduration": "100000", "probesize": "50000", "rtsp_transport": "udp"}),
        ("http://camera/video", {"analyzeduration": "100000", "probesize": "50000"}),
        ("https://camera/live.m3u8?a=b", {"analyzeduration": "500000", "probesize": "500000"}),
        ("rtmp://camera/a", {"analyzeduration": "500000", "probesize": "500000"}),
    ],
)
def test_options_of_addresses(url: str, expected: dict[str, str]) -> None:
    assert stream_options(url, "udp") == expected


@pytest.mark.parametrize("url", ["rtsp://a/b", "HTTP://a", "udp://@239.0.0.1:1234", "srt://a:1"])
def test_known_schemes(url: str) -> None:
    require_known_scheme(url)


@pytest.mark.parametrize(
    ("url", "transport", "loses"),
    [("rtsp://a", "tcp", False), ("rtsp://a", "udp", True), ("udp://a:1", "tcp", True), ("http://a", "udp", False)],
)
def test_which_transports_lose_packets(url: str, transport: str, loses: bool) -> None:
    assert loses_packets(url, transport) is loses


def test_a_protocol_that_this_build_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "open", raising(av.error.ProtocolNotFoundError(1, f"srt://me:{SECRET}@a")))
    with pytest.raises(SourceOpenError, match="this build of FFmpeg does not know the protocol") as caught:
        connect(f"srt://me:{SECRET}@a:1")
    assert SECRET not in str(caught.value)


def raising(error: Exception) -> Callable[..., None]:
    def raise_it(*_: object, **__: object) -> None:
        raise error

    return raise_it


def test_packets_that_were_there_before() -> None:
    seen = SeenPackets(count=3)
    packets = [av.Packet(bytes(10 + index)) for index in range(4)]
    for index, packet in enumerate(packets):
        packet.pts = index
    assert [seen.add(packet) for packet in packets[:2]] == [True, True]
    assert [seen.add(packet) for packet in packets] == [False, False, True, True]
    assert seen.add(packets[0]), "only so many are kept"
