"""Looking at a frame through overlapping square tiles, for people too small to see in the whole frame at once.

A detector with a fixed small input sees a wide frame squeezed and shrunk. Square tiles keep the shape and enlarge.
Boxes that a tile's inner edge cuts through are fragments, so a box that another view shows whole replaces them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sf_detect import boxes as box_ops
from sf_detect.detection.selection import share_inside
from sf_detect.errors import ConfigError
from sf_detect.structures import FloatArray

MODES = ("auto", "mirror", "on", "fine", "off")
"""auto: "on" for wide and tall frames, else "mirror". mirror: the whole frame, and once more mirrored where that
leaves doubt (`mirroring`).
on: one row of tiles as high as the frame (of a tall frame, one column). fine: two rows of smaller tiles, for people far
away. off: the whole frame only."""

Window = tuple[int, int, int, int]
"""x1, y1, x2, y2 of a view, in pixels of the frame."""

OVERLAP = 0.2
"""Least share of its side that a tile has in common with its neighbour."""

_EDGE = 0.02  # share of a tile's length along an axis; a box that ends this near an inner edge may be cut by it
_COVERED = 0.7  # share of a fragment's area inside another box for it to be a part of that person
_WIDE = 1.6  # longer over shorter side of a frame from which "auto" tiles


def require_mode(mode: str) -> str:
    """Returns `mode`, or raises `ConfigError` if it is none of `MODES`."""
    if mode not in MODES:
        raise ConfigError(f"tile mode {mode!r} is not known, expected one of {', '.join(MODES)}.")
    return mode


def resolve(image_size: tuple[int, int], mode: str) -> str:
    """The mode that "auto" means for a frame of (height, width); any other mode is itself."""
    if mode != "auto":
        return mode
    return "on" if max(image_size) >= _WIDE * min(image_size) else "mirror"


def windows(image_size: tuple[int, int], mode: str = "auto") -> list[Window]:
    """The views of a frame of (height, width): the whole frame first, then tiles.

    Tiles are square, or as long as a frame longer than 4:1 needs for no more of them than one of 4:1 has.
    """
    height, width = image_size
    whole = (0, 0, width, height)
    short, long = min(height, width), max(height, width)
    mode = resolve(image_size, mode)
    if mode in ("off", "mirror"):
        return [whole]
    side = math.ceil(short / (2 - OVERLAP)) if mode == "fine" else short
    if side == long:
        return [whole]
    longer = math.ceil(side * max(1.0, long / (box_ops.MAX_ASPECT * short)))
    w, h = (longer, side) if width > height else (side, longer)
    return [whole] + [(x, y, x + w, y + h) for y in _starts(height, h) for x in _starts(width, w)]


def _starts(length: int, side: int) -> list[int]:
    """Where tiles of `side` begin along an axis: evenly spread, neighbours sharing at least `OVERLAP`."""
    if length <= side:
        return [0]
    count = 1 + math.ceil((length - side) / (side * (1 - OVERLAP)))
    return [round(i * (length - side) / (count - 1)) for i in range(count)]


def merge(
    views: Sequence[Window], boxes: Sequence[FloatArray], scores: Sequence[FloatArray], image_size: tuple[int, int]
) -> tuple[FloatArray, FloatArray]:
    """Joins the detections of several views, without the fragments.

    Args:
        views: The windows.
        boxes: Per window (N, 4) xyxy in pixels of the frame, after the window's own suppression.
        scores: Per window (N,).
        image_size: (height, width) of the frame.

    Returns:
        Boxes (M, 4) and scores (M,) that may still overlap: whole persons of all views, and those fragments of which
        no view shows the whole person.
    """
    cut = [_cut(window, b, image_size) for window, b in zip(views, boxes, strict=True)]
    all_boxes, all_scores, fragment = np.concatenate(boxes), np.concatenate(scores), np.concatenate(cut)
    whole = all_boxes[~fragment]
    keep = ~fragment
    if fragment.any():
        keep[fragment] = share_inside(all_boxes[fragment], whole).max(axis=1, initial=0) < _COVERED
        rest = np.flatnonzero(fragment & keep)
        keep[rest] = _largest_of_each(all_boxes[rest])
    return all_boxes[keep], all_scores[keep]


def _cut(window: Window, boxes: FloatArray, image_size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Which boxes end at an edge of the window that is not also an edge of the frame."""
    height, width = image_size
    margins = [_EDGE * (window[2] - window[0]), _EDGE * (window[3] - window[1])] * 2
    frame = (0, 0, width, height)
    near = np.zeros(len(boxes), bool)
    for i, sign in enumerate((1, 1, -1, -1)):
        if window[i] != frame[i]:
            near |= sign * (boxes[:, i] - window[i]) < margins[i]
    return near


def _largest_of_each(boxes: FloatArray) -> npt.NDArray[np.bool_]:
    """Of fragments that lie in one another, the one that shows most of the person."""
    order = np.argsort(-box_ops.area(boxes), kind="stable")
    keep = np.zeros(len(boxes), bool)
    for i in order:
        if share_inside(boxes[[i]], boxes[keep]).max(initial=0) < _COVERED:
            keep[i] = True
    return keep
