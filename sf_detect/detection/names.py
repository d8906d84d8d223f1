"""From a detector's name to the detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from sf_detect.detection import precomputed, tiling
from sf_detect.detection.selection import Selection
from sf_detect.detection.whole_frame import WholeFrameDetector
from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.interfaces import PersonDetector, TimedDetector
from sf_detect.weights.cache import Notify, print_to_terminal
from sf_detect.weights.detector_table import DETECTRON2

DEFAULT = "ssdlite_person"

_PRECOMPUTED = "precomputed:"
_DETECTRON2 = "detectron2:"


def detector_names() -> list[str]:
    """What `build_detector` accepts, the default first; `precomputed:FILE.csv`, `detectron2:CONFIG` stand for any."""
    from sf_detect.detection import coco

    patterns = [f"{_PRECOMPUTED}FILE.csv", f"{_DETECTRON2}CONFIG"]
    return [DEFAULT, "whole_frame", *patterns, *(e.name for e in DETECTRON2), *coco.names()]


def track_score(name: str) -> float:
    """The score from which this detector's persons should start a track, by default.

    `ssdlite_person` also reports weaker boxes, which are good enough to follow a person who is tracked already. The
    others report only what they are sure of.
    """
    return 0.4 if name == DEFAULT else 0.0


def build_detector(
    name: str = DEFAULT,
    *,
    device: torch.device | str = "cpu",
    score_threshold: float | None = None,
    min_size: float = 0.0,
    max_persons: int | None = None,
    nms_iou: float | None = None,
    tile: str = "auto",
    classes: Sequence[str] = ("person",),
    weights: str | Path | None = None,
    tolerance: float = 0.5,
    notify: Notify = print_to_terminal,
) -> PersonDetector | TimedDetector:
    """Builds a person detector.

    Args:
        name: One of `detector_names()`.
        device: Where the network runs, "cpu", "cuda", "cuda:1".
        score_threshold: Least score of a person; None takes the detector's own default.
        min_size: Least length of a box's longer side in pixels.
        max_persons: At most this many per image, best first; None keeps all.
        nms_iou: Overlap above which the weaker of two boxes goes; None takes the detector's own default.
        tile: `ssdlite_person` only: "auto", "on", "fine" or "off", see `tiling.MODES`.
        classes: torchvision's and detectron2's detectors only: the COCO categories to keep.
        weights: A local file instead of the published weights.
        tolerance: `precomputed` only: seconds that a row may be away.
        notify: Receives one line of text at a time while weights are fetched.

    Raises:
        UnknownNameError: No such detector, or no such class.
        ConfigError: A value out of range, a device that this machine lacks, or detectron2 is not installed.
        WeightsError: The weights cannot be fetched or read, or do not fit.
        DataError: The file of precomputed boxes is malformed.
    """

    def adapted(default: Selection) -> Selection:
        given = {"score_threshold": score_threshold, "nms_iou": nms_iou}
        chosen = {key: value for key, value in given.items() if value is not None}
        return replace(default, min_size=min_size, max_persons=max_persons, **chosen)

    if name == "whole_frame":
        return WholeFrameDetector()
    if name.startswith(_PRECOMPUTED):
        selection = adapted(precomputed.DEFAULT_SELECTION)
        return precomputed.PrecomputedDetector(name.removeprefix(_PRECOMPUTED), tolerance, selection)
    where = _require_device(device)
    if name == DEFAULT:
        from sf_detect.detection import ssdlite_person as ssd

        selection = adapted(ssd.DEFAULT_SELECTION)
        tiling.require_mode(tile)  # before weights are fetched
        return ssd.SSDLitePersonDetector(ssd.load_ssdlite_person(weights, notify), selection, tile, where)
    if name.startswith(_DETECTRON2):
        from sf_detect.detection import detectron2_adapter as adapter

        selection = adapted(adapter.DEFAULT_SELECTION)
        return adapter.build_detectron2(name.removeprefix(_DETECTRON2), selection, classes, weights, where)
    if name in {entry.name for entry in DETECTRON2}:
        from sf_detect.detection import detectron2_zoo as zoo

        selection = adapted(zoo.DEFAULT_SELECTION)
        return zoo.Detectron2ZooDetector(
            zoo.load_network(name, weights, notify, selection.score_threshold), selection, classes, where
        )
    from sf_detect.detection import coco  # torchvision takes a while to import

    if name not in coco.names():
        raise UnknownNameError("detector", name, detector_names())
    selection = adapted(coco.DEFAULT_SELECTION)
    network, categories = coco.load_coco_network(name, weights, notify)
    return coco.CocoDetector(network, categories, selection, classes, where)


def _require_device(device: torch.device | str) -> torch.device:
    try:
        where = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"device {device!r} is not known, expected cpu, cuda or cuda:N.") from error
    if where.type == "cuda" and (where.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"device {str(device)!r} is not available: PyTorch sees {torch.cuda.device_count()} CUDA devices. "
            "Use --device cpu, or install a CUDA build of PyTorch and a driver."
        )
    return where
