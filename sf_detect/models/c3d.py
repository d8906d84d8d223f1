"""C3D (Tran et al., "Learning Spatiotemporal Features with 3D Convolutional Networks", ICCV 2015, figure 3).

Eight 3 x 3 x 3 convolutions, five poolings, two layers of 4096: a clip of 16 frames of 112 x 112 pixels becomes one
descriptor. Parameter names are those of the public PyTorch conversion of the Sports-1M weights.

The "3D-ConvNet" of Carreira and Zisserman ("Quo Vadis", CVPR 2017, section 2.2) is C3D with batch normalisation after
every convolution and every layer of 4096, and a first pooling that halves time too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sf_detect.errors import ConfigError, UnknownNameError

#: Convolutions of each stage, and their channels.
STAGES: Mapping[str, int] = {
    "conv1": 64,
    "conv2": 128,
    "conv3a": 256,
    "conv3b": 256,
    "conv4a": 512,
    "conv4b": 512,
    "conv5a": 512,
    "conv5b": 512,
}
#: Pooling after a convolution: kernel (also the stride) and spatial padding. The first keeps time.
POOLS: Mapping[str, tuple[tuple[int, int, int], int]] = {
    "conv1": ((1, 2, 2), 0),
    "conv2": ((2, 2, 2), 0),
    "conv3b": ((2, 2, 2), 0),
    "conv4b": ((2, 2, 2), 0),
    "conv5b": ((2, 2, 2), 1),
}
FRAMES, SIZE = 16, 112
LAYERS = ("pool5", "fc6", "fc7")


class C3D(nn.Module):
    """The clip classifier and its descriptor.

    Args:
        num_classes: 487 for Sports-1M.
        dropout: After fc6 and fc7, in training.
        batch_norm: In front of every ReLU.
        first_time_stride: Of the first pooling. 2 leaves a single moment to the last pooling, which then keeps time.
        width: Divides every channel count, for experiments and tests; 1 is the published network.
    """

    alpha = None

    def __init__(
        self,
        num_classes: int = 487,
        *,
        dropout: float = 0.5,
        batch_norm: bool = False,
        first_time_stride: int = 1,
        width: int = 1,
    ) -> None:
        super().__init__()
        if first_time_stride not in (1, 2):
            raise ConfigError(f"C3D's first pooling has a stride of 1 or 2 over time, got {first_time_stride}")
        self.batch_norm = batch_norm
        self._pools = dict(POOLS)
        if first_time_stride == 2:
            self._pools |= {"conv1": ((2, 2, 2), 0), "conv5b": ((1, 2, 2), 1)}
        channels = 3
        for name, outputs in STAGES.items():
            self.add_module(name, nn.Conv3d(channels, outputs // width, 3, padding=1))
            channels = outputs // width
            if batch_norm:
                self.add_module(f"{name}_bn", nn.BatchNorm3d(channels))
        self.fc6 = nn.Linear(channels * 4 * 4, 4096 // width)
        self.fc7 = nn.Linear(4096 // width, 4096 // width)
        if batch_norm:
            self.fc6_bn, self.fc7_bn = nn.BatchNorm1d(4096 // width), nn.BatchNorm1d(4096 // width)
        self.fc8 = nn.Linear(4096 // width, num_classes)
        self.dropout = nn.Dropout(dropout)

    def features(self, pathways: Sequence[Tensor], layer: str = "fc6") -> Tensor:
        """The activations of a layer; fc6, L2-normalised by the caller, is the paper's descriptor.

        Args:
            pathways: `[clip]`, clip (B, 3, 16, 112, 112).
            layer: One of `LAYERS`.

        Returns:
            (B, 4096) after the ReLU; (B, 8192) for "pool5".

        Raises:
            ConfigError: The clip has another shape.
            UnknownNameError: No such layer.
        """
        if layer not in LAYERS:
            raise UnknownNameError("C3D layer", layer, LAYERS)
        x = self._clip(pathways)
        for name in STAGES:
            x = self._activated(name, x)
            if name in self._pools:
                kernel, padding = self._pools[name]
                x = F.max_pool3d(x, kernel, kernel, (0, padding, padding))
        x = x.flatten(1)
        for name in ("fc6", "fc7")[: LAYERS.index(layer)]:
            x = self.dropout(self._activated(name, x))
        return x

    def _activated(self, layer: str, x: Tensor) -> Tensor:
        x = self.get_submodule(layer)(x)
        return F.relu(self.get_submodule(f"{layer}_bn")(x) if self.batch_norm else x, inplace=True)

    def forward(self, pathways: Sequence[Tensor], boxes: Tensor | None = None) -> Tensor:
        """Logits (B, 1, 1, 1, classes) of `[clip]`, clip (B, 3, 16, 112, 112). `boxes` are not used."""
        return self.fc8(self.features(pathways, "fc7"))[:, None, None, None]

    def _clip(self, pathways: Sequence[Tensor]) -> Tensor:
        shapes = [tuple(x.shape) for x in pathways]
        if len(shapes) != 1 or shapes[0][1:] != (3, FRAMES, SIZE, SIZE):
            raise ConfigError(f"C3D takes one clip of shape (B, 3, {FRAMES}, {SIZE}, {SIZE}), got {shapes}")
        if self.batch_norm:
            require_several(pathways[0], self)
        return pathways[0]


def require_several(clips: Tensor, network: nn.Module) -> None:
    """A training batch of one clip has no variance where a network normalises one value per clip and channel.

    Raises:
        ConfigError: The network trains, and it is such a batch.
    """
    if network.training and len(clips) < 2:
        raise ConfigError(
            f"{type(network).__name__} normalises over the clips of a batch: training needs at least 2, got "
            f"{len(clips)}. Raise the batch size, and leave out a last batch of one clip."
        )


def c3d(num_classes: int = 487, **options: Any) -> C3D:
    """C3D as published."""
    return C3D(num_classes, **options)


def convnet_3d(num_classes: int = 400, **options: Any) -> C3D:
    """The "3D-ConvNet" of "Quo Vadis" (figure 2b)."""
    return C3D(num_classes, batch_norm=True, first_time_stride=2, **options)


def video_descriptor(features: Tensor) -> Tensor:
    """The paper's descriptor of a video (section 4): the mean of its clips' features, L2-normalised.

    Args:
        features: (clips, 4096) fc6 activations.

    Returns:
        (4096,).
    """
    return F.normalize(torch.atleast_2d(features).mean(0), dim=0)
