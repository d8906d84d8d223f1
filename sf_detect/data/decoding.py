"""From a labelled moment to pixels: the frames of a clip out of a video file or a folder of frame images.

Made for loader workers: one decoding thread each, only the needed part of a file is decoded, and pictures that lie
before it are not even converted. One worker per core keeps the machine busy; more only take memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, partial
from pathlib import Path
from typing import Generic, TypeVar

import av
import av.error
import cv2
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from sf_detect.data.samples import ClipSample
from sf_detect.errors import DataError, SourceError
from sf_detect.structures import UInt8Array, VideoInfo
from sf_detect.video.clip_buffer import nearest, resize_short_side
from sf_detect.video.decoding import ONE_THREAD, DecodePass, display_matrix
from sf_detect.video.images import IMAGE_SUFFIXES, natural_key, read_image
from sf_detect.video.orientation import Orientation
from sf_detect.video.sources import FileSource, open_container
from sf_detect.video.stream_info import frame_rate, pick_video_stream, stores_no_presentation_times

#: Rate of frame folders that state none: that of AVA's published frame lists.
FOLDER_FPS = Fraction(30)
# How far before the wanted time to look for a key picture, in seconds; indices of some files point behind it.
_SEEK_MARGINS = (0.0, 2.0, 10.0, np.inf)
# Pictures that no other needs are not decoded when they lie this much before the clip.
_SKIP_MARGIN_S = 1.0
_TIME_TOLERANCE_S = 1e-3

P = TypeVar("P")
#: Resizes a decoded image.
Finish = Callable[[UInt8Array], UInt8Array]
#: Frames with their times in the file.
Found = Iterator[tuple[float, UInt8Array]]


@dataclass(frozen=True)
class _Timed(Generic[P]):
    time: float
    picture: P


class _NoSeekingError(Exception):
    """The pictures of this file carry no times, or it leads nowhere right, so it can't be entered in the middle."""


def read_clip(sample: ClipSample, times: npt.NDArray[np.float64], short_side: int | None = None) -> UInt8Array:
    """The frames of a sample nearest to some times.

    Args:
        sample: Where the video lies; times outside its `span` are moved to the span's ends.
        times: (T,) float64 seconds on the annotation's clock, in any order, repeats allowed; times outside the video
            give its first or last frame.
        short_side: Pixels of the shorter side after resizing; None keeps the size.

    Returns:
        (T, h, w, 3) uint8 RGB, upright.

    Raises:
        DataError: The file or folder is missing, unreadable, or nothing decodes; names it.
    """
    return read_timed_clip(sample, times, short_side)[0]


def read_timed_clip(
    sample: ClipSample, times: npt.NDArray[np.float64], short_side: int | None = None
) -> tuple[UInt8Array, npt.NDArray[np.float64]]:
    """As `read_clip`, with the times (T,) on the annotation's clock that the frames really have."""
    wanted = np.asarray(times, np.float64)
    if wanted.ndim != 1 or not len(wanted) or not np.isfinite(wanted).all():
        raise ValueError(f"times are a finite (T,) array with T > 0, got {wanted!r}")
    if sample.span is not None:
        wanted = wanted.clip(*sample.span)
    order = np.argsort(wanted, kind="stable")
    found = list(iterate_frames(sample, wanted[order], short_side))
    back = np.argsort(order, kind="stable")
    return np.stack([found[i][1] for i in back]), np.array([found[i][0] for i in back])


def iterate_frames(
    sample: ClipSample, times: npt.NDArray[np.float64], short_side: int | None = None
) -> Iterator[tuple[float, UInt8Array]]:
    """The frames nearest to ascending `times`, one by one, each with the time that it really has: for long stretches.

    Arguments, times and errors are those of `read_clip`; the sample's span is not looked at.
    """
    pick = _from_folder if sample.path.is_dir() else _from_file
    try:
        for time, image in pick(sample, times - sample.start_time, partial(_resized, short_side=short_side)):
            yield time + sample.start_time, image
    except (SourceError, av.error.FFmpegError, OSError) as error:
        raise DataError(sample.path, None, f"cannot be decoded: {error}") from error


def _resized(image: UInt8Array, short_side: int | None) -> UInt8Array:
    # Resized as the live pipeline does it, for equal pixels; faster, too, than in FFmpeg's colour conversion.
    return image if short_side is None else resize_short_side(image, short_side)


