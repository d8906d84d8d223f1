"""A landmark network that sees a standing person in every square."""

from __future__ import annotations

import numpy as np

from sf_detect.keypoints.crop import Crop
from sf_detect.keypoints.looks import Window
from sf_detect.structures import Keypoints

BODY = np.zeros((33, 3), np.float32)
"""Metres, y down, origin between the hips."""
for left, (x, y) in {0: (0, -0.6), 7: (0.07, -0.6), 11: (0.2, -0.45), 13: (0.25, -0.2), 15: (0.25, 0)}.items():
    BODY[left], BODY[left + (left > 0)] = (x, y, 0), (-x, y, 0)
for left, (x, y) in {
    19: (0.25, 0.05),
    23: (0.1, 0),
    25: (0.1, 0.4),
    27: (0.1, 0.8),
    29: (0.1, 0.85),
    31: (0.1, 0.85),
}.items():
    BODY[left], BODY[left + 1] = (x, y, 0), (-x, y, 0)
BODY[0] = (0, -0.6, -0.1)


class Standing:
    """Counts how often it looks."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self, image, crop: Crop) -> Keypoints:
        self.looks += 1
        points = np.ones((1, 33, 3), np.float32)
        points[0, :, :2] = BODY[:, :2] * crop.side / 2 + [crop.x, crop.y]
        return Keypoints(points, BODY[None].copy(), np.ones(1))


def standing(count: int = 9, apart: float = 0.08, height: float = 200.0) -> Window:
    """`count` looks at somebody who stands still."""
    points = np.ones((count, 33, 3), np.float32)
    points[..., :2] = BODY[:, :2] * height / 1.5 + [320, 240]
    boxes = np.tile([260, 150, 380, 360], (count, 1)).astype(np.float32)
    times = np.arange(count) * apart
    return Window(times, points, np.tile(BODY, (count, 1, 1)), np.ones(count, np.float32), boxes, (480, 640))
