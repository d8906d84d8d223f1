"""`whole_frame`: one person who fills the picture. For clips cut to a single actor, and for scene-level models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sf_detect.detection.selection import require_images
from sf_detect.structures import Detections, UInt8Array


class WholeFrameDetector:
    """One box, the whole frame, score 1; a `PersonDetector`."""

    def __call__(self, images: Sequence[UInt8Array]) -> list[Detections]:
        """One person per image, see `PersonDetector`."""
        require_images(images)
        return [
            Detections(np.array([[0, 0, image.shape[1], image.shape[0]]], np.float32), np.ones(1, np.float32))
            for image in images
        ]
