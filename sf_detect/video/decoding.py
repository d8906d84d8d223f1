"""One pass over the video stream of a container that FFmpeg opens, errors survived and counted."""

from __future__ import annotations

import itertools
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import av.error
import numpy as np
from av.video.reformatter import VideoReformatter

from sf_detect.errors import DecodeError, SourceOpenError
from sf_detect.structures import Frame, VideoInfo
from sf_detect.video.orientation import Orientation
from sf_detect.video.timing import PtsClock, StampChooser

_MAX_READ_FAILURES = 20
_END_TOLERANCE_S = 0.5
_DEFAULT_FPS = Fraction(25)
_ATTACHED_PICTURE = 0x400  # AV_DISPOSITION_ATTACHED_PIC
# Threads inside the colour conversion cost more than they give at these sizes; older PyAV has no such option.
ONE_THREAD: dict[str, Any] = {"threads": 1} if int(av.__version__.split(".")[0]) >= 18 else {}


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


@dataclass
class DecodePass:
    """Decoded pictures of one open container, first picture read ahead.

    The first picture is decoded on construction: it tells the orientation, and proves that anything decodes at all.

    Args:
        container: Open for reading; this object closes it.
        what: The source's name for messages.
        live: Decode without the delay of frame threads, and start the clock at the first picture received.

    Raises:
        SourceOpenError: No video stream, or no decoder for it.
        DecodeError: Not a single picture decodes.
    """

    container: av.container.InputContainer
    what: str
    live: bool = False
    errors: int = 0
    last_error: str = "none"
    stream: av.video.stream.VideoStream = field(init=False)

    def __post_init__(self) -> None:
        self.stream = pick_video_stream(self.container, self.what)
        self.stream.thread_type = "SLICE" if self.live else "AUTO"
        self._pictures = self._decode()
        first = next(self._pictures, None)
        if first is None:
            raise DecodeError(
                f"{self.what} opened ({self.stream.codec_context.name} in {self.container.format.name}), but no frame "
                f"could be decoded: {self.errors} errors, last: {self.last_error}. Expected at least one intact "
                "picture; the file is empty, cut off at its start or damaged, so fetch or record it again."
            )
        self._first: av.VideoFrame = first
        self._orientation = Orientation.from_display_matrix(display_matrix(first))

    def info(self, name: str, is_live: bool = False) -> VideoInfo:
        """What the container and the first picture say, size as displayed."""
        width, height = self._orientation.size(self._first.width, self._first.height)
        return VideoInfo(
            width=width,
            height=height,
            fps=self._fps(),
            num_frames=None if is_live else self.stream.frames or None,
            is_live=is_live,
            name=name,
            duration=None if is_live else self.duration(),
        )

    def duration(self) -> float | None:
        """Seconds, from the stream or else the container; None where neither says."""
        if self.stream.duration and self.stream.time_base:
            return float(self.stream.duration * self.stream.time_base)
        tag = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d*)?)", self.stream.metadata.get("DURATION", ""))
        if tag:
            return int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3])
        return self.container.duration / av.time_base if self.container.duration else None

    def frames(self) -> Generator[Frame, None, None]:
        """Upright RGB frames of the first picture's size with strictly increasing times; closes the container."""
        width, height = self._first.width, self._first.height
        convert = VideoReformatter()
        has_pts = "avi" not in self.container.format.name.split(",")
        choose = StampChooser(has_pts)
        interval = float(1 / (self._fps() or _DEFAULT_FPS))
        clock = PtsClock(self._start() if has_pts else None, interval)
        end = 0.0
        try:
            for index, picture in enumerate(itertools.chain([self._first], self._pictures)):
                rgb = convert.reformat(picture, width=width, height=height, format="rgb24", **ONE_THREAD)
                image = self._orientation(np.asarray(rgb.to_ndarray(), np.uint8))
                time = clock(self._seconds(picture, choose))
                end = time + max(interval, _shown_for(picture))
                yield Frame(image, index, time)
            self._check_end(end, interval)
        finally:
            self.close()

    def _check_end(self, end: float, interval: float) -> None:
        """Counts a file that ends well before its stated duration (cut off; FFmpeg just stops) as an error."""
        own = self.stream.duration or "DURATION" in self.stream.metadata or len(self.container.streams) == 1
        missing = (self.duration() or 0.0) - end if own and not self.live else 0.0
        if missing > max(_END_TOLERANCE_S, 3 * interval):
            self.errors += 1
            self.last_error = f"the file ends {missing:.1f} s before its stated duration"

    def close(self) -> None:
        """Closes the container; harmless when repeated."""
        self._pictures.close()
        self.container.close()

    def _fps(self) -> Fraction | None:
        for rate in (self.stream.average_rate, self.stream.guessed_rate):
            if rate and Fraction(1, 100) <= rate <= 1000:
                return Fraction(rate)
        return None

    def _start(self) -> float | None:
        if self.live or self.stream.start_time is None or self.stream.time_base is None:
            return None
        return float(self.stream.start_time * self.stream.time_base)

    def _seconds(self, picture: av.VideoFrame, choose: StampChooser) -> float | None:
        base = picture.time_base or self.stream.time_base
        stamp = choose(picture.pts, picture.dts)
        return None if stamp is None or not base else float(stamp * base)

    def _decode(self) -> Generator[av.VideoFrame, None, None]:
        """Pictures that decode. A picture the decoder patched up is counted as an error and still comes."""
        for packet in self._packets():
            try:
                pictures = packet.decode() if packet is not None else self.stream.codec_context.decode(None)
            except av.error.EOFError:
                return
            except av.error.FFmpegError as error:
                self._count(error)
                continue
            corrupt = packet is not None and packet.is_corrupt
            self.errors += corrupt or any(picture.is_corrupt for picture in pictures)
            yield from pictures

    def _packets(self) -> Iterator[av.Packet | None]:
        """Packets; then None, which flushes the decoder, where reading ended with an error.

        Reading goes on behind damage as long as the demuxer finds something; a medium that only fails ends it.
        """
        failures = 0
        while failures < _MAX_READ_FAILURES:
            try:
                for packet in self.container.demux(self.stream):
                    failures = 0
                    yield packet
                return
            except av.error.EOFError:
                break
            except av.error.FFmpegError as error:
                self._count(error)
                failures += 1 if isinstance(error, av.error.InvalidDataError) else _MAX_READ_FAILURES
        yield None

    def _count(self, error: Exception) -> None:
        self.errors += 1
        self.last_error = getattr(error, "strerror", None) or str(error)


def display_matrix(picture: av.VideoFrame) -> bytes:
    """What the container says about turning the picture, as `Orientation.from_display_matrix` reads it; else empty."""
    side_data: Any = picture.side_data
    try:
        return bytes(side_data["DISPLAYMATRIX"])
    except KeyError:
        return b""


def _shown_for(picture: av.VideoFrame) -> float:
    """Seconds the container says the picture is shown; 0 where it (or an older PyAV) does not say."""
    return float((getattr(picture, "duration", None) or 0) * (picture.time_base or 0))
