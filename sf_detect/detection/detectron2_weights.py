"""Checkpoints of detectron2's Faster R-CNN, under torchvision's names and in torchvision's order of classes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from sf_detect.errors import WeightsFormatError
from sf_detect.weights.array_pickles import load_arrays, to_tensor
from sf_detect.weights.checkpoint import read_checkpoint
from sf_detect.weights.naming import renamed
from sf_detect.weights.torch_file import LEGACY_START

_NORM = r"(?P<norm>\.norm)?\.(?P<leaf>weight|bias|running_mean|running_var)$"
_LEAF = r"\.(?P<leaf>weight|bias)$"
_RULES = tuple(
    (re.compile(pattern), target)
    for pattern, target in (
        (rf"^backbone\.bottom_up\.stem\.conv1{_NORM}", "backbone.body.{kind}1.{leaf}"),
        (
            rf"^backbone\.bottom_up\.res(?P<stage>[2-5])\.(?P<block>\d+)\.conv(?P<conv>[123]){_NORM}",
            "backbone.body.layer{layer}.{block}.{kind}{conv}.{leaf}",
        ),
        (
            rf"^backbone\.bottom_up\.res(?P<stage>[2-5])\.(?P<block>\d+)\.shortcut{_NORM}",
            "backbone.body.layer{layer}.{block}.downsample.{second}.{leaf}",
        ),
        (rf"^backbone\.fpn_lateral(?P<stage>[2-5]){_LEAF}", "backbone.fpn.inner_blocks.{level}.0.{leaf}"),
        (rf"^backbone\.fpn_output(?P<stage>[2-5]){_LEAF}", "backbone.fpn.layer_blocks.{level}.0.{leaf}"),
        (rf"^proposal_generator\.rpn_head\.conv{_LEAF}", "rpn.head.conv.0.0.{leaf}"),
        (rf"^proposal_generator\.rpn_head\.objectness_logits{_LEAF}", "rpn.head.cls_logits.{leaf}"),
        (rf"^proposal_generator\.rpn_head\.anchor_deltas{_LEAF}", "rpn.head.bbox_pred.{leaf}"),
        (rf"^roi_heads\.box_head\.fc(?P<fc>[12]){_LEAF}", "roi_heads.box_head.fc{torchvision_fc}.{leaf}"),
        (rf"^roi_heads\.box_predictor\.(?P<head>cls_score|bbox_pred){_LEAF}", "roi_heads.box_predictor.{head}.{leaf}"),
    )
)  # fmt: skip
# What the network computes itself or is given.
_IGNORED = re.compile(
    r"^(pixel_mean|pixel_std|proposal_generator\.anchor_generator\.cell_anchors\.\d+)$|\.num_batches_tracked$"
)
_EXPECTED = (
    "Expected a file of detectron2's model zoo: a pickle, or a PyTorch file, that holds {'model': {name: array}}"
)


def read_detectron2(path: str | Path) -> dict[str, Tensor]:
    """The weights of a detectron2 checkpoint under detectron2's own names, without running code from it.

    Args:
        path: A `.pkl` of the model zoo, a `.pth` that detectron2 saved, or safetensors; the content decides.

    Raises:
        WeightsFormatError: The file cannot be read, is damaged, or holds something else.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise WeightsFormatError(f"cannot read the weights {path}: it is no file. {_EXPECTED}.")
        data = path.read_bytes()
    except OSError as error:
        raise WeightsFormatError(f"cannot read the weights {path}: {error.strerror or error}. {_EXPECTED}.") from error
    if data.startswith((b"PK\x03\x04", LEGACY_START)) or data[8:9] == b"{":
        return dict(read_checkpoint(path).state)
    try:
        content = load_arrays(data)
    except WeightsFormatError as error:
        raise WeightsFormatError(f"cannot read the weights {path}: {error}. {_EXPECTED}.") from error
    arrays = content.get("model") if isinstance(content, dict) else None
    if not isinstance(arrays, dict) or not arrays:
        got = [str(key) for key in list(content)[:8]] if isinstance(content, dict) else type(content).__name__
        backbone = (
            "; this is an ImageNet backbone, not a detector" if isinstance(content, dict) and "blobs" in got else ""
        )
        raise WeightsFormatError(f"{path} holds {got}{backbone}. {_EXPECTED}.")
    return {str(name): to_tensor(value, str(name), path) for name, value in arrays.items()}


def from_detectron2(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A detectron2 Faster R-CNN with FPN under torchvision's names.

    detectron2 puts the background after the classes and regresses no box for it; torchvision puts it first and does.
    A name that no rule knows is kept, so that strict loading lists it.
    """
    ours = renamed({name: value for name, value in state.items() if not _IGNORED.search(name)}, _rename)
    for name, value in ours.items():
        if not value.ndim:
            continue  # of another shape, as strict loading will say
        if name.startswith("roi_heads.box_predictor.cls_score."):
            ours[name] = value.roll(1, 0)
        elif name.startswith("roi_heads.box_predictor.bbox_pred."):
            ours[name] = torch.cat([value.new_zeros(4, *value.shape[1:]), value])
    return ours


def _rename(name: str) -> str:
    for pattern, target in _RULES:
        match = pattern.match(name)
        if match is None:
            continue
        groups = match.groupdict()
        is_norm = groups.get("norm") is not None
        stage = int(groups.get("stage") or 0)
        return target.format(
            **groups,
            kind="bn" if is_norm else "conv",
            second=int(is_norm),
            layer=stage - 1,
            level=stage - 2,
            torchvision_fc=int(groups.get("fc") or 0) + 5,
        )
    return name
