"""MJPEG and HLS over HTTP, and a wire between a client and any server that can be cut; all in this process."""

from __future__ import annotations

import base64
import contextlib
import http.server
import itertools
import socket
import threading
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av

_BOUNDARY = "frame"


class _Server:
    """A threading HTTP server on a port of its own, with `handler`."""

    def __init__(self, handler: type[http.server.BaseHTTPRequestHandler], port: int = 0) -> None:
        self.stopping = threading.Event()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Ends it, with all its connections."""
        self.stopping.set()
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    def __enter__(self):
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class MjpegCamera(_Server):
    """A camera that sends JPEGs as multipart/x-mixed-replace, without times.

    Args:
        jpegs: Sent in a loop, to each client from its first on.
        fps: Their rate; may be changed on the way.
        user, password: For basic authentication; None lets everyone in.
        pictures_per_client: After so many it ends the connection; None never does.
        port: 0 takes any.
    """

    def __init__(
        self,
        jpegs: Sequence[bytes],
        fps: float,
        user: str | None = None,
        password: str = "",
        pictures_per_client: int | None = None,
        port: int = 0,
    ) -> None:
        self.pictures_per_client = pictures_per_client
        self.jpegs, self.fps = list(jpegs), fps
        self.expected = None if user is None else "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self.requests = 0
        super().__init__(self._handler(), port)
        self.url = f"http://127.0.0.1:{self.port}/video"

    def _handler(camera) -> type[http.server.BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera.requests += 1
                if camera.expected not in (None, self.headers.get("Authorization")):
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                    self.end_headers()
                    return
                self.send_response(200)
                self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.send_pictures()

            def send_pictures(self) -> None:
                due = time.monotonic()
                for index in itertools.count():
                    ended = index == camera.pictures_per_client
                    if ended or camera.stopping.wait(max(0.0, due - time.monotonic())):
                        self.connection.shutdown(socket.SHUT_RDWR)
                        return
                    data = camera.jpegs[index % len(camera.jpegs)]
                    head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                    self.wfile.write(head.encode() + data + b"\r\n")
                    due += 1 / camera.fps

            def log_message(self, *arguments: object) -> None:
                pass

        return Handler


class HlsCamera(_Server):
    """A live HLS stream: a playlist of the newest segments of MPEG-TS.

    Args:
        folder: An empty folder for the playlist and the segments.
        units: H.264 access units, sent in a loop; the first is a key picture.
        fps: Their rate.
        segment: Seconds in a segment; a whole number of the distances of key pictures.
    """

    def __init__(self, folder: Path, units: Sequence[bytes], fps: int, segment: float = 1.0) -> None:
        self._folder, self._units, self._fps, self._segment = folder, units, fps, segment
        self._running = threading.Event()
        self._running.set()

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments: object) -> None:
                super().__init__(*arguments, directory=str(folder))  # type: ignore[arg-type]

            def log_message(self, *arguments: object) -> None:
                pass

        super().__init__(Handler)
        self.url = f"http://127.0.0.1:{self.port}/live.m3u8"
        self._writer = threading.Thread(target=self._write, daemon=True)
        self._writer.start()

    def pause(self) -> None:
        """No new segments; the playlist stays as it is."""
        self._running.clear()

    def go_on(self) -> None:
        """New segments again."""
        self._running.set()

    def _write(self) -> None:
        options = {"hls_time": str(self._segment), "hls_list_size": "6", "hls_flags": "delete_segments"}
        with av.open(str(self._folder / "live.m3u8"), "w", format="hls", options=options) as container:
            stream = container.add_stream("libx264", rate=self._fps)
            stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"  # MPEG-TS has no use for them
            due = time.monotonic()
            for index in itertools.count():
                if self.stopping.wait(max(0.0, due - time.monotonic())):
                    return
                if self._running.is_set():
                    container.mux(self._packet(stream, index))
                due += 1 / self._fps

    def _packet(self, stream: av.VideoStream, index: int) -> av.Packet:
        place = index % len(self._units)
        packet = av.Packet(self._units[place])
        packet.stream, packet.time_base = stream, Fraction(1, self._fps)
        packet.pts = packet.dts = index
        packet.duration = 1
        packet.is_keyframe = b"\x00\x00\x01\x65" in self._units[place]
        return packet

    def close(self) -> None:
        """Ends it."""
        super().close()
        self._writer.join(10)


class Wire:
    """A TCP connection to a server, through this process, which can fail in the ways that wires do.

    Args:
        port: The server's port on this machine.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._dead = threading.Event()
        self._flowing = threading.Event()
        self._flowing.set()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._cut_after: int | None = None
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._closing = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, after: int = 0) -> None:
        """Ends all connections once `after` more bytes have come from the server; new ones work."""
        with self._lock:
            self._cut_after = after

    def hold(self) -> None:
        """Nothing gets through for a while, and nothing is lost."""
        self._flowing.clear()

    def release(self) -> None:
        """Ends `hold`: what was held comes at once."""
        self._flowing.set()

    def black_hole(self) -> None:
        """Nothing gets through any more, and nobody is told; new connections are taken, and get no answer."""
        self._dead.set()

    def mend(self) -> None:
        """Ends `black_hole` for new connections."""
        self._dead.clear()

    def close(self) -> None:
        """Ends all."""
        self._closing = True
        self._listener.close()
        self._drop_all()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._dead.is_set():
                self._pairs.append((client, client))
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._target), 5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            self._pairs.append((client, server))
            threading.Thread(target=self._forward, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._forward, args=(server, client, True), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket, from_server: bool) -> None:
        while True:
            try:
                data = source.recv(4096)
                self._flowing.wait()
                if self._dead.is_set():
                    return  # both ends stay open
                if from_server and self._is_cut(len(data)):
                    sink.sendall(data[: len(data) // 2])
                    self._drop_all()
                    return
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                sink.sendall(data)
            except OSError:
                return

    def _is_cut(self, count: int) -> bool:
        with self._lock:
            if self._cut_after is None:
                return False
            self._cut_after -= count
            if self._cut_after > 0:
                return False
            self._cut_after = None
            return True

    def _drop_all(self) -> None:
        pairs, self._pairs = self._pairs, []
        for ends in pairs:
            for end in ends:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
