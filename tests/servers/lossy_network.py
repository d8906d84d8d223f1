#!/usr/bin/env python3
"""Reads an RTSP camera over UDP in a network of its own that loses packets; prints what came as JSON.

Run in a network namespace (`unshare -n`), with PYTHONPATH=.:tests: it sets up the namespace's loopback and its rules.

The pictures that come are compared with what a decoder makes of the same stream without losses: `damaged` are those
that the source says so of, `spoilt` those that differ, `let_through` those that differ and pass for good.
"""

from __future__ import annotations

import argparse
import json
import struct
import subprocess
import time
from pathlib import Path

import av
import numpy as np

from servers.camera_server import CameraServer
from servers.reader import Reader, Seen
from sf_detect.structures import UInt8Array
from sf_detect.video.live_opening import LiveOptions, open_live_source


def lose(percent: float) -> None:
    """From now on this namespace loses UDP packets at random."""
    rule = f"meta l4proto udp numgen random mod 1000 < {round(10 * percent)} counter drop"
    commands = (
        ["nft", "add table inet loss"],
        ["nft", "add chain inet loss input { type filter hook input priority 0; }"],
        ["nft", f"add rule inet loss input {rule}"],
    )
    for command in commands:
        subprocess.run(command, check=True)


def reference(path: Path) -> list[UInt8Array]:
    """The pictures of a file of access units of H.264, by their place in it."""
    context = av.CodecContext.create("h264", "r")
    assert isinstance(context, av.VideoCodecContext)
    images: list[UInt8Array] = []
    data = path.read_bytes()
    position = 0
    packets: list[av.Packet | None] = []
    while position < len(data):
        length = struct.unpack_from(">I", data, position)[0]
        packets.append(av.Packet(data[position + 8 : position + 8 + length]))
        position += 8 + length
    for packet in [*packets, None]:
        images += [np.asarray(picture.to_ndarray(format="rgb24"), np.uint8) for picture in context.decode(packet)]
    return images


def is_spoilt(seen: Seen, images: list[UInt8Array]) -> bool:
    """Whether it is not what the camera sent."""
    return seen.number is None or seen.number >= len(images) or not np.array_equal(seen.image, images[seen.number])


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("units", type=Path)
    parser.add_argument("--percent", type=float, default=2.0)
    parser.add_argument("--seconds", type=float, default=15.0)
    arguments = parser.parse_args()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    images = reference(arguments.units)
    with CameraServer(arguments.units) as server:
        reader = Reader(open_live_source(server.url, LiveOptions(rtsp_transport="udp")), keep_images=True)
        reader.until_frames(30)
        intact = len(reader.seen)
        lose(arguments.percent)
        time.sleep(arguments.seconds)
        reader.close()
    spoilt = [is_spoilt(seen, images) for seen in reader.seen]
    lossy = list(zip(reader.seen, spoilt, strict=True))[intact:]
    counts = {
        "intact_spoilt": sum(spoilt[:intact]),
        "frames": len(lossy),
        "damaged": sum(seen.damaged for seen, _ in lossy),
        "spoilt": sum(bad for _, bad in lossy),
        "let_through": sum(bad and not seen.damaged for seen, bad in lossy),
        "counted": reader.source.status().damaged,
    }
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
