"""What a container says about its video stream: which one, how fast, how long, with pixels of what shape."""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction
from itertools import islice, pairwise
from typing import Any

import av

from sf_detect.errors import SourceOpenError

_ATTACHED_PICTURE = 0x400  # AV_DISPOSITION_ATTACHED_PIC
_NO_TIMESTAMPS = 0x80  # AVFMT_NOTIMESTAMPS
_MAX_PIXEL_RATIO = 20  # beyond this, the container's sample aspect ratio is taken for an error
_INDEX_ENTRIES = 2000
_SQUARE = Fraction(1)


def pick_video_stream(container: av.container.InputContainer, what: str) -> av.video.stream.VideoStream:
    """The stream to decode: FFmpeg's best video stream that is not a cover picture.

    Raises:
        SourceOpenError: There is none; the message lists what was found instead.
    """
    streams = [stream for stream in container.streams.video if stream.codec_context is not None]
    moving = [stream for stream in streams if not _disposition(stream) & _ATTACHED_PICTURE]
    if not moving:
        found = ", ".join(f"{s.type} ({s.codec_context.name})" for s in container.streams if s.codec_context)
        raise SourceOpenError(
            f"{what} holds no video stream. Found: {found or 'no stream at all'}"
            f"{' (the picture is a cover image)' if streams else ''}. Expected a file with moving pictures; "
            "check that this is the right file."
        )
    best = container.streams.best("video") if hasattr(container.streams, "best") else None
    return best if best in moving else moving[0]


def _disposition(stream: Any) -> int:
    flags = getattr(stream, "disposition", 0)  # an enum or a number, by the version of PyAV
    return int(getattr(flags, "value", flags))


def stores_no_presentation_times(container: av.container.InputContainer) -> bool:
    """True for AVI, which numbers pictures in decoding order; the demuxer's presentation times are guesses."""
    return "avi" in container.format.name.split(",")


def stores_no_times(container: av.container.InputContainer) -> bool:
    """True for formats without any time stamps, such as raw or multipart MJPEG, for which FFmpeg assumes 25 fps."""
    return bool(container.format.flags & _NO_TIMESTAMPS)


def frame_rate(container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> Fraction | None:
    """The nominal rate; None where the container says nothing believable.

    The slots of an AVI may be finer than its pictures (fields, or a time base of thousandths); its index tells.
    """
    rates = [stream.average_rate, stream.guessed_rate]
    if stores_no_presentation_times(container):
        rates = [_indexed_rate(stream), *rates]
    for rate in rates:
        if rate and Fraction(1, 100) <= rate <= 1000:
            return Fraction(rate)
    return None


def _indexed_rate(stream: av.video.stream.VideoStream) -> Fraction | None:
    """From the most frequent distance of two pictures in the container's index; the guess of FFmpeg without one."""
    entries = islice(getattr(stream, "index_entries", ()), _INDEX_ENTRIES)
    steps = Counter(later - earlier for earlier, later in pairwise(entry.timestamp for entry in entries))
    step = max(steps, key=lambda ticks: (steps[ticks], -ticks), default=0)
    return 1 / (step * stream.time_base) if step > 0 and stream.time_base else stream.guessed_rate


def sample_aspect_ratio(stream: av.video.stream.VideoStream) -> Fraction:
    """Width over height of a stored pixel as it is shown; 1 where unknown or beyond belief."""
    return plausible_aspect(stream.sample_aspect_ratio)


def plausible_aspect(ratio: Fraction | None) -> Fraction:
    """`ratio`, or 1 where it is missing or not between 1/20 and 20."""
    if not ratio or not Fraction(1, _MAX_PIXEL_RATIO) <= ratio <= _MAX_PIXEL_RATIO:
        return _SQUARE
    return Fraction(ratio).limit_denominator(1000)


def start_time(stream: av.video.stream.VideoStream) -> float | None:
    """Start of the stream in seconds on the container's clock, None where unknown."""
    if stream.start_time is None or stream.time_base is None:
        return None
    return float(stream.start_time * stream.time_base)


def stated_end(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream, *, own: bool = False
) -> float | None:
    """Where the stream ends by the container's word, in seconds on the container's clock; None where it is silent.

    Args:
        container: Open for reading.
        stream: Its video stream.
        own: Only take what is said of this stream, not the duration of a container with several.
    """
    start = start_time(stream) or 0.0
    if stream.duration and stream.time_base:
        return start + float(stream.duration * stream.time_base)
    tag = re.fullmatch(r"(\d{1,9}):(\d+):(\d+(?:\.\d*)?)", stream.metadata.get("DURATION", ""))
    if tag:
        seconds = int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3])
        # FFmpeg writes the time of the end, mkvmerge (with its statistics) how long the track is.
        return start + seconds if "_STATISTICS_TAGS" in stream.metadata else seconds
    if not container.duration or (own and len(container.streams) > 1):
        return None
    seconds = container.duration / av.time_base
    if "matroska" in container.format.name:  # counts from 0 as well
        return seconds
    return seconds + (container.start_time / av.time_base if container.start_time is not None else start)


_INDEXED = {"mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm"}


def has_index(container: av.container.InputContainer) -> bool:
    """Whether the format says where its key pictures are, so that going to one is quick and sure."""
    return bool(_INDEXED & set(container.format.name.split(",")))
