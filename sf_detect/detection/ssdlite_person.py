"""`ssdlite_person`, the default detector: small, fast on a CPU, and with weights that pip can fetch."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from sf_detect import boxes as box_ops
from sf_detect.detection import mirroring, tiling
from sf_detect.detection.selection import Selection, require_images
from sf_detect.detection.ssdlite_layers import INPUT_SIZE, MAX_DETECTIONS, NMS_IOU
from sf_detect.engines import Engine, to_numpy
from sf_detect.structures import Detections, FloatArray, UInt8Array

DEFAULT_SELECTION = Selection(score_threshold=0.2, part_share=0.85)
"""Low, because a tracker uses weak boxes to follow persons it knows (see `names.track_score`); without one, 0.4."""

Found = tuple[FloatArray, FloatArray]
"""Boxes (N, 4) in pixels of a view, and scores (N,)."""


class SSDLitePersonDetector:
    """Persons by SSDLite; a `PersonDetector`.

    Args:
        engine: The network, see `ssdlite_engine`.
        selection: Which detections to keep; None takes the defaults.
        tile: One of `tiling.MODES`.
        batch: Views that go through the network at once. On a CPU one, whose maps fit the caches.

    Raises:
        ConfigError: `tile` is not a mode.
    """

    def __init__(
        self,
        engine: Engine,
        selection: Selection | None = None,
        tile: str = "auto",
        batch: int = 1,
    ) -> None:
        self.selection = selection or DEFAULT_SELECTION
        self.tile = tiling.require_mode(tile)
        self._engine, self._batch = engine, batch

    def __call__(self, images: Sequence[UInt8Array]) -> list[Detections]:
        """Persons of each RGB uint8 image (H, W, 3); see `PersonDetector`.

        Raises:
            ValueError: An image has another shape or type.
        """
        require_images(images)
        plans = [tiling.windows(image.shape[:2], self.tile) for image in images]
        crops = [image[y1:y2, x1:x2] for image, plan in zip(images, plans, strict=True) for x1, y1, x2, y2 in plan]
        results = iter(self._detect(crops))
        found = [[next(results) for _ in plan] for plan in plans]
        again = [self._looks_again(image.shape[:2], views[0]) for image, views in zip(images, found, strict=True)]
        mirrored = [
            np.asarray(cv2.flip(image, 1), np.uint8) for image, twice in zip(images, again, strict=True) if twice
        ]
        reflections = iter(self._detect(mirrored))
        return [
            self._persons(image.shape[:2], plan, views, next(reflections) if twice else None)
            for image, plan, views, twice in zip(images, plans, found, again, strict=True)
        ]

    def _looks_again(self, image_size: tuple[int, int], found: Found) -> bool:
        """Whether the mirrored frame is looked at too, after what the frame itself showed."""
        if tiling.resolve(image_size, self.tile) != "mirror":
            return False
        return mirroring.leaves_doubt(self.selection(*found, image_size).scores)

    def _persons(
        self, image_size: tuple[int, int], plan: list[tiling.Window], found: list[Found], reflection: Found | None
    ) -> Detections:
        """Joins the detections of one image's views, given in pixels of each view."""
        if reflection is not None:
            mirrored = mirroring.unmirror(reflection[0], image_size[1])
            return self.selection(*mirroring.agree(*found[0], mirrored, reflection[1]), image_size)
        boxes = [b + np.array([x, y, x, y], np.float32) for (b, _), (x, y, _, _) in zip(found, plan, strict=True)]
        scores = [s for _, s in found]
        if len(plan) == 1:
            return self.selection(boxes[0], scores[0], image_size)
        return self.selection(*tiling.merge(plan, boxes, scores, image_size), image_size)

    def _detect(self, crops: Sequence[UInt8Array]) -> list[Found]:
        """Boxes (N, 4) in pixels of each crop, not clipped, and scores (N,), after the graph's own suppression."""
        results = []
        for start in range(0, len(crops), self._batch):
            batch = crops[start : start + self._batch]
            outputs = self._engine.run({"images": self._input(batch)})
            boxes, scores = to_numpy(outputs["boxes"]), to_numpy(outputs["scores"])
            for crop, b, s in zip(batch, boxes, scores, strict=True):
                height, width = crop.shape[:2]
                likely = s >= self.selection.score_threshold
                b, s = b[likely], s[likely]
                keep = box_ops.nms(b, s, NMS_IOU)[:MAX_DETECTIONS]
                results.append((b[keep] * np.array([width, height, width, height], np.float32), s[keep]))
        return results

    @staticmethod
    def _input(crops: Sequence[UInt8Array]) -> UInt8Array:
        """(B, 300, 300, 3)."""
        shape = (INPUT_SIZE, INPUT_SIZE)
        return np.stack([cv2.resize(crop, shape, interpolation=cv2.INTER_LINEAR) for crop in crops])
