"""COCO average precision of a person detector, computed by pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sf_detect.errors import ConfigError, MissingExtraError
from sf_detect.structures import Detections, FloatArray

NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
"""What is measured: see `person_ap`."""

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
    annotations = [
        _annotation(image, box, crowd)
        for image, (own, others) in enumerate(zip(truths, crowds, strict=True), start=1)
        for boxes, crowd in ((own, 0), (others, 1))
        for box in boxes
    ]
    dataset = {
        "images": [{"id": image} for image in range(1, len(truths) + 1)],
        "annotations": [{"id": number, **one} for number, one in enumerate(annotations, start=1)],
        "categories": [{"id": _PERSON, "name": "person"}],
    }
    rows = [
        {"image_id": image, "category_id": _PERSON, "bbox": xywh(box), "score": float(score)}
        for image, detections in enumerate(found, start=1)
        for box, score in zip(detections.boxes, detections.scores, strict=True)
    ]
    return coco_ap(dataset, rows, _PERSON)


def coco_ap(dataset: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], category: int) -> dict[str, float]:
    """The twelve numbers of COCO for one category.

    Args:
        dataset: Ground truth in the layout of COCO's annotation files: images, annotations, categories.
        rows: Detections in the layout of COCO's result files.
        category: Id of the category.

    Raises:
        MissingExtraError: pycocotools is not installed.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError:
        raise MissingExtraError("pycocotools", "coco", "COCO AP of the person detector") from None
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        coco = COCO()
        coco.dataset = {"info": {}, **dataset}
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(list(rows)) if rows else COCO(), "bbox")
        evaluation.params.imgIds, evaluation.params.catIds = sorted(coco.imgs), [category]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    # It marks what cannot be measured by -1.
    return {n: float(v) if v >= 0 else float("nan") for n, v in zip(NAMES, evaluation.stats, strict=True)}


def _annotation(image: int, box: FloatArray, crowd: int) -> dict[str, Any]:
    x, y, width, height = xywh(box)
    return {
        "image_id": image,
        "category_id": _PERSON,
        "bbox": [x, y, width, height],
        "area": width * height,
        "iscrowd": crowd,
    }


def xywh(box: FloatArray | Sequence[float]) -> list[float]:
    """A box as COCO writes it: left, top, width, height."""
    x1, y1, x2, y2 = (float(value) for value in box)
    return [x1, y1, x2 - x1, y2 - y1]


def xyxy(bbox: Sequence[float]) -> list[float]:
    """A box of COCO, left, top, width, height, by its corners."""
    x, y, width, height = (float(value) for value in bbox)
    return [x, y, x + width, y + height]
