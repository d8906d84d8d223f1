"""The real detectron2, where it is installed: `detectron2:CONFIG`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sf_detect.detection.selection import Selection, require_images
from sf_detect.errors import ConfigError, UnknownNameError, WeightsError
from sf_detect.structures import Detections, UInt8Array

DEFAULT_SELECTION = Selection(score_threshold=0.5)

_GUIDE = "https://detectron2.readthedocs.io/en/latest/tutorials/install.html"


class Detectron2Detector:
    """Any detector of detectron2 as a `PersonDetector`.

    Args:
        predictor: Takes a BGR uint8 image (H, W, 3), returns `{"instances": Instances}` as `DefaultPredictor` does.
        class_names: Name of each of the predictor's classes.
        selection: Which detections to keep.
        classes: Names of the classes to keep.

    Raises:
        UnknownNameError: A class is not among the predictor's.
    """

    def __init__(
        self,
        predictor: Callable[[UInt8Array], dict[str, Any]],
        class_names: Sequence[str],
        selection: Selection | None = None,
        classes: Sequence[str] = ("person",),
    ) -> None:
        for name in classes:
            if name not in class_names:
                raise UnknownNameError("detector class", name, class_names)
        self.predictor, self.selection = predictor, selection or DEFAULT_SELECTION
        self._wanted = [i for i, name in enumerate(class_names) if name in classes]

    def __call__(self, images: Sequence[UInt8Array]) -> list[Detections]:
        """Persons of each RGB uint8 image (H, W, 3); see `PersonDetector`.

        Raises:
            ValueError: An image has another shape or type.
        """
        require_images(images)
        return [self._detect(image) for image in images]

    def _detect(self, image: UInt8Array) -> Detections:
        found = self.predictor(np.ascontiguousarray(image[:, :, ::-1]))["instances"].to("cpu")
        keep = np.isin(found.pred_classes.numpy(), self._wanted)
        boxes, scores = found.pred_boxes.tensor.numpy()[keep], found.scores.numpy()[keep]
        return self.selection(boxes, scores, image.shape[:2])


def build_detectron2(
    config: str,
    selection: Selection | None = None,
    classes: Sequence[str] = ("person",),
    weights: str | Path | None = None,
    device: torch.device | str = "cpu",
) -> Detectron2Detector:
    """A detector from a configuration of detectron2, which reads and, where needed, downloads its weights itself.

    detectron2 reads pickles without restrictions: use files only from where you trust the publisher to run code. The
    zoo's Faster R-CNNs run without it, under their own names (`faster_rcnn_R_50_FPN_3x`).

    Args:
        config: A YAML file, or a name of its zoo such as "COCO-Detection/faster_rcnn_R_50_FPN_3x.yaml".
        selection: Which detections to keep; None takes the defaults.
        classes: Names of the classes to keep.
        weights: A file instead of the configuration's weights.
        device: Where the network runs.

    Raises:
        ConfigError: detectron2 is not installed, or does not accept the configuration.
        UnknownNameError: The detector has no such class.
        WeightsError: The weights cannot be loaded.
    """
    try:
        from detectron2 import model_zoo
        from detectron2.config import get_cfg
        from detectron2.data import MetadataCatalog
        from detectron2.engine import DefaultPredictor
    except ImportError as error:
        raise ConfigError(
            f"the detector detectron2:{config} needs detectron2, which cannot be imported ({error}). Install it as its "
            f"guide says, {_GUIDE}, or use a detector that needs no more than this package, such as "
            "faster_rcnn_R_50_FPN_3x."
        ) from error
    settings = get_cfg()
    named = not Path(config).is_file()
    try:
        settings.merge_from_file(model_zoo.get_config_file(config) if named else config)
        settings.MODEL.WEIGHTS = str(weights or (model_zoo.get_checkpoint_url(config) if named else "")) or (
            settings.MODEL.WEIGHTS
        )
    except Exception as error:  # its configuration raises many kinds
        raise ConfigError(
            f"detectron2 does not accept the configuration {config}: {error}. Expected a YAML file or a name of its "
            "zoo, such as COCO-Detection/faster_rcnn_R_50_FPN_3x.yaml."
        ) from error
    chosen = selection or DEFAULT_SELECTION
    settings.MODEL.DEVICE = str(device)
    settings.MODEL.ROI_HEADS.SCORE_THRESH_TEST = chosen.score_threshold
    settings.MODEL.RETINANET.SCORE_THRESH_TEST = chosen.score_threshold
    names = MetadataCatalog.get(settings.DATASETS.TRAIN[0]).get("thing_classes") or []
    try:
        predictor = DefaultPredictor(settings)
    except Exception as error:  # files that are absent, damaged or of another network
        raise WeightsError(
            f"detectron2 cannot build {config} with the weights {settings.MODEL.WEIGHTS}: {error}. Give a checkpoint "
            "of this configuration (--set detector.weights=FILE)."
        ) from error
    return Detectron2Detector(predictor, names, chosen, classes)
