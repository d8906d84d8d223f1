"""Which audio track of a file is kept, and how: each is tried out before the output depends on it."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import av
import av.error

# What browsers play inside MP4; anything else is converted to AAC.
COPIED_CODECS = frozenset({"aac", "mp3", "mp3float", "opus", "flac"})
# Broadcast formats, whose sound may change its rate and channels on the way, which a copy in MP4 cannot.
_CHANGING_FORMATS = frozenset({"mpegts", "mpeg"})
_MP3_CODECS = frozenset({"mp3", "mp3float"})
_LOWEST_MP3_RATE = 16000  # below it, MP4 has no way to say so that players agree on
_TRIED_PACKETS, _TRIED_FRAMES = 3, 500


@dataclass(frozen=True)
class AudioChoice:
    """The audio track to keep.

    Attributes:
        index: Its stream index in the file; None where no track is kept.
        copied: Packets are copied as they are; else decoded and encoded as AAC.
        problem: Why no track is kept although there are some, or None.
    """

    index: int | None = None
    copied: bool = False
    problem: str | None = None


def choose_audio(source: Path) -> AudioChoice:
    """The first audio track of `source` that can be copied or decoded.

    Raises:
        FFmpegError: The file cannot be opened.
    """
    with open_audio(source) as container:
        indices = [stream.index for stream in container.streams.audio]
    reasons = []
    for index in indices:
        if _copies(source, index):
            return AudioChoice(index, copied=True)
        reason = _why_not_decoded(source, index)
        if reason is None:
            return AudioChoice(index)
        reasons.append(reason)
    if not reasons:
        return AudioChoice()
    return AudioChoice(problem=f"the sound was left out ({'; '.join(dict.fromkeys(reasons))})")


def open_audio(source: Path) -> av.container.InputContainer:
    """Opens a file for its sound; the caller closes it."""
    return av.open(f"file:{source}", metadata_errors="replace")


def _copies(source: Path, index: int) -> bool:
    """Whether an MP4 in memory takes the first packets as they are."""
    with open_audio(source) as container:
        track: Any = container.streams[index]
        context = track.codec_context
        if context is None or context.name not in COPIED_CODECS or container.format.name in _CHANGING_FORMATS:
            return False
        if context.name in _MP3_CODECS and context.sample_rate < _LOWEST_MP3_RATE:
            return False
        try:
            with av.open(io.BytesIO(), "w", format="mp4") as trial:
                copy = trial.add_stream_from_template(track)
                for packet in islice(_whole(container, track), _TRIED_PACKETS):
                    packet.stream = copy
                    trial.mux(packet)
        except (av.error.FFmpegError, ValueError):
            return False
    return True


def _whole(container: av.container.InputContainer, track: Any) -> Iterator[av.Packet]:
    return (packet for packet in container.demux(track) if packet.dts is not None and packet.size)


def _why_not_decoded(source: Path, index: int) -> str | None:
    with open_audio(source) as container:
        track: Any = container.streams[index]
        if track.codec_context is None:
            return "no decoder for its codec"
        if not _has_known_layout(track.codec_context):
            return f"{track.codec_context.name} with its channels in an order of its own"
        name, detail = track.codec_context.name, "no sound in it"
        for packet in islice(container.demux(track), _TRIED_FRAMES):
            try:
                if packet.decode():
                    return None
            except av.error.FFmpegError as error:
                detail = error.strerror or str(error)
        return f"{name} that does not decode: {detail}"


def _has_known_layout(context: Any) -> bool:
    """Whether the channels come in an order that has a name.

    Of an order without one PyAV frees the list of channels twice, with the layout or frame and with the context, which
    ends the process. So it must not be decoded, and the context is given another layout before ours is freed.
    """
    layout = context.layout
    try:
        known = not re.match(r"\d+ channels \(|ambisonic", layout.name)
    except (UnicodeDecodeError, RuntimeError):
        known = False
    if not known:
        context.layout = "mono"
    return known
