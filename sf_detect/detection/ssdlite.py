"""SSDLite with a MobileNetV2 backbone (Sandler et al. 2018, section 6.2): the network and its box decoding.

Written to compute what a frozen graph of the TensorFlow object detection library computes, so that its published
weights give its published boxes: "same" padding that puts the odd pixel at the bottom and right, anchors in
normalised [y, x, h, w], a box coder with scales 10 10 5 5, one sigmoid per class. The layers are described in
`ssdlite_layers`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from sf_detect.detection.ssdlite_layers import (
    CLASSES,
    TAPPED_BLOCK,
    ConvLayer,
    FoldedWeights,
    PredictorLayers,
    ResidualLayers,
    anchor_boxes,
    ssdlite_layers,
)


class ConvUnit(nn.Module):
    """Convolution with TensorFlow's "same" padding, batch norm folded into its bias, and an optional ReLU6."""

    def __init__(self, layer: ConvLayer) -> None:
        super().__init__()
        self.layer = layer
        self.conv = nn.Conv2d(layer.channels_in, layer.channels_out, layer.kernel, layer.stride, groups=layer.groups)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', ceil(H / stride), ceil(W / stride))."""
        conv, activate = self.conv, self.layer.activate
        if self.layer.kernel == 1:  # a matrix product over channels: twice as fast here as a convolution call
            x = functional.linear(x.permute(0, 2, 3, 1), conv.weight[:, :, 0, 0], conv.bias).permute(0, 3, 1, 2)
            return functional.relu6(x, inplace=True) if activate else x
        before_y, after_y = self._padding(x.shape[2])
        before_x, after_x = self._padding(x.shape[3])
        if (before_y, before_x) != (after_y, after_x):
            x = functional.pad(x, (before_x, after_x, before_y, after_y))
            before_y = before_x = 0
        x = functional.conv2d(x, conv.weight, conv.bias, conv.stride, (before_y, before_x), 1, conv.groups)
        return functional.relu6(x, inplace=True) if activate else x

    def _padding(self, size: int) -> tuple[int, int]:
        """Zeros before and after one axis, the odd one behind."""
        stride, kernel = self.layer.stride, self.layer.kernel
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        return total // 2, total - total // 2


class InvertedResidual(nn.Module):
    """Expand, filter depthwise, project; the input is added where shapes allow (paper, figure 4d)."""

    def __init__(self, layers: ResidualLayers) -> None:
        super().__init__()
        self.expand = nn.Identity() if layers.expand is None else ConvUnit(layers.expand)
        self.filter, self.project = ConvUnit(layers.filter), ConvUnit(layers.project)
        self.residual = layers.residual

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The block's output, and its expanded input (which the finest prediction layer taps)."""
        wide = self.expand(x)
        y = self.project(self.filter(wide))
        return (y.add_(x) if self.residual else y), wide


class Predictor(nn.Module):
    """Depthwise separable heads for box offsets and class logits on one feature map."""

    def __init__(self, layers: PredictorLayers) -> None:
        super().__init__()
        self.box_filter, self.box = ConvUnit(layers.box_filter), ConvUnit(layers.box)
        self.label_filter, self.label = ConvUnit(layers.label_filter), ConvUnit(layers.label)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) -> offsets (B, H * W * anchors, 4) and logits (B, H * W * anchors, 2)."""
        offsets = self.box(self.box_filter(x)).permute(0, 2, 3, 1)
        logits = self.label(self.label_filter(x)).permute(0, 2, 3, 1)
        return offsets.reshape(len(x), -1, 4), logits.reshape(len(x), -1, CLASSES)


class SSDLite(nn.Module):
    """The person detector: 300 x 300 image to 1917 boxes with scores.

    `forward` takes (B, 3, 300, 300) float32, RGB scaled to [-1, 1], and returns boxes (B, 1917, 4) float32 xyxy as
    fractions of the image (not clipped) and person scores (B, 1917) float32 in [0, 1].
    """

    anchors: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layers = ssdlite_layers()
        self.stem = ConvUnit(self.layers.stem)
        self.blocks = nn.ModuleList(map(InvertedResidual, self.layers.blocks))
        self.last = ConvUnit(self.layers.last)
        self.extras = nn.ModuleList(nn.Sequential(*map(ConvUnit, extra)) for extra in self.layers.extras)
        self.predictors = nn.ModuleList(map(Predictor, self.layers.predictors))
        self.register_buffer("anchors", torch.from_numpy(anchor_boxes()), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        predictions = [head(y) for head, y in zip(self.predictors, self._features(x), strict=True)]
        offsets, logits = (torch.cat(parts, dim=1) for parts in zip(*predictions, strict=True))
        return _decode(offsets, self.anchors), torch.sigmoid(logits[..., 1])

    def _features(self, x: Tensor) -> Iterator[Tensor]:
        """The six maps the heads look at, finest first."""
        x = self.stem(x)
        for i, block in enumerate(self.blocks):
            x, wide = block(x)
            if i == TAPPED_BLOCK:
                yield wide
        x = self.last(x)
        yield x
        for layer in self.extras:
            x = layer(x)
            yield x

    def load_constants(self, constants: Mapping[str, npt.NDArray]) -> None:
        """Takes the weights of a TensorFlow graph (see `frozen_graph.read_constants`).

        Raises:
            WeightsMismatchError: A constant is missing or has another shape.
        """
        load_folded(self, self.layers.fold(constants))


@torch.no_grad()
def load_folded(network: nn.Module, weights: FoldedWeights) -> None:
    """Gives every `ConvUnit` within a network the weights of its layer."""
    for unit in conv_units(network):
        weight, bias = weights[unit.layer.name]
        unit.conv.weight.copy_(torch.from_numpy(weight))
        assert unit.conv.bias is not None
        unit.conv.bias.copy_(torch.from_numpy(bias))


def conv_units(network: nn.Module) -> Iterator[ConvUnit]:
    """Those within a network."""
    return (module for module in network.modules() if isinstance(module, ConvUnit))


def _decode(offsets: Tensor, anchors: Tensor) -> Tensor:
    """Box offsets (..., 4) in the order y, x, h, w to xyxy fractions of the image."""
    dy, dx, dh, dw = offsets.unbind(-1)
    x, y, width, height = anchors.unbind(-1)
    centre_x, centre_y = x + dx / 10 * width, y + dy / 10 * height
    half_width, half_height = torch.exp(dw / 5) * width / 2, torch.exp(dh / 5) * height / 2
    corners = (centre_x - half_width, centre_y - half_height, centre_x + half_width, centre_y + half_height)
    return torch.stack(corners, dim=-1)
