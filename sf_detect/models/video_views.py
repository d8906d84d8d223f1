"""The views of a video that a clip classifier joins: which moments, which squares; cut out while frames stream by.

Of a long video only the squares of the clip under way are in memory, never the video.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from sf_detect.errors import ConfigError
from sf_detect.structures import ClipSpec, Frame, UInt8Array

Times = npt.NDArray[np.float64]
_MAX_CLIPS = 1000
_TIE = 1e-6  # seconds; rounding must neither break a tie (the earlier frame has it) nor make a frame late


@dataclass(frozen=True)
class Views:
    """How many clips of a video are looked at, and how many squares of each.

    Attributes:
        clips: Spread evenly over the video.
        crops: 1 (the centre) or 3 (along the longer side: start, centre, end).

    Raises:
        ConfigError: Other numbers.
    """

    clips: int = 4
    crops: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.clips <= _MAX_CLIPS or self.crops not in (1, 3):
            raise ConfigError(
                f"views {self.clips}x{self.crops}: expected 1 to {_MAX_CLIPS} clips by 1 or 3 crops, such as 4x1 or "
                "10x3 (the published protocol)."
            )

    @classmethod
    def parse(cls, text: str) -> Views:
        """Views from text such as "10x3".

        Raises:
            ConfigError: Other text.
        """
        match = re.fullmatch(r"(\d{1,4})x(\d)", text)
        if match is None:
            raise ConfigError(f"views {text!r}: expected CLIPSxCROPS, such as 4x1 or 10x3.")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.clips}x{self.crops}"


def clip_times(spec: ClipSpec, clips: int, duration: float, loop: bool = False) -> list[Times]:
    """When the frames of each clip are, seconds from the start of the video.

    The first clip starts and the last one ends with the video; a single clip is in the middle. Clips that would start
    less than a frame apart, as in a short video, are one.

    Args:
        spec: How clips are sampled.
        clips: How many, at most.
        duration: Of the video, in seconds.
        loop: A video shorter than a clip starts over; else its last frame stands still.

    Returns:
        One (num_frames,) array for each clip, by start.
    """
    steps: Times = np.arange(spec.num_frames) * np.float64(spec.interval)
    room = duration - spec.duration
    if room <= 0:
        return [steps % duration if loop and duration > 0 else steps]
    clips = min(clips, int(room / spec.interval) + 1)
    starts = np.linspace(0.0, room, clips).tolist() if clips > 1 else [room / 2]
    return [steps + start for start in starts]


def whole_video_times(num_frames: int, duration: float, interval: float) -> list[Times]:
    """When the frames of the only clip are that is spread over a whole video: the middles of as many equal parts.

    Args:
        num_frames: Of the clip.
        duration: Of the video, in seconds.
        interval: Seconds between two frames of the video; the parts end with the start of the last one.

    Returns:
        One (num_frames,) array of seconds from the start of the video.
    """
    return [(np.arange(num_frames) + 0.5) * np.float64(max(0.0, duration - interval) / num_frames)]


def squares(height: int, width: int, share: float, count: int) -> list[tuple[int, int, int]]:
    """Squares of a picture as (x, y, side) in pixels.

    Args:
        height, width: Of the picture.
        share: Of the shorter side that a square's side is.
        count: 1 or 3; see `Views`.
    """
    side = max(1, round(share * min(height, width)))
    room_x, room_y = width - side, height - side
    places = (0.0, 0.5, 1.0) if count == 3 else (0.5,)
    if width >= height:
        return [(round(place * room_x), room_y // 2, side) for place in places]
    return [(room_x // 2, round(place * room_y), side) for place in places]


@dataclass(frozen=True)
class Cropper:
    """Cuts the squares out of a frame.

    Attributes:
        short_side: The shorter side that the picture would be resized to, in pixels.
        crop: Side of a square after that, in pixels.
        count: 1 or 3; see `Views`.
    """

    short_side: int
    crop: int
    count: int

    def __call__(self, image: UInt8Array) -> UInt8Array:
        """Squares (count, crop, crop, 3) of an RGB image.

        Cut first, resized then: a picture of extreme proportions costs no more than another. Area averaging when
        shrinking, since bilinear sampling of a large frame aliases.
        """
        height, width = image.shape[:2]
        share = min(1.0, self.crop / self.short_side)
        cut = []
        for x, y, side in squares(height, width, share, self.count):
            method = cv2.INTER_AREA if side > self.crop else cv2.INTER_LINEAR
            part = np.ascontiguousarray(image[y : y + side, x : x + side])
            cut.append(part if side == self.crop else cv2.resize(part, (self.crop, self.crop), interpolation=method))
        return np.stack(cut).astype(np.uint8, copy=False)


class _Candidate:
    """A frame whose squares are cut once, if at all."""

    def __init__(self, frame: Frame, cropper: Cropper) -> None:
        self.pts = frame.pts
        self._frame, self._cropper = frame, cropper
        self._squares: UInt8Array | None = None

    @property
    def squares(self) -> UInt8Array:
        if self._squares is None:
            self._squares = self._cropper(self._frame.image)
        return self._squares


class ViewSampler:
    """Cuts clips out of frames that come one by one.

    Args:
        times: Of the frames of each clip; see `clip_times`.
        cropper: Cuts the squares.

    Attributes:
        end: After the iteration: when the last frame ends, in seconds from the first one.
    """

    def __init__(self, times: Sequence[Times], cropper: Cropper) -> None:
        self._times = times
        self._cropper = cropper
        self.end = 0.0

    def __call__(self, frames: Iterable[Frame], interval: float) -> Iterator[UInt8Array]:
        """The clips in order, (T, crops, crop, crop, 3) each, of the frames nearest to the times wanted.

        Runs to the last frame, so that `end` is known; what is missing at the end is filled with the last frame.

        Args:
            frames: Of the whole video.
            interval: Nominal seconds of a frame, for a video of a single one.
        """
        wanted = np.unique(np.concatenate(self._times)).tolist()
        found: dict[float, UInt8Array] = {}
        ready = done = 0  # times found, clips given
        first: float | None = None
        last: _Candidate | None = None
        for frame in frames:
            first = frame.pts if first is None else first
            this, now = _Candidate(frame, self._cropper), frame.pts - first
            while ready < len(wanted) and wanted[ready] <= now + _TIE:
                time = wanted[ready]
                nearer = last is not None and time - (last.pts - first) <= now - time + _TIE
                found[time] = (last if last is not None and nearer else this).squares
                ready += 1
            while done < len(self._times) and self._times[done].max() < _next(wanted, ready):
                yield self._clip(done, found)
                done += 1
            self.end = now + (frame.pts - last.pts if last is not None else interval)
            last = this
        if last is None:
            return
        if ready < len(wanted):
            found.update(dict.fromkeys(wanted[ready:], last.squares))
        for number in range(done, len(self._times)):
            yield self._clip(number, found)

    def _clip(self, number: int, found: dict[float, UInt8Array]) -> UInt8Array:
        clip = np.stack([found[time] for time in self._times[number].tolist()])
        later = min((times.min() for times in self._times[number + 1 :]), default=np.inf)
        for time in [time for time in found if time < later]:
            del found[time]
        return clip


def _next(wanted: Sequence[float], ready: int) -> float:
    return wanted[ready] if ready < len(wanted) else np.inf
