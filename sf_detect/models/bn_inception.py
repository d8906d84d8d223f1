"""BN-Inception (Ioffe and Szegedy, "Batch Normalization", 2015), the backbone of the published TSN networks.

Parameter names are those of the public PyTorch conversion (`inception_3a_double_3x3_1.weight`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Block:
    """Channels of one inception block.

    Attributes:
        one: 1 x 1 branch; 0 where the block strides, which has no such branch.
        three: Reduction and output of the 3 x 3 branch.
        double: Reduction and output of the branch with two 3 x 3 convolutions.
        pool: Projection behind the pooling; 0 where the block strides.
        maximum: Maximum instead of average pooling.
    """

    one: int
    three: tuple[int, int]
    double: tuple[int, int]
    pool: int
    maximum: bool = False

    def channels(self, entering: int) -> int:
        """Output channels; a striding block passes its input on through the pooling."""
        return self.one + self.three[1] + self.double[1] + (self.pool or entering)


BLOCKS: Mapping[str, Block] = {
    "3a": Block(64, (64, 64), (64, 96), 32),
    "3b": Block(64, (64, 96), (64, 96), 64),
    "3c": Block(0, (128, 160), (64, 96), 0, True),
    "4a": Block(224, (64, 96), (96, 128), 128),
    "4b": Block(192, (96, 128), (96, 128), 128),
    "4c": Block(160, (128, 160), (128, 160), 128),
    "4d": Block(96, (128, 192), (160, 192), 128),
    "4e": Block(0, (128, 192), (192, 256), 0, True),
    "5a": Block(352, (192, 320), (160, 224), 128),
    "5b": Block(352, (192, 320), (192, 224), 128, True),
}
FEATURES = 1024


class BNInception(nn.Module):
    """Images to features.

    Args:
        in_channels: 3 for RGB, 10 for a stack of five flows, 15 for five RGB differences.
    """

    def __init__(self, in_channels: int = 3) -> None:
        super().__init__()
        self._add("conv1_7x7_s2", in_channels, 64, 7, 2)
        self._add("conv2_3x3_reduce", 64, 64, 1)
        self._add("conv2_3x3", 64, 192, 3)
        channels = 192
        for name, block in BLOCKS.items():
            prefix, stride = f"inception_{name}", 1 if block.pool else 2
            if block.one:
                self._add(f"{prefix}_1x1", channels, block.one, 1)
            self._add(f"{prefix}_3x3_reduce", channels, block.three[0], 1)
            self._add(f"{prefix}_3x3", *block.three, 3, stride)
            self._add(f"{prefix}_double_3x3_reduce", channels, block.double[0], 1)
            self._add(f"{prefix}_double_3x3_1", *block.double, 3)
            self._add(f"{prefix}_double_3x3_2", block.double[1], block.double[1], 3, stride)
            if block.pool:
                self._add(f"{prefix}_pool_proj", channels, block.pool, 1)
            channels = block.channels(channels)

    def _add(self, name: str, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        self.add_module(name, nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2))
        self.add_module(f"{name}_bn", nn.BatchNorm2d(outputs))

    def _run(self, x: Tensor, *names: str) -> Tensor:
        for name in names:
            x = self.get_submodule(f"{name}_bn")(self.get_submodule(name)(x))
            x = F.relu(x, inplace=True)
        return x

    def _inception(self, x: Tensor, name: str) -> Tensor:
        prefix, block = f"inception_{name}", BLOCKS[name]
        branches = [self._run(x, f"{prefix}_1x1")] if block.one else []
        branches.append(self._run(x, f"{prefix}_3x3_reduce", f"{prefix}_3x3"))
        double = f"{prefix}_double_3x3"
        branches.append(self._run(x, f"{double}_reduce", f"{double}_1", f"{double}_2"))
        if not block.pool:
            pooled = F.max_pool2d(x, 3, 2, ceil_mode=True)
        else:
            pool = F.max_pool2d if block.maximum else F.avg_pool2d
            pooled = self._run(pool(x, 3, 1, 1), f"{prefix}_pool_proj")
        return torch.cat([*branches, pooled], 1)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 1024) features of (N, channels, H, W) images, averaged over positions."""
        x = F.max_pool2d(self._run(images, "conv1_7x7_s2"), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self._run(x, "conv2_3x3_reduce", "conv2_3x3"), 3, 2, ceil_mode=True)
        for name in BLOCKS:
            x = self._inception(x, name)
        return x.mean((2, 3))
