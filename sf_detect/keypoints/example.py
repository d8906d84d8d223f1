"""A drawn person to compare backends on: one whom the landmark network recognises, the same on every machine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sf_detect.keypoints.crop import SIDE
from sf_detect.structures import UInt8Array

_SKIN, _SHIRT, _TROUSERS, _HAIR, _DARK = (205, 160, 130), (40, 70, 140), (45, 45, 55), (60, 40, 25), (25, 20, 20)
_PARTS: tuple[tuple[tuple[int, int, int, int], tuple[int, int], tuple[int, int, int]], ...] = (
    ((128, 44, 128, 56), (20, 17), _SKIN),
    ((128, 38, 128, 40), (20, 20), _HAIR),
    ((128, 48, 128, 58), (16, 14), _SKIN),
    ((128, 60, 128, 72), (8, 9), _SKIN),
    ((104, 86, 92, 124), (10, 8), _SHIRT),
    ((92, 124, 88, 156), (7, 6), _SKIN),
    ((152, 86, 164, 124), (10, 8), _SHIRT),
    ((164, 124, 168, 156), (7, 6), _SKIN),
    ((112, 90, 114, 140), (16, 14), _SHIRT),
    ((144, 90, 142, 140), (16, 14), _SHIRT),
    ((128, 88, 128, 142), (22, 20), _SHIRT),
    ((116, 146, 114, 190), (13, 10), _TROUSERS),
    ((114, 190, 112, 232), (10, 7), _TROUSERS),
    ((140, 146, 142, 190), (13, 10), _TROUSERS),
    ((142, 190, 144, 232), (10, 7), _TROUSERS),
    ((111, 236, 106, 240), (6, 5), _DARK),
    ((145, 236, 150, 240), (6, 5), _DARK),
    ((121, 52, 122, 52), (2, 2), _DARK),
    ((135, 52, 136, 52), (2, 2), _DARK),
    ((124, 64, 132, 64), (1, 1), (150, 70, 70)),
)
"""From here to there, the radii there, the colour; in the order in which they cover each other."""


def drawn_person() -> UInt8Array:
    """(SIDE, SIDE, 3) uint8: a person who stands before a wall."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float64)
    image = np.stack([170 + y // 10, 175 + y // 8, 180 + 0 * x], -1)
    image[y > 200] = 120, 110, 100
    for ends, radii, color in _PARTS:
        image[_limb(x, y, ends, radii)] = color
    return image.astype(np.uint8)


def _limb(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], ends: tuple[int, int, int, int], radii: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    x1, y1, x2, y2 = ends
    along = ((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / ((x2 - x1) ** 2 + (y2 - y1) ** 2)
    share = np.clip(along, 0, 1)
    radius = radii[0] + share * (radii[1] - radii[0])
    return np.asarray((x - x1 - share * (x2 - x1)) ** 2 + (y - y1 - share * (y2 - y1)) ** 2 <= radius**2)
