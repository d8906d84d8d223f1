"""One person in two boxes: the detector now and then boxes the same person twice, and both boxes show the same body.

Two people who stand behind each other overlap as much, but their landmarks lie elsewhere.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from sf_detect import boxes as box_math
from sf_detect.keypoints.extent import extent, inside
from sf_detect.structures import Detections, Keypoints

LEAST_OVERLAP = 0.5
"""IoU of two boxes that may be one person's."""
SAME_BODY = 0.1
"""Mean distance of the landmarks of both, over the longer side of the larger box, below which it is one body."""
LEAST_PRESENCE = 0.5
"""Of a person in each of them, below which landmarks tell nothing."""
_LEAST_LANDMARKS = 3  # confident ones in the picture, that a box can be compared with


def without_doubles(persons: Detections, image_size: tuple[int, int]) -> Detections:
    """The persons, each once: with the box that fits the landmarks best, and the id of the oldest of their tracks.

    Args:
        persons: With keypoints, tracked or not, boxes in pixels; without keypoints they stay as they are.
        image_size: Height and width of the frame.
    """
    keypoints = persons.keypoints
    if keypoints is None or len(persons) < 2:
        return persons
    near = (box_math.iou(persons.boxes, persons.boxes) > LEAST_OVERLAP) & ~np.eye(len(persons), dtype=bool)
    if not near.any():
        return persons
    fits = [_fit(persons.boxes[row], keypoints, row, image_size) for row in range(len(persons))]
    ids = None if persons.track_ids is None else persons.track_ids.copy()
    kept: list[int] = []
    for row in sorted(range(len(persons)), key=lambda row: -fits[row]):
        better = [other for other in kept if near[row, other] and _is_one(persons.boxes, keypoints, row, other)]
        if not better:
            kept.append(row)
        elif ids is not None:
            ids[better[0]] = min(ids[better[0]], ids[row])
    rows = np.array(sorted(kept), np.intp)
    chosen = persons.select(rows)
    return chosen if ids is None else replace(chosen, track_ids=ids[rows])


def _fit(box: npt.NDArray[np.float32], keypoints: Keypoints, row: int, image_size: tuple[int, int]) -> float:
    """IoU of a box and that of the landmarks in it; 0 where these tell nothing."""
    points = keypoints.points[row]
    if keypoints.presence[row] < LEAST_PRESENCE or inside(points, image_size).sum() < _LEAST_LANDMARKS:
        return 0.0
    return float(box_math.iou(extent(points, image_size)[None], box[None])[0, 0])


def _is_one(boxes: npt.NDArray[np.float32], keypoints: Keypoints, row: int, other: int) -> bool:
    """Whether two boxes show the same body."""
    if min(keypoints.presence[row], keypoints.presence[other]) < LEAST_PRESENCE:
        return False
    longer = max(float((boxes[i, 2:] - boxes[i, :2]).max()) for i in (row, other))
    way = keypoints.points[row, :, :2] - keypoints.points[other, :, :2]
    return bool(np.hypot(way[:, 0], way[:, 1]).mean() < SAME_BODY * longer)
