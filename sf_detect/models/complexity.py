"""Counts multiply-adds of a network without computing anything: shapes alone, on torch's "meta" device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sf_detect.models.nonlocal_block import NonLocalBlock


def _convolution(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> int:
    return output.numel() * module.weight[0].numel()  # type: ignore[index, union-attr, operator]


def _linear(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> int:
    return output.numel() * int(module.in_features)  # type: ignore[arg-type]


def _attention(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> int:
    """The two matrix products; the convolutions inside the block are counted on their own."""
    assert isinstance(module, NonLocalBlock)
    batch, channels, *sides = output.shape
    queries = keys = 1
    for side, pool in zip(sides, module.pool, strict=True):
        queries *= side
        keys *= max(1, side // pool)
    return 2 * batch * queries * keys * (channels // 2)


_COUNTERS: tuple[tuple[type[nn.Module], Callable[..., int]], ...] = (
    (nn.Conv3d, _convolution),
    (nn.Conv2d, _convolution),
    (nn.Linear, _linear),
    (NonLocalBlock, _attention),
)


def multiply_adds(network: nn.Module, *inputs: Tensor | Sequence[Tensor] | None) -> int:
    """Multiply-adds of one forward pass in convolutions, linear layers and attention.

    Normalisation, activation, pooling and additions are left out, as in the published figures.

    Args:
        network: Put into evaluation mode while counting. On the "meta" device nothing is computed or allocated.
        *inputs: What its forward method takes.
    """
    total = 0

    def hook(count: Callable[..., int]) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def add(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            nonlocal total
            total += count(module, args, output)

        return add

    handles = []
    for module in network.modules():
        count = next((c for kind, c in _COUNTERS if isinstance(module, kind)), None)
        if count is not None:
            handles.append(module.register_forward_hook(hook(count)))
    training = network.training
    try:
        with torch.no_grad():
            network.eval()(*inputs)
    finally:
        network.train(training)
        for handle in handles:
            handle.remove()
    return total
