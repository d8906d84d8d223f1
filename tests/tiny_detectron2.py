"""A small Faster R-CNN of detectron2's kind: its parameter names and their shapes."""

from __future__ import annotations

import torch

from sf_detect.detection.detectron2_weights import from_detectron2
from sf_detect.detection.detectron2_zoo import Architecture, build_network

TINY = Architecture((1, 1, 1, 1), width_per_group=4, pyramid_channels=8, representation=16)


def detectron2_names(layers: tuple[int, ...]) -> list[str]:
    """All names of a Faster R-CNN with FPN in a file of the zoo, written down from its modules."""
    norm = [f"norm.{leaf}" for leaf in ("weight", "bias", "running_mean", "running_var")]
    names = [f"backbone.bottom_up.stem.conv1.{leaf}" for leaf in ("weight", *norm)]
    for stage, blocks in enumerate(layers, start=2):
        for block in range(blocks):
            convolutions = ["conv1", "conv2", "conv3", *(["shortcut"] if block == 0 else [])]
            prefix = f"backbone.bottom_up.res{stage}.{block}"
            names += [f"{prefix}.{c}.{leaf}" for c in convolutions for leaf in ("weight", *norm)]
        names += [f"backbone.fpn_{kind}{stage}.{leaf}" for kind in ("lateral", "output") for leaf in ("weight", "bias")]
    heads = [f"proposal_generator.rpn_head.{n}" for n in ("conv", "objectness_logits", "anchor_deltas")]
    heads += [f"roi_heads.{n}" for n in ("box_head.fc1", "box_head.fc2", "box_predictor.cls_score")]
    heads += ["roi_heads.box_predictor.bbox_pred"]
    return names + [f"{head}.{leaf}" for head in heads for leaf in ("weight", "bias")]


def shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Shape of each array in a file of this network; there is no box for the background there."""
    with torch.device("meta"):
        ours = {key: tuple(value.shape) for key, value in build_network(architecture).state_dict().items()}
    result = {}
    for name in detectron2_names(architecture.layers):
        (key,) = from_detectron2({name: torch.zeros(4)})
        first, *rest = ours[key]
        result[name] = (first - 4 * ("roi_heads.box_predictor.bbox_pred" in name), *rest)
    return result
