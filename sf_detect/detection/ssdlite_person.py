"""`ssdlite_person`, the default detector: small, fast on a CPU, and with weights that pip can fetch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from sf_detect import boxes as box_ops
from sf_detect.detection import mirroring, tiling
from sf_detect.detection.selection import Selection, require_images
from sf_detect.detection.ssdlite import SSDLite
from sf_detect.detection.ssdlite_layers import INPUT_SIZE, MAX_DETECTIONS, NMS_IOU
from sf_detect.structures import Detections, FloatArray, UInt8Array
from sf_detect.weights.cache import Notify, print_to_terminal
from sf_detect.weights.detector_table import detector_entry
from sf_detect.weights.fetching import fetch_detector
from sf_detect.weights.frozen_graph import read_constants

DEFAULT_SELECTION = Selection(score_threshold=0.2, part_share=0.85)
"""Low, because a tracker uses weak boxes to follow persons it knows (see `names.track_score`); without one, 0.4."""

Found = tuple[FloatArray, FloatArray]
"""Boxes (N, 4) in pixels of a view, and scores (N,)."""

_BATCH = 8  # more views per pass only cost memory
_BATCH_CPU = 1  # the maps of one view fit the caches: two at once took 100 ms on a core where one took 36


class SSDLitePersonDetector:
    """Persons by SSDLite; a `PersonDetector`.

    Args:
        network: An `SSDLite` with its weights.
        selection: Which detections to keep; None takes the defaults.
        tile: One of `tiling.MODES`.
        device: Where the network runs.

    Raises:
        ConfigError: `tile` is not a mode.
    """

    def __init__(
        self,
        network: nn.Module,
        selection: Selection | None = None,
        tile: str = "auto",
        device: torch.device | str = "cpu",
    ) -> None:
        self.selection = selection or DEFAULT_SELECTION
        self.tile = tiling.require_mode(tile)
        self.device = torch.device(device)
        self.network = network.eval().to(self.device).to(memory_format=torch.channels_last)

    def __call__(self, images: Sequence[UInt8Array]) -> list[Detections]:
        """Persons of each RGB uint8 image (H, W, 3); see `PersonDetector`.

        Raises:
            ValueError: An image has another shape or type.
        """
        require_images(images)
        plans = [tiling.windows(image.shape[:2], self.tile) for image in images]
        crops = [image[y1:y2, x1:x2] for image, plan in zip(images, plans, strict=True) for x1, y1, x2, y2 in plan]
        twice = [tiling.resolve(image.shape[:2], self.tile) == "mirror" for image in images]
        mirrored = [image[:, ::-1] for image, again in zip(images, twice, strict=True) if again]
        results = self._detect([*crops, *map(np.ascontiguousarray, mirrored)])
        found, reflections = iter(results[: len(crops)]), iter(results[len(crops) :])
        return [
            self._persons(image.shape[:2], plan, [next(found) for _ in plan], next(reflections) if again else None)
            for image, plan, again in zip(images, plans, twice, strict=True)
        ]

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
        size = _BATCH_CPU if self.device.type == "cpu" else _BATCH
        for start in range(0, len(crops), size):
            batch = crops[start : start + size]
            with torch.inference_mode():
                boxes, scores = self.network(self._input(batch))
            for crop, b, s in zip(batch, boxes.cpu().numpy(), scores.cpu().numpy(), strict=True):
                height, width = crop.shape[:2]
                likely = s >= self.selection.score_threshold
                b, s = b[likely], s[likely]
                keep = box_ops.nms(b, s, NMS_IOU)[:MAX_DETECTIONS]
                results.append((b[keep] * np.array([width, height, width, height], np.float32), s[keep]))
        return results

    def _input(self, crops: Sequence[UInt8Array]) -> Tensor:
        """(B, 3, 300, 300) float32 in [-1, 1]."""
        shape = (INPUT_SIZE, INPUT_SIZE)
        stacked = np.stack([cv2.resize(crop, shape, interpolation=cv2.INTER_LINEAR) for crop in crops])
        pixels = torch.from_numpy(stacked).to(self.device)
        return pixels.permute(0, 3, 1, 2).to(torch.float32).mul_(2 / 255).sub_(1)


def load_ssdlite_person(weights: str | Path | None = None, notify: Notify = print_to_terminal) -> SSDLite:
    """The network with its weights.

    Args:
        weights: A frozen graph (`.pb`) of this network; None fetches the published one on first use.
        notify: Receives one line of text at a time while fetching.

    Raises:
        WeightsError: The weights cannot be fetched or read, or do not fit.
    """
    network = SSDLite()
    path = Path(weights) if weights is not None else fetch_detector(detector_entry("ssdlite_person"), notify)
    network.load_constants(read_constants(path, network.layers.constant_names()))
    return network