def probe(sample: ClipSample) -> VideoInfo:
    """Size as displayed, rate and duration (seconds of the file itself) of a sample's video.

    Raises:
        DataError: It can't be opened.
    """
    try:
        if not sample.path.is_dir():
            with FileSource(sample.path) as source:
                return source.info
    except SourceError as error:
        raise DataError(sample.path, None, f"cannot be opened: {error}") from error
    folder, fps = _folder(sample.path), sample.fps or FOLDER_FPS
    height, width = _image(sample.path / folder.name(0)).shape[:2]
    return VideoInfo(width, height, fps, folder.count, name=sample.video_id, duration=float(folder.count / fps))


def frame_times(path: Path) -> npt.NDArray[np.float64]:
    """Times (N,) of all frames of a video file in seconds from its start, read without decoding.

    For annotations that count frames: many files drop repeated frames, so that a frame's number does not tell its time.

    Raises:
        DataError: It can't be opened, or holds no frame.
    """
    try:
        with open_container(path) as container:
            stream = pick_video_stream(container, str(path))
            packets = [(packet.pts, packet.is_discard) for packet in container.demux(stream) if packet.size]
            stamps = sorted(pts for pts, discarded in packets if pts is not None and not discarded)
            if len(stamps) == len(packets) and stamps and not stores_no_presentation_times(container):
                return (np.array(stamps) - (stream.start_time or 0)) * float(stream.time_base or 0)
            rate = frame_rate(container, stream)
    except (SourceError, av.error.FFmpegError, OSError) as error:
        raise DataError(path, None, f"cannot be opened: {error}") from error
    if not packets or not rate:
        raise DataError(path, None, "holds no frame with a time; fetch or record the video again")
    return np.arange(len(packets)) / float(rate)


def _choose(pictures: Iterable[_Timed[P]], times: npt.NDArray[np.float64], convert: Callable[[P], UInt8Array]) -> Found:
    """For each of the ascending `times` the nearest of `pictures`, which come in order; nothing without pictures."""
    taken: tuple[float, UInt8Array] | None = None

    def take(timed: _Timed[P]) -> tuple[float, UInt8Array]:
        nonlocal taken
        if taken is None or taken[0] != timed.time:
            taken = timed.time, convert(timed.picture)
        return taken

    done = 0
    last: _Timed[P] | None = None
    for current in pictures:
        while done < len(times) and times[done] <= current.time:
            pair = np.array([(last or current).time, current.time])
            earlier = nearest(pair, times[done : done + 1])[0] == 0
            yield take(last if last is not None and earlier else current)
            done += 1
        if done == len(times):
            return
        last = current
    for _ in range(done, len(times) if last is not None else 0):
        assert last is not None
        yield take(last)


def _from_file(sample: ClipSample, times: npt.NDArray[np.float64], finish: Finish) -> Found:
    done = 0
    try:
        for found in _by_seeking(sample.path, times, finish):
            yield found
            done += 1
    except _NoSeekingError:
        for found in _from_the_start(sample.path, times[done:], finish):
            yield found
            done += 1
    if not done:
        raise DataError(sample.path, None, "holds no frame that decodes; fetch or record the video again")


def _by_seeking(path: Path, times: npt.NDArray[np.float64], finish: Finish) -> Found:
    """Picks frames from the key picture before the first wanted time on."""
    reformatter = VideoReformatter()
    size: list[int] = []  # of the first picture; a stream that changes its size is scaled to it

    def convert(picture: av.VideoFrame) -> UInt8Array:
        size[:] = size or [picture.width, picture.height]
        rgb = reformatter.reformat(picture, width=size[0], height=size[1], format="rgb24", **ONE_THREAD)
        upright = Orientation.from_display_matrix(display_matrix(picture))
        return upright(finish(np.asarray(rgb.to_ndarray(), np.uint8)))

    with open_container(path) as container:
        # AVI stores no presentation times; raw streams have none at all and are met below.
        if stores_no_presentation_times(container):
            raise _NoSeekingError
        stream = pick_video_stream(container, str(path))
        _use_one_thread(stream)
        yield from _choose(_entered(container, stream, float(times[0])), times, convert)


def _use_one_thread(stream: av.video.stream.VideoStream) -> None:
    stream.thread_type = "NONE"
    stream.codec_context.thread_count = 1


