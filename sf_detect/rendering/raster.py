"""Blending into an image, restricted to the pixels that change, in integer arithmetic."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from sf_detect.rendering.style import Color
from sf_detect.structures import UInt8Array

Rect = tuple[int, int, int, int]
Mask = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Layer:
    """A coverage mask, (h, w) float32 in [0, 1], with its colour and its top left pixel on a plate."""

    mask: Mask
    x: int
    y: int
    color: Color


@dataclass(frozen=True, eq=False)
class Plate:
    """A translucent bitmap, ready to be blended: `image * keep / 255 + color`.

    Attributes:
        color: (h, w, 3) uint8 RGB, already multiplied by its opacity.
        keep: (h, w, 3) uint8, how much of the image below stays.
    """

    color: UInt8Array
    keep: UInt8Array

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.color.shape[1], self.color.shape[0]

    @property
    def nbytes(self) -> int:
        return self.color.nbytes + self.keep.nbytes

    @classmethod
    def compose(cls, ground: Mask, color: Color, layers: Iterable[Layer]) -> Plate:
        """A plate from the coverage and colour of its ground, (h, w), and what lies on it, the lowest first."""
        kept = 1 - ground
        paint = ground[:, :, None] * np.array(color, np.float32)
        for layer in layers:
            height, width = layer.mask.shape
            window = np.s_[layer.y : layer.y + height, layer.x : layer.x + width]
            covered = layer.mask[: kept[window].shape[0], : kept[window].shape[1]]
            kept[window] *= 1 - covered
            region = paint[window]
            region += covered[:, :, None] * (np.array(layer.color, np.float32) - region)
        keep = (kept * 255 + 0.5).astype(np.uint8)
        return cls((paint + 0.5).astype(np.uint8), np.repeat(keep[:, :, None], 3, axis=2))


def paste(image: UInt8Array, plate: Plate, x: int, y: int) -> None:
    """Blends a plate into `image` with its top left corner at pixel (x, y); what lies outside is left out."""
    width, height = plate.size
    x0, y0 = max(x, 0), max(y, 0)
    x1, y1 = min(x + width, image.shape[1]), min(y + height, image.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    region = image[y0:y1, x0:x1]
    window = np.s_[y0 - y : y1 - y, x0 - x : x1 - x]
    region[...] = cv2.add(cv2.multiply(region, plate.keep[window], scale=1 / 255), plate.color[window])


def fill(image: UInt8Array, rect: Rect, color: Color) -> None:
    """Paints the pixels x0 <= x < x1, y0 <= y < y1; what lies outside the image is left out."""
    x0, y0, x1, y1 = rect
    if x0 < x1 and y0 < y1:
        cv2.rectangle(image, (x0, y0), (x1 - 1, y1 - 1), color, cv2.FILLED)


def fill_half(image: UInt8Array, rect: Rect, color: Color) -> None:
    """Like `fill` with half opacity, which bit shifts do faster than any multiplication."""
    x0, y0, x1, y1 = max(rect[0], 0), max(rect[1], 0), rect[2], rect[3]
    if x0 < x1 and y0 < y1:
        region = image[y0:y1, x0:x1]
        np.right_shift(region, 1, out=region)
        if any(color):
            region += np.array(color, np.uint8) >> 1
