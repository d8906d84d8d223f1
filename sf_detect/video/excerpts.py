"""Parts of videos as files of their own: encoded again, exact to the picture, or copied between key pictures."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import av.error

from sf_detect.atomic_file import atomic_file
from sf_detect.errors import SinkError, SourceError
from sf_detect.interfaces import SeekableSource, VideoSource
from sf_detect.structures import Frame, UInt8Array
from sf_detect.video.letterbox import letterbox
from sf_detect.video.sources import open_container
from sf_detect.video.stream_info import pick_video_stream, start_time
from sf_detect.video.writer import VideoWriter

_MP4_PICTURES = frozenset({"h264", "hevc", "av1", "vp9", "mpeg4"})
_MP4_SOUND = frozenset({"aac", "mp3", "mp3float", "opus", "flac", "ac3", "eac3"})
_TOLERANCE = 1e-6


def frames_between(source: VideoSource, start: float, end: float) -> Iterator[Frame]:
    """Frames from `start` up to, but not at, `end`, in seconds; those before are not decoded where the format can."""
    if isinstance(source, SeekableSource):
        source.begin_at(start)
    for frame in source:
        if frame.pts >= end - _TOLERANCE:
            return
        if frame.pts >= start - _TOLERANCE:
            yield frame


def encode_excerpt(
    source: VideoSource,
    path: Path,
    start: float,
    end: float,
    audio_from: Path | None = None,
    change: Callable[[Frame], UInt8Array] | None = None,
) -> str | None:
    """Writes the frames of a part as MP4, beginning at its first frame, with the sound of that part.

    Args:
        source: Open.
        path: Ends in .mp4.
        start, end: Seconds of the source.
        audio_from: A file whose sound is kept.
        change: Makes the picture of a frame; None takes it as it is.

    Returns:
        What a user should know about it, or None.

    Raises:
        SourceError: No frame lies there.
        SinkError: The file can't be written.
    """
    writer: VideoWriter | None = None
    try:
        for frame in frames_between(source, start, end):
            if writer is None:
                info = replace(source.info, duration=None, num_frames=None)
                writer = VideoWriter(path, info, audio_from, begin=frame.pts)
            picture = frame.image if change is None else change(frame)
            writer.write(letterbox(picture, (writer.info.height, writer.info.width)), frame.pts)
    except BaseException:
        if writer is not None:
            writer.abort()
        raise
    if writer is None:
        raise SourceError(f"{source.info.name}: no picture between {start:.2f} and {end:.2f} s.")
    writer.close()
    return writer.audio_problem or writer.time_problem


def copy_excerpt(source: Path, path: Path, start: float, end: float) -> Path:
    """Copies packets without decoding: from the key picture at or before `start` up to `end`, with the sound.

    Args:
        source: A file.
        path: Where; the ending becomes .mkv where MP4 can't hold its streams.
        start, end: Seconds of the source.

    Returns:
        The file that was written.

    Raises:
        SourceError: It can't be read, or nothing lies there.
        SinkError: It can't be written, or not be copied.
    """
    with contextlib.closing(open_container(source)) as container:
        pictures = pick_video_stream(container, str(source))
        sound = next(iter(container.streams.audio), None)
        format = _format(pictures, sound)
        path = path if format == "mp4" else path.with_suffix(".mkv")
        packets = _packets(container, pictures, sound, start, end)
        first = next(packets, None)
        if first is None:
            raise SourceError(f"{source}: no key picture to copy from before {end:.2f} s.")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(path) as file:
                _mux(file, format, pictures, sound, first, packets)
        except (av.error.FFmpegError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise SinkError(
                f"{path}: the part can't be copied ({reason}). Leave --copy out: encoding it again works for all videos."
            ) from error
        except OSError as error:
            raise SinkError(f"{path} can't be written: {error.strerror or error}.") from error
    return path


def _format(pictures: Any, sound: Any) -> str:
    fits = pictures.codec_context.name in _MP4_PICTURES and (
        sound is None or sound.codec_context is None or sound.codec_context.name in _MP4_SOUND
    )
    return "mp4" if fits else "matroska"


def _packets(container: Any, pictures: Any, sound: Any, start: float, end: float) -> Iterator[av.Packet]:
    """Packets of the part, beginning with a key picture."""
    origin = start_time(pictures) or 0.0
    if start > 0:
        container.seek(int((origin + start) / pictures.time_base), stream=pictures)
    begun: float | None = None
    for packet in container.demux([pictures] if sound is None else [pictures, sound]):
        if packet.dts is None or packet.pts is None:
            continue
        time = float(packet.pts * packet.time_base) - origin
        decoded = float(packet.dts * packet.time_base) - origin
        if packet.stream is pictures:
            if begun is None and not packet.is_keyframe:
                continue
            if decoded >= end - _TOLERANCE:
                return
            begun = time if begun is None else begun
            yield packet
        elif begun is not None and begun <= time < end:
            yield packet


def _mux(file: Any, format: str, pictures: Any, sound: Any, first: av.Packet, rest: Iterator[av.Packet]) -> None:
    options = {"movflags": "faststart"} if format == "mp4" else {}
    with av.open(file, "w", format=format, options=options) as output:
        copies = {s.index: output.add_stream_from_template(s) for s in (pictures, sound) if s is not None}
        begin = float((first.pts or 0) * first.time_base)
        for packet in (first, *rest):
            index = packet.stream.index
            shift = round(begin / packet.time_base)
            packet.pts, packet.dts = (packet.pts or 0) - shift, (packet.dts or 0) - shift
            packet.stream = copies[index]
            output.mux(packet)
