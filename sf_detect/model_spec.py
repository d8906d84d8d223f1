"""What an action model tells about itself: all that anything outside the model needs to know of it."""

from __future__ import annotations

from dataclasses import dataclass

from sf_detect.box_regression import BoxRegression
from sf_detect.structures import ClipSpec
from sf_detect.thresholds import ACTION

DEFAULT_THRESHOLD = 0.25
"""Decision threshold of a class whose weights bring none."""


@dataclass(frozen=True)
class ModelSpec:
    """The contract of an action model, beside its calls; see `interfaces.ActionModel`.

    Attributes:
        name: For people to read.
        labels: C class names; none for a model that scores nothing.
        clip_spec: How its clips are sampled. It travels with the weights and is never a user's setting.
        short_side: Pixels of the shorter side that its pictures are resized to.
        label_ids: C ids of the classes in files, from 1 up; empty numbers them 1 to C.
        groups: C groups of the labels, "action" or "posture"; empty means actions. Each person has at most one posture
            with a score above 0.
        thresholds: C decision thresholds: scores from which an action counts; empty takes `DEFAULT_THRESHOLD`.
        box_regression: How the boxes of the detector that it names are moved before they are scored.
        warning: What a user must know of clip scores; None where there is nothing.
        backend: What computes it: "torch", "onnxruntime" or "openvino"; empty where nothing does.

    Raises:
        ValueError: There are not as many ids, thresholds or groups as labels.
    """

    name: str
    labels: tuple[str, ...]
    clip_spec: ClipSpec
    short_side: int = 256
    label_ids: tuple[int, ...] = ()
    thresholds: tuple[float, ...] = ()
    box_regression: BoxRegression | None = None
    warning: str | None = None
    backend: str = ""
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.labels)
        object.__setattr__(self, "labels", tuple(self.labels))
        object.__setattr__(self, "label_ids", tuple(self.label_ids) or tuple(range(1, count + 1)))
        object.__setattr__(self, "thresholds", tuple(self.thresholds) or (DEFAULT_THRESHOLD,) * count)
        object.__setattr__(self, "groups", tuple(self.groups) or (ACTION,) * count)
        for what, values in (
            ("label_ids", self.label_ids),
            ("thresholds", self.thresholds),
            ("groups", self.groups),
        ):
            if len(values) != count:
                raise ValueError(f"{what} has {len(values)} entries, expected {count}, one a label")


NO_MODEL = ModelSpec("none", (), ClipSpec(1, 1))
"""In place of an action model where only persons and tracks are wanted (`--model none`)."""
