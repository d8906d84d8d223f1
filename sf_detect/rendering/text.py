"""Text as coverage masks, cached.

Pillow's bundled Aileron is hinted for whole pixels, which spaces small sizes unevenly; so text is drawn several times
larger and scaled down. Digits get cells of one width, so that a running clock and percentages do not wobble.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sf_detect.errors import ConfigError
from sf_detect.rendering.raster import Mask

ELLIPSIS = "…"
_LATIN = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "Æ": "AE", "Ø": "O"})
_RUNS = re.compile(r"[0-9]|[^0-9]+")
_GAMMA = ((np.arange(256) / 255) ** 0.8).astype(np.float32)  # scaled-down strokes look thin on a dark plate


class TextPainter:
    """Draws single lines of text with one typeface.

    Args:
        font: A TrueType file, or None for the typeface that Pillow carries (Latin letters without accents; accents
            are dropped from a label, letters of other scripts show as question marks).

    Raises:
        ConfigError: The file is not a font.
    """

    def __init__(self, font: Path | None = None) -> None:
        self._font = font
        self._face = lru_cache(maxsize=16)(self._load)
        self._has_glyph = lru_cache(maxsize=1024)(self._look_up)
        self._face(10)
        self.width = lru_cache(maxsize=4096)(self._width)
        self.mask = lru_cache(maxsize=512)(self._mask)
        self.fit = lru_cache(maxsize=512)(self._fit)
        self._run = lru_cache(maxsize=512)(self._draw_run)
        self._run_width = lru_cache(maxsize=512)(self._measure_run)

    def _width(self, text: str, size: int) -> int:
        """Pixels that `mask(text, size)` is wide; nothing is drawn for it."""
        return sum(self._run_width(run, size) for run in _RUNS.findall(self.printable(text)))

    def _fit(self, text: str, size: int, max_width: int) -> str:
        """`text`, or the longest beginning of it that ends in an ellipsis and is at most `max_width` pixels wide."""
        if self.width(text, size) <= max_width:
            return text
        for end in range(len(text) - 1, 0, -1):
            shorter = text[:end].rstrip(" ,(/-") + ELLIPSIS
            if self.width(shorter, size) <= max_width:
                return shorter
        return ELLIPSIS

    def _mask(self, text: str, size: int) -> Mask:
        """Coverage of a line of text, (round(1.25 * size), width) float32 in [0, 1]; the baseline is at row `size`."""
        runs = [self._run(run, size) for run in _RUNS.findall(self.printable(text))]
        return np.concatenate(runs, axis=1) if runs else np.zeros((round(1.25 * size), 0), np.float32)

    def printable(self, text: str) -> str:
        """The text as it will be drawn: one line, underscores as spaces, only accents the typeface has."""
        line = re.sub(r"[_\s]", " ", text)
        if self._font is not None:
            return line
        plain = unicodedata.normalize("NFKD", line.translate(_LATIN))
        return "".join(c if self._has_glyph(c) else "?" for c in plain if not unicodedata.combining(c))

    def _look_up(self, character: str) -> bool:
        face = self._face(16)
        return character == " " or bytes(face.getmask(character)) != bytes(face.getmask("\uffff"))

    def _draw_run(self, run: str, size: int) -> Mask:
        factor = _enlargement(size)
        face = self._face(size * factor)
        width, height = self._run_width(run, size), round(1.25 * size)
        image = Image.new("L", (width * factor, height * factor), 0)
        # a digit sits in the middle of its cell, other text at the left of its own
        x, anchor = (width * factor / 2, "ms") if run.isdigit() else (0.0, "ls")
        ImageDraw.Draw(image).text((x, size * factor), run, font=face, fill=255, anchor=anchor)
        small = np.asarray(image.resize((width, height), Image.Resampling.HAMMING))
        return _GAMMA[small]

    def _measure_run(self, run: str, size: int) -> int:
        """Pixels that a run is wide at its final size."""
        factor = _enlargement(size)
        face = self._face(size * factor)
        advance = max(face.getlength(d) for d in "0123456789") if run.isdigit() else face.getlength(run)
        return max(1, round(advance / factor))

    def _load(self, pixels: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
        if self._font is None:
            return ImageFont.load_default(pixels)
        try:
            return ImageFont.truetype(self._font, pixels)
        except OSError as error:
            raise ConfigError(
                f"the font {str(self._font)!r} cannot be read ({error}). Give a TrueType or OpenType file, "
                "or leave the option out for the bundled font."
            ) from error


def _enlargement(size: int) -> int:
    """How many times larger a text of that size is drawn before it is scaled down."""
    return 8 if size <= 16 else 4
