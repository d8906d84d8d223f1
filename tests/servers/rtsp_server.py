#!/usr/bin/env python3
"""An RTSP server that plays a camera: it pushes encoded pictures in a loop, at their own times.

Run by the system's own Python 3, which has the bindings of GStreamer (Debian: see `tests/servers/packages.txt`).
It prints its address when it is ready, and takes commands from standard input, one a line:

    jump SECONDS    the time stamps go ahead (or back, where negative) by so much
    pause           no pictures, and the connection stays
    go              pictures again

Pictures come from a file as `tests/servers/access_units.py` writes it. With --log, each push is a line
`index monotonic_seconds`: the unit's place in the file, and the time at which it was handed over.
"""

import argparse
import struct
import sys
import threading
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

CAPS = {
    "h264": "video/x-h264,stream-format=byte-stream,alignment=au",
    "h265": "video/x-h265,stream-format=byte-stream,alignment=au",
    "jpeg": "image/jpeg",
}
PAYLOADERS = {"h264": "rtph264pay config-interval=-1", "h265": "rtph265pay config-interval=-1", "jpeg": "rtpjpegpay"}


def read_units(path):
    """[(bytes, seconds)] of a file of access units."""
    units = []
    with open(path, "rb") as file:
        while header := file.read(8):
            length, microseconds = struct.unpack(">II", header)
            units.append((file.read(length), microseconds / 1e6))
    return units


class Camera:
    """Pushes pictures to whoever listens at the moment, whether or not somebody does."""

    def __init__(self, units, log):
        self.units, self.log = units, log
        self.jump, self.running = 0.0, True
        self.sources = []
        self.lock = threading.Lock()

    def configure(self, factory, media):
        source = media.get_element().get_by_name_recurse_up("source")
        with self.lock:
            self.sources.append([source, None])
        media.connect("unprepared", self.forget, source)

    def forget(self, media, source):
        with self.lock:
            self.sources = [entry for entry in self.sources if entry[0] is not source]

    def work(self):
        due, number = time.monotonic(), 0
        while True:
            unit, seconds = self.units[number % len(self.units)]
            wait = due - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            elif wait < -0.5:  # it was stopped: a camera does not catch up
                due = time.monotonic()
            if self.running:
                self.push(unit, seconds, number % len(self.units))
            due += seconds
            number += 1

    def push(self, unit, seconds, index):
        now = time.monotonic()
        if self.log:
            self.log.write(f"{index} {now:.6f}\n")
        with self.lock:
            for entry in self.sources:
                source, start = entry
                if start is None:
                    start = entry[1] = now
                buffer = Gst.Buffer.new_wrapped(unit)
                buffer.pts = buffer.dts = max(0, round((now - start + self.jump) * Gst.SECOND))
                buffer.duration = round(seconds * Gst.SECOND)
                source.emit("push-buffer", buffer)

    def command(self, line):
        word, *arguments = line.split() or [""]
        if word == "jump":
            with self.lock:
                for source, _ in self.sources:
                    send_at_once(source)
            self.jump += float(arguments[0])
        elif word in ("pause", "go"):
            self.running = word == "go"


def send_at_once(element):
    """Pictures are sent when they come: time stamps that jump ahead would be waited for."""
    while element.get_parent() is not None:
        element = element.get_parent()
    elements = element.iterate_recurse()
    while (found := elements.next())[0] == Gst.IteratorResult.OK:
        if found[1].find_property("sync"):
            found[1].set_property("sync", False)


def require_password(server, factory, user, password):
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    basic = GstRtspServer.RTSPAuth.make_basic(user, password)
    auth.add_basic(basic, token)
    server.set_auth(auth)
    factory.add_role_from_structure(
        Gst.Structure.from_string("viewer,media.factory.access=(boolean)true,media.factory.construct=(boolean)true")[0]
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("units", help="file of access units")
    parser.add_argument("--codec", choices=CAPS, default="h264")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", default="0")
    parser.add_argument("--path", default="cam1")
    parser.add_argument("--log")
    parser.add_argument("--user")
    parser.add_argument("--password")
    arguments = parser.parse_args()
    Gst.init(None)
    log = open(arguments.log, "a", buffering=1) if arguments.log else None  # noqa: SIM115  as long as the process
    camera = Camera(read_units(arguments.units), log)

    server = GstRtspServer.RTSPServer()
    server.set_address(arguments.host)
    server.set_service(arguments.port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        f"( appsrc name=source is-live=true format=time max-bytes=4000000 leaky-type=downstream "
        f"caps={CAPS[arguments.codec]} ! {PAYLOADERS[arguments.codec]} name=pay0 pt=96 )"
    )
    factory.set_shared(True)
    factory.connect("media-configure", camera.configure)
    if arguments.user:
        require_password(server, factory, arguments.user, arguments.password or "")
    server.get_mount_points().add_factory(f"/{arguments.path}", factory)
    loop = GLib.MainLoop()
    if not server.attach(None):
        sys.exit(f"port {arguments.port} is taken")
    GLib.timeout_add_seconds(1, lambda: server.get_session_pool().cleanup() >= 0)
    threading.Thread(target=camera.work, daemon=True).start()
    threading.Thread(target=lambda: [camera.command(line) for line in sys.stdin], daemon=True).start()
    print(f"rtsp://{arguments.host}:{server.get_bound_port()}/{arguments.path}", flush=True)
    loop.run()


if __name__ == "__main__":
    main()
