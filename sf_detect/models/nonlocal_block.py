"""Non-local blocks (Wang et al., "Non-local Neural Networks", CVPR 2018), in the public PySlowFast parameterisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

INSTANTIATIONS = ("dot_product", "softmax")


class NonLocalBlock(nn.Module):
    """Attention of every position to every (max-pooled) position, added to the input.

    "softmax" scales by 1/sqrt(inner channels) and normalises with a softmax; "dot_product" divides by the number of
    positions attended to.

    In causal form a position attends to its own frame and to the `window - 1` frames in front of it, and pooling is
    spatial only: a pool across frames would mix in a later one.

    Args:
        channels: Channels of input and output; the inner ones are half of them.
        instantiation: "dot_product" or "softmax".
        pool: Kernel and stride of the max pooling in front of phi and g, (time, height, width).
        causal: See above.
        window: Frames that a causal position attends to, its own included.
    """

    def __init__(
        self,
        channels: int,
        *,
        instantiation: str = "dot_product",
        pool: tuple[int, int, int] = (1, 2, 2),
        causal: bool = False,
        window: int = 8,
    ) -> None:
        super().__init__()
        if instantiation not in INSTANTIATIONS:
            raise ValueError(f"instantiation is one of {', '.join(INSTANTIATIONS)}, got {instantiation!r}")
        inner = channels // 2
        self.conv_theta = nn.Conv3d(channels, inner, 1)
        self.conv_phi = nn.Conv3d(channels, inner, 1)
        self.conv_g = nn.Conv3d(channels, inner, 1)
        self.conv_out = nn.Conv3d(inner, channels, 1)
        self.bn = nn.BatchNorm3d(channels)
        self.instantiation, self.causal, self.window = instantiation, causal, window
        self.pool = (1, *pool[1:]) if causal else pool

    def keys_and_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """phi and g of the pooled input, each (B, C / 2, T', H', W')."""
        # A map smaller than the pool (tiny inputs) is pooled whole.
        pool = [min(k, n) for k, n in zip(self.pool, x.shape[2:], strict=True)]
        pooled = F.max_pool3d(x, pool, pool) if max(pool) > 1 else x
        return self.conv_phi(pooled), self.conv_g(pooled)

    def attend(self, x: Tensor, phi: Tensor, g: Tensor, mask: Tensor | None = None) -> Tensor:
        """Adds to `x` (B, C, T, H, W) what it gathers from `phi` and `g`, (B, C / 2, T', H', W').

        `mask` is a boolean (T, T') matrix, true where a frame of `x` may see a frame of `phi`; None means everywhere.
        """
        theta = self.conv_theta(x)
        affinity = torch.einsum("bcn,bcm->bnm", theta.flatten(2), phi.flatten(2))
        if mask is not None:
            mask = mask.repeat_interleave(x[0, 0, 0].numel(), 0).repeat_interleave(phi[0, 0, 0].numel(), 1)
        if self.instantiation == "softmax":
            affinity = affinity * theta.shape[1] ** -0.5
            if mask is not None:
                affinity = affinity.masked_fill(~mask, float("-inf"))
            affinity = affinity.softmax(-1)
        elif mask is None:
            affinity = affinity / affinity.shape[-1]
        else:
            affinity = affinity * mask / mask.sum(-1, keepdim=True)
        gathered = torch.einsum("bnm,bcm->bcn", affinity, g.flatten(2)).reshape(theta.shape)
        return x + self.bn(self.conv_out(gathered))

    def forward(self, x: Tensor) -> Tensor:
        mask = None
        if self.causal:
            frames = torch.arange(x.shape[2], device=x.device)
            age = frames[:, None] - frames[None, :]
            mask = (age >= 0) & (age < self.window)
        return self.attend(x, *self.keys_and_values(x), mask)
