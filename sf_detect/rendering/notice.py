"""A picture that says why there is none."""

from __future__ import annotations

import numpy as np

from sf_detect.rendering.plates import PlatePainter
from sf_detect.rendering.raster import paste
from sf_detect.rendering.style import font_size
from sf_detect.rendering.text import TextPainter
from sf_detect.structures import UInt8Array

_GREY = 24


def notice_picture(size: tuple[int, int], lines: list[str]) -> UInt8Array:
    """Lines of text in the middle of a dark picture.

    Args:
        size: (height, width) in pixels.
        lines: What to say; what is too long is cut.

    Returns:
        (height, width, 3) uint8 RGB.
    """
    image = np.full((*size, 3), _GREY, np.uint8)
    painter = PlatePainter(TextPainter(), font_size(size, 1.2), max(16, size[1] - 16))
    plates = [painter.status(line) for line in lines if line]
    y = (size[0] - sum(plate.size[1] for plate in plates)) // 2
    for plate in plates:
        paste(image, plate, max(0, (size[1] - plate.size[0]) // 2), max(0, y))
        y += plate.size[1]
    return image