def _entered(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream, first: float
) -> Iterator[_Timed[av.VideoFrame]]:
    """Pictures in order, beginning with one at or before `first` seconds where the file has one."""
    base, start = stream.time_base, stream.start_time
    if base is None or start is None:
        raise _NoSeekingError
    for margin in _SEEK_MARGINS:
        target = max(0.0, first - margin)
        try:
            container.seek(start + int(target / base), stream=stream)
        except av.error.FFmpegError:  # past the end, or a format without seeking
            continue
        pictures = _decoded(container, stream, start, target)
        head = next(pictures, None)
        if head is not None and head.time <= max(first, _TIME_TOLERANCE_S):
            yield head
            yield from pictures
            return
    raise _NoSeekingError


def _decoded(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream, start: int, target: float
) -> Iterator[_Timed[av.VideoFrame]]:
    base, last = float(stream.time_base or 0), -np.inf
    context = stream.codec_context
    for packet in container.demux(stream):
        early = packet.pts is not None and (packet.pts - start) * base < target - _SKIP_MARGIN_S
        context.skip_frame = "NONREF" if early else "DEFAULT"
        try:
            pictures = packet.decode()
        except av.error.InvalidDataError:
            continue  # the pictures around a damaged one still come
        for picture in pictures:
            if picture.pts is None:
                raise _NoSeekingError
            time = (picture.pts - start) * base
            if time > last:
                last = time
                yield _Timed(time, picture)


def _from_the_start(path: Path, times: npt.NDArray[np.float64], finish: Finish) -> Found:
    """Picks frames from the times that the pipeline's own clock gives them, decoding from the first on."""
    container = open_container(path)
    try:
        _use_one_thread(pick_video_stream(container, str(path)))
        frames = DecodePass(container, str(path)).frames(one_size=True)
        yield from _choose((_Timed(frame.pts, frame.image) for frame in frames), times, finish)
    finally:
        container.close()


@dataclass(frozen=True)
class _Folder:
    """Names of a folder's images in natural order; a pattern where they are numbered without gaps, as lists of tens of
    thousands of names for hundreds of videos would fill a worker's memory."""

    count: int
    pattern: str | None
    offset: int
    names: tuple[str, ...]

    def name(self, index: int) -> str:
        return self.pattern % (index + self.offset) if self.pattern is not None else self.names[index]


@lru_cache(maxsize=1024)
def _folder(path: Path) -> _Folder:
    names = [entry.name for entry in os.scandir(path) if Path(entry.name).suffix.lower() in IMAGE_SUFFIXES]
    if not names:
        raise DataError(path, None, "holds no frame images; expected files such as VIDEO_000001.jpg (1, 2, 3, ...)")
    names.sort(key=natural_key)
    stem, suffix = os.path.splitext(names[0])
    digits = stem[len(stem.rstrip("0123456789")) :]
    if digits:
        pattern = f"{stem[: -len(digits)]}%0{len(digits)}d{suffix}"
        known = _Folder(len(names), pattern, int(digits), ())
        # Names in natural order that begin and end right and are as many as the numbers between have no gap.
        if "%" not in stem and all(known.name(i) == name for i, name in enumerate(names)):
            return known
    return _Folder(len(names), None, 0, tuple(names))


def _from_folder(sample: ClipSample, times: npt.NDArray[np.float64], finish: Finish) -> Found:
    folder, fps = _folder(sample.path), float(sample.fps or FOLDER_FPS)
    # A tie goes to the earlier frame, as everywhere; the slack makes it one in spite of rounding.
    places = np.ceil(times * fps - 0.5 - 1e-6).astype(np.int64).clip(0, folder.count - 1)
    last, image = -1, np.zeros((0, 0, 3), np.uint8)
    shape: tuple[int, ...] | None = None  # of the first image; others, of which shares are labelled, are scaled to it
    for place in places.tolist():
        if place != last:
            read = _image(sample.path / folder.name(place))
            shape = shape or read.shape
            last, image = place, finish(read if read.shape == shape else _scaled(read, shape))
        yield place / fps, image


def _image(path: Path) -> UInt8Array:
    image = read_image(path)
    if image is None:
        raise DataError(path, None, "cannot be read as an image; expected an intact file, so extract it again")
    return image


def _scaled(image: UInt8Array, shape: tuple[int, ...]) -> UInt8Array:
    return np.asarray(cv2.resize(image, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR), np.uint8)
