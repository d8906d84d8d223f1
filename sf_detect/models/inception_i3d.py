"""Inception-I3D (Carreira and Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017, figure 3).

The inflated Inception-v1: a purely three-dimensional network over RGB or flow in [-1, 1].  Padding follows TensorFlow's
"SAME" rule, because the public Kinetics weights were trained with it: with an even input and a stride of two, one more
pixel is added behind than in front.

`InceptionV1`, the trunk, also comes with a temporal extent of one everywhere: the image network itself, applied to
every frame on its own, under the same parameter names. `sf_detect.models.inflation` turns one into the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sf_detect.errors import UnknownNameError

#: Output channels of the four branches: (1x1), (1x1 -> 3x3), (1x1 -> 3x3), (pool -> 1x1).
INCEPTION_BLOCKS: Mapping[str, tuple[int, int, int, int, int, int]] = {
    "mixed_3b": (64, 96, 128, 16, 32, 32),
    "mixed_3c": (128, 128, 192, 32, 96, 64),
    "mixed_4b": (192, 96, 208, 16, 48, 64),
    "mixed_4c": (160, 112, 224, 24, 64, 64),
    "mixed_4d": (128, 128, 256, 24, 64, 64),
    "mixed_4e": (112, 144, 288, 32, 64, 64),
    "mixed_4f": (256, 160, 320, 32, 128, 128),
    "mixed_5b": (256, 160, 320, 32, 128, 128),
    "mixed_5c": (384, 192, 384, 48, 128, 128),
}
#: Channels of the last block.
FEATURES = 1024


def block_channels(name: str) -> int:
    """Output channels of the Inception block called `name`."""
    b0, _, b1, _, b2, b3 = INCEPTION_BLOCKS[name]
    return b0 + b1 + b2 + b3


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's "SAME" padding of one axis, as (in front, behind)."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _pad_same(x: Tensor, kernel: Sequence[int], stride: Sequence[int], value: float = 0.0) -> Tensor:
    pads: list[int] = []
    for axis in (4, 3, 2):  # F.pad counts from the last axis
        pads += same_padding(x.shape[axis], kernel[axis - 2], stride[axis - 2])
    return F.pad(x, pads, value=value) if any(pads) else x


class MaxPool3dSame(nn.Module):
    """Max pooling whose padding never wins, whatever the sign of the input."""

    def __init__(self, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool3d(_pad_same(x, self.kernel, self.stride, float("-inf")), self.kernel, self.stride)


class Unit3D(nn.Module):
    """Convolution, batch normalisation without a learnt scale (as in Sonnet), ReLU."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int | tuple[int, int, int] = 1,
        stride: int | tuple[int, int, int] = 1,
    ) -> None:
        super().__init__()
        self.kernel = (kernel,) * 3 if isinstance(kernel, int) else kernel
        self.stride = (stride,) * 3 if isinstance(stride, int) else stride
        self.conv = nn.Conv3d(in_channels, out_channels, self.kernel, self.stride, bias=False)
        # Sonnet's momentum of 0.001 suits the publisher's 100,000 steps; torch's own also suits a short fine-tuning.
        self.bn = nn.BatchNorm3d(out_channels, eps=1e-3)
        nn.init.ones_(self.bn.weight)
        self.bn.weight.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(_pad_same(x, self.kernel, self.stride))))


class InceptionBlock3D(nn.Module):
    """One Inception module; the branches are concatenated in order. `time` is the temporal extent of its windows."""

    def __init__(self, in_channels: int, channels: tuple[int, int, int, int, int, int], time: int = 3) -> None:
        super().__init__()
        b0, b1a, b1b, b2a, b2b, b3 = channels
        window = (time, 3, 3)
        self.branch0 = Unit3D(in_channels, b0)
        self.branch1 = nn.Sequential(Unit3D(in_channels, b1a), Unit3D(b1a, b1b, window))
        self.branch2 = nn.Sequential(Unit3D(in_channels, b2a), Unit3D(b2a, b2b, window))
        self.branch3 = nn.Sequential(MaxPool3dSame(window, (1, 1, 1)), Unit3D(in_channels, b3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch0(x), self.branch1(x), self.branch2(x), self.branch3(x)], 1)


class InceptionV1(nn.Module):
    """The trunk: clips to feature maps.

    Args:
        in_channels: 3 for RGB, 2 for flow.
        inflated: The three-dimensional network of the paper's figure 3; otherwise every window and stride is 1 over
            time, which is the image network applied to each frame.
    """

    def __init__(self, in_channels: int = 3, *, inflated: bool = True) -> None:
        super().__init__()
        self.in_channels = in_channels

        def over_time(extent: int) -> int:
            return extent if inflated else 1

        three, two = over_time(3), over_time(2)
        stages: dict[str, nn.Module] = {
            "conv_1a": Unit3D(in_channels, 64, (over_time(7), 7, 7), (two, 2, 2)),
            "pool_2a": MaxPool3dSame((1, 3, 3), (1, 2, 2)),
            "conv_2b": Unit3D(64, 64),
            "conv_2c": Unit3D(64, 192, (three, 3, 3)),
            "pool_3a": MaxPool3dSame((1, 3, 3), (1, 2, 2)),
        }
        channels = 192
        for name, widths in INCEPTION_BLOCKS.items():
            if name == "mixed_4b":
                stages["pool_4a"] = MaxPool3dSame((three, 3, 3), (two, 2, 2))
            if name == "mixed_5b":
                stages["pool_5a"] = MaxPool3dSame((two, 2, 2), (two, 2, 2))
            stages[name] = InceptionBlock3D(channels, widths, three)
            channels = block_channels(name)
        self.stages = nn.ModuleDict(stages)

    def features(self, clip: Tensor, endpoints: Sequence[str] = ("mixed_5c",)) -> dict[str, Tensor]:
        """Feature maps by stage name.

        Args:
            clip: (B, in_channels, T, H, W) float in [-1, 1].
            endpoints: names of stages; nothing after the last one wanted is computed.

        Returns:
            Maps (B, C, t, h, w); `mixed_5c` has 1024 channels, a 32nd of the pixels and an eighth of the frames (all
            of them where the trunk is not inflated).

        Raises:
            UnknownNameError: No stage has that name.
        """
        unknown = [name for name in endpoints if name not in self.stages]
        if unknown:
            raise UnknownNameError("stage of Inception-I3D", unknown[0], self.stages)
        found: dict[str, Tensor] = {}
        for name, stage in self.stages.items():
            clip = stage(clip)
            if name in endpoints:
                found[name] = clip
            if len(found) == len(set(endpoints)):
                break
        return found


class InceptionI3D(InceptionV1):
    """Inception-I3D.

    Args:
        num_classes: width of the classifier.
        dropout: probability of dropping a pooled feature before the classifier.
        in_channels: 3 for RGB, 2 for flow.
    """

    def __init__(self, num_classes: int = 400, dropout: float = 0.0, *, in_channels: int = 3) -> None:
        super().__init__(in_channels)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Conv3d(FEATURES, num_classes, 1)

    def forward(self, clip: Tensor) -> Tensor:
        """Logits (B, num_classes) of clips (B, in_channels, T, H, W) in [-1, 1]; ideally T >= 9 and H, W >= 193.

        The features are averaged over windows of 2 x 7 x 7, or over what there is of a smaller clip.
        """
        features = self.features(clip)["mixed_5c"]
        window = [min(side, size) for side, size in zip((2, 7, 7), features.shape[2:], strict=True)]
        features = F.avg_pool3d(features, window, 1)
        return self.classifier(self.dropout(features)).mean((2, 3, 4))
