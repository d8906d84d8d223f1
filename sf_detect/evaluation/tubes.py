"""Tubes: one person doing one action over successive frames, and how two of them overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sf_detect.evaluation.ava_matching import paired_iou
from sf_detect.evaluation.conventions import Convention


@dataclass(frozen=True, eq=False)
class Tube:
    """Boxes of one person over time.

    Attributes:
        video: Name of the video.
        label: Column of the class.
        frames: (N,) int64 frame numbers, ascending.
        boxes: (N, 4) float64 xyxy pixels.
        score: Confidence; 1 for ground truth.
    """

    video: str
    label: int
    frames: npt.NDArray[np.int64]
    boxes: npt.NDArray[np.float64]
    score: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "frames", np.asarray(self.frames, np.int64))
        object.__setattr__(self, "boxes", np.asarray(self.boxes, np.float64))
        n = len(self.frames)
        if n == 0 or self.boxes.shape != (n, 4):
            raise ValueError(f"a tube has (N, 4) boxes for N > 0 frames, got {self.boxes.shape} for {n}")
        if np.any(np.diff(self.frames) <= 0):
            raise ValueError(f"the frames of a tube ascend, got {self.frames.tolist()[:20]}")

    def __repr__(self) -> str:
        return f"Tube({self.video!r}, label={self.label}, frames {self.frames[0]}-{self.frames[-1]}, {self.score:.3f})"


def box_iou(
    first: npt.NDArray[np.float64], second: npt.NDArray[np.float64], last_pixel: float
) -> npt.NDArray[np.float64]:
    """(N,) IoU of (N, 4) boxes, row by row; `last_pixel` is that of `Convention`."""
    edge = np.array([0, 0, last_pixel, last_pixel])
    return paired_iou(first + edge, second + edge)


def tube_iou(first: Tube, second: Tube, how: Convention) -> float:
    """Temporal IoU of the two extents, times the mean IoU of the boxes on common frames."""
    start, end = max(first.frames[0], second.frames[0]), min(first.frames[-1], second.frames[-1])
    if end - start + 1 < how.least_common_frames:
        return 0.0
    common, in_first, in_second = np.intersect1d(first.frames, second.frames, True, return_indices=True)
    hull = max(first.frames[-1], second.frames[-1]) - min(first.frames[0], second.frames[0]) + how.extent
    if len(common) == 0 or hull == 0:
        return 0.0
    spatial = box_iou(first.boxes[in_first], second.boxes[in_second], how.last_pixel).mean()
    return float(spatial * (end - start + how.extent) / hull)


def tube_nms(tubes: Sequence[Tube], threshold: float, how: Convention) -> list[Tube]:
    """Greedy non-maximum suppression of tubes of one video and class, best score first.

    A tube goes where its IoU with a better kept one exceeds `threshold`.
    """
    kept: list[Tube] = []
    for tube in sorted(tubes, key=lambda tube: -tube.score):
        if all(tube_iou(tube, other, how) <= threshold for other in kept):
            kept.append(tube)
    return kept
