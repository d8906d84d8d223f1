"""Inception networks for inference on a CPU: the same output in two thirds of the time.

Batch normalisation is merged into the convolutions, and a convolution over space and time is computed as a 2D one over
frames that are stacked along the channels, which the CPU libraries do faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights

from sf_detect.models.inception_i3d import MaxPool3dSame, Unit3D, same_padding
from sf_detect.models.slowfast_tiny import pool_frames

M = TypeVar("M", bound=nn.Module)


def _taps(x: Tensor, extent: int, stride: int) -> list[Tensor]:
    """The `extent` frames that each window sees, oldest first, of (B, T, H, W, C): each (B, T', H, W, C)."""
    before, behind = same_padding(x.shape[1], extent, stride)
    x = F.pad(x, (0, 0, 0, 0, 0, 0, before, behind)) if before or behind else x
    last = x.shape[1] - extent
    return [x[:, tap : tap + last + 1 : stride] for tap in range(extent)]


def _on_frames(x: Tensor, kernel: Sequence[int], stride: Sequence[int]) -> tuple[Tensor, int | tuple[int, int]]:
    """Frames (B, T, H, W, C) as (B * T, C, H, W) with "SAME" padding, and how much of it is left to the operation."""
    frames = x.flatten(0, 1).permute(0, 3, 1, 2)
    down, across = (
        same_padding(size, k, s) for size, k, s in zip(frames.shape[2:], kernel[1:], stride[1:], strict=True)
    )
    if down[0] == down[1] and across[0] == across[1]:
        return frames, (down[0], across[0])
    return F.pad(frames, (*across, *down)), 0


class FoldedUnit(nn.Module):
    """A `Unit3D` in evaluation mode, computed by 2D convolutions."""

    weight: Tensor
    bias: Tensor

    def __init__(self, unit: Unit3D) -> None:
        super().__init__()
        bn = unit.bn
        assert bn.running_mean is not None
        assert bn.running_var is not None
        weight, bias = fuse_conv_bn_weights(
            unit.conv.weight, None, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
        )
        self.kernel, self.stride = unit.kernel, unit.stride
        stacked = weight.detach().transpose(1, 2).flatten(1, 2)  # channels of the oldest frame first
        self.register_buffer("weight", stacked.contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C', T', H', W'), channels innermost in memory."""
        x = x.permute(0, 2, 3, 4, 1)
        if self.kernel[0] > 1 or self.stride[0] > 1:
            x = torch.cat(_taps(x, self.kernel[0], self.stride[0]), -1)
        if self.kernel[1:] == (1, 1) and self.stride[1:] == (1, 1):  # a matrix product
            return F.relu(F.linear(x, self.weight.flatten(1), self.bias), inplace=True).permute(0, 4, 1, 2, 3)
        frames, padding = _on_frames(x, self.kernel, self.stride)
        y = F.relu(F.conv2d(frames, self.weight, self.bias, self.stride[1:], padding), inplace=True)
        return y.unflatten(0, x.shape[:2]).permute(0, 2, 1, 3, 4)


class FoldedPool(nn.Module):
    """A `MaxPool3dSame` of maps that are nowhere negative, so that padding with zeros never wins."""

    def __init__(self, pool: MaxPool3dSame) -> None:
        super().__init__()
        self.kernel, self.stride = pool.kernel, pool.stride

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C, T', H', W'), channels innermost in memory."""
        x = x.permute(0, 2, 3, 4, 1)
        first, *others = _taps(x, self.kernel[0], self.stride[0])
        for tap in others:
            first = torch.maximum(first, tap)
        y = pool_frames(first.flatten(0, 1).permute(0, 3, 1, 2), self.kernel[1], self.stride[1])
        return y.unflatten(0, first.shape[:2]).permute(0, 2, 1, 3, 4)


def fold_inception(network: M) -> M:
    """Replaces the units and pools of every Inception trunk in a network, in place; others stay as they are.

    For inference only: parameters become buffers of other names and shapes.

    Args:
        network: In evaluation mode, with its weights.
    """
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, Unit3D):
                setattr(module, name, FoldedUnit(child))
            elif isinstance(child, MaxPool3dSame):
                setattr(module, name, FoldedPool(child))
    return network
