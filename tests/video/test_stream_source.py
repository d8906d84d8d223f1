"""Network streams from a server on this machine."""

import http.server
import itertools
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import pytest

from sf_detect.errors import SourceOpenError
from sf_detect.video import StreamSource, sources
from synthetic_video import index_image, read_index, write_audio_only, write_video


class LiveHandler(http.server.BaseHTTPRequestHandler):
    """Sends a folder's file as a broadcast does: no length, no ranges."""

    folder: Path

    def do_GET(self) -> None:
        path = self.folder / self.path.strip("/")
        if not path.is_file():
            self.send_error(404)
            return
        self.send_response(200)
        if path.suffix == ".multipart":
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        elif path.suffix == ".mjpeg":
            self.send_header("Content-Length", str(path.stat().st_size))
        self.end_headers()
        self.wfile.write(path.read_bytes())

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    handler = type("Handler", (LiveHandler,), {"folder": tmp_path})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_broadcast_is_live_and_starts_at_zero(tmp_path: Path, url: str) -> None:
    write_video(tmp_path / "a.ts", 10)
    with StreamSource(f"{url}/a.ts") as source:
        assert source.info.is_live
        assert (source.info.num_frames, source.info.duration) == (None, None)
        assert source.info.name == "127.0.0.1"
        frames = list(source)
    assert [read_index(frame.image) for frame in frames] == list(range(10))
    assert [frame.pts for frame in frames] == pytest.approx([index / 30 for index in range(10)], abs=1e-3)


def test_a_wrong_address(url: str) -> None:
    with pytest.raises(SourceOpenError, match=r"/none\.ts cannot be opened \(.*404.*check the address"):
        StreamSource(f"{url}/none.ts")


def test_a_stream_without_video(tmp_path: Path, url: str) -> None:
    write_audio_only(tmp_path / "a.ts")
    with pytest.raises(SourceOpenError, match=r"/a\.ts holds no video stream\. Found: audio \(aac\)"):
        StreamSource(f"{url}/a.ts")


def write_multipart(path: Path, num_frames: int) -> Path:
    """What a camera sends as MJPEG: JPEGs, each with a head of its own, and no times."""
    parts = []
    for index in range(num_frames):
        data = cv2.imencode(".jpg", index_image(index))[1].tobytes()
        parts.append(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(data), data))
    path.write_bytes(b"".join(parts))
    return path


def test_pictures_without_times_have_those_of_their_arrival(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(100.0, 0.2)  # five pictures a second
    monkeypatch.setattr(sources, "DecodePass", partial(sources.DecodePass, now=lambda: next(clock)))
    write_multipart(tmp_path / "a.multipart", 8)
    with StreamSource(f"{url}/a.multipart") as source:
        assert source.info.is_live
        assert source.info.fps is None
        frames = list(source)
    assert [read_index(frame.image) for frame in frames] == list(range(8))
    assert [frame.pts for frame in frames] == pytest.approx([index / 5 for index in range(8)])
    assert [frame.arrival for frame in frames] == pytest.approx([100.2 + index / 5 for index in range(8)])


def test_a_file_without_times_keeps_its_nominal_rate(tmp_path: Path, url: str) -> None:
    write_video(tmp_path / "a.mjpeg", 5, fps=25, codec="mjpeg", pix_fmt="yuvj420p")
    with StreamSource(f"{url}/a.mjpeg") as source:
        assert [frame.pts for frame in source] == pytest.approx([index / 25 for index in range(5)])


def test_a_live_time_stamp_beyond_belief_is_not_believed_for_good(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(0.0, 0.04)
    monkeypatch.setattr(sources, "DecodePass", partial(sources.DecodePass, now=lambda: next(clock)))
    write_video(tmp_path / "a.ts", pts=[index / 25 + 37_600 * (index >= 10) for index in range(20)], fps=25)
    with StreamSource(f"{url}/a.ts") as source:
        frames = list(source)
    assert [frame.pts for frame in frames] == pytest.approx([index / 25 for index in range(20)], abs=2e-3)
    assert [frame.index for frame in frames if frame.starts_anew] == [10]
    assert "the time stamps jump once" in source.warnings[0]
