"""COCO average precision of a person detector, computed by pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from sf_detect.errors import ConfigError, MissingExtraError
from sf_detect.structures import Detections, FloatArray

_NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
_PERSON = 1


def person_ap(
    truths: Sequence[FloatArray], found: Sequence[Detections], crowds: Sequence[FloatArray] | None = None
) -> dict[str, float]:
    """The twelve numbers of COCO for the class person.

    Args:
        truths: (M, 4) float xyxy pixels for every image.
        found: Detections of every image.
        crowds: (K, 4) boxes of every image within which detections are neither right nor wrong.

    Returns:
        AP (mean over IoU 0.5 to 0.95), AP50, AP75, APs, APm, APl (small, medium, large) and the recalls AR1, AR10,
        AR100, ARs, ARm, ARl, in [0, 1]; NaN where there is no ground truth of that size.

    Raises:
        ConfigError: Different numbers of images.
        MissingExtraError: pycocotools is not installed.
    """
    crowds = crowds if crowds is not None else [np.zeros((0, 4))] * len(truths)
    if not len(truths) == len(found) == len(crowds):
        raise ConfigError(
            f"ground truth, detections and crowds are for the same images, got {len(truths)}, {len(found)} and "
            f"{len(crowds)}"
        )
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError:
        raise MissingExtraError("pycocotools", "coco", "COCO AP of the person detector") from None
    annotations = [
        _annotation(image, box, crowd)
        for image, (own, others) in enumerate(zip(truths, crowds, strict=True), start=1)
        for boxes, crowd in ((own, 0), (others, 1))
        for box in boxes
    ]
    for number, annotation in enumerate(annotations, start=1):
        annotation["id"] = number
    coco = COCO()
    coco.dataset = {
        "info": {},
        "images": [{"id": image} for image in range(1, len(truths) + 1)],
        "annotations": annotations,
        "categories": [{"id": _PERSON, "name": "person"}],
    }
    rows = [
        {"image_id": image, "category_id": _PERSON, "bbox": _xywh(box), "score": float(score)}
        for image, detections in enumerate(found, start=1)
        for box, score in zip(detections.boxes, detections.scores, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(rows) if rows else COCO(), "bbox")
        evaluation.params.imgIds, evaluation.params.catIds = list(range(1, len(truths) + 1)), [_PERSON]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    # It marks what cannot be measured by -1.
    return {n: float(v) if v >= 0 else float("nan") for n, v in zip(_NAMES, evaluation.stats, strict=True)}


def _annotation(image: int, box: FloatArray, crowd: int) -> dict[str, Any]:
    x, y, width, height = _xywh(box)
    return {
        "image_id": image,
        "category_id": _PERSON,
        "bbox": [x, y, width, height],
        "area": width * height,
        "iscrowd": crowd,
    }


def _xywh(box: FloatArray) -> list[float]:
    x1, y1, x2, y2 = (float(value) for value in box)
    return [x1, y1, x2 - x1, y2 - y1]
