"""Where labels go: inside the frame, off each other, off heads, and from frame to frame in the same place.

A small deterministic search. Every person has a few slots around its box and a few sizes of its label, the richest
first; the cheapest pair wins, older tracks choose first, and a track pays for leaving the slot it had.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sf_detect.rendering.raster import Rect
from sf_detect.structures import FloatArray

IntArray = npt.NDArray[np.int64]

# Costs, in shares of the label's area that is covered, plus what a slot or a smaller label costs by itself.
SLOT_COSTS = np.array([0.0, 0.04, 0.06, 0.25, 0.28, 0.3, 0.2, 0.22, 0.3, 0.32, 0.35, 0.38, 0.6, 0.62])
_SLOTS = len(SLOT_COSTS)
# Each slot by the edge of the box its label is anchored to (0 left, 1 top, 2 right, 3 bottom), its gaps from there, how
# many half widths and heights the label's top left corner lies before the anchor, and whether it slides.
_EDGES_X = np.array([0, 2, 0, 0, 2, 0, 2, 0, 2, 0, 0, 2, 0, 2])
_EDGES_Y = np.array([1, 1, 1, 3, 3, 3, 1, 1, 3, 3, 3, 3, 1, 1])
_GAPS_X = np.array([0, 0, 0, 0, 0, 0, 1, -1, 1, -1, 2, -2, 2, -2])
_GAPS_Y = np.array([-1, -1, -1, 1, 1, 1, 0, 0, 0, 0, -2, -2, 2, 2])
_BACK_X = np.array([0, 2, 1, 0, 2, 1, 0, 2, 0, 2, 0, 2, 0, 2])
_BACK_Y = np.array([2, 2, 2, 0, 0, 0, 0, 0, 2, 2, 2, 2, 0, 0])
_SLIDES_X = np.array([1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1], bool)
_SLIDES_Y = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1], bool)
_CENTRED = np.array([2, 5])

LEVEL_COST = 0.35
MOVE_COST = 0.3
HEAD, OWN_HEAD, OTHER_PERSON, OWN_PERSON, HEADROOM = 3.0, 2.5, 0.7, 0.7, 0.25


@dataclass(frozen=True)
class LabelRequest:
    """A label that wants a place.

    Attributes:
        person: Position of its person among the frame's boxes.
        track_id: Whose label it is, for stability over time; None for untracked persons.
        sizes: (width, height) of each version of the label, the richest first.
    """

    person: int
    track_id: int | None
    sizes: Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Placement:
    """Top left pixel of a label, and which of its sizes was chosen."""

    x: int
    y: int
    level: int


class LabelLayout:
    """Places labels and remembers each track's slot for the next frame."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[int, int]] = {}

    def reset(self) -> None:
        """Forgets all tracks, for another video."""
        self._last.clear()

    def place(
        self,
        requests: Sequence[LabelRequest],
        boxes: FloatArray,
        heads: FloatArray,
        reserved: Sequence[Rect],
        image_size: tuple[int, int],
        gap: int,
    ) -> list[Placement | None]:
        """One placement per request, None where no size fits off the other labels.

        Args:
            requests: Labels to place.
            boxes: (N, 4) xyxy pixels of all persons in the frame, labelled or not.
            heads: (N, 4) their heads, which labels avoid to cover.
            reserved: Rectangles that no label may touch.
            image_size: (height, width).
            gap: Pixels between a box and its label.
        """
        placed: list[Placement | None] = [None] * len(requests)
        if not requests:
            self._last = {}
            return placed
        slots = _Slots.around(requests, boxes, image_size, gap)
        costs = slots.costs(requests, boxes, heads, gap)
        costs[_outside(slots.rects, image_size)] = np.inf
        taken = np.array(reserved, np.int64).reshape(-1, 4)
        remembered: dict[int, tuple[int, int]] = {}
        for i in sorted(range(len(requests)), key=lambda i: (requests[i].track_id is None, requests[i].track_id, i)):
            own, track_id = slice(slots.starts[i], slots.starts[i + 1]), requests[i].track_id
            rects, level, slot, cost = slots.rects[own], slots.level[own], slots.slot[own], costs[own]
            if track_id in self._last:
                last_slot, last_level = self._last[track_id]
                cost = cost + MOVE_COST * ((slot != last_slot) + 0.5 * (level != last_level))
            cost = np.where(_overlap(rects, taken).any(axis=1), np.inf, cost)
            best = int(np.argmin(cost))
            if not np.isfinite(cost[best]):
                continue
            placed[i] = Placement(int(rects[best, 0]), int(rects[best, 1]), int(level[best]))
            taken = np.concatenate([taken, rects[best : best + 1]])
            if track_id is not None:
                remembered[track_id] = int(slot[best]), int(level[best])
        self._last = remembered
        return placed


