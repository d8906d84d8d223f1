"""What every person detector does with its raw boxes: keep the persons that were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sf_detect import boxes as box_ops
from sf_detect.errors import ConfigError
from sf_detect.structures import Detections, FloatArray, UInt8Array


def require_images(images: Sequence[UInt8Array]) -> None:
    """Raises `ValueError` unless every image is (H, W, 3) uint8 and not empty."""
    for image in images:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise ValueError(f"a detector's image is (H, W, 3) uint8 and not empty, got {image.shape} {image.dtype}")


@dataclass(frozen=True)
class Selection:
    """Which detections count as persons.

    Attributes:
        score_threshold: Least score, in [0, 1].
        min_size: Least length of a box's longer side in pixels of the source frame (a person's height, standing or
            lying); 0 keeps all.
        max_persons: At most this many per image, best scores first; None keeps all.
        nms_iou: Of two boxes that overlap more than this, the better one stays; 1 switches suppression off.
        part_share: A box with at least this share of its area inside a better one is taken for a part of that person
            (an arm, the upper half) and dropped; None keeps it.
    """

    score_threshold: float
    min_size: float = 0.0
    max_persons: int | None = None
    nms_iou: float = 0.6
    part_share: float | None = None

    def __post_init__(self) -> None:
        shares = {"score threshold": self.score_threshold, "NMS IoU": self.nms_iou, "part share": self.part_share}
        for name, value in shares.items():
            if value is not None and not 0 <= value <= 1:
                raise ConfigError(f"the detector's {name} is {value}, expected a number from 0 to 1.")
        if not self.min_size >= 0:
            raise ConfigError(f"the detector's minimum size is {self.min_size}, expected 0 or more pixels.")
        if self.max_persons is not None and self.max_persons < 1:
            raise ConfigError(f"the most persons per image is {self.max_persons}, expected 1 or more, or None for all.")

    def __call__(self, boxes: FloatArray, scores: FloatArray, image_size: tuple[int, int]) -> Detections:
        """The persons among raw boxes.

        Args:
            boxes: (N, 4) xyxy in pixels of the image; may reach beyond it.
            scores: (N,) in [0, 1].
            image_size: (height, width).

        Returns:
            Boxes clipped to the image, best score first, `track_ids` None. Boxes without area or with values that
            are not finite are dropped.
        """
        boxes, scores = np.asarray(boxes, np.float32).reshape(-1, 4), np.asarray(scores, np.float32)
        keep = np.isfinite(boxes).all(axis=1) & (scores >= self.score_threshold)
        boxes, scores = boxes[keep], scores[keep]
        # Suppression sees the unclipped boxes, as the published detectors' does.
        order = box_ops.nms(boxes, scores, self.nms_iou)
        boxes, scores = box_ops.clip(boxes[order], image_size), scores[order]
        if self.part_share is not None:
            whole = ~_parts(boxes, self.part_share)
            boxes, scores = boxes[whole], scores[whole]
        sides = boxes[:, 2:] - boxes[:, :2]
        keep = (sides > 0).all(axis=1) & (sides.max(axis=1, initial=0) >= self.min_size)
        persons = Detections(boxes[keep], scores[keep])
        return persons if self.max_persons is None else persons.select(slice(self.max_persons))


def share_inside(parts: FloatArray, wholes: FloatArray) -> FloatArray:
    """(N, M) share of the area of each of `parts` (N, 4) that lies inside each of `wholes` (M, 4)."""
    top_left = np.maximum(parts[:, None, :2], wholes[None, :, :2])
    bottom_right = np.minimum(parts[:, None, 2:], wholes[None, :, 2:])
    inner = np.prod(np.maximum(bottom_right - top_left, 0), axis=2)
    return inner / np.maximum(box_ops.area(parts)[:, None], 1e-6)


def _parts(boxes: FloatArray, share: float) -> npt.NDArray[np.bool_]:
    """Which boxes (best first) lie inside a better one that is not itself a part."""
    inside = share_inside(boxes, boxes) >= share
    part = np.zeros(len(boxes), bool)
    for i in range(1, len(boxes)):
        part[i] = (inside[i, :i] & ~part[:i]).any()
    return part
