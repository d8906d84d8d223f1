"""Files that are no videos, or spoiled ones, of ten kinds; for `benchmark_batch_faults`."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path


def _text(target: Path, clip: Path) -> None:
    target.write_text("not a video\n" * 100)


def _part(target: Path, clip: Path, share: float) -> None:
    data = clip.read_bytes()
    target.write_bytes(data[: int(share * len(data))])


def _noise(target: Path, clip: Path) -> None:
    target.write_bytes(random.Random(2).randbytes(50_000))


def _spoiled(target: Path, clip: Path) -> None:
    data = bytearray(clip.read_bytes())
    for place in random.Random(3).sample(range(len(data) // 4, len(data) * 3 // 4), len(data) // 20):
        data[place] ^= 0xFF
    target.write_bytes(data)


def _sound(target: Path, clip: Path) -> None:
    import av
    import numpy as np

    with av.open(str(target), "w") as output:
        stream = output.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), "fltp", "mono")
        frame.sample_rate = 44100
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def _picture(target: Path, clip: Path) -> None:
    from PIL import Image

    with target.open("wb") as file:
        Image.new("RGB", (64, 48)).save(file, "PNG")


def hanging(target: Path, clip: Path) -> None:
    """A video whose second half is a hole of terabytes, in which a decoder searches for its next packet.

    It takes no room on file systems that store no zeros.
    """
    import av

    with av.open(str(clip)) as source, av.open(str(target), "w", format="mpeg") as output:
        origin = source.streams.video[0]
        stream = output.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = origin.width, origin.height, "yuv420p"
        for frame in source.decode(origin):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame.to_ndarray(format="rgb24"), format="rgb24")))
        output.mux(stream.encode(None))
    os.truncate(target, 1 << 42)


BAD: dict[str, Callable[[Path, Path], object]] = {
    "empty": lambda target, clip: target.touch(),
    "text": _text,
    "noise": _noise,
    "head": lambda target, clip: _part(target, clip, 0.02),
    "half": lambda target, clip: _part(target, clip, 0.5),
    "spoiled": _spoiled,
    "sound": _sound,
    "picture": _picture,
    "zip": lambda target, clip: target.write_bytes(b"PK\x03\x04" + bytes(1000)),
    "link": lambda target, clip: os.symlink("/nothing/here.mp4", target),
}
"""Ten kinds of bad files."""
