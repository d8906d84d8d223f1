"""One contract over every source: what a pipeline relies on, whatever the medium."""

from __future__ import annotations

import functools
import http.server
import itertools
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from sf_detect.errors import SourceError
from sf_detect.interfaces import VideoSource
from sf_detect.video import CameraSource, FileSource, ImageFolderSource, StreamSource
from synthetic_video import index_image, read_index, write_video

NUM_FRAMES = 12
SIZE = (64, 48)
Picture = Callable[[int], np.ndarray]


def red(index: int) -> np.ndarray:
    return np.broadcast_to(np.array([230, 20, 20], np.uint8), (SIZE[1], SIZE[0], 3)).copy()


class Capture:
    """What OpenCV's VideoCapture does for a camera that is unplugged after `NUM_FRAMES` pictures."""

    picture: Picture = staticmethod(index_image)

    def __init__(self, index: int) -> None:
        self.position = 0
        self.released = False

    def isOpened(self) -> bool:
        return True

    def get(self, what: int) -> float:
        return 30.0

    def read(self) -> tuple[bool, np.ndarray | None]:
        if self.position == NUM_FRAMES:
            return False, None
        self.position += 1
        return True, np.ascontiguousarray(self.picture(self.position - 1)[:, :, ::-1])

    def release(self) -> None:
        self.released = True


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def serve() -> Iterator[Callable[[Path], str]]:
    """Serves a folder on a local port."""
    servers = []

    def start(folder: Path) -> str:
        handler = functools.partial(QuietHandler, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


Factory = Callable[[Picture], VideoSource]


@pytest.fixture(params=["file", "folder", "camera", "stream"])
def make(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    serve: Callable[[Path], str],
) -> Factory:
    """Opens a source of the kind at hand that shows the given pictures."""

    def file(picture: Picture) -> VideoSource:
        return FileSource(write_video(tmp_path / "clip.mp4", NUM_FRAMES, size=SIZE, image=picture))

    def folder(picture: Picture) -> VideoSource:
        for index in range(NUM_FRAMES):
            cv2.imwrite(str(tmp_path / f"img{index}.png"), picture(index)[:, :, ::-1])
        return ImageFolderSource(tmp_path, Fraction(30))

    def camera(picture: Picture) -> VideoSource:
        monkeypatch.setattr(Capture, "picture", staticmethod(picture))
        monkeypatch.setattr(cv2, "VideoCapture", Capture)
        return CameraSource(0)

    def stream(picture: Picture) -> VideoSource:
        write_video(tmp_path / "clip.mp4", NUM_FRAMES, size=SIZE, image=picture, faststart=True)
        return StreamSource(f"{serve(tmp_path)}/clip.mp4")

    kinds = {"file": file, "folder": folder, "camera": camera, "stream": stream}
    return kinds[request.param]


def test_is_a_video_source(make: Factory) -> None:
    with make(index_image) as source:
        assert isinstance(source, VideoSource)


def test_all_frames_come_in_order_with_increasing_times(make: Factory) -> None:
    with make(index_image) as source:
        frames = list(source)
    assert [read_index(frame.image) for frame in frames] == list(range(NUM_FRAMES))
    assert [frame.index for frame in frames] == list(range(NUM_FRAMES))
    times = [frame.pts for frame in frames]
    assert times[0] == pytest.approx(0.0)
    assert all(later > earlier for earlier, later in itertools.pairwise(times))


def test_frames_have_the_announced_form(make: Factory) -> None:
    with make(index_image) as source:
        for frame in source:
            assert frame.image.shape == (source.info.height, source.info.width, 3) == (48, 64, 3)
            assert frame.image.dtype == np.uint8
            assert frame.image.flags.c_contiguous


def test_colours_are_rgb(make: Factory) -> None:
    with make(red) as source:
        image = next(iter(source)).image
    assert np.abs(image.reshape(-1, 3).mean(axis=0) - [230, 20, 20]).max() < 6


def test_info_is_known_before_the_first_frame(make: Factory) -> None:
    with make(index_image) as source:
        assert (source.info.width, source.info.height) == SIZE
        assert source.info.fps == 30
        assert source.info.name
        if not source.info.is_live:
            assert source.info.num_frames == NUM_FRAMES
            assert source.info.duration == pytest.approx(NUM_FRAMES / 30)


def test_intact_media_have_no_decode_errors(make: Factory) -> None:
    with make(index_image) as source:
        for frame in source:
            assert source.decode_errors == 0
            if frame.index == NUM_FRAMES - 1:
                break


def test_iterating_again_starts_over_or_says_that_it_cannot(make: Factory) -> None:
    with make(index_image) as source:
        first = [read_index(frame.image) for frame in source]
        if isinstance(source, FileSource | ImageFolderSource):
            assert [read_index(frame.image) for frame in source] == first
        else:
            with pytest.raises(SourceError, match=r"already .* Expected a single iteration; open .* again"):
                next(iter(source))


def test_leaving_an_iteration_early_is_fine(make: Factory) -> None:
    with make(index_image) as source:
        for _ in source:
            break
    source.close()


def test_close_is_idempotent_and_final(make: Factory) -> None:
    source = make(index_image)
    source.close()
    source.close()
    with pytest.raises(SourceError, match=r"is closed\. Expected iteration before close\(\); open it again"):
        iter(source)


def test_close_ends_an_iteration_under_way(make: Factory) -> None:
    source = make(index_image)
    frames = iter(source)
    next(frames)
    source.close()
    assert list(frames) == []


def test_repr_names_the_source(make: Factory) -> None:
    with make(index_image) as source:
        assert "64x48" in repr(source)
