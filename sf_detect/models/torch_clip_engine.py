"""Any network of the zoo that scores boxes, as an engine on torch."""

from __future__ import annotations

import torch
from torch import nn

from sf_detect.engines import TensorSpec
from sf_detect.engines.torch_engine import Tensors, TorchEngine
from sf_detect.models.predictor import Preprocessing

INPUTS = {
    "frames": TensorSpec("uint8", ("batch", "frames", "height", "width", 3)),
    "boxes": TensorSpec("float32", ("persons", 5)),
}
OUTPUTS = {"logits": TensorSpec("float32", ("persons", "classes"))}


def torch_clip_engine(
    network: nn.Module, preprocessing: Preprocessing, device: torch.device | str = "cpu"
) -> TorchEngine:
    """`frames` (B, T, h, w, 3) uint8 RGB of the network's size and `boxes` (N, 5) to `logits` (N, C).

    Args:
        network: `network(pathways, boxes)` returns (N, C) logits; put into evaluation mode here.
        preprocessing: What it expects of its input.
        device: Where it runs.
    """
    network = network.eval().to(device)

    def score(inputs: Tensors) -> Tensors:
        return {"logits": network(preprocessing.pack(inputs["frames"]), inputs["boxes"]).float()}

    return TorchEngine(score, INPUTS, OUTPUTS, device)
