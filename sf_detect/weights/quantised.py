"""Weights stored in eight bits: half the size of float16, for files that ship inside the package.

Every large tensor is kept as int8 with one scale per output channel; the scale lies beside it under the tensor's name
and `SCALE`. Arithmetic stays in float32: the values are spread out again when the file is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from sf_detect.errors import WeightsFormatError

SCALE = ".int8_scale"
#: Smaller tensors are not worth it, and biases need their precision.
_LEAST_VALUES = 2048


def quantise(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with its large weights as int8 and scale (float32, one per row), the rest as float16."""
    stored: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if tensor.ndim < 2 or tensor.numel() < _LEAST_VALUES:
            stored[name] = tensor.detach().half().contiguous()
            continue
        rows = tensor.detach().float().flatten(1)
        scale = rows.abs().amax(1).clamp(min=1e-12) / 127
        stored[name] = (rows / scale[:, None]).round().to(torch.int8).view(tensor.shape).contiguous()
        stored[name + SCALE] = scale
    return stored


def dequantise(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict that `quantise` was given, in float32 where it was stored in eight bits; others pass unchanged.

    Raises:
        WeightsFormatError: A scale is not one finite number for each row of a tensor of eight bits.
    """
    state: dict[str, Tensor] = {}
    for name, tensor in stored.items():
        if name.endswith(SCALE) and name.removesuffix(SCALE) in stored:
            continue
        scale = stored.get(name + SCALE)
        if scale is not None:
            _require_scale(name, tensor, scale)
            tensor = tensor.float() * scale.view(-1, *[1] * (tensor.ndim - 1))
        state[name] = tensor
    return state


def _require_scale(name: str, tensor: Tensor, scale: Tensor) -> None:
    fits = tensor.dtype == torch.int8 and tensor.ndim > 0 and scale.shape == tensor.shape[:1]
    if not fits or not scale.is_floating_point() or not bool(scale.float().isfinite().all()):
        raise WeightsFormatError(
            f"the scale {name + SCALE} {tuple(scale.shape)} of {scale.dtype} does not fit {name} {tuple(tensor.shape)} "
            f"of {tensor.dtype}: expected int8 values and one finite number for each row"
        )


def rewrite_metadata(path: Path, **facts: str) -> None:
    """Adds to the metadata of a safetensors file; its tensors stay as they are stored.

    Raises:
        WeightsFormatError: The file can't be read or written.
    """
    from sf_detect.weights.checkpoint import write_safetensors
    from sf_detect.weights.safetensors_file import read_safetensors

    try:
        stored, metadata = read_safetensors(path)
    except WeightsFormatError as error:
        raise WeightsFormatError(f"{error}. Give a file that ships.") from error
    write_safetensors(stored, path, {**metadata, **facts})
