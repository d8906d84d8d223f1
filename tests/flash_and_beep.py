"""Videos that flash and beep at the same moment, and where both are found again."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

MOMENT = 1.0
_LENGTH = 0.2
_SIZE = (64, 48)


def write_flash_and_beep(
    path: Path,
    *,
    codec: str = "libx264",
    audio_codec: str = "aac",
    layout: str = "stereo",
    rate: int = 48000,
    fps: int = 25,
    seconds: float = 2.0,
    audio_seconds: float = 2.0,
    video_offset: float = 0.0,
    audio_offset: float = 0.0,
    options: dict[str, str] | None = None,
) -> Path:
    """Writes a dark, silent video with a flash and a beep at `MOMENT` seconds on the video's time line.

    Args:
        path: Where; the container by suffix.
        codec, audio_codec: Encoders.
        layout, rate: Channels and samples per second of the sound.
        fps, seconds: Rate and length of the video.
        audio_seconds: Length of the sound.
        video_offset: The video's start on the file's clock.
        audio_offset: The sound's start on the video's time line.
        options: Of the video encoder.
    """
    exact = codec in ("mpeg4", "mpeg2video", "mjpeg")  # whose time base must be the rate's
    base = Fraction(1, fps) if exact or path.suffix == ".avi" else Fraction(1, 90000)
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream(codec, rate=fps, options=options or {})
        video.width, video.height = _SIZE
        video.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        video.codec_context.time_base = base
        sound: Any = container.add_stream(audio_codec, rate=rate)
        sound.codec_context.layout = layout
        container.start_encoding()
        packets = _pictures(video, [index / fps for index in range(round(seconds * fps))], video_offset, base)
        for packet in packets:
            packet.duration = round(1 / (fps * base))
        packets += _sound(sound, layout, rate, audio_seconds, audio_offset, video_offset)
        packets.sort(key=lambda packet: float(packet.dts * packet.time_base))
        container.mux(packets)
    return path


def moments(path: Path) -> tuple[float, float | None]:
    """Seconds of the first bright picture and of the first loud sample; None without one."""
    flash = beep = None
    with av.open(str(path)) as container:
        for picture in container.decode(container.streams.best("video")):
            if flash is None and picture.to_ndarray(format="gray").mean() > 100:
                flash = float(picture.pts * picture.time_base)
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0) if container.streams.audio else ():
            loud = np.flatnonzero(np.abs(_samples(frame)).max(axis=0) > 0.1)
            if beep is None and len(loud):
                beep = float(frame.pts * frame.time_base) + loud[0] / frame.sample_rate
    assert flash is not None
    return flash, beep


def tone(
    container: Any, sound: Any, layout: str, rate: int, start: float, seconds: float, pitch: float = 1000.0
) -> None:
    """Muxes a loud tone from `start` on the file's clock."""
    times = np.arange(round(seconds * rate)) / rate
    container.mux(_encoded(sound, layout, rate, (np.sin(2 * np.pi * pitch * times) / 2).astype(np.float32), start))


def _pictures(video: Any, times: Sequence[float], offset: float, base: Fraction) -> list[Any]:
    packets = []
    for time in times:
        bright = MOMENT - 1e-6 <= time < MOMENT + _LENGTH
        frame = av.VideoFrame.from_ndarray(np.full((*_SIZE[::-1], 3), 255 * bright, np.uint8), format="rgb24")
        frame.pts, frame.time_base = round((time + offset) / base), base
        packets += video.encode(frame)
    return packets + video.encode(None)


def _sound(sound: Any, layout: str, rate: int, seconds: float, offset: float, start: float) -> list[Any]:
    times = np.arange(round(seconds * rate)) / rate + offset
    heard = (times >= MOMENT) & (times < MOMENT + _LENGTH)
    wave = (np.sin(2 * np.pi * 1000 * times) * heard / 2).astype(np.float32)
    return _encoded(sound, layout, rate, wave, offset + start)


def _encoded(sound: Any, layout: str, rate: int, wave: np.ndarray, start: float) -> list[Any]:
    channels = av.AudioLayout(layout).nb_channels
    packets = []
    for at in range(0, len(wave), 1024):
        part = np.zeros(1024, np.float32)
        part[: len(wave[at : at + 1024])] = wave[at : at + 1024]
        data = np.repeat(part, channels)[None]
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(data), format="flt", layout=layout)
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), at + round(start * rate)
        packets += sound.encode(frame)
    return packets + sound.encode(None)


def _samples(frame: Any) -> np.ndarray:
    data = frame.to_ndarray()
    scale = float(np.iinfo(data.dtype).max) if data.dtype.kind == "i" else 1.0
    if not frame.format.is_planar:
        data = data.reshape(-1, frame.layout.nb_channels).T
    return data / scale
