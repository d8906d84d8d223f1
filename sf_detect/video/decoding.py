"""One pass over the video stream of a container that FFmpeg opens, errors survived and counted."""

from __future__ import annotations

import itertools
import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import av.error
import numpy as np
from av.video.reformatter import VideoReformatter

from sf_detect.errors import DecodeError
from sf_detect.picture_buffers import PictureBuffers
from sf_detect.structures import Frame, UInt8Array, VideoInfo
from sf_detect.video import stream_info
from sf_detect.video.orientation import Orientation
from sf_detect.video.timing import MAX_GAP_S, MAX_LIVE_GAP_S, DecodingSlots, PtsClock, StampChooser

_MAX_READ_FAILURES = 20
_END_TOLERANCE_S = 0.5
_DEFAULT_FPS = Fraction(25)
_SEAM_PACKETS = 2
_SHORTEST_SEEK_S = 5.0  # reading so far is as quick
# Threads inside the colour conversion cost more than they give at these sizes; older PyAV has no such option.
ONE_THREAD: dict[str, Any] = {"threads": 1} if int(av.__version__.split(".")[0]) >= 18 else {}


@dataclass
class DecodePass:
    """Decoded pictures of one open container, first picture read ahead.

    The first picture is decoded on construction: it tells the orientation, and proves that anything decodes at all.

    Args:
        container: Open for reading; this object closes it.
        what: The source's name for messages.
        live: Decode without the delay of frame threads, and start the clock at the first picture received. Of a
            stream without time stamps, the times are those of arrival.
        now: Monotonic clock in seconds, of the arrival of live pictures.
        threads: That decode; None takes FFmpeg's choice, one a core.

    Raises:
        SourceOpenError: No video stream, or no decoder for it.
        DecodeError: Not a single picture decodes.
    """

    container: av.container.InputContainer
    what: str
    live: bool = False
    now: Callable[[], float] = time.monotonic
    threads: int | None = None
    errors: int = 0
    last_error: str = "none"
    stream: av.video.stream.VideoStream = field(init=False)

    def __post_init__(self) -> None:
        self.stream = stream_info.pick_video_stream(self.container, self.what)
        self.stream.thread_type = "SLICE" if self.live else "AUTO"
        if self.threads is not None:
            self.stream.codec_context.thread_count = self.threads
        # What has a size is a file at the other end, and comes faster than it was recorded.
        self._by_arrival = self.live and stream_info.stores_no_times(self.container) and not self.container.size > 0
        self._slots = DecodingSlots() if stream_info.stores_no_presentation_times(self.container) else None
        fps = self._fps()
        self._interval = float(1 / (fps or _DEFAULT_FPS))
        start = None if self.live or self._slots else stream_info.start_time(self.stream)
        self._clock = PtsClock(start, self._interval, MAX_LIVE_GAP_S if self.live else MAX_GAP_S)
        self._choose = StampChooser()
        self._seams: set[int] = set()  # stamps of packets after which another recording was joined on
        self._pictures = self._decode()
        first = next(self._pictures, None)
        if first is None:
            raise DecodeError(
                f"{self.what} opened ({self.stream.codec_context.name} in {self.container.format.name}), but no frame "
                f"could be decoded: {self.errors} errors, last: {self.last_error}. Expected at least one intact "
                "picture; the file is cut off at its start, damaged or of a kind that FFmpeg does not decode, so "
                "convert it, or fetch or record it again."
            )
        self._first: av.VideoFrame = first
        self._arrival = self.now()
        self._orientation = Orientation.from_display_matrix(display_matrix(first))
        self._pixel_aspect = self._coded_aspect()
        self._sizes: list[tuple[float, tuple[int, int]]] = []
        self._skipped = 0

    def begin_at(self, seconds: float) -> None:
        """Go to the key picture before `seconds`, where the container has an index; else from the first picture on.

        Frames keep their times. Their indices are those of a constant rate then: what lies before is not counted.
        """
        start, fps = self._clock.start, self._fps()
        if seconds < _SHORTEST_SEEK_S or start is None or not fps or not stream_info.has_index(self.container):
            return
        try:
            self.container.seek(int((start + seconds) * av.time_base))
        except av.error.FFmpegError:
            return
        self._pictures.close()
        self._choose, self._pictures = StampChooser(), self._decode()
        found = next(self._pictures, None)
        stamp = None if found is None else self._seconds(found)
        if found is None or stamp is None or stamp > start + seconds:  # an index that misleads
            self.container.seek(0)
            self._choose, self._pictures = StampChooser(), self._decode()
            self._first = next(self._pictures, self._first)
            return
        self._first = found
        self._skipped = max(0, round((stamp - start) * fps))
        self._clock.resume(stamp)

    def info(self, name: str, is_live: bool = False) -> VideoInfo:
        """What the container and the first picture say, size as displayed."""
        width, height = self._orientation.size(self._first.width, self._first.height)
        aspect = stream_info.sample_aspect_ratio(self.stream)
        return VideoInfo(
            width=width,
            height=height,
            fps=self._fps(),
            num_frames=None if is_live else self.stream.frames or None,
            is_live=is_live,
            name=name,
            duration=None if is_live else self.duration(),
            sample_aspect_ratio=1 / aspect if self._orientation.transpose else aspect,
        )

    def duration(self) -> float | None:
        """Seconds, from the stream or else the container; None where neither says."""
        end = stream_info.stated_end(self.container, self.stream)
        duration = None if end is None else end - (stream_info.start_time(self.stream) or 0.0)
        return duration if duration and duration > 0 else None

    def frames(self, *, one_size: bool = False) -> Generator[Frame, None, None]:
        """Upright RGB frames with strictly increasing times; closes the container.

        Where the size of the pictures changes on the way, frames change theirs. The first frame of a new size, and the
        first after a jump of the time stamps, has `starts_anew` set.

        Args:
            one_size: Stretch all pictures to the size of the first instead.
        """
        convert, buffers = VideoReformatter(), PictureBuffers()
        size = first_size = (self._first.width, self._first.height)
        end: float | None = None
        try:
            for index, picture in enumerate(itertools.chain([self._first], self._pictures), self._skipped):
                shown = first_size if one_size else self._square_with_first(picture)
                rgb = convert.reformat(picture, width=shown[0], height=shown[1], format="rgb24", **ONE_THREAD)
                image = self._orientation(_copied(rgb, buffers))
                stamp, jumps = self._seconds(picture), len(self._clock.jumps)
                time = self._time(stamp)
                if shown != size:
                    self._sizes.append((time, (image.shape[1], image.shape[0])))
                anew = shown != size or len(self._clock.jumps) > jumps
                yield Frame(image, index, time, self._arrival if self.live else None, starts_anew=anew)
                size = shown
                if stamp is not None:
                    end = stamp + max(self._interval, _shown_for(picture))
                elif end is not None:
                    end += self._interval
            self._check_end(end)
        finally:
            self.close()

    def warnings(self) -> list[str]:
        """What a user should know about the times and sizes of the frames so far."""
        found = []
        if self._clock.jumps:
            time, by = self._clock.jumps[0]
            found.append(
                f"{self.what}: the time stamps jump {_times(len(self._clock.jumps))}, first at {time:.2f} s by "
                f"{by:+.1f} s; the times that follow continue without the jump."
            )
        if self._sizes:
            time, (width, height) = self._sizes[0]
            found.append(
                f"{self.what}: the size of the pictures changes {_times(len(self._sizes))}, first at {time:.2f} s to "
                f"{width}x{height}. Boxes are in pixels of their own frame, persons get new ids at the change, and an "
                "output video keeps the first size, with black bars where the shape differs."
            )
        return found

    def _square_with_first(self, picture: av.VideoFrame) -> tuple[int, int]:
        """The size at which pixels of `picture` have the shape that those of the first picture had."""
        aspect = self._coded_aspect()
        if aspect == self._pixel_aspect:
            return picture.width, picture.height
        return max(1, round(picture.width * aspect / self._pixel_aspect)), picture.height

    def _coded_aspect(self) -> Fraction:
        return stream_info.plausible_aspect(self.stream.codec_context.sample_aspect_ratio)

    def _time(self, stamp: float | None) -> float:
        if not self.live:
            return self._clock(stamp)
        before, self._arrival = self._arrival, self.now()
        return self._clock(self._arrival if self._by_arrival else stamp, self._arrival - before)

    def _check_end(self, end: float | None) -> None:
        """Counts a file that ends well before its stated duration (cut off; FFmpeg just stops) as an error."""
        stated = stream_info.stated_end(self.container, self.stream, own=True)
        if self.live or self._clock.jumps or end is None or stated is None:
            return
        missing = stated - end
        if missing > max(_END_TOLERANCE_S, 3 * self._interval):
            self.errors += 1
            self.last_error = f"the file ends {missing:.1f} s before its stated duration"

    def close(self) -> None:
        """Closes the container; harmless when repeated."""
        self._pictures.close()
        self.container.close()

    def _fps(self) -> Fraction | None:
        return None if self._by_arrival else stream_info.frame_rate(self.container, self.stream)

    def _seconds(self, picture: av.VideoFrame) -> float | None:
        base = picture.time_base or self.stream.time_base
        if self._slots is not None:
            stamp = self._slots.shown(picture.pts, bool(picture.key_frame))
        else:
            stamp = self._choose(picture.pts, picture.dts)
        return None if stamp is None or not base else float(stamp * base)

    def _decode(self) -> Generator[av.VideoFrame, None, None]:
        """Pictures that decode. A picture the decoder patched up is counted as an error and still comes."""
        for packet in self._packets() if self.live else self._without_seams(self._packets()):
            if self._slots is not None and packet is not None and packet.size and packet.dts is not None:
                packet.pts = packet.dts  # comes out with the picture, and tells from which packet it is
                self._slots.sent(packet.dts)
            try:
                pictures = packet.decode() if packet is not None else self.stream.codec_context.decode(None)
            except av.error.EOFError:
                return
            except av.error.FFmpegError as error:
                self._count(error)
                continue
            corrupt = packet is not None and packet.is_corrupt and packet.pts not in self._seams
            self.errors += corrupt or any(picture.is_corrupt and picture.pts not in self._seams for picture in pictures)
            yield from pictures

    def _without_seams(self, packets: Iterator[av.Packet | None]) -> Iterator[av.Packet | None]:
        """`packets`, after noting which were only called corrupt because another recording was joined on there.

        MPEG-TS counts its packets, and calls one of the last before a break of the count corrupt. Where pictures start
        anew right behind it, nothing is missing from the pictures themselves.
        """
        held: deque[av.Packet | None] = deque()
        for packet in packets:
            if packet is not None and packet.is_keyframe:
                self._seams.update(last.pts for last in held if last and last.is_corrupt and last.pts is not None)
            held.append(packet)
            if len(held) > _SEAM_PACKETS:
                yield held.popleft()
        yield from held

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


def _copied(rgb: av.VideoFrame, buffers: PictureBuffers) -> UInt8Array:
    """The picture, (H, W, 3), in memory that circulates."""
    plane: Any = rgb.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(rgb.height, plane.line_size)
    return buffers.copy(rows[:, : 3 * rgb.width].reshape(rgb.height, rgb.width, 3))


def display_matrix(picture: av.VideoFrame) -> bytes:
    """What the container says about turning the picture, as `Orientation.from_display_matrix` reads it; else empty."""
    try:
        side_data: Any = picture.side_data
        return bytes(side_data["DISPLAYMATRIX"])
    except KeyError:
        return b""
    except ValueError:  # PyAV gives up where one kind of side data, such as EXIF, is newer than itself
        angle = math.radians(picture.rotation)
        turn = np.array([math.cos(angle), -math.sin(angle), 0, math.sin(angle), math.cos(angle), 0, 0, 0, 0])
        return bytes((turn * (1 << 16)).astype(np.int32))


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _shown_for(picture: av.VideoFrame) -> float:
    """Seconds the container says the picture is shown; 0 where it (or an older PyAV) does not say."""
    return float((getattr(picture, "duration", None) or 0) * (picture.time_base or 0))
