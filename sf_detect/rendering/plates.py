"""The dark translucent plates that carry text: a person's actions, a track id, the status line."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import cv2
import numpy as np

from sf_detect.rendering.raster import Layer, Mask, Plate
from sf_detect.rendering.style import Color
from sf_detect.rendering.text import TextPainter

INK: Color = (14, 17, 22)
TEXT: Color = (245, 247, 250)
QUIET_TEXT: Color = (190, 198, 208)
PLATE_OPACITY = 0.66
CACHE_BYTES = 32 << 20


@dataclass(frozen=True)
class Row:
    """One action on a plate; `percent` is None where scores are hidden."""

    label: str
    percent: int | None


class PlatePainter:
    """Makes plates for one text size, and keeps them, because most frames repeat those of the frame before.

    Args:
        painter: Draws the text.
        font_size: Text size in pixels.
        max_width: Pixels that a plate is wide at most; longer labels are shortened.
    """

    def __init__(self, painter: TextPainter, font_size: int, max_width: int) -> None:
        self.painter, self.font_size, self.max_width = painter, font_size, max_width
        self._pad_x, self._pad_y = round(0.5 * font_size), round(0.3 * font_size)
        self._stripe = max(2, round(0.2 * font_size))
        self._radius = max(2, round(0.25 * font_size))
        self._cache: OrderedDict[Hashable, Plate] = OrderedDict()
        self._bytes = 0

    @property
    def row_height(self) -> int:
        """Pixels from one row with a bar to the next."""
        return round(1.55 * self.font_size)

    def actions(self, rows: tuple[Row, ...], track: str, accent: Color, compact: bool = False) -> Plate:
        """A person's actions: the track id, then per row a label, its percentage and a slim bar below them.

        Args:
            rows: At least one action, best first.
            track: The track id as text; "" for none.
            accent: The track's colour.
            compact: Leave the percentages out and keep the bars.
        """
        return self._cached((rows, track, accent, compact), lambda: self._draw_actions(rows, track, accent, compact))

    def tag(self, track: str, accent: Color) -> Plate:
        """The track id alone."""
        return self._cached((track, accent), lambda: self._draw_line(track, accent))

    def status(self, text: str) -> Plate:
        """One quiet line of text. Where it is too long, its parts, two spaces apart, go: inner ones first."""
        return self._cached((text,), lambda: self._draw_status(text))

    def _draw_status(self, text: str) -> Plate:
        parts = [part for part in text.split("  ") if part]
        while len(parts) > 1 and self.painter.width("  ".join(parts), self.font_size) > self.max_width:
            del parts[1 if len(parts) > 2 else -1]
        return self._draw_line(self.painter.fit("  ".join(parts), self.font_size, self.max_width), QUIET_TEXT)

    def _cached(self, key: Hashable, make: Callable[[], Plate]) -> Plate:
        plate = self._cache.get(key)
        if plate is not None:
            self._cache.move_to_end(key)
            return plate
        plate = self._cache[key] = make()
        self._bytes += plate.nbytes
        while self._bytes > CACHE_BYTES and len(self._cache) > 1:
            self._bytes -= self._cache.popitem(last=False)[1].nbytes
        return plate

    def _draw_line(self, text: str, color: Color) -> Plate:
        mask = self.painter.mask(text, self.font_size)
        width, height = self._line_size(mask)
        left, top = (width - mask.shape[1]) // 2, (height - mask.shape[0]) // 2
        return Plate.compose(self._ground((height, width)), INK, [Layer(mask, left, top, color)])

    def _line_size(self, mask: Mask) -> tuple[int, int]:
        pad_x, pad_y = round(0.4 * self.font_size), round(0.1 * self.font_size)
        return mask.shape[1] + 2 * pad_x, mask.shape[0] + 2 * pad_y

    def actions_size(self, rows: tuple[Row, ...], track: str, compact: bool = False) -> tuple[int, int]:
        """(width, height) of the plate that `actions` would draw."""
        _, right = self._columns(rows, track, compact)
        return right + self._pad_x, self._row_pitch(rows) * len(rows) + 2 * self._pad_y

    def tag_size(self, track: str) -> tuple[int, int]:
        """(width, height) of the plate that `tag` would draw."""
        return self._line_size(self.painter.mask(track, self.font_size))

    def _row_pitch(self, rows: tuple[Row, ...]) -> int:
        return self.row_height if rows[0].percent is not None else round(1.35 * self.font_size)

    def _percent_width(self, rows: tuple[Row, ...], compact: bool) -> int:
        if compact or rows[0].percent is None:
            return 0
        return self.painter.width("100%", self.font_size) + self._pad_x  # one width for all scores: no wobbling

    def _columns(self, rows: tuple[Row, ...], track: str, compact: bool) -> tuple[int, int]:
        """Left edge of the labels and right edge of the percentages."""
        size = self.font_size
        number_width = self.painter.width(track, size) + round(0.4 * size) if track else 0
        left, percent_width = self._stripe + self._pad_x + number_width, self._percent_width(rows, compact)
        least = 4 * size if rows[0].percent is not None else size
        room = self._room(left, percent_width)
        widths = (self.painter.width(self.painter.fit(row.label, size, room), size) for row in rows)
        return left, left + max(least, *widths) + percent_width

    def _room(self, left: int, percent_width: int) -> int:
        return max(self.max_width - left - percent_width - self._pad_x, 2 * self.font_size)

    def _draw_actions(self, rows: tuple[Row, ...], track: str, accent: Color, compact: bool) -> Plate:
        size, pad_x, pad_y = self.font_size, self._pad_x, self._pad_y
        left, right = self._columns(rows, track, compact)
        percent_width = self._percent_width(rows, compact)
        width, height = self.actions_size(rows, track, compact)
        ground = self._ground((height, width))
        number = self.painter.mask(track, size)
        edge = ground[:, : self._stripe] / PLATE_OPACITY
        layers = [Layer(edge, 0, 0, accent), Layer(number, self._stripe + pad_x, pad_y, accent)]
        for i, row in enumerate(rows):
            top = pad_y + i * self._row_pitch(rows)
            if row.percent is not None:
                layers += self._bar(row.percent / 100, left, right, top, accent)
            if percent_width:
                text = self.painter.mask(f"{row.percent}%", size)
                layers.append(Layer(text, right - text.shape[1], top, QUIET_TEXT))
            label = self.painter.fit(row.label, size, self._room(left, percent_width))
            layers.append(Layer(self.painter.mask(label, size), left, top, TEXT))
        return Plate.compose(ground, INK, layers)

    def _bar(self, share: float, left: int, right: int, top: int, accent: Color) -> list[Layer]:
        y, height = top + round(1.22 * self.font_size), max(2, round(0.15 * self.font_size))
        end = left + round((right - left) * share)
        rest = np.full((height, right - end), 0.2, np.float32)
        return [Layer(rest, end, y, TEXT), Layer(np.ones((height, end - left), np.float32), left, y, accent)]

    def _ground(self, shape: tuple[int, int]) -> Mask:
        """A rounded rectangle of the plate's opacity."""
        factor, radius = 4, self._radius
        corner = np.zeros((radius * factor,) * 2, np.uint8)
        cv2.circle(corner, (radius * factor,) * 2, radius * factor, 255, -1)
        quarter = cv2.resize(corner, (radius, radius), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        ground = np.ones(shape, np.float32)
        ground[:radius, :radius], ground[:radius, -radius:] = quarter, quarter[:, ::-1]
        ground[-radius:, :radius], ground[-radius:, -radius:] = quarter[::-1], quarter[::-1, ::-1]
        return ground * PLATE_OPACITY
