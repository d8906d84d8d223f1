"""From a detector's name to the detector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sf_detect.detection import precomputed, tiling
from sf_detect.detection.selection import Selection
from sf_detect.detection.whole_frame import WholeFrameDetector
from sf_detect.engines import EngineOptions, engine_options
from sf_detect.errors import UnknownNameError
from sf_detect.interfaces import PersonDetector, TimedDetector
from sf_detect.weights.cache import Notify, print_to_terminal
from sf_detect.weights.detector_table import DETECTRON2, detector_entry
from sf_detect.weights.fetching import fetch_detector

if TYPE_CHECKING:
    import torch

DEFAULT = "ssdlite_person"

_PRECOMPUTED = "precomputed:"
_DETECTRON2 = "detectron2:"
_BATCH_GPU = 8  # views per pass; more only cost memory


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


def weak_scores(name: str) -> tuple[float, float] | None:
    """From which score on this detector's boxes may show a person, and from which on they continue a track.

    Boxes between the two are for whoever can tell people by other means. None where there are no such boxes.
    """
    return (0.1, 0.2) if name == DEFAULT else None


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
    engine: EngineOptions | None = None,
) -> PersonDetector | TimedDetector:
    """Builds a person detector.

    Args:
        name: One of `detector_names()`.
        device: Where the network runs, "cpu", "cuda", "cuda:1"; one that is there (`build.check_device`).
        score_threshold: Least score of a person; None takes the detector's own default.
        min_size: Least length of a box's longer side in pixels.
        max_persons: At most this many per image, best first; None keeps all.
        nms_iou: Overlap above which the weaker of two boxes goes; None takes the detector's own default.
        tile: `ssdlite_person` only: "auto", "mirror", "on", "fine" or "off", see `tiling.MODES`.
        classes: torchvision's and detectron2's detectors only: the COCO categories to keep.
        weights: A local file instead of the published weights.
        tolerance: `precomputed` only: seconds that a row may be away.
        notify: Receives one line of text at a time while weights are fetched.
        engine: `ssdlite_person` only: the backend, and how it is opened; None takes `engine_options()`.

    Raises:
        UnknownNameError: No such detector, or no such class.
        EngineError: The backend cannot build the network.
        ConfigError: A value out of range, or detectron2 is not installed.
        WeightsError: The weights cannot be fetched or read, or do not fit.
        DataError: The file of precomputed boxes is malformed.
    """

    given = {"score_threshold": score_threshold, "nms_iou": nms_iou}
    chosen = {key: value for key, value in given.items() if value is not None}
    adapted = partial(replace, min_size=min_size, max_persons=max_persons, **chosen)
    if name == "whole_frame":
        return WholeFrameDetector()
    if name.startswith(_PRECOMPUTED):
        selection = adapted(precomputed.DEFAULT_SELECTION)
        return precomputed.PrecomputedDetector(name.removeprefix(_PRECOMPUTED), tolerance, selection)
    if name == DEFAULT:
        from sf_detect.detection import ssdlite_person as ssd
        from sf_detect.detection.ssdlite_engine import ssdlite_engine

        selection = adapted(ssd.DEFAULT_SELECTION)
        tiling.require_mode(tile)  # before weights are fetched
        network = ssdlite_engine(engine or engine_options(), weights, str(device), notify)
        return ssd.SSDLitePersonDetector(network, selection, tile, 1 if str(device) == "cpu" else _BATCH_GPU)
    if name.startswith(_DETECTRON2):
        from sf_detect.detection import detectron2_adapter as adapter

        selection = adapted(adapter.DEFAULT_SELECTION)
        return adapter.build_detectron2(name.removeprefix(_DETECTRON2), selection, classes, weights, device)
    return _coco_detector(name, adapted, classes, weights, device, notify)


def fetch_weights(name: str, notify: Notify = print_to_terminal, urls: Sequence[str] = ()) -> Path:
    """The file of a detector's published weights; downloaded into the cache on first use.

    Args:
        name: Of the table of detectors.
        notify: Receives one line of text at a time while weights are fetched.
        urls: Addresses or local files to take it from instead of the published ones.

    Raises:
        UnknownNameError: No such detector.
        WeightsError: They cannot be fetched, do not fit, or are not kept by this package.
    """
    if name in {entry.name for entry in DETECTRON2}:
        from sf_detect.detection import detectron2_zoo as zoo

        return zoo.fetch_weights(name, notify, urls)
    return fetch_detector(detector_entry(name), notify, urls)


def _coco_detector(
    name: str,
    adapted: Callable[[Selection], Selection],
    classes: Sequence[str],
    weights: str | Path | None,
    device: torch.device | str,
    notify: Notify,
) -> PersonDetector:
    """One of torchvision's detectors, or of detectron2's in torchvision modules."""
    if name in {entry.name for entry in DETECTRON2}:
        from sf_detect.detection import detectron2_zoo as zoo

        selection = adapted(zoo.DEFAULT_SELECTION)
        return zoo.Detectron2ZooDetector(
            zoo.load_network(name, weights, notify, selection.score_threshold), selection, classes, device
        )
    from sf_detect.detection import coco  # torchvision takes a while to import

    if name not in coco.names():
        raise UnknownNameError("detector", name, detector_names())
    selection = adapted(coco.DEFAULT_SELECTION)
    network, categories = coco.load_coco_network(name, weights, notify)
    return coco.CocoDetector(network, categories, selection, classes, device)
