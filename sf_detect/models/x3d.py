"""X3D (Feichtenhofer, "X3D: Expanding Architectures for Efficient Video Recognition", CVPR 2020).

Parameter names are those of the public PySlowFast checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from sf_detect.errors import ConfigError
from sf_detect.models.classification_head import window_pool
from sf_detect.models.resnet3d import TemporalConv3d, initialise

#: Blocks of res2 to res5 before depth expansion, and channels before width expansion.
_BASE_BLOCKS = (1, 2, 5, 3)
_BASE_CHANNELS = (12, 24, 48, 96)


def round_channels(channels: float, divisor: int = 8) -> int:
    """The multiple of `divisor` nearest to `channels`, but never less than 90 % of it."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


class SqueezeExcitation(nn.Module):
    """Scales channels by a sigmoid gate computed from their global mean."""

    def __init__(self, channels: int, ratio: float = 1 / 16) -> None:
        super().__init__()
        inner = round_channels(channels * ratio)
        self.fc1 = nn.Conv3d(channels, inner, 1)
        self.fc2 = nn.Conv3d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = F.relu(self.fc1(x.mean((2, 3, 4), keepdim=True)), inplace=True)
        return x * self.fc2(gate).sigmoid()


class X3DStem(nn.Module):
    """A spatial convolution followed by a channel-wise temporal one."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv_xy = TemporalConv3d(in_channels, out_channels, (1, 3, 3), (1, 2, 2))
        self.conv = TemporalConv3d(out_channels, out_channels, (5, 1, 1), groups=out_channels)
        self.bn = nn.BatchNorm3d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(self.conv_xy(x))), inplace=True)


class X3DBranch(nn.Module):
    """1 x 1 x 1, channel-wise 3 x 3 x 3, squeeze-and-excitation in every other block, Swish, 1 x 1 x 1."""

    def __init__(self, in_channels: int, inner: int, out_channels: int, stride: int, excite: bool) -> None:
        super().__init__()
        self.a = TemporalConv3d(in_channels, inner, (1, 1, 1))
        self.a_bn = nn.BatchNorm3d(inner)
        self.b = TemporalConv3d(inner, inner, (3, 3, 3), (1, stride, stride), groups=inner)
        self.b_bn = nn.BatchNorm3d(inner)
        self.se: nn.Module = SqueezeExcitation(inner) if excite else nn.Identity()
        self.c = TemporalConv3d(inner, out_channels, (1, 1, 1))
        self.c_bn = nn.BatchNorm3d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.a_bn(self.a(x)), inplace=True)
        x = F.silu(self.se(self.b_bn(self.b(x))), inplace=True)
        return self.c_bn(self.c(x))


class X3DBlock(nn.Module):
    """`relu(shortcut(x) + branch2(x))`; the shortcut is a convolution where the shape changes."""

    def __init__(self, in_channels: int, inner: int, out_channels: int, stride: int, excite: bool) -> None:
        super().__init__()
        self.branch1: nn.Module = nn.Identity()
        self.branch1_bn: nn.Module = nn.Identity()
        if in_channels != out_channels or stride != 1:
            self.branch1 = TemporalConv3d(in_channels, out_channels, (1, 1, 1), (1, stride, stride))
            self.branch1_bn = nn.BatchNorm3d(out_channels)
        self.branch2 = X3DBranch(in_channels, inner, out_channels, stride, excite)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.branch1_bn(self.branch1(x)) + self.branch2(x), inplace=True)


class X3DStage(nn.Module):
    """The blocks of one stage, the first of them with spatial stride 2."""

    def __init__(self, in_channels: int, inner: int, out_channels: int, blocks: int) -> None:
        super().__init__()
        for i in range(blocks):
            entering, stride = (in_channels, 2) if i == 0 else (out_channels, 1)
            block = X3DBlock(entering, inner, out_channels, stride, excite=i % 2 == 0)
            self.add_module(f"pathway0_res{i}", block)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.children():
            x = block(x)
        return x


class X3DHead(nn.Module):
    """Expand, average over time and a spatial window, two linear layers; positions kept."""

    def __init__(self, in_channels: int, inner: int, features: int, classes: int, window: int, dropout: float) -> None:
        super().__init__()
        self.window = window
        self.conv_5 = TemporalConv3d(in_channels, inner, (1, 1, 1))
        self.conv_5_bn = nn.BatchNorm3d(inner)
        self.lin_5 = TemporalConv3d(inner, features, (1, 1, 1))
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(features, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv_5_bn(self.conv_5(x)), inplace=True)
        x = F.relu(self.lin_5(window_pool(x, self.window)), inplace=True)
        return self.projection(self.dropout(x.permute(0, 2, 3, 4, 1)))


class X3D(nn.Module):
    """An X3D clip classifier.

    Args:
        num_classes: Classes.
        width: Channel expansion.
        depth: Block expansion.
        bottleneck: Inner over outer channels of a block.
        features: Width of the penultimate layer.
        window: Spatial pooling window, the training crop over 32, rounded up.
        dropout: In front of the classifier.
    """

    alpha = None

    def __init__(
        self,
        num_classes: int,
        *,
        width: float = 2.0,
        depth: float = 2.2,
        bottleneck: float = 2.25,
        features: int = 2048,
        window: int = 5,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        channels = round_channels(_BASE_CHANNELS[0] * width)
        self.s1 = _Stems(channels)
        inner = channels
        for stage, (blocks, base) in enumerate(zip(_BASE_BLOCKS, _BASE_CHANNELS, strict=True), start=2):
            outputs = round_channels(base * width)
            inner = int(bottleneck * outputs)
            self.add_module(f"s{stage}", X3DStage(channels, inner, outputs, math.ceil(blocks * depth)))
            channels = outputs
        self.head = X3DHead(channels, inner, features, num_classes, window, dropout)
        initialise(self)

    def forward(self, pathways: Sequence[Tensor], boxes: Tensor | None = None) -> Tensor:
        """Logits (B, 1, H', W', classes) of `[clip]`, clip (B, 3, T, H, W). `boxes` are not used.

        Raises:
            ConfigError: Not one pathway of five axes.
        """
        if len(pathways) != 1 or pathways[0].ndim != 5:
            raise ConfigError(
                f"X3D takes one pathway of shape (B, 3, T, H, W), got {[tuple(x.shape) for x in pathways]}"
            )
        x = pathways[0]
        for stage in range(1, 6):
            x = self.get_submodule(f"s{stage}")(x)
        return self.head(x)


class _Stems(nn.Module):
    """Holds the stem under its public name."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pathway0_stem = X3DStem(3, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.pathway0_stem(x)


def x3d_s(num_classes: int = 400) -> X3D:
    """X3D-S: 13 x 6 frames at 160 pixels."""
    return X3D(num_classes, window=5)


def x3d_m(num_classes: int = 400) -> X3D:
    """X3D-M: 16 x 5 frames at 224 pixels; the network of S."""
    return X3D(num_classes, window=7)


def x3d_l(num_classes: int = 400) -> X3D:
    """X3D-L: 16 x 5 frames at 312 pixels, deeper."""
    return X3D(num_classes, depth=5.0, window=10)
