"""Turns the large 3x3 convolutions of `SlowFastTiny` into convolutions of low rank, by what their outputs look like.

What a convolution says on real clips spreads over few directions: half of its channels hold about 0.97 of the variance.
The directions are the principal components of the outputs, each channel weighed as its batch normalisation does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from sf_detect.models.slowfast_tiny import RANKS, FrameConv, LowRankConv, SlowFastTiny, slowfast_tiny
from sf_detect.training.jhmdb.views import Batch


class OutputMoments:
    """Sums over everything that a layer is given: of the values, and of their products."""

    def __init__(self, layer: nn.BatchNorm2d) -> None:
        self.count = 0
        self.total = torch.zeros(layer.num_features, dtype=torch.float64)
        self.products = torch.zeros(layer.num_features, layer.num_features, dtype=torch.float64)
        self.handle = layer.register_forward_pre_hook(self._see)

    def _see(self, _: nn.Module, inputs: tuple[Tensor]) -> None:
        rows = inputs[0].movedim(1, -1).flatten(0, -2).double()
        self.count += len(rows)
        self.total += rows.sum(0)
        self.products += rows.T @ rows

    @property
    def mean(self) -> Tensor:
        """(C,)."""
        return self.total / self.count

    @property
    def covariance(self) -> Tensor:
        """(C, C)."""
        return self.products / self.count - torch.outer(self.mean, self.mean)


def spatial_convs(network: SlowFastTiny, names: Iterable[str]) -> dict[str, FrameConv | LowRankConv]:
    """The convolutions called as in `slowfast_tiny.RANKS`."""
    return {name: network.slow[name].branch1 if name in network.slow else getattr(network, name) for name in names}  # type: ignore[misc]


@torch.no_grad()
def factorise(network: SlowFastTiny, batches: Iterable[Batch], ranks: Mapping[str, int] = RANKS) -> SlowFastTiny:
    """A network with convolutions of low rank that computes nearly what `network` does, in evaluation mode.

    Args:
        network: Of full rank, with batch normalisation.
        batches: Views on which the outputs are looked at.
        ranks: By layer.
    """
    network.eval()
    originals = spatial_convs(network, ranks)
    moments = {name: OutputMoments(_norm(conv)) for name, conv in originals.items()}
    for batch in batches:
        network(batch.pathways(network.alpha))
    for found in moments.values():
        found.handle.remove()
    classes = network.classifier.out_features
    result = slowfast_tiny(classes, causal=network.causal, folded=False, dropout=network.dropout.p, ranks=ranks)
    result.load_state_dict(network.state_dict(), strict=False)
    for name, conv in spatial_convs(result, ranks).items():
        assert isinstance(conv, LowRankConv)
        _split(originals[name], moments[name], conv)
    return result.eval()


def _norm(conv: FrameConv | LowRankConv) -> nn.BatchNorm2d:
    assert isinstance(conv, FrameConv)
    assert conv.bn is not None, "a network is factorised before batch normalisation is merged"
    return conv.bn


def _split(original: FrameConv | LowRankConv, moments: OutputMoments, target: LowRankConv) -> None:
    assert isinstance(original, FrameConv)
    norm = _norm(original)
    assert norm.running_var is not None
    scale = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).double().abs()
    scale = scale.clamp(min=1e-4 * float(scale.max()))
    _, directions = torch.linalg.eigh(scale[:, None] * moments.covariance * scale)
    basis = directions[:, -len(target.reduce.weight) :]  # (C, rank), the last have the largest variance
    inward, outward = basis.T * scale, basis / scale[:, None]
    target.reduce.weight.copy_((inward @ original.weight.flatten(1).double()).view_as(target.reduce.weight))
    target.expand.weight.copy_(outward.view_as(target.expand.weight))
    lost = moments.mean - outward @ (inward @ moments.mean)
    merged = _norm(target.expand)
    merged.load_state_dict(norm.state_dict())
    assert merged.running_mean is not None
    merged.running_mean.sub_(lost)
