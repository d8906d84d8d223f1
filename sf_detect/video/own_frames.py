"""Pictures that the caller has already, as a source: arrays in memory, from any library."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence, Sized
from fractions import Fraction
from itertools import chain

import numpy as np

from sf_detect.errors import SourceError
from sf_detect.structures import Frame, UInt8Array, VideoInfo
from sf_detect.video.base import BaseSource

DEFAULT_FPS = Fraction(25)


class FrameMaker:
    """Makes a `Frame` of each picture of a video, at the given times or at a constant rate.

    Args:
        fps: Pictures a second, where no times are given; None takes 25.
    """

    def __init__(self, fps: Fraction | float | None = None) -> None:
        if fps is not None and not (np.isfinite(float(fps)) and fps > 0):
            raise SourceError(f"the frame rate is {fps}; expected a number of pictures a second above 0.")
        self.fps = DEFAULT_FPS if fps is None else Fraction(fps).limit_denominator(100_000)
        self._index, self._last = 0, -np.inf

    def __call__(self, picture: object, time: float | None = None) -> Frame:
        """The next frame.

        Args:
            picture: (H, W, 3) uint8 RGB array, or a `Frame`, whose own time counts.
            time: Seconds, later than that of the frame before; None counts on at the constant rate.

        Raises:
            SourceError: It is not a picture, or its time does not increase.
        """
        if isinstance(picture, Frame):
            image, pts = picture.image, picture.pts if time is None else time
        else:
            image = checked_picture(picture, self._index)
            pts = float(self._index / self.fps) if time is None else time
        if not (np.isfinite(pts) and pts > self._last):
            raise SourceError(
                f"frame {self._index} is at {pts} s, the one before at {self._last} s; expected times in seconds that "
                "increase from frame to frame."
            )
        self._index, self._last = self._index + 1, float(pts)
        anew = isinstance(picture, Frame) and picture.starts_anew
        return Frame(image, self._index - 1, float(pts), starts_anew=anew)


class OwnFramesSource(BaseSource):
    """A `VideoSource` over pictures of the caller; iterates once where `pictures` does.

    Args:
        pictures: (H, W, 3) uint8 RGB arrays or `Frame`s, in order; at least one.
        times: Seconds, one a picture; None counts at `fps`.
        fps: Pictures a second where no times are given; None takes 25.
        name: For outputs.

    Raises:
        SourceError: There is no picture, the first is none, or there are not as many times as pictures.
    """

    def __init__(
        self,
        pictures: Iterable[object],
        times: Sequence[float] | None = None,
        fps: Fraction | float | None = None,
        name: str = "frames",
    ) -> None:
        known = len(pictures) if isinstance(pictures, Sized) else None
        if times is not None and known is not None and known != len(times):
            raise SourceError(f"there are {len(times)} times for {known} frames; expected one a frame.")
        self._times, self._fps = times, fps
        rest = iter(pictures)
        first = next(rest, None)
        if first is None:
            raise SourceError("there is no frame; expected at least one (H, W, 3) uint8 RGB array.")
        height, width = FrameMaker(fps)(first, None if times is None else times[0]).size
        self._pictures: Iterator[object] = chain([first], rest)
        rate = None if times is not None or isinstance(first, Frame) else FrameMaker(fps).fps
        self.info = VideoInfo(width, height, rate, known, name=name)

    def _frames(self) -> Generator[Frame, None, None]:
        make = FrameMaker(self._fps)
        times = chain(self._times, [None]) if self._times is not None else None
        for picture in self._pictures:
            time = None if times is None else next(times, None)
            if times is not None and time is None:
                raise SourceError(f"there are {len(self._times or ())} times but more frames; expected one a frame.")
            yield make(picture, time)


def checked_picture(picture: object, index: int = 0) -> UInt8Array:
    """`picture` as an (H, W, 3) uint8 array, without a copy.

    Raises:
        SourceError: It is something else; the message says what, and how to convert it.
    """
    if isinstance(picture, np.ndarray) and picture.size and picture.dtype == np.uint8 and picture.shape[2:] == (3,):
        return picture
    array = picture if isinstance(picture, np.ndarray) else None
    got = type(picture).__name__ if array is None else f"an array of shape {array.shape} and type {array.dtype}"
    raise SourceError(
        f"frame {index} is no picture: got {got}, expected an (H, W, 3) uint8 array in RGB order. {_advice(picture)}"
    )


def _advice(picture: object) -> str:
    if not isinstance(picture, np.ndarray):
        return "Convert it with numpy.asarray(picture) (a PIL image, with .convert('RGB') first)."
    if picture.dtype != np.uint8:
        return "Scale it to 0..255 and convert it with .astype(numpy.uint8)."
    if picture.ndim == 2 or picture.shape[-1] == 1:
        return "A grey picture becomes RGB with numpy.repeat(picture.reshape(H, W, 1), 3, axis=2)."
    if picture.ndim == 3 and picture.shape[0] == 3:
        return "Move the channels last with picture.transpose(1, 2, 0)."
    if picture.ndim == 3 and picture.shape[2] == 4:
        return "Drop the alpha channel with picture[:, :, :3]."
    if picture.ndim == 4:
        return "Hand in the pictures of a batch one by one."
    return "OpenCV's BGR becomes RGB with picture[:, :, ::-1]."