@dataclass(frozen=True, eq=False)
class _Slots:
    """The M candidate places of all labels of a frame; those of request i are `starts[i]` to `starts[i + 1]`."""

    rects: IntArray  # (M, 4) xyxy
    owner: IntArray  # (M,) position of the request
    level: IntArray  # (M,)
    slot: IntArray  # (M,)
    starts: IntArray

    @classmethod
    def around(
        cls, requests: Sequence[LabelRequest], boxes: FloatArray, image_size: tuple[int, int], gap: int
    ) -> _Slots:
        levels = np.array([len(request.sizes) for request in requests])
        sizes = np.array([size for request in requests for size in request.sizes], np.int64)
        person = np.array([request.person for request in requests]).repeat(levels)
        rects = _slots(np.rint(boxes[person]).astype(np.int64), sizes, image_size, gap)
        starts = np.concatenate([[0], np.cumsum(levels * _SLOTS)])
        owner = np.arange(len(requests)).repeat(levels * _SLOTS)
        level, slot = np.divmod(np.arange(len(rects)) - starts[owner], _SLOTS)
        return cls(rects, owner, level, slot, starts)

    def costs(
        self, requests: Sequence[LabelRequest], boxes: FloatArray, heads: FloatArray, gap: int
    ) -> npt.NDArray[np.float64]:
        """What each place costs by itself and by what it would cover, (M,)."""
        n, person = len(boxes), np.array([request.person for request in requests])
        room = np.zeros(n)
        room[person] = [request.sizes[0][1] + gap for request in requests]
        headroom = np.stack([boxes[:, 0], boxes[:, 1] - room, boxes[:, 2], boxes[:, 1]], axis=1)
        weights = np.repeat([[HEAD, OTHER_PERSON, HEADROOM]], n, axis=1).repeat(len(requests), axis=0)
        for kind, weight in enumerate((OWN_HEAD, OWN_PERSON, 0.0)):
            weights[np.arange(len(requests)), kind * n + person] = weight
        covered = _overlap(self.rects, np.concatenate([heads, boxes, headroom]))
        area = (self.rects[:, 2] - self.rects[:, 0]) * (self.rects[:, 3] - self.rects[:, 1])
        shares = np.einsum("mk,mk->m", covered, weights[self.owner]) / area
        return shares + SLOT_COSTS[self.slot] + LEVEL_COST * self.level


def _slots(boxes: IntArray, sizes: IntArray, image_size: tuple[int, int], gap: int) -> IntArray:
    """The rectangles of labels of `sizes` (L, 2) in the slots of `boxes` (L, 4): (L * slots, 4).

    Slots lie above (3), below (3), beside at the top and bottom, and inside. They slide along the side of the box
    they sit on to stay in the frame, never across it.
    """
    height, width = image_size
    anchors = (boxes.T[_EDGES_X] + gap * _GAPS_X[:, None]).T, (boxes.T[_EDGES_Y] + gap * _GAPS_Y[:, None]).T
    centre = (boxes[:, 0] + boxes[:, 2]) // 2
    anchors[0][:, _CENTRED] = centre[:, None]
    corners = []
    for anchor, back, slide, extent, limit in (
        (anchors[0], _BACK_X, _SLIDES_X, sizes[:, :1], width),
        (anchors[1], _BACK_Y, _SLIDES_Y, sizes[:, 1:], height),
    ):
        free = anchor - (extent * back) // 2
        kept = np.maximum(np.minimum(free, limit - gap - extent), gap)
        corners.append(np.where(slide, kept, free))
    low = np.stack(corners, axis=2)
    return np.concatenate([low, low + sizes[:, None]], axis=2).reshape(-1, 4)


def _outside(rects: IntArray, image_size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    height, width = image_size
    return (rects[:, :2] < 0).any(axis=1) | (rects[:, 2] > width) | (rects[:, 3] > height)


def _overlap(rects: IntArray, obstacles: FloatArray | IntArray) -> FloatArray:
    """(M, K) shared area in square pixels of every pair."""
    low = np.maximum(rects[:, None, :2], obstacles[None, :, :2])
    high = np.minimum(rects[:, None, 2:], obstacles[None, :, 2:])
    sides = np.maximum(high - low, 0)
    return sides[..., 0] * sides[..., 1]
