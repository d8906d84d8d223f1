"""Network streams from a server on this machine."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sf_detect.errors import SourceOpenError
from sf_detect.video import StreamSource
from synthetic_video import read_index, write_audio_only, write_video


class LiveHandler(http.server.BaseHTTPRequestHandler):
    """Sends a folder's file as a broadcast does: no length, no ranges."""

    folder: Path

    def do_GET(self) -> None:
        path = self.folder / self.path.strip("/")
        if not path.is_file():
            self.send_error(404)
            return
        self.send_response(200)
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
