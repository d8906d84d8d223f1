"""An RTMP server (nginx with its RTMP module), and a camera that sends it pictures."""

from __future__ import annotations

import contextlib
import io
import itertools
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av

MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")  # where Debian has it
START_SECONDS = 20.0
_PATH = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"  # not every user's has nginx
_CONFIG = """\
load_module {module};
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr error;
events {{}}
rtmp {{ server {{ listen 127.0.0.1:{port}; application live {{ live on; }} }} }}
"""


def why_not() -> str | None:
    """Why there can be no RTMP server here; None where there can."""
    if shutil.which("nginx", path=_PATH) is None or not MODULE.exists():
        return f"an RTMP server needs the Debian packages of {Path(__file__).with_name('packages.txt').name}"
    return None


class RtmpServer:
    """A server in a process of its own, which ends and begins on one port.

    Args:
        folder: An empty folder for its configuration.

    Attributes:
        url: Where a camera publishes and others play.
    """

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._port = int(listener.getsockname()[1])
        self.url = f"rtmp://127.0.0.1:{self._port}/live/camera"
        self._folder = folder
        (folder / "nginx.conf").write_text(_CONFIG.format(module=MODULE, folder=folder, port=self._port))
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Begins to listen."""
        program = shutil.which("nginx", path=_PATH)
        assert program is not None
        arguments = ["-p", str(self._folder), "-e", "stderr", "-c", str(self._folder / "nginx.conf")]
        self._process = subprocess.Popen([program, *arguments])
        end = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
                return
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("nginx did not start; see standard error")
            time.sleep(0.02)

    def kill(self) -> None:
        """Ends it without a word to anyone (SIGKILL). Idempotent."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def __enter__(self) -> RtmpServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


class RtmpCamera:
    """Publishes pictures at their own times, in a loop, and connects again where the server has gone.

    Args:
        url: Of the server.
        units: H.264 access units without B-frames; the first is a key picture, with which each connection begins.
        fps: Their rate.
    """

    def __init__(self, url: str, units: Sequence[bytes], fps: int) -> None:
        self._url, self._units, self._fps = url, units, fps
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends it. Idempotent."""
        self._closing.set()
        self._thread.join(10)

    def _work(self) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(OSError):  # what FFmpeg raises for a server that is not there
                self._publish()
            self._closing.wait(0.1)

    def _publish(self) -> None:
        with (
            av.open(io.BytesIO(b"".join(self._units[:2])), format="h264") as form,
            av.open(self._url, "w", format="flv", timeout=5) as container,
        ):
            stream = container.add_stream_from_template(form.streams.video[0])
            begun = time.monotonic()
            for packet, due in self._packets():
                if self._closing.wait(max(0.0, begun + due - time.monotonic())):
                    return
                packet.stream = stream
                container.mux(packet)

    def _packets(self) -> Iterator[tuple[av.Packet, float]]:
        for index in itertools.count():
            packet = av.Packet(self._units[index % len(self._units)])
            packet.time_base = Fraction(1, self._fps)
            packet.pts = packet.dts = index
            packet.duration = 1
            packet.is_keyframe = b"\x00\x00\x01\x65" in bytes(packet)
            yield packet, index / self._fps

    def __enter__(self) -> RtmpCamera:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
