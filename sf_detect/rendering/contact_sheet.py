"""Many clips on one picture, to see at a glance whether boxes, labels and times are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from sf_detect.rendering.style import Color
from sf_detect.rendering.text import TextPainter
from sf_detect.structures import UInt8Array

_GROUND: Color = (22, 25, 31)
_CELL: Color = (33, 37, 45)
_TEXT: Color = (238, 241, 245)
_QUIET: Color = (150, 158, 170)
_MARGIN, _PAD, _GAP = 20, 8, 2
_TITLE_SIZE, _TEXT_SIZE = 20, 13


@dataclass(frozen=True, eq=False)
class SheetCell:
    """One clip.

    Attributes:
        image: (H, W, 3) uint8 RGB, the labelled frame, already drawn on.
        strip: Small frames below it, in order of time; may be empty.
        caption: What is done, or who it is.
        detail: Where it comes from, in quieter colour.
    """

    image: UInt8Array
    strip: tuple[UInt8Array, ...]
    caption: str
    detail: str


def contact_sheet(title: str, cells: Sequence[SheetCell], columns: int = 4, width: int = 384) -> UInt8Array:
    """A dark page with a title and the cells in rows.

    Args:
        title: One line.
        cells: At least one.
        columns: Cells of a row.
        width: Of a cell's picture, in pixels; pictures are 3/4 as high, with dark bars where their shape differs.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    if not cells:
        raise ValueError("a contact sheet needs at least one cell")
    painter = TextPainter()
    drawn = [_draw_cell(cell, width, painter) for cell in cells]
    columns = min(columns, len(drawn))
    rows = -(-len(drawn) // columns)
    high, wide = drawn[0].shape[:2]
    top = _MARGIN + round(2.2 * _TITLE_SIZE)
    page = np.empty((top + rows * (high + _MARGIN), _MARGIN + columns * (wide + _MARGIN), 3), np.uint8)
    page[:] = _GROUND
    _write(page, painter, title, _MARGIN, _MARGIN - 4, _TITLE_SIZE, _TEXT, page.shape[1] - 2 * _MARGIN)
    for place, cell in enumerate(drawn):
        y = top + place // columns * (high + _MARGIN)
        x = _MARGIN + place % columns * (wide + _MARGIN)
        page[y : y + high, x : x + wide] = cell
    return page


def _draw_cell(cell: SheetCell, width: int, painter: TextPainter) -> UInt8Array:
    height, count = width * 3 // 4, max(1, len(cell.strip))
    small = (width - (count - 1) * _GAP) // count
    strip_height = small * 3 // 4 if cell.strip else 0
    text_height = round(3.6 * _TEXT_SIZE)
    result = np.empty((height + _GAP + strip_height + text_height, width, 3), np.uint8)
    result[:] = _CELL
    result[:height] = _fitted(cell.image, width, height)
    for place, image in enumerate(cell.strip):
        x = place * (small + _GAP)
        result[height + _GAP : height + _GAP + strip_height, x : x + small] = _fitted(image, small, strip_height)
    y = height + _GAP + strip_height + _PAD
    _write(result, painter, cell.caption, _PAD, y, _TEXT_SIZE, _TEXT, width - 2 * _PAD)
    _write(result, painter, cell.detail, _PAD, y + round(1.4 * _TEXT_SIZE), _TEXT_SIZE - 1, _QUIET, width - 2 * _PAD)
    return result


def _fitted(image: UInt8Array, width: int, height: int) -> UInt8Array:
    """The whole image in the middle of a black one of this size."""
    scale = min(width / image.shape[1], height / image.shape[0])
    w, h = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    result = np.zeros((height, width, 3), np.uint8)
    x, y = (width - w) // 2, (height - h) // 2
    result[y : y + h, x : x + w] = cv2.resize(image, (w, h), interpolation=how)
    return result


def _write(
    image: UInt8Array, painter: TextPainter, text: str, x: int, y: int, size: int, color: Color, room: int
) -> None:
    mask = painter.mask(painter.fit(text, size, room), size)[:, :, None]
    region = image[y : y + mask.shape[0], x : x + mask.shape[1]]
    region[:] = (region + mask[: region.shape[0], : region.shape[1]] * (np.array(color) - region)).round()
