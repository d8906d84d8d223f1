"""Notes on input that can be evaluated but looks wrong: boxes in another unit, corners in another order, no hit at all.

A result of 0 is rarely what a model deserves, and nothing in the number says why. Notes go beside the result and change
nothing in it.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

_GREATEST_SHARE = 2.0  # of a frame's side: boxes may hang over the edge, but not by a whole frame
_PERCENT = 100.0
_SMALLEST_FRAME = 150.0  # pixels: ground truth that reaches further is not in percent

NO_HIT = (
    "no detection overlaps a ground-truth box of its class enough, so every class that has ground truth scores 0; "
    "compare the unit and the order of the coordinates (x1,y1,x2,y2), and names or ids of the classes, in both files"
)
"""Where detections were scored and none of them is a hit."""


def share_notes(truth: npt.NDArray[np.floating], found: npt.NDArray[np.floating]) -> list[str]:
    """Notes on (N, 4) xyxy boxes that are shares of the frame in published files (AVA).

    Any unit is evaluated, as long as both files use the same one.
    """
    truth_size, size = _largest(truth), _largest(found)
    if not len(truth_size) or not len(size):
        return []
    if truth_size.max() <= _GREATEST_SHARE:
        outside = size > _GREATEST_SHARE
        if not outside.any():
            return []
        return [
            f"{_part(outside)} of the boxes of the detections reach beyond the frame, up to {size.max():g}, but those "
            f"of the ground truth are shares of it, at most {truth_size.max():g}; divide pixels by the frame's width "
            "and height, percent by 100"
        ]
    if size.max() <= _GREATEST_SHARE:
        return [
            f"boxes of the detections are at most {size.max():g}, like shares of the frame, those of the ground truth "
            f"reach {truth_size.max():g}; write both in the same unit"
        ]
    return []


def pixel_notes(truth: npt.NDArray[np.floating], found: npt.NDArray[np.floating]) -> list[str]:
    """Notes on (N, 4) xyxy boxes that are pixels in published files (J-HMDB, UCF101-24, MultiSports, COCO)."""
    notes = []
    sizes = {"ground truth": _largest(truth), "detections": _largest(found)}
    for what, size in sizes.items():
        if len(size) and size.max() <= _GREATEST_SHARE:
            notes.append(
                f"boxes of the {what} are at most {size.max():g}, like shares of the frame; expected pixels, so "
                "multiply them by its width and height"
            )
    truth_size, size = sizes.values()
    if not notes and len(size) and len(truth_size) and size.max() <= _PERCENT and truth_size.max() > _SMALLEST_FRAME:
        notes.append(
            f"boxes of the detections are at most {size.max():g}, like percent of the frame, those of the ground truth "
            f"reach {truth_size.max():g} pixels; expected pixels in both"
        )
    return notes


def corner_notes(what: str, boxes: npt.NDArray[np.floating]) -> list[str]:
    """A note where some of (N, 4) boxes are not x1 < x2 and y1 < y2; `what` names their file."""
    flat = (boxes[:, 2] <= boxes[:, 0]) | (boxes[:, 3] <= boxes[:, 1])
    return area_notes(what, int(flat.sum()), len(boxes))


def area_notes(what: str, without: int, total: int) -> list[str]:
    """A note where `without` of `total` boxes have no area."""
    if not without:
        return []
    return [
        f"{without} of {total} boxes of the {what} have no area (x2 <= x1 or y2 <= y1) and match nothing; expected "
        "x1,y1,x2,y2, the upper left corner first"
    ]


def _largest(boxes: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """The largest absolute coordinate of every box that is not all zeros."""
    size = np.abs(boxes).max(axis=1, initial=0)
    return size[size > 0]


def _part(chosen: npt.NDArray[np.bool_]) -> str:
    return "all" if chosen.all() else f"{int(chosen.sum())} of {len(chosen)}"


def with_notes(result: dict[str, object], notes: Iterable[str]) -> dict[str, object]:
    """A result for JSON with its notes, where there are any."""
    listed = list(notes)
    return {**result, "notes": listed} if listed else result
