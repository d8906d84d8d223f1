"""A rolling buffer of resized frames from which clips are cut by time.

Sampling by time, not by frame count, gives the same clip from 25, 29.97, 60 fps and variable-rate video. At exactly
the reference rate of the `ClipSpec` the chosen frames are the published indices `range(c - L // 2, c + L // 2, rate)`.
"""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np

from sf_detect.structures import Clip, ClipSpec, Detections, Frame, UInt8Array

# A clip frame whose time is met to within a millisecond counts as met: container time bases are that coarse (1/1000 in
# Matroska), and waiting one more frame for a rounding error would cost latency for nothing.
_TIME_TOLERANCE = 1e-3


def resize_short_side(image: UInt8Array, short_side: int) -> UInt8Array:
    """Resize so that the shorter side has `short_side` pixels; the longer one is rounded down, at least 1.

    A large picture is halved until less than a factor of two is left, each pixel the mean of four, then sampled
    bilinearly: as free of aliasing as averaging over areas, and several times faster.
    """
    height, width = image.shape[:2]
    if min(height, width) == short_side:
        return image
    if height <= width:
        size = (max(1, width * short_side // height), short_side)
    else:
        size = (short_side, max(1, height * short_side // width))
    while min(image.shape[:2]) >= 2 * short_side:
        half = (image.shape[1] // 2, image.shape[0] // 2)
        image = cv2.resize(image, half, interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
    return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


class ClipBuffer:
    """Keeps the recent frames, small, and cuts clips out of them.

    Args:
        spec: How clips are sampled.
        short_side: Frames are kept resized to this short side, in pixels; originals are not kept.
        history: Seconds a clip may be asked for late; frames older than `history` plus a clip are dropped.
    """

    def __init__(self, spec: ClipSpec, short_side: int, history: float = 1.0) -> None:
        self._spec = spec
        self._short_side = short_side
        self._offsets = spec.offsets()
        self._span = history + spec.duration
        self._frames: deque[UInt8Array] = deque()
        self._pts: deque[float] = deque()

    def __len__(self) -> int:
        return len(self._frames)

    def push(self, frame: Frame) -> None:
        """Add the newest frame; `pts` must increase."""
        self._frames.append(resize_short_side(frame.image, self._short_side))
        self._pts.append(frame.pts)
        # The first frame is dropped last: clamping at the start of the video needs it only while it is in reach.
        while self._pts[0] < frame.pts - self._span and len(self._pts) > 1:
            self._frames.popleft()
            self._pts.popleft()

    def ready(self, keyframe_pts: float) -> bool:
        """True once no later frame can belong to the clip around `keyframe_pts` seconds."""
        return bool(self._pts) and self._pts[-1] >= keyframe_pts + self._offsets[-1] - _TIME_TOLERANCE

    def clip(self, keyframe_pts: float, persons: Detections, image_size: tuple[int, int]) -> Clip:
        """The clip around `keyframe_pts`; times outside the buffer are clamped to its first or last frame.

        Args:
            keyframe_pts: Seconds.
            persons: Persons on the keyframe, pixels of the source frame.
            image_size: (height, width) of the source frame.

        Raises:
            ValueError: Nothing was pushed yet.
        """
        if not self._pts:
            raise ValueError("a clip needs at least one frame; the buffer is empty, push frames first")
        pts = np.asarray(self._pts)
        index = nearest(pts, keyframe_pts + self._offsets)
        frames = np.stack([self._frames[i] for i in index])
        return Clip(frames, pts[index], keyframe_pts, persons, image_size)

    def clear(self) -> None:
        """Forget all frames."""
        self._frames.clear()
        self._pts.clear()


def nearest(pts: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Indices of the entries of `pts` (sorted) nearest to `times`; a tie goes to the earlier frame."""
    right = np.searchsorted(pts, times).clip(0, len(pts) - 1)
    left = np.maximum(right - 1, 0)
    # The slack makes a tie a tie in spite of rounding, so that 60 fps video at a 30 fps reference is reproducible.
    choose_left = times - pts[left] <= pts[right] - times + 1e-6
    return np.where(choose_left, left, right)
