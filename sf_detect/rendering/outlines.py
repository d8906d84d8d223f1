"""Box outlines: a thin line with strong corners on a soft dark edge, readable on any background."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sf_detect.rendering.raster import Rect, fill, fill_half
from sf_detect.rendering.style import Color
from sf_detect.structures import FloatArray, UInt8Array

BLACK: Color = (0, 0, 0)


def draw_outline(image: UInt8Array, box: FloatArray, color: Color, thickness: int, active: bool) -> None:
    """Draws a box just inside its edges; the part beyond the frame is cut off along the frame's border.

    Args:
        image: (H, W, 3) uint8, changed in place.
        box: (4,) xyxy pixels.
        color: Of the track.
        thickness: Pixels of the line.
        active: False for persons without an action: the line alone, without corners.
    """
    height, width = image.shape[:2]
    x0, y0, x1, y1 = (round(float(v)) for v in np.minimum(np.maximum(box, 0), (width, height, width, height)))
    if x1 <= x0 or y1 <= y0:
        return
    if min(x1 - x0, y1 - y0) < 2 * thickness + 2:
        fill(image, (x0, y0, x1, y1), color)
        return
    halo = max(1, thickness // 2)
    _frame(image, (x0 - halo, y0 - halo, x1 + halo, y1 + halo), halo, BLACK, fill_half)
    _frame(image, (x0, y0, x1, y1), thickness, color, fill)
    if active:
        _corners(image, (x0, y0, x1, y1), thickness, color)


def _frame(
    image: UInt8Array, rect: Rect, t: int, color: Color, paint: Callable[[UInt8Array, Rect, Color], None]
) -> None:
    x0, y0, x1, y1 = rect
    for side in (
        (x0, y0, x1, y0 + t),
        (x0, y1 - t, x1, y1),
        (x0, y0 + t, x0 + t, y1 - t),
        (x1 - t, y0 + t, x1, y1 - t),
    ):
        paint(image, side, color)


def _corners(image: UInt8Array, rect: Rect, thickness: int, color: Color) -> None:
    x0, y0, x1, y1 = rect
    arm = max(2 * thickness, min(x1 - x0, y1 - y0) // 7)
    t = 2 * thickness
    for left, right in ((x0, x0 + arm), (x1 - arm, x1)):
        fill(image, (left, y0, right, y0 + t), color)
        fill(image, (left, y1 - t, right, y1), color)
    for top, bottom in ((y0, y0 + arm), (y1 - arm, y1)):
        fill(image, (x0, top, x0 + t, bottom), color)
        fill(image, (x1 - t, top, x1, bottom), color)
