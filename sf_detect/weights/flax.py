"""Inception-I3D's flax variables, as tensors under the names of our network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sf_detect.pickles import array_of

_BLOCKS = tuple(f"Mixed_{name}" for name in ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c"))
_STAGE_NAMES = {
    "Conv3d_1a_7x7": "stages.conv_1a",
    "Conv3d_2b_1x1": "stages.conv_2b",
    "Conv3d_2c_3x3": "stages.conv_2c",
}
_BRANCH_NAMES = {
    "Branch_0/Conv3d_0a_1x1": "branch0",
    "Branch_1/Conv3d_0a_1x1": "branch1.0",
    "Branch_1/Conv3d_0b_3x3": "branch1.1",
    "Branch_2/Conv3d_0a_1x1": "branch2.0",
    "Branch_2/Conv3d_0b_3x3": "branch2.1",
    "Branch_3/Conv3d_0b_1x1": "branch3.1",
}


def _tensor(value: object) -> Tensor:
    return torch.from_numpy(np.array(array_of(value)))


def _unit_state(prefix: str, params: Mapping[str, Any], stats: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of one `Unit3D`; flax keeps kernels as (T, H, W, in, out)."""
    kernel = _tensor(params["Conv_0"]["kernel"]).permute(4, 3, 0, 1, 2).contiguous()
    bias = _tensor(params["BatchNorm_0"]["bias"]).reshape(-1)
    mean = _tensor(stats["BatchNorm_0"]["mean"]).reshape(-1)
    variance = _tensor(stats["BatchNorm_0"]["var"]).reshape(-1)
    return {
        f"{prefix}.conv.weight": kernel,
        f"{prefix}.bn.weight": torch.ones_like(bias),
        f"{prefix}.bn.bias": bias,
        f"{prefix}.bn.running_mean": mean,
        f"{prefix}.bn.running_var": variance,
        f"{prefix}.bn.num_batches_tracked": torch.tensor(0),
    }


def convert_flax_state(tree: Mapping[str, Any]) -> dict[str, Tensor]:
    """The state dict of `InceptionI3D` from the nested dicts of the flax checkpoint (`params`, `batch_stats`)."""
    params, stats = tree["params"], tree["batch_stats"]
    state: dict[str, Tensor] = {}
    for source, target in _STAGE_NAMES.items():
        state |= _unit_state(target, params[source], stats[source])
    for source in _BLOCKS:
        block = source.lower()
        for branch, target in _BRANCH_NAMES.items():
            state |= _unit_state(f"stages.{block}.{target}", params[source][branch], stats[source][branch])
    head = params["Logits/Conv3d_0c_1x1"]["Conv_0"]
    state["classifier.weight"] = _tensor(head["kernel"]).permute(4, 3, 0, 1, 2).contiguous()
    state["classifier.bias"] = _tensor(head["bias"]).reshape(-1)
    return state
