"""What the landmark network saw in a place, and whether it is somebody who is known already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sf_detect import boxes as box_math
from sf_detect.keypoints.extent import LEAST_CONFIDENCE
from sf_detect.structures import Detections, Keypoints

MOST_OVERLAP = 0.5
"""IoU with another person, or share of landmarks within others' boxes, from which it is they who are seen."""
LEAST_LANDMARKS = 10
"""Confident ones in the picture that make somebody."""
_SAME_PLACE = 0.5  # IoU


@dataclass(frozen=True, eq=False)
class Found:
    """Somebody: landmarks, the box around them, and the angle of the trunk."""

    seen: Keypoints
    box: npt.NDArray[np.float32]
    angle: float


def people(found: Sequence[Found], score: float) -> Detections:
    """Those found, with keypoints and without ids; `score` times the presence is theirs."""
    if not found:
        return replace(Detections.empty(), keypoints=Keypoints.unknown(0))
    parts = ([getattr(somebody.seen, name) for somebody in found] for name in ("points", "metres", "presence"))
    seen = Keypoints(*map(np.concatenate, parts))
    return Detections(np.stack([somebody.box for somebody in found]), score * seen.presence, None, seen)


def same_place(box: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> bool:
    """Whether two boxes (4,) xyxy may show the same."""
    return bool(box_math.iou(box[None], other[None])[0, 0] >= _SAME_PLACE)


def overlaps(box: npt.NDArray[np.float32], others: Detections, points: npt.NDArray[np.float32] | None = None) -> bool:
    """Whether somebody else is there."""
    if not len(others):
        return False
    if box_math.iou(box[None], others.boxes).max() > MOST_OVERLAP:
        return True
    if points is None:
        return False
    x, y = points[points[:, 2] >= LEAST_CONFIDENCE, :2].T
    x1, y1, x2, y2 = others.boxes.T[:, :, None]
    within = (x >= x1) & (x <= x2) & (y >= y1) & (y <= y2)
    return bool(within.any(axis=0).mean() > MOST_OVERLAP)
