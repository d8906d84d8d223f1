"""One person in two boxes: the detector now and then boxes the same person twice, and both boxes show the same body.

Two people who stand behind each other overlap as much, and then the landmark network may see the same of them in both
boxes; but they were seen apart before, or will be.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from sf_detect import boxes as box_math
from sf_detect.keypoints.extent import extent, inside
from sf_detect.structures import Detections, Frame, Keypoints

LEAST_OVERLAP = 0.5
"""IoU of two boxes that may be one person's."""
SAME_BODY = 0.1
"""Mean distance of the landmarks of both, over the longer side of the larger box, below which it is one body."""
LEAST_PRESENCE = 0.5
"""Of a person in each of them, below which landmarks tell nothing."""
REMEMBERED = 30.0
"""Seconds for which a track that was shown counts as a person of its own."""
_LEAST_LANDMARKS = 3  # confident ones in the picture, that a box can be compared with


class Doubles:
    """Leaves out second boxes of persons in a run."""

    def __init__(self) -> None:
        self._own: dict[int, float] = {}  # when each track was shown last

    def reset(self) -> None:
        """Forgets who was shown."""
        self._own.clear()

    def without(self, persons: Detections, frame: Frame) -> Detections:
        """The persons, each once: with the box that fits the landmarks best, and the id of the track that was there.

        Tracks that were both shown before are two persons, however close they come.

        Args:
            persons: With keypoints, tracked or not, boxes in pixels; without keypoints they stay as they are.
            frame: On which they are.
        """
        if persons.keypoints is not None and len(persons) > 1:
            persons = self._each_once(persons, persons.keypoints, frame.size)
        self._own = {track: time for track, time in self._own.items() if frame.pts - time <= REMEMBERED}
        if persons.track_ids is not None:
            self._own.update(dict.fromkeys(persons.track_ids.tolist(), frame.pts))
        return persons

    def _each_once(self, persons: Detections, keypoints: Keypoints, image_size: tuple[int, int]) -> Detections:
        boxes = persons.boxes
        near = (box_math.iou(boxes, boxes) > LEAST_OVERLAP) & ~np.eye(len(persons), dtype=bool)
        if not near.any():
            return persons
        fits = [_fit(boxes[row], keypoints, row, image_size) for row in range(len(persons))]
        ids = None if persons.track_ids is None else persons.track_ids.copy()
        kept: list[int] = []
        for row in sorted(range(len(persons)), key=lambda row: -fits[row]):
            same = [other for other in kept if near[row, other] and _is_one(boxes, keypoints, row, other)]
            if ids is not None:
                same = [other for other in same if not (ids[row] in self._own and ids[other] in self._own)]
            if not same:
                kept.append(row)
            elif ids is not None:
                ids[same[0]] = min(ids[same[0]], ids[row], key=lambda track: (track not in self._own, track))
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
