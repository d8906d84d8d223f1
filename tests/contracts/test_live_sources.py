"""One contract over every live source: what a live session relies on, whatever the medium."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import pytest

from servers.access_units import encode, write_units
from servers.camera_server import CameraServer, why_not
from servers.web_cameras import HlsCamera, MjpegCamera
from sf_detect.errors import SourceError
from sf_detect.interfaces import LiveSource
from sf_detect.structures import SOURCE_STATES, Frame, SourceStatus
from sf_detect.video.live_opening import open_live_source
from synthetic_video import index_image, read_index, write_video

FPS, COUNT, SIZE = 30, 60, (64, 48)
PATIENCE_S = 30.0


class Capture:
    """What OpenCV's VideoCapture does for a camera with a rate of its own."""

    def __init__(self, index: int, backend: int = cv2.CAP_ANY) -> None:
        self.position = 0
        self.due = threading.Event()

    def isOpened(self) -> bool:
        return True

    def get(self, what: int) -> float:
        return {cv2.CAP_PROP_FRAME_WIDTH: 64.0, cv2.CAP_PROP_FRAME_HEIGHT: 48.0}.get(what, 30.0)

    def set(self, what: int, value: float) -> bool:
        return True

    def read(self) -> tuple[bool, np.ndarray]:
        self.due.wait(1 / FPS)
        self.position += 1
        return True, np.ascontiguousarray(index_image(self.position - 1)[:, :, ::-1])

    def release(self) -> None:
        pass


def images() -> Iterator[np.ndarray]:
    return map(index_image, range(COUNT))


Make = Callable[[], LiveSource]


@pytest.fixture(
    params=[
        "camera",
        "file",
        "mjpeg",
        pytest.param("hls", marks=pytest.mark.servers),
        pytest.param("rtsp", marks=pytest.mark.servers),
    ]
)
def make(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Opens a live source of the kind at hand, which shows the numbers from 0 up."""
    stack = ExitStack()

    def camera() -> LiveSource:
        monkeypatch.setattr(cv2, "VideoCapture", Capture)
        return open_live_source("0")

    def file() -> LiveSource:
        return open_live_source(write_video(tmp_path / "clip.mp4", COUNT, FPS, SIZE))

    def mjpeg() -> LiveSource:
        return open_live_source(stack.enter_context(MjpegCamera(list(encode(images(), codec="jpeg")), FPS)).url)

    def hls() -> LiveSource:
        return open_live_source(stack.enter_context(HlsCamera(tmp_path, list(encode(images(), FPS)), FPS)).url)

    def rtsp() -> LiveSource:
        if reason := why_not():
            pytest.skip(reason)
        units = write_units(tmp_path / "u", encode(images(), FPS, gop=10), FPS)
        return open_live_source(stack.enter_context(CameraServer(units)).url)

    yield {"camera": camera, "file": file, "mjpeg": mjpeg, "hls": hls, "rtsp": rtsp}[request.param]
    stack.close()


def take(source: LiveSource, count: int) -> tuple[list[Frame], SourceStatus]:
    """The first frames, and the status when the last of them had come."""
    frames: list[Frame] = []
    timer = threading.Timer(PATIENCE_S, source.close)
    timer.start()
    for frame in source:
        frames.append(frame)
        if len(frames) == count:
            break
    timer.cancel()
    assert len(frames) == count, f"only {len(frames)} frames came; {source.status()}"
    return frames, source.status()


def test_it_is_a_live_source_before_anything_came(make: Make) -> None:
    source = make()
    assert isinstance(source, LiveSource)
    assert source.name
    status = source.status()
    assert (status.state, status.frames, status.last_arrival) == ("connecting", 0, None)
    source.close()


def test_frames_come_in_order_from_zero_on(make: Make) -> None:
    frames, _ = take(make(), 10)
    assert [frame.index for frame in frames] == list(range(10))
    assert frames[0].pts == pytest.approx(0.0)
    for earlier, later in itertools.pairwise(frames):
        assert later.pts > earlier.pts
        assert earlier.arrival is not None
        assert later.arrival is not None
        assert later.arrival >= earlier.arrival
    assert not any(frame.starts_anew or frame.damaged for frame in frames)


def test_images_are_rgb_and_as_large_as_said(make: Make) -> None:
    frames, _ = take(make(), 3)
    numbers = [read_index(frame.image) for frame in frames]
    assert [later - earlier for earlier, later in itertools.pairwise(numbers)] == [1, 1]
    for frame in frames:
        assert frame.size == frame.image.shape[:2] == SIZE[::-1]
        assert frame.image.dtype == np.uint8
        assert frame.image.flags.c_contiguous


def test_the_status_tells_what_came(make: Make) -> None:
    source = make()
    frames = iter(source)
    timer = threading.Timer(PATIENCE_S, source.close)
    timer.start()
    for _ in range(5):
        last = next(frames)
    timer.cancel()
    status = source.status()
    assert status.state == "live"
    assert status.frames >= 5
    assert status.last_arrival is not None
    assert last.arrival is not None
    assert status.last_arrival >= last.arrival - 1e-3
    assert status.size == SIZE[::-1]
    assert (status.reconnects, status.damaged, status.jumps, status.decode_errors) == (0, 0, 0, 0)
    source.close()


def test_close_from_another_thread_ends_the_iteration(make: Make) -> None:
    source = make()
    came, states = threading.Event(), []

    def read() -> None:
        for _ in source:
            came.set()
        states.append(source.status().state)

    thread = threading.Thread(target=read)
    thread.start()
    assert came.wait(PATIENCE_S)
    source.close()
    source.close()
    thread.join(2.0)
    assert not thread.is_alive()
    assert states == ["ended"]
    assert "ended" in SOURCE_STATES


def test_it_is_iterated_once(make: Make) -> None:
    source = make()
    take(source, 1)
    with pytest.raises(SourceError, match="Expected a single iteration; open it again"):
        iter(source)


def test_closed_before_it_was_read(make: Make) -> None:
    source = make()
    source.close()
    assert source.status().state == "ended"
    with pytest.raises(SourceError, match="Expected a single iteration; open it again"):
        list(source)
