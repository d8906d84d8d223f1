"""Rotation metadata: from a container's display matrix to an upright image."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sf_detect.structures import UInt8Array

_ROTATIONS = {
    (True, True, False): cv2.ROTATE_90_CLOCKWISE,
    (False, True, True): cv2.ROTATE_180,
    (True, False, True): cv2.ROTATE_90_COUNTERCLOCKWISE,
}


@dataclass(frozen=True)
class Orientation:
    """How a stored image becomes the displayed one: transpose first, then flip.

    The eight values cover rotation by 0, 90, 180 and 270 degrees, each optionally mirrored.
    """

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @classmethod
    def from_display_matrix(cls, data: bytes) -> Orientation:
        """From the nine native-endian int32 of a display matrix (ISO/IEC 14496-12, 6.2.2), `data`.

        The matrix maps stored to displayed positions, x' = a x + c y and y' = b x + d y. Angles in between are
        rounded to a quarter turn; a matrix that is all zero or too short means upright.
        """
        if len(data) < 36:
            return cls()
        a, b, _, c, d = np.frombuffer(data[:20], np.int32).astype(float)
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, bool(a < 0), bool(d < 0))
        return cls(True, bool(c < 0), bool(b < 0))

    @property
    def is_upright(self) -> bool:
        """True where nothing has to be done."""
        return not (self.transpose or self.flip_x or self.flip_y)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Displayed (width, height) of a stored picture."""
        return (height, width) if self.transpose else (width, height)

    def __call__(self, image: UInt8Array) -> UInt8Array:
        """The displayed image, contiguous, of a stored (H, W, 3) uint8 image."""
        if self.is_upright:
            return image
        key = (self.transpose, self.flip_x, self.flip_y)
        if key in _ROTATIONS:
            return np.asarray(cv2.rotate(image, _ROTATIONS[key]), np.uint8)
        turned = cv2.transpose(image) if self.transpose else image
        if self.flip_x or self.flip_y:
            turned = cv2.flip(turned, -1 if self.flip_x and self.flip_y else int(self.flip_x))
        return np.asarray(turned, np.uint8)
