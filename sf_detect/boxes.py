"""Box arithmetic in NumPy. Boxes are (N, 4) xyxy, continuous pixel coordinates, no "+1"."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sf_detect.structures import FloatArray

MAX_ASPECT = 4
"""Longer over shorter side from which pictures are squeezed, so that one of 2000x8 costs no more than one of 4:1."""


def area(boxes: FloatArray) -> FloatArray:
    """(N,) areas in square pixels; 0 for boxes turned inside out."""
    return np.maximum(boxes[:, 2] - boxes[:, 0], 0) * np.maximum(boxes[:, 3] - boxes[:, 1], 0)


def clip(boxes: FloatArray, image_size: tuple[int, int]) -> FloatArray:
    """Boxes cut to an image of (height, width)."""
    height, width = image_size
    limit = np.array([width, height, width, height], boxes.dtype)
    return np.clip(boxes, 0, limit)


def largest(boxes: FloatArray, image_size: tuple[int, int], count: int) -> list[int]:
    """Rows of the at most `count` largest boxes, those that are in an image of (height, width) and are numbers."""
    finite = np.where(np.isfinite(boxes).all(axis=1, keepdims=True), boxes, 0)
    visible = area(clip(finite, image_size))
    return [int(row) for row in np.argsort(-visible, kind="stable")[:count] if visible[row] > 0]


def scale(boxes: FloatArray, from_size: tuple[int, int], to_size: tuple[int, int]) -> FloatArray:
    """Boxes of an image of (height, width) `from_size`, in pixels of the same image resized to `to_size`."""
    ratio_y, ratio_x = to_size[0] / from_size[0], to_size[1] / from_size[1]
    return boxes * np.array([ratio_x, ratio_y, ratio_x, ratio_y], boxes.dtype)


def network_size(image_size: tuple[int, int], short_side: int) -> tuple[int, int]:
    """(height, width) to which a picture of (height, width) `image_size` is resized for a network; see `scale`.

    The shorter side becomes `short_side`; the longer one keeps the aspect ratio, rounded down, up to `MAX_ASPECT`.
    """
    height, width = image_size
    long_side = min(max(height, width) * short_side // min(height, width), MAX_ASPECT * short_side)
    return (short_side, long_side) if height <= width else (long_side, short_side)


def iou(first: FloatArray, second: FloatArray) -> FloatArray:
    """(N, M) intersection over union of every pair; 0 where a box has no area."""
    top_left = np.maximum(first[:, None, :2], second[None, :, :2])
    bottom_right = np.minimum(first[:, None, 2:], second[None, :, 2:])
    inner = np.prod(np.maximum(bottom_right - top_left, 0), axis=2)
    outer = area(first)[:, None] + area(second)[None, :] - inner
    return np.divide(inner, outer, out=np.zeros_like(inner), where=outer > 0)


def nms(boxes: FloatArray, scores: FloatArray, threshold: float) -> npt.NDArray[np.intp]:
    """Indices kept by greedy non-maximum suppression, best score first.

    A box is dropped where its IoU with a better kept box exceeds `threshold`. Equal scores keep their order.
    """
    order = np.argsort(-scores, kind="stable")
    overlap = iou(boxes[order], boxes[order])
    alive = np.ones(len(order), bool)
    for i in range(len(order)):
        if alive[i]:
            alive[i + 1 :] &= overlap[i, i + 1 :] <= threshold
    return order[alive]
