"""A row of `complexity.py`'s table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sf_detect.models.complexity import multiply_adds
from sf_detect.models.resnet3d import count_parameters


@dataclass(frozen=True)
class Row:
    """A published network: how it is built, what it is fed, what was published of it.

    `slow` are the frames of the only or the slow pathway, `alpha` the ratio of the fast one's (in a network of two
    modalities the flow); sizes in pixels, multiply-adds in units of 1e9, parameters in units of 1e6. `note` explains a
    difference or a choice.
    """

    source: str
    name: str
    build: Callable[[], nn.Module]
    slow: int
    alpha: int | None = None
    gmacs: float | None = None
    params: float | None = None
    size: int = 256
    channels: int = 3
    fast_size: int | None = None
    fast_channels: int = 3
    note: str = ""

    def inputs(self) -> list[Tensor]:
        """Empty pathways of the right shape."""
        pathways = [torch.empty(1, self.channels, self.slow, self.size, self.size)]
        if self.alpha is not None:
            side = self.fast_size or self.size
            pathways.append(torch.empty(1, self.fast_channels, self.slow * self.alpha, side, side))
        return pathways

    def measure(self) -> tuple[float, float]:
        """(multiply-adds / 1e9, parameters / 1e6)."""
        with torch.device("meta"):
            network, pathways = self.build(), self.inputs()
        return multiply_adds(network, pathways) / 1e9, count_parameters(network) / 1e6
