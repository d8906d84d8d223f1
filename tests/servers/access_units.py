"""Encoded pictures in a file of the simplest form, which the RTSP server pushes as they are.

A file is a sequence of access units: 4 bytes of length, 4 bytes of duration in microseconds (both big endian), then the
unit as an Annex B byte stream, or a JPEG.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

# Sliced threads would smear pictures over packets; without B-frames every unit is a picture of its own time.
_X264 = {"tune": "zerolatency", "x264-params": "threads=1:sliced-threads=0"}
_X265 = {"preset": "ultrafast", "tune": "zerolatency", "x265-params": "pools=1:frame-threads=1:log-level=none"}


def encode(
    images: Iterable[np.ndarray],
    fps: int | Fraction = 30,
    codec: str = "h264",
    gop: int = 30,
    preset: str = "ultrafast",
) -> Iterator[bytes]:
    """Access units of RGB images of one size, a key picture every `gop` of them.

    Args:
        images: (H, W, 3) uint8 each.
        fps: Their rate.
        codec: h264, h265 or jpeg.
        gop: Pictures from one key picture to the next.
        preset: Of x264; ultrafast has no CABAC.
    """
    if codec == "jpeg":
        for image in images:
            yield cv2.imencode(".jpg", np.ascontiguousarray(image[:, :, ::-1]))[1].tobytes()
        return
    context: av.VideoCodecContext | None = None
    for index, image in enumerate(images):
        if context is None:
            context = _encoder(codec, image.shape, Fraction(fps), gop, preset)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame.pts = index
        yield from map(bytes, context.encode(frame))
    if context is not None:
        yield from map(bytes, context.encode(None))


def _encoder(codec: str, shape: tuple[int, ...], fps: Fraction, gop: int, preset: str) -> av.VideoCodecContext:
    context = av.CodecContext.create("libx265" if codec == "h265" else "libx264", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.height, context.width, context.pix_fmt = shape[0], shape[1], "yuv420p"
    context.framerate, context.time_base, context.gop_size = fps, 1 / fps, gop
    context.options = dict(_X265) if codec == "h265" else {**_X264, "preset": preset}
    return context


def write_units(path: Path, units: Iterable[bytes], fps: int | Fraction = 30, *, append: bool = False) -> Path:
    """Writes access units that last `1 / fps` seconds each; returns `path`."""
    duration = round(1_000_000 / Fraction(fps))
    with path.open("ab" if append else "wb") as file:
        for unit in units:
            file.write(struct.pack(">II", len(unit), duration) + unit)
    return path
