"""The square of the picture that the landmark network sees, and the way back from it.

The square's side is 1.25 times the longer side of a person's box, around the box's centre. It is turned so that the
trunk stands upright in it, by the angle that the trunk had when the person was looked at before: the network was made
for people whose head is up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from sf_detect.landmarks import HIPS, SHOULDERS
from sf_detect.structures import UInt8Array

SIDE = 256
"""Pixels of a side of the network's input."""
MARGIN = 1.25
"""Side of the square over the longer side of the box."""
LEAST_CONFIDENCE = 0.5
"""Of the person and of each hip and shoulder, for the angle of the trunk to be used."""
LEAST_TRUNK = 0.15
"""Length of the trunk in the picture over the square's side, for its angle to mean anything."""


@dataclass(frozen=True)
class Crop:
    """A square of a picture.

    Attributes:
        x, y: Its centre in pixels of the picture.
        side: Pixels of the picture.
        angle: Radians by which it is turned: 0 upright, above 0 with its top leaning to the right.
    """

    x: float
    y: float
    side: float
    angle: float = 0.0

    @classmethod
    def around(cls, box: npt.ArrayLike, angle: float = 0.0) -> Crop:
        """The square of a person in this box, xyxy pixels."""
        x1, y1, x2, y2 = (float(value) for value in np.asarray(box))
        return cls((x1 + x2) / 2, (y1 + y2) / 2, MARGIN * max(x2 - x1, y2 - y1, 1.0), angle)

    def cut(self, image: UInt8Array) -> UInt8Array:
        """(SIDE, SIDE, 3) uint8, bilinear; black where there is no picture."""
        scale = self.side / SIDE
        turn = self._turn() * scale
        # Pixel i of an image covers i to i + 1: its centre lies half a pixel further.
        offset = np.array([self.x, self.y]) - 0.5 + turn @ np.full(2, 0.5 - SIDE / 2)
        matrix = np.concatenate([turn, offset[:, None]], axis=1)
        return np.asarray(
            cv2.warpAffine(image, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP), np.uint8
        )

    def to_picture(self, points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(..., 2) pixels of the square's SIDE x SIDE picture as pixels of the picture it was cut from."""
        turned = (points - SIDE / 2) @ self._turn().T * (self.side / SIDE)
        return np.asarray(turned + np.array([self.x, self.y]), np.float32)

    def turned_back(self, metres: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(..., 3) x, y, z with x and y along the square's sides, along those of the picture instead."""
        turned = metres.copy()
        turned[..., :2] = metres[..., :2] @ self._turn().T
        return turned

    def _turn(self) -> npt.NDArray[np.float64]:
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        return np.array([[cosine, -sine], [sine, cosine]])


def trunk_angle(points: npt.NDArray[np.float32], presence: float, side: float) -> float:
    """The angle to turn the next square of a person by.

    Args:
        points: (33, 3) x, y in pixels of the picture, and confidence.
        presence: That there is a person, in [0, 1].
        side: Of the square that the points were seen in, in pixels of the picture.

    Returns:
        Radians from the hips to the shoulders against upwards, above 0 to the right; 0 where it is not certain.
    """
    if presence < LEAST_CONFIDENCE or points[[*SHOULDERS, *HIPS], 2].min() < LEAST_CONFIDENCE:
        return 0.0
    x, y = points[list(SHOULDERS), :2].mean(axis=0) - points[list(HIPS), :2].mean(axis=0)
    return math.atan2(x, -y) if math.hypot(x, y) >= LEAST_TRUNK * side else 0.0
