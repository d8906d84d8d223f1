"""MJPEG and HLS over HTTP, with real servers in this process."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import pytest

from servers.access_units import encode
from servers.pictures import COUNT, FPS, numbered
from servers.reader import Read
from servers.web_cameras import HlsCamera, MjpegCamera, Wire
from sf_detect.video.live_opening import LiveOptions, open_live_source

pytestmark = pytest.mark.servers
SECRET = "CANARY"


@pytest.mark.parametrize("fps", [5, 30])
def test_mjpeg_has_the_times_of_its_arrival(read: Read, jpegs: list[bytes], fps: int) -> None:
    with MjpegCamera(jpegs, fps) as camera:
        reader = read(open_live_source(camera.url))
        reader.until_frames(2 * fps)
        seen = reader.seen[: 2 * fps]
        assert [frame.number for frame in seen] == list(range(2 * fps))
        assert seen[-1].pts / (2 * fps - 1) == pytest.approx(1 / fps, rel=0.1)  # FFmpeg assumes 25 a second
        assert reader.source.status().fps is None


def test_mjpeg_whose_rate_changes(read: Read, jpegs: list[bytes]) -> None:
    with MjpegCamera(jpegs, 30) as camera:
        reader = read(open_live_source(camera.url))
        reader.until_frames(30)
        camera.fps = 5
        count = len(reader.seen)
        reader.until_frames(10)
        seen = reader.seen[count + 2 : count + 10]
        assert (seen[-1].pts - seen[0].pts) / 7 == pytest.approx(1 / 5, rel=0.2)
        assert not any(frame.starts_anew for frame in reader.seen)


def test_mjpeg_with_user_and_password(read: Read, jpegs: list[bytes]) -> None:
    with MjpegCamera(jpegs, 30, "me", SECRET) as camera:
        read(open_live_source(camera.url.replace("//", f"//me:{SECRET}@"))).until_frames(5)
        refused = read(open_live_source(camera.url.replace("//", "//me:wrong@")))
        refused.until_state("refused")
        assert SECRET not in f"{refused.statuses}"


def test_mjpeg_that_is_cut_in_mid_frame(read: Read, jpegs: list[bytes]) -> None:
    with MjpegCamera(jpegs, 30) as camera, Wire(camera.port) as wire:
        reader = read(open_live_source(camera.url.replace(str(camera.port), str(wire.port))))
        reader.until_frames(10)
        wire.cut(after=20_000)
        reader.until(lambda: reader.source.status().reconnects == 1)
        reader.until_frames(10)
    assert all(seen.number is not None for seen in reader.seen if not seen.damaged)
    assert len([seen for seen in reader.seen if seen.damaged]) <= 1


def test_two_hundred_reconnections_leave_nothing_behind(read: Read, jpegs: list[bytes]) -> None:
    with MjpegCamera(jpegs, 500, pictures_per_client=4) as camera:
        reader = read(open_live_source(camera.url, LiveOptions(longest_wait=0.001)))
        reader.until(lambda: reader.source.status().reconnects >= 200)  # what every thread's memory grows to
        threads, memory = threading.active_count(), resident()
        reader.until(lambda: reader.source.status().reconnects >= 400)
        assert threading.active_count() <= threads + 4
        assert resident() - memory < 10_000_000


def resident() -> int:
    """Bytes of memory of this process."""
    psutil = pytest.importorskip("psutil", reason="memory is measured with the extra [test-servers]")
    return int(psutil.Process().memory_info().rss)


@pytest.fixture
def hls(tmp_path: Path) -> Iterator[HlsCamera]:
    camera = HlsCamera(tmp_path, list(encode(map(numbered, range(COUNT)), FPS, gop=FPS)), FPS)
    yield camera
    camera.close()


def test_hls_comes_at_its_own_pace_though_it_is_sent_in_bursts(read: Read, hls: HlsCamera) -> None:
    reader = read(open_live_source(hls.url))
    reader.until_frames(150)
    seen = reader.seen[30:150]
    assert all(later.number == (earlier.number + 1) % COUNT for earlier, later in itertools.pairwise(seen))
    gaps = sorted(later.at - earlier.at for earlier, later in itertools.pairwise(seen))
    assert gaps[len(gaps) // 2] == pytest.approx(1 / FPS, rel=0.3)
    assert "stalled" not in reader.states()


def test_hls_whose_camera_has_gone_repeats_nothing(read: Read, hls: HlsCamera) -> None:
    reader = read(open_live_source(hls.url))
    reader.until_frames(30)
    hls.pause()
    reader.until_state("stalled")
    reader.until_state("connecting")
    hls.go_on()
    reader.until(lambda: reader.source.status().reconnects == 1)
    reader.until_frames(20)
    numbers = [seen.number for seen in reader.seen]
    first_anew = next(index for index, seen in enumerate(reader.seen) if seen.starts_anew)
    assert not set(numbers[first_anew:]) & set(numbers[first_anew - 30 : first_anew])


def test_a_video_on_a_web_server_is_played_to_its_end(read: Read, tmp_path: Path) -> None:
    units = list(encode(map(numbered, range(30)), FPS))
    with HlsCamera(tmp_path, units, FPS) as camera:  # it serves the whole folder
        write_mp4(tmp_path / "clip.mp4", units)
        reader = read(open_live_source(camera.url.replace("live.m3u8", "clip.mp4")))
        reader.until_state("ended")
        assert [seen.number for seen in reader.seen] == list(range(30))
        assert reader.seen[-1].at - reader.seen[0].at == pytest.approx(29 / FPS, abs=0.5)


def write_mp4(path: Path, units: list[bytes]) -> None:
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for index, image in enumerate(map(numbered, range(len(units)))):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
