"""Tiny videos whose pixels tell their frame index, and damaged ones; made on the spot, deterministic.

A picture is a 4x4 grid of black and white cells, the bits of its index from the top left corner; it survives lossy
codecs, and a picture that is turned, mirrored, missing or repeated reads as another index.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

SAMPLE_RATE = 44100
_FINE_TIME_BASE = Fraction(1, 90000)
# Display matrix (a, b, c, d) that turns the stored picture clockwise by so many degrees.
_MATRICES = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}


def index_image(index: int, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    """The picture of frame `index` (0 to 65535), (H, W, 3) uint8 RGB; `size` is (width, height), 16 or more each."""
    width, height = size
    bits = (index >> np.arange(16)) & 1
    rows, columns = np.arange(height) * 4 // height, np.arange(width) * 4 // width
    grey = bits.reshape(4, 4)[rows[:, None], columns[None, :]].astype(np.uint8) * 255
    return np.repeat(grey[:, :, None], 3, axis=2)


def read_index(image: np.ndarray) -> int:
    """The index that `index_image` wrote into `image`, from the middle of each cell."""
    height, width = image.shape[:2]
    rows, columns = (np.arange(4) * 2 + 1) * height // 8, (np.arange(4) * 2 + 1) * width // 8
    bits = image[rows[:, None], columns[None, :]].mean(axis=2).ravel() > 127
    return int((bits << np.arange(16)).sum())


def write_video(
    path: Path,
    num_frames: int = 30,
    fps: int | Fraction = 30,
    size: tuple[int, int] = (64, 48),
    pts: Sequence[float] | None = None,
    audio: bool = False,
    rotation: int = 0,
    codec: str = "libx264",
    *,
    mirrored: bool = False,
    faststart: bool = False,
    audio_seconds: float | None = None,
    audio_codec: str = "aac",
    sample_rate: int = SAMPLE_RATE,
    image: Callable[[int], np.ndarray] | None = None,
    pix_fmt: str | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Writes a video in the container of `path`'s suffix and returns `path`.

    Args:
        path: Where; MP4, MKV, MPEG-TS, AVI, ... by suffix.
        num_frames: Number of frames; 0 gives a container with a video stream and no picture.
        fps: Constant rate, where `pts` is None.
        size: Displayed (width, height); odd sizes are written as 4:4:4.
        pts: Increasing times in seconds, one per frame, for a variable rate.
        audio: Adds a 440 Hz tone, as long as the video or `audio_seconds`.
        rotation: 0, 90, 180 or 270: the player turns the stored picture clockwise by so much (MP4 only). Pictures are
            stored turned the other way, so a player that honours it shows them upright.
        codec: Video encoder.
        mirrored: The player also mirrors left and right, after turning (MP4 only).
        faststart: Index before the data, so that a cut file still opens.
        audio_codec, sample_rate: Encoder of the tone, and its samples per second.
        image: Gives the displayed picture of an index in place of `index_image`.
        pix_fmt: Pixel format, such as yuv420p10le; 4:2:0 of 8 bits where None.
        options: Further encoder options.
    """
    make = image or (lambda index: index_image(index, size))
    times = list(pts) if pts is not None else [float(index / Fraction(fps)) for index in range(num_frames)]
    base = _FINE_TIME_BASE if pts is not None else 1 / Fraction(fps)
    container_options = {"movflags": "faststart"} if faststart else {}
    with av.open(str(path), "w", options=container_options) as container:
        video = container.add_stream(codec, rate=Fraction(fps), options=options or {})
        turned = rotation in (90, 270)
        video.width, video.height = size[::-1] if turned else size
        video.pix_fmt = pix_fmt or ("yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p")
        video.codec_context.time_base = base
        sound = container.add_stream(audio_codec, rate=sample_rate) if audio else None
        if sound is not None:
            sound.codec_context.layout = "mono"
        container.start_encoding()
        for index, time in enumerate(times):
            picture = _stored(make(index), rotation, mirrored)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(time / base), base
            _mux(container, video, frame, round(1 / (Fraction(fps) * base)))
        _mux(container, video, None, round(1 / (Fraction(fps) * base)))
        if sound is not None:
            length = times[-1] + float(1 / Fraction(fps)) if audio_seconds is None else audio_seconds
            _mux_tone(container, sound, length)
    if rotation or mirrored:
        _patch_display_matrix(path, rotation, mirrored)
    return path


def write_audio_only(path: Path, seconds: float = 0.5) -> Path:
    """A file with a tone and no picture."""
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=SAMPLE_RATE)
        sound.codec_context.layout = "mono"
        _mux_tone(container, sound, seconds)
    return path


def cut_short(path: Path, keep: float) -> Path:
    """Cuts the file to the fraction `keep` of its bytes, as an interrupted copy does."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    return path


def damage(path: Path, start: float = 0.45, stop: float = 0.55) -> Path:
    """Overwrites the bytes between the fractions `start` and `stop` of the file with noise."""
    data = bytearray(path.read_bytes())
    first, last = int(len(data) * start), int(len(data) * stop)
    data[first:last] = np.random.default_rng(0).integers(0, 256, last - first, dtype=np.uint8).tobytes()
    path.write_bytes(bytes(data))
    return path


def _stored(shown: np.ndarray, rotation: int, mirrored: bool) -> np.ndarray:
    upright = shown[:, ::-1] if mirrored else shown
    return np.ascontiguousarray(np.rot90(upright, rotation // 90))


def _mux(
    container: av.container.OutputContainer, video: av.VideoStream, frame: av.VideoFrame | None, ticks: int
) -> None:
    for packet in video.encode(frame):
        packet.duration = ticks
        container.mux(packet)


def _mux_tone(container: av.container.OutputContainer, sound: av.AudioStream, seconds: float) -> None:
    total = round(seconds * SAMPLE_RATE)
    wave = np.sin(2 * np.pi * 440 * np.arange(total) / SAMPLE_RATE).astype(np.float32)
    for start in range(0, total, 1024):
        frame = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, start, Fraction(1, SAMPLE_RATE)
        container.mux(sound.encode(frame))
    container.mux(sound.encode(None))


def _patch_display_matrix(path: Path, rotation: int, mirrored: bool) -> None:
    """Writes the matrix into the first track header (ISO/IEC 14496-12, 8.3.2), which FFmpeg's writer leaves upright."""
    a, b, c, d = _MATRICES[rotation]
    if mirrored:
        a, c = -a, -c
    one = 1 << 16
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    data[at : at + 36] = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(bytes(data))
