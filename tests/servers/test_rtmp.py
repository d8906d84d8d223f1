"""RTMP with a real server: what comes, and what happens when the server or the camera goes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.access_units import encode
from servers.pictures import COUNT, FPS, numbered
from servers.reader import Read, Reader
from servers.rtmp_server import RtmpCamera, RtmpServer, why_not
from sf_detect.video.live_opening import open_live_source

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def pictures() -> list[bytes]:
    """Ten seconds of H.264 with a key picture a second."""
    return list(encode(map(numbered, range(COUNT)), FPS, gop=FPS))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RtmpServer]:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with RtmpServer(tmp_path) as server:
        yield server


def missing(reader: Reader, begin: int = 0) -> int:
    """How many pictures did not come, from that frame on; those that came must be undamaged and at their times."""
    left_out = 0
    for earlier, later in itertools.pairwise(reader.seen[begin:]):
        assert earlier.number is not None
        assert later.number is not None
        assert not later.damaged
        steps = (later.number - earlier.number) % COUNT
        assert later.pts - earlier.pts == pytest.approx(steps / FPS, abs=0.005)  # FLV counts milliseconds
        left_out += steps - 1
    return left_out


def test_pictures_come_at_their_times_and_none_is_missed_uncounted(
    server: RtmpServer, read: Read, pictures: list[bytes]
) -> None:
    with RtmpCamera(server.url, pictures, FPS):
        reader = read(open_live_source(server.url))
        reader.until_frames(90)
        # What the server sends before the stream is open comes at once, more of it than may wait.
        assert missing(reader) <= reader.source.status().drops.get("not taken", 0)
        status = reader.source.status()
        assert (status.state, status.size, status.jumps, status.reconnects) == ("live", (240, 320), 0, 0)
        assert not any(seen.starts_anew for seen in reader.seen[1:])


def test_a_server_that_is_killed_and_comes_back(server: RtmpServer, read: Read, pictures: list[bytes]) -> None:
    with RtmpCamera(server.url, pictures, FPS):
        reader = read(open_live_source(server.url))
        reader.until_frames(30)
        server.kill()
        reader.until_state("waiting")
        before = len(reader.seen)
        server.start()
        reader.until(lambda: reader.source.status().reconnects == 1)
        reader.until_frames(40)
    last, newest = reader.seen[before - 1], reader.seen[-1]
    assert reader.seen[before].starts_anew
    # What comes while the stream is opened, half a second, comes at once.
    assert newest.pts - last.pts == pytest.approx(newest.arrival - last.arrival, abs=0.7)
    assert missing(reader, before) <= reader.source.status().drops.get("not taken", 0)


def test_a_camera_that_leaves_the_server_and_comes_back(server: RtmpServer, read: Read, pictures: list[bytes]) -> None:
    with RtmpCamera(server.url, pictures, FPS):
        reader = read(open_live_source(server.url))
        reader.until_frames(30)
    reader.until(lambda: reader.source.status().state != "live")
    with RtmpCamera(server.url, pictures, FPS):
        reader.until_state("live")
        reader.until_frames(40)
    assert sum(seen.starts_anew for seen in reader.seen[1:]) >= 1
    assert all(seen.number is not None for seen in reader.seen if not seen.damaged)
    assert all(later.pts > earlier.pts for earlier, later in itertools.pairwise(reader.seen))
