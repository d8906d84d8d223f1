"""A rolling buffer of resized frames from which clips are cut by time.

Sampling by time, not by frame count, gives the same clip from 25, 29.97, 60 fps and variable-rate video. At exactly
the reference rate of the `ClipSpec` the chosen frames are the published indices `range(c - L // 2, c + L // 2, rate)`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import cv2
import numpy as np

from sf_detect.boxes import network_size
from sf_detect.structures import Clip, ClipSpec, Detections, Frame, UInt8Array
from sf_detect.threads import limited_threads

# A clip frame whose time is met to within a millisecond counts as met: container time bases are that coarse (1/1000 in
# Matroska), and waiting one more frame for a rounding error would cost latency for nothing.
_TIME_TOLERANCE = 1e-3
# A tie is a tie in spite of rounding, so that 60 fps video at a 30 fps reference is reproducible.
_TIE = 1e-6
# Bounds on the frames that cover one clip length. 600 frames are a 280 fps video at the published 64 frames of 30 fps.
_MAX_FRAMES = 600
_MAX_BYTES = 128_000_000
_FRAMES_PER_SAMPLE = 4  # the least that the bounds leave


def resize_short_side(image: UInt8Array, short_side: int) -> UInt8Array:
    """Resize so that the shorter side has `short_side` pixels and the longer one at most four times as many.

    A large picture is halved until less than a factor of two is left, each pixel the mean of four, then sampled
    bilinearly: as free of aliasing as averaging over areas, and several times faster. See `boxes.network_size`.
    """
    height, width = size = network_size((image.shape[0], image.shape[1]), short_side)
    if image.shape[:2] == size:
        return image
    while min(image.shape[:2]) >= 2 * short_side:
        half = (image.shape[1] // 2, image.shape[0] // 2)
        image = cv2.resize(image, half, interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


@dataclass(frozen=True, eq=False)
class _Small:
    """A resized frame."""

    image: UInt8Array
    pts: float


@dataclass(eq=False)
class _Keyframe:
    """A keyframe whose clip is not cut yet: its sample times, and the frames chosen for the first of them."""

    times: list[float]
    chosen: list[_Small] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return len(self.chosen) == len(self.times)

    def advance(self, before: _Small | None, newest: _Small) -> None:
        """Chooses the frames of all sample times up to `newest`, which follows `before`."""
        last = newest.pts >= self.times[-1] - _TIME_TOLERANCE
        while not self.complete and (last or newest.pts >= self.times[len(self.chosen)]):
            time = self.times[len(self.chosen)]
            earlier = before is not None and time - before.pts <= newest.pts - time + _TIE
            self.chosen.append(before if before is not None and earlier else newest)

    def finish(self, newest: _Small) -> None:
        """No frame follows `newest`: it stands for the rest."""
        self.chosen += [newest] * (len(self.times) - len(self.chosen))


class ClipBuffer:
    """Cuts clips out of a stream of frames, of which it keeps few; a `ClipSampler`.

    For each keyframe that was announced by `expect` the frames nearest to its sample times are kept until its clip is
    cut, however late that is. Beyond them only the frames are kept that a keyframe yet to come may look back to.

    Memory is bounded by frames and bytes: frames are kept resized, and of those that cover one clip length at most 600
    and about 128 MB (but four per clip frame). Frames that come faster are left out, which moves a clip frame by less
    than a quarter of the distance of two. Where frames change their shape, clips end: they repeat the last frame before
    the change, or the first one behind it, as at the ends of a video.

    Args:
        spec: How clips are sampled.
        short_side: Frames are kept resized to this short side, in pixels; originals are not kept.
    """

    def __init__(self, spec: ClipSpec, short_side: int) -> None:
        self._short_side = short_side
        self._offsets = spec.offsets()
        self._duration, self._num_frames = spec.duration, spec.num_frames
        self._recent: deque[_Small] = deque()
        self._open: dict[float, _Keyframe] = {}
        self._newest_pts, self._spacing = float("-inf"), 0.0

    def __len__(self) -> int:
        """Distinct frames that are kept."""
        kept = {id(small) for keyframe in self._open.values() for small in keyframe.chosen}
        return len(kept | {id(small) for small in self._recent})

    def push(self, frame: Frame) -> None:
        """Add the newest frame; `pts` must increase."""
        self._newest_pts = frame.pts
        if self._recent and frame.pts - self._recent[-1].pts < self._spacing:
            return
        with limited_threads():
            small = _Small(resize_short_side(frame.image, self._short_side), frame.pts)
        if self._recent and small.image.shape != self._recent[-1].image.shape:
            self._begin_anew()
        if not self._recent:
            self._spacing = self._spacing_of(small.image)
        before = self._recent[-1] if self._recent else None
        for keyframe in self._open.values():
            keyframe.advance(before, small)
        self._recent.append(small)
        # One frame older than the first sample time of a keyframe that comes now stays: it may be the nearest to it.
        while len(self._recent) > 1 and self._recent[1].pts <= frame.pts + self._offsets[0]:
            self._recent.popleft()

    def expect(self, keyframe_pts: float) -> None:
        """Announce that the clip around `keyframe_pts` seconds will be asked for.

        Call it when the keyframe is met, right after its `push`: what is not among the recent frames then is lost.
        """
        if keyframe_pts in self._open:
            return
        keyframe = _Keyframe((keyframe_pts + self._offsets).tolist())
        before: _Small | None = None
        for small in self._recent:
            keyframe.advance(before, small)
            before = small
        self._open[keyframe_pts] = keyframe

    def ready(self, keyframe_pts: float) -> bool:
        """True once no later frame can belong to the clip around `keyframe_pts` seconds."""
        if keyframe_pts in self._open and self._open[keyframe_pts].complete:
            return True
        return self._newest_pts >= keyframe_pts + self._offsets[-1] - _TIME_TOLERANCE

    def clip(self, keyframe_pts: float, persons: Detections, image_size: tuple[int, int]) -> Clip:
        """The clip around `keyframe_pts`; times after the newest frame and before the first are clamped to these.

        Frames that were kept for this keyframe alone are let go.

        Args:
            keyframe_pts: Seconds.
            persons: Persons on the keyframe, pixels of the source frame.
            image_size: (height, width) of the source frame.

        Raises:
            ValueError: Nothing was pushed yet, or the keyframe was not announced by `expect`.
        """
        if not self._recent:
            raise ValueError("a clip needs at least one frame; the buffer is empty, push frames first")
        if keyframe_pts not in self._open:
            raise ValueError(
                f"no clip around {keyframe_pts:.3f} s is kept: call expect(keyframe_pts) when the keyframe is met, and "
                "clip once for it"
            )
        keyframe = self._open.pop(keyframe_pts)
        keyframe.finish(self._recent[-1])
        frames = np.stack([small.image for small in keyframe.chosen])
        pts = np.array([small.pts for small in keyframe.chosen], np.float64)
        return Clip(frames, pts, keyframe_pts, persons, image_size)

    def _begin_anew(self) -> None:
        for keyframe in self._open.values():
            keyframe.finish(self._recent[-1])
        self._recent.clear()

    def _spacing_of(self, image: UInt8Array) -> float:
        """Least distance in seconds of two frames that are kept."""
        most = max(min(_MAX_FRAMES, _MAX_BYTES // image.nbytes), _FRAMES_PER_SAMPLE * self._num_frames)
        return self._duration / most


def nearest(pts: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Indices of the entries of `pts` (sorted) nearest to `times`; a tie goes to the earlier frame."""
    right = np.searchsorted(pts, times).clip(0, len(pts) - 1)
    left = np.maximum(right - 1, 0)
    choose_left = times - pts[left] <= pts[right] - times + _TIE
    return np.where(choose_left, left, right)
