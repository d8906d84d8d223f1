"""Parts of videos as files of their own: encoded again, exact to the picture, or copied between key pictures."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import av
import av.error

from sf_detect.atomic_file import atomic_path
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
    except SinkError:  # says what was kept
        raise
    except BaseException:
        if writer is not None:
            writer.abort()
            path.unlink(missing_ok=True)  # part of a part is of no use
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
        start, end: Seconds of the source. Up to a few pictures behind the end are kept, which those before it need.

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
        packets = _of_part(_packets(container, pictures, sound, start, end), pictures, end)
        first = next(packets, None)
        if first is None:
            raise SourceError(f"{source}: no key picture to copy from before {end:.2f} s.")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(path) as part:
                _mux(part, format, pictures, sound, chain([first], packets))
        except (av.error.FFmpegError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise SinkError(
                f"{path}: the part can't be copied ({reason}). Leave --copy out: every video can be encoded again."
            ) from error
        except OSError as error:
            raise SinkError.unwritable(path, error) from error
    return path


def _format(pictures: Any, sound: Any) -> str:
    fits = pictures.codec_context.name in _MP4_PICTURES and (
        sound is None or sound.codec_context is None or sound.codec_context.name in _MP4_SOUND
    )
    return "mp4" if fits else "matroska"


def _packets(container: Any, pictures: Any, sound: Any, start: float, end: float) -> Iterator[av.Packet]:
    """Packets of the part, beginning with the last key picture at or before `start`."""
    origin = start_time(pictures) or 0.0
    if start > 0:
        container.seek(int((origin + start) / pictures.time_base), stream=pictures)
    waiting: list[av.Packet] = []
    settled = False  # whether no later key picture can be the first
    for packet in container.demux([pictures] if sound is None else [pictures, sound]):
        time = None if packet.pts is None else float(packet.pts * packet.time_base) - origin
        if time is None:
            continue
        if packet.stream is pictures:
            decoded = time if packet.dts is None else float(packet.dts * packet.time_base) - origin
            if decoded >= end - _TOLERANCE and settled:
                return
            if packet.is_keyframe and time <= start + _TOLERANCE:
                waiting = []
            settled = settled or decoded > start
        waiting.append(packet)
        if settled and packet.stream is pictures and packet.dts is not None:
            yield from _ordered(waiting, pictures)
            waiting = []
    yield from _ordered(waiting, pictures)


def _ordered(packets: list[av.Packet], pictures: Any) -> Iterator[av.Packet]:
    """Packets with the decoding times that Matroska does not tell behind a jump."""
    following: dict[int, int] = {}
    for packet in reversed(packets):
        index = packet.stream.index
        if packet.dts is None:
            step = max(1, packet.duration or 1)
            packet.dts = min(packet.pts or 0, following.get(index, (packet.pts or 0) + step) - step)
        following[index] = packet.dts
    yield from packets


def _of_part(packets: Iterator[av.Packet], pictures: Any, end: float) -> Iterator[av.Packet]:
    """From the first key picture on; sound from its time on, up to the end."""
    origin = start_time(pictures) or 0.0
    begun: float | None = None
    for packet in packets:
        time = float((packet.pts or 0) * packet.time_base) - origin
        if packet.stream is pictures:
            if begun is None:
                if not packet.is_keyframe or time >= end - _TOLERANCE:
                    continue
                begun = time
            yield packet
        elif begun is not None and begun <= time < end:
            yield packet


def _mux(part: Path, format: str, pictures: Any, sound: Any, packets: Iterator[av.Packet]) -> None:
    options = {"movflags": "faststart"} if format == "mp4" else {}
    begin: float | None = None
    with av.open(f"file:{part}", "w", format=format, options=options) as output:
        copies = {s.index: output.add_stream_from_template(s) for s in (pictures, sound) if s is not None}
        for packet in packets:
            begin = float((packet.pts or 0) * packet.time_base) if begin is None else begin
            shift = round(begin / packet.time_base)
            packet.pts, packet.dts = (packet.pts or 0) - shift, (packet.dts or 0) - shift
            packet.stream = copies[packet.stream.index]
            output.mux(packet)
