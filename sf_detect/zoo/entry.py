"""What the zoo knows of one model: weights, network and preprocessing, bound together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sf_detect.structures import ClipSpec
from sf_detect.weights.sdist import SdistMember

if TYPE_CHECKING:
    from torch import nn

OWN_WEIGHTS = "no public checkpoint is known; sf-detect reads one of your own"
"""The remark on a network without published weights."""


@dataclass(frozen=True)
class ZooEntry:
    """Weights, their network and their preprocessing.

    Attributes:
        name: What users call it.
        builder: Builds the network, without weights; takes keyword options of the network (`causal`).
        clip_spec: How clips are sampled.
        num_classes: Columns of the scores.
        labels: Name of the label set.
        activation: "sigmoid", "softmax" or "softmax_or_none"; see `models.classification_head.activate`.
        task: "detection" (scores boxes) or "classification" (scores clips).
        alpha: Frame-rate ratio; None for one pathway.
        slow_index_rule: See `sf_detect.models.slow_index`.
        mean, std: Per channel, for pixels in [0, 1].
        channel_order: "rgb" or "bgr", of the network's input.
        short_side: Pixels of the shorter side that the published figure was measured at.
        aligned: RoIAlign's half-pixel correction; None for a classifier.
        detector_threshold: Person score below which boxes were left out in the published figure; None for a
            classifier, and where the figure was measured on true boxes.
        urls: Where the file is, mirrors after the first.
        sha256: Of the file, where published.
        file_format: "caffe2", "pyslowfast", "pytorchvideo", "flax", "safetensors". Information only: content decides.
        licence: Of the weights, as far as their publisher says; empty where none are published.
        metric: The published figure; empty where there is none.
        metric_source: Where it was published.
        remark: What else a user should know.
        shipped: The file, where it ships with the package.
        sdist: The file, where it was published inside a source distribution.
        backbone: Entry whose weights fill the network's backbone, where `shipped` or a file holds the head alone.
        crop: Side of the square crops that a classifier was tested on, in pixels; None where it is `short_side`.
        fast_input: What the fast pathway, or the only one, is shown: "rgb", or "flow" (optical flow between the clip's
            frames, cut at 20 pixels, in [-1, 1]). A network of RGB and flow is one of two pathways, RGB first.
        short_video: What a classifier sees of a video shorter than its clip: "hold" (the last frame stands still) or
            "loop" (the video starts over).
        views: Of the published figure of a classifier, clips by crops, such as "10x3"; empty where it is another way.
        whole_video: The frames of a classifier's clip are spread over the whole video, whatever its length: one clip.
        max_bytes: Longest file that is taken as a download; None for the bound of all downloads.
        view_scores: How a classifier's scores of the views become those of the video, "mean" or "max".
    """

    name: str
    builder: Callable[..., nn.Module]
    clip_spec: ClipSpec
    num_classes: int
    labels: str
    activation: str = "softmax"
    task: str = "classification"
    alpha: int | None = None
    slow_index_rule: str = "linspace"
    mean: tuple[float, float, float] = (0.45, 0.45, 0.45)
    std: tuple[float, float, float] = (0.225, 0.225, 0.225)
    channel_order: str = "rgb"
    short_side: int = 256
    aligned: bool | None = None
    detector_threshold: float | None = None
    urls: tuple[str, ...] = ()
    sha256: str | None = None
    file_format: str = "pyslowfast"
    licence: str = ""
    metric: str = ""
    metric_source: str = ""
    remark: str = ""
    shipped: Path | None = None
    sdist: SdistMember | None = None
    backbone: str | None = None
    crop: int | None = None
    short_video: str = "hold"
    fast_input: str = "rgb"
    views: str = ""
    whole_video: bool = False
    view_scores: str = "mean"
    max_bytes: int | None = None

    @property
    def convertible(self) -> bool:
        """Whether other backends than torch compute the network, see `zoo.slowfast_tiny_engines`."""
        return isinstance(self.builder, partial) and self.builder.args[:1] == ("slowfast_tiny",)

    @property
    def slow_index(self) -> tuple[int, ...] | None:
        """Which clip frames the slow pathway takes; None for one pathway."""
        if self.alpha is None:
            return None
        from sf_detect.models.slow_index import slow_index

        return tuple(slow_index(self.clip_spec.num_frames, self.alpha, self.slow_index_rule))


def build(family: str, function: str, *args: Any, **options: Any) -> nn.Module:
    # Imported late: listing the zoo needs no torch.
    return getattr(import_module(f"sf_detect.models.{family}"), function)(*args, **options)
