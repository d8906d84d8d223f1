"""A picture fitted into another size without changing its shape."""

from __future__ import annotations

import cv2
import numpy as np

from sf_detect.structures import UInt8Array


def letterbox(image: UInt8Array, size: tuple[int, int]) -> UInt8Array:
    """`image`, as large as fits, in the middle of a black picture.

    Args:
        image: (H, W, 3) uint8.
        size: (height, width) in pixels of the result.

    Returns:
        (height, width, 3) uint8; `image` itself where it has that size.
    """
    if image.shape[:2] == size:
        return image
    scale = min(size[0] / image.shape[0], size[1] / image.shape[1])
    height, width = (max(1, min(most, round(side * scale))) for side, most in zip(image.shape, size, strict=False))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas = np.zeros((*size, 3), np.uint8)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    canvas[top : top + height, left : left + width] = cv2.resize(image, (width, height), interpolation=method)
    return canvas
