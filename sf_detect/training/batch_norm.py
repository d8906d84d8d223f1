"""Statistics of batch normalisation: over parts of a batch in training, recomputed before a network is tested."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sf_detect.training.distributed import ALONE, Processes


class SplitBatchNorm(_BatchNorm):
    """Batch normalisation whose statistics in training are those of equal parts of the batch, each for itself.

    The running statistics follow the parts' mean, once for each batch, as they would if the parts were batches.

    Attributes:
        parts: Of the next batch; its items are split in their order.
    """

    parts: int = 1

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.parts == 1:
            return super().forward(input)
        momentum, parts = self.momentum, input.chunk(self.parts)
        outputs = []
        try:
            for number, part in enumerate(parts):
                if momentum is not None:  # such that together they weigh as one batch, each of them alike
                    share = momentum / len(parts)
                    self.momentum = share / (1 - (len(parts) - 1 - number) * share)
                outputs.append(super().forward(part))
        finally:
            self.momentum = momentum
        return torch.cat(outputs)


def split_batch_norm(network: nn.Module) -> list[SplitBatchNorm]:
    """Makes every batch normalisation one whose batches can be split, in place, and returns them.

    Those over several processes (`synchronise_batch_norm`) stay so: each part is then one of all processes.
    """
    found: list[Any] = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    kinds = {kind: type(f"Split{kind.__name__}", (SplitBatchNorm, kind), {}) for kind in map(type, found)}
    for module in found:
        module.__class__ = kinds[type(module)]
    return found


@torch.no_grad()
def recompute_statistics(
    network: nn.Module,
    names: Collection[str],
    batches: Iterable[Any],
    forward: Callable[[nn.Module, Any], object],
    processes: Processes = ALONE,
) -> int:
    """Replaces running statistics of batch normalisation by those of a fixed network over many batches.

    Running averages lag behind the weights, and are no averages of what moving-averaged weights would give. Here every
    batch is normalised with its own statistics, as in training, and mean and variance of the whole population follow
    from all batches alike (Wu and Johnson, "Rethinking 'Batch' in BatchNorm", 2021, section 3; Goyal et al., 2017).
    All else is in evaluation mode, so nothing is drawn at random; so is the whole network afterwards.

    Args:
        network: It is changed in place.
        names: Of those of its batch normalisations that are recomputed; others stay as they are.
        batches: Of one size, the same number in every process; none changes nothing.
        forward: Shows a batch to the network.
        processes: Those whose batches are joined; all get the same statistics.

    Returns:
        The number of batches, over all processes.
    """
    network.eval()
    layers = [module for name, module in network.named_modules() if name in names and isinstance(module, _BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    totals = [torch.zeros_like(_moments(layer)) for layer in layers]
    count = 0
    for layer in layers:
        layer.train()
        layer.momentum = 1.0  # the running statistics are then the last batch's
    for batch in batches:
        forward(network, batch)
        count += 1
        for layer, total in zip(layers, totals, strict=True):
            total += _moments(layer)
    count = sum(processes.gather(count))
    for layer, momentum, total in zip(layers, momenta, totals, strict=True):
        layer.momentum = momentum
        layer.eval()
        if count:
            mean, square = processes.sum(total) / count
            _running(layer)[0].copy_(mean)
            _running(layer)[1].copy_((square - mean.square()).clamp(min=0))
    return count


def _running(layer: _BatchNorm) -> tuple[Tensor, Tensor]:
    assert layer.running_mean is not None
    assert layer.running_var is not None
    return layer.running_mean, layer.running_var


def _moments(layer: _BatchNorm) -> Tensor:
    """(2, C) float64: means, and means of squares, as the running statistics have them."""
    mean, variance = (value.double() for value in _running(layer))
    return torch.stack([mean, variance + mean.square()])
