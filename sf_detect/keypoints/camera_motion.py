"""How the camera turns: where the background goes in the picture, from one look to the next.

Somebody whom a camera follows stays in the middle of the picture while they walk; it is the background that tells. Its
corners are followed outside the boxes of persons (Lucas and Kanade 1981, with pyramids), in a small grey picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from sf_detect.structures import UInt8Array

WIDTH = 160
"""Of the grey picture, in pixels."""
MOST_CORNERS, LEAST_CORNERS = 80, 8
LONGEST = 0.7
"""Seconds between two looks from which on nothing is said."""
_AGREED = 1.0  # pixels of the grey picture between corners that move alike
_LEAST_AGREED = 0.4  # share of the corners
_SPREAD = 0.15  # of the way, where that is more: what is near moves farther
_BACK = 0.5  # pixels of the grey picture within which a corner followed there and back must come out
_NOISE, _STILL = 12, 0.02  # grey values by which pixels of a resting background change, and the share that changes more
_LEAST_SEEN = 0.1  # share of the picture without persons from which on rest can be told


@dataclass(frozen=True)
class CameraPlace:
    """Where the background has gone since the first look of its sequence.

    Attributes:
        x, y: In pixels of the source frame, to the right and down.
        sequence: Two places can be compared if they are of one sequence: between sequences the background was lost.
    """

    x: float
    y: float
    sequence: int


class CameraMotion:
    """Follows the background of a run."""

    def __init__(self) -> None:
        self._before: _Picture | None = None
        self._place = CameraPlace(0.0, 0.0, 0)

    def reset(self) -> None:
        """The next picture has nothing to do with those before."""
        self._before = None
        self._place = CameraPlace(0.0, 0.0, self._place.sequence + 1)

    def update(self, image: UInt8Array, boxes: npt.NDArray[np.float32], time: float) -> CameraPlace:
        """Where the background is by now.

        Args:
            image: (H, W, 3).
            boxes: (N, 4) of the persons, xyxy pixels; what moves there is not the background.
            time: Seconds.
        """
        before, now = self._before, _Picture.of(image, boxes, time)
        shift = None
        if before is not None and before.grey.shape == now.grey.shape and 0 <= time - before.time <= LONGEST:
            shift = _shift(before, now)
        if shift is None:
            self._place = CameraPlace(0.0, 0.0, self._place.sequence + 1)
        else:
            x, y = self._place.x + shift[0] / now.scale, self._place.y + shift[1] / now.scale
            self._place = CameraPlace(x, y, self._place.sequence)
        self._before = now
        return self._place


@dataclass(frozen=True, eq=False)
class _Picture:
    """A small grey picture, and where in it the background is: 255, and 0 where persons are."""

    grey: UInt8Array
    background: UInt8Array
    scale: float
    time: float

    @classmethod
    def of(cls, image: UInt8Array, boxes: npt.NDArray[np.float32], time: float) -> _Picture:
        height, width = image.shape[:2]
        scale = min(1.0, WIDTH / width)
        size = max(round(width * scale), 8), max(round(height * scale), 8)
        grey = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        background = np.full(grey.shape, 255, np.uint8)
        for box in np.asarray(boxes, np.float64)[np.isfinite(boxes).all(axis=1)] * scale:
            x1, y1, x2, y2 = np.clip(np.round(box + np.array([-2, -2, 2, 2])), 0, 10_000).astype(int)
            background[y1:y2, x1:x2] = 0
        return cls(np.asarray(grey, np.uint8), background, scale, time)


def _shift(before: _Picture, now: _Picture) -> tuple[float, float] | None:
    """By how much the background moved, in pixels of the grey picture; None where that can't be told."""
    both = cv2.bitwise_and(before.background, now.background)
    changed = cv2.bitwise_and(cv2.absdiff(before.grey, now.grey), both)
    seen = np.count_nonzero(both)
    if seen >= _LEAST_SEEN * both.size and np.count_nonzero(changed > _NOISE) <= _STILL * seen:
        return 0.0, 0.0
    corners = cv2.goodFeaturesToTrack(before.grey, MOST_CORNERS, 0.02, 5, mask=before.background, blockSize=5)
    if corners is None or len(corners) < LEAST_CORNERS:
        return None
    there, found = _followed(before.grey, now.grey, corners)
    back, returned = _followed(now.grey, before.grey, there)
    good = found & returned & (np.abs(back - corners)[:, 0].max(axis=1) <= _BACK)
    ways = (there - corners)[good, 0]
    if len(ways) < LEAST_CORNERS:
        return None
    middle = np.median(ways, axis=0)
    agreed = np.abs(ways - middle).max(axis=1) <= max(_AGREED, _SPREAD * float(np.hypot(*middle)))
    if agreed.sum() < max(LEAST_CORNERS, _LEAST_AGREED * len(ways)):
        return None
    x, y = ways[agreed].mean(axis=0)
    return float(x), float(y)


def _followed(
    grey: UInt8Array, other: UInt8Array, corners: npt.NDArray
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Where corners (N, 1, 2) of one picture are in another, and which of them were found there."""
    there, found, _ = cv2.calcOpticalFlowPyrLK(grey, other, corners, corners.copy(), winSize=(15, 15), maxLevel=3)
    return np.asarray(there, np.float32), np.asarray(found[:, 0] == 1)
