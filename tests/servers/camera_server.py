"""Starts, stops and commands `rtsp_server.py`, and says where it can run."""

from __future__ import annotations

import functools
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

SCRIPT = Path(__file__).with_name("rtsp_server.py")
PYTHON = "/usr/bin/python3"  # the system's own: GStreamer's bindings are no package of PyPI
_PROBE = (
    "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstRtspServer', '1.0'); "
    "from gi.repository import Gst, GstRtspServer; Gst.init(None); "
    "assert Gst.ElementFactory.find('appsrc') and Gst.ElementFactory.find('rtph264pay')"
)


@functools.cache
def why_not() -> str | None:
    """Why there can be no RTSP server here; None where there can."""
    if not sys.platform.startswith("linux") or not Path(PYTHON).exists():
        return "an RTSP server needs Linux with its own Python 3"
    try:
        subprocess.run([PYTHON, "-c", _PROBE], check=True, capture_output=True, timeout=60)
    except (subprocess.SubprocessError, OSError):
        return f"an RTSP server needs the Debian packages of {Path(__file__).with_name('packages.txt').name}"
    return None


class CameraServer:
    """An RTSP server in a process of its own.

    Args:
        units: File of access units, see `access_units.py`.
        port: 0 takes any.
        options: Further arguments of `rtsp_server.py`.
        prefix: Command in front, such as one that enters a network namespace.

    Attributes:
        url: Its address, without user and password.
    """

    def __init__(self, units: Path, *options: str, port: int = 0, prefix: tuple[str, ...] = ()) -> None:
        command = [*prefix, PYTHON, str(SCRIPT), str(units), "--port", str(port), *options]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            self.kill()
            raise RuntimeError("the RTSP server did not start; see standard error")

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.url.split("/")[2].rpartition(":")[2])

    def tell(self, command: str) -> None:
        """Sends a command, see `rtsp_server.py`."""
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()

    def stop(self) -> None:
        """It does nothing any more, as if the machine hung (SIGSTOP)."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Ends `stop`."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Ends it without a word to anyone (SIGKILL)."""
        self._process.kill()
        self._process.wait(10)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def __enter__(self) -> CameraServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.returncode is None:
            self.go_on()
            self.kill()


Serve = Callable[..., CameraServer]
"""Of the fixture `serve`: starts a server, as `CameraServer` does."""
