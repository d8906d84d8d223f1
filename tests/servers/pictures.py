"""Pictures whose number can be read from what a decoder makes of them."""

from __future__ import annotations

import numpy as np

from tools import frame_counter

FPS, COUNT, SIZE = 30, 300, (320, 240)


def numbered(index: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A picture that moves everywhere, with its number in the corner; (H, W, 3) uint8."""
    width, height = size
    rows, columns = np.mgrid[0:height, 0:width]
    image = np.stack([rows + 3 * index, columns - 5 * index, (rows + columns) // 2 + index], axis=2)
    image = (image % 256).astype(np.uint8)
    frame_counter.draw(image, index)
    return image
