"""SSDLite with a MobileNetV2 backbone (Sandler et al. 2018, section 6.2): the network and its box decoding.

Written to compute what a frozen graph of the TensorFlow object detection library computes, so that its published
weights give its published boxes: "same" padding that puts the odd pixel at the bottom and right, anchors in
normalised [y, x, h, w], a box coder with scales 10 10 5 5, one sigmoid per class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from sf_detect.errors import WeightsMismatchError

INPUT_SIZE = 300
NMS_IOU = 0.6
MAX_DETECTIONS = 100

# (expansion, output channels, repeats, stride of the first): table 2 of the paper.
_INVERTED_RESIDUALS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_EXTRA_CHANNELS = ((256, 512), (128, 256), (128, 256), (64, 128))  # squeeze, output of each extra stride-2 layer
_ANCHOR_SCALES = (0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0)
_ANCHOR_RATIOS = (1.0, 2.0, 0.5, 3.0, 0.3333)
_LOWEST_ANCHORS = ((0.1, 1.0), (0.2, 2.0), (0.2, 0.5))  # "reduce boxes in lowest layer": (scale, width / height)
_BATCH_NORM_EPSILON = 0.001
_CLASSES = 2  # background, person
_TF_BACKBONE = "FeatureExtractor/MobilenetV2"


class ConvUnit(nn.Module):
    """Convolution with TensorFlow's "same" padding, batch norm folded into its bias, and an optional ReLU6.

    Args:
        channels_in, channels_out: Channels.
        kernel: Square kernel size, 1 or 3.
        stride: 1 or 2.
        depthwise: One filter per channel.
        activate: Whether ReLU6 follows.
        name: The layer's scope in the TensorFlow graph, where `load_constants` finds its weights.
        batch_norm: Whether the graph has a batch norm behind the convolution, else a bias.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        name: str,
        kernel: int = 1,
        stride: int = 1,
        depthwise: bool = False,
        activate: bool = True,
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        groups = channels_in if depthwise else 1
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, groups=groups)
        self.stride, self.kernel = stride, kernel
        self.depthwise, self.activate, self.name, self.batch_norm = depthwise, activate, name, batch_norm

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', ceil(H / stride), ceil(W / stride))."""
        conv = self.conv
        if self.kernel == 1:  # a matrix product over channels: twice as fast here as a convolution call
            x = functional.linear(x.permute(0, 2, 3, 1), conv.weight[:, :, 0, 0], conv.bias).permute(0, 3, 1, 2)
            return functional.relu6(x, inplace=True) if self.activate else x
        before_y, after_y = self._padding(x.shape[2])
        before_x, after_x = self._padding(x.shape[3])
        if (before_y, before_x) != (after_y, after_x):
            x = functional.pad(x, (before_x, after_x, before_y, after_y))
            before_y = before_x = 0
        x = functional.conv2d(x, conv.weight, conv.bias, conv.stride, (before_y, before_x), 1, conv.groups)
        return functional.relu6(x, inplace=True) if self.activate else x

    def _padding(self, size: int) -> tuple[int, int]:
        """Zeros before and after one axis, the odd one behind."""
        total = max((-(-size // self.stride) - 1) * self.stride + self.kernel - size, 0)
        return total // 2, total - total // 2

    def constant_names(self) -> list[str]:
        """Names of this layer's constants in the graph: weights first."""
        weights = f"{self.name}/{'depthwise_weights' if self.depthwise else 'weights'}"
        if not self.batch_norm:
            return [weights, f"{self.name}/biases"]
        return [weights] + [f"{self.name}/BatchNorm/{n}" for n in ("gamma", "beta", "moving_mean", "moving_variance")]

    def state_from(self, constants: Mapping[str, npt.NDArray]) -> tuple[Tensor, Tensor]:
        """This layer's weight and bias, batch norm folded in, from the graph's constants."""
        weight, *rest = (torch.from_numpy(np.array(constants[name], np.float64)) for name in self.constant_names())
        if weight.ndim == 4:  # TensorFlow: (h, w, in, out), depthwise (h, w, channels, 1)
            weight = weight.permute((2, 3, 0, 1) if self.depthwise else (3, 2, 0, 1))
        if not self.batch_norm:
            return weight.float(), rest[0].float()
        gamma, beta, mean, variance = rest
        gain = gamma / torch.sqrt(variance + _BATCH_NORM_EPSILON)
        return (weight * gain[:, None, None, None]).float(), (beta - mean * gain).float()


class InvertedResidual(nn.Module):
    """Expand, filter depthwise, project; the input is added where shapes allow (paper, figure 4d)."""

    def __init__(self, channels_in: int, channels_out: int, expansion: int, stride: int, name: str) -> None:
        super().__init__()
        wide = channels_in * expansion
        self.expand = ConvUnit(channels_in, wide, f"{name}/expand") if expansion > 1 else nn.Identity()
        self.filter = ConvUnit(wide, wide, f"{name}/depthwise", 3, stride, depthwise=True)
        self.project = ConvUnit(wide, channels_out, f"{name}/project", activate=False)
        self.residual = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The block's output, and its expanded input (which the finest prediction layer taps)."""
        wide = self.expand(x)
        y = self.project(self.filter(wide))
        return (y.add_(x) if self.residual else y), wide


class Predictor(nn.Module):
    """Depthwise separable heads for box offsets and class logits on one feature map."""

    def __init__(self, channels: int, anchors: int, name: str) -> None:
        super().__init__()
        box, label = f"{name}/BoxEncodingPredictor", f"{name}/ClassPredictor"
        self.box_filter = ConvUnit(channels, channels, f"{box}_depthwise", 3, depthwise=True)
        self.box = ConvUnit(channels, 4 * anchors, box, activate=False, batch_norm=False)
        self.label_filter = ConvUnit(channels, channels, f"{label}_depthwise", 3, depthwise=True)
        self.label = ConvUnit(channels, _CLASSES * anchors, label, activate=False, batch_norm=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) -> offsets (B, H * W * anchors, 4) and logits (B, H * W * anchors, 2)."""
        offsets = self.box(self.box_filter(x)).permute(0, 2, 3, 1)
        logits = self.label(self.label_filter(x)).permute(0, 2, 3, 1)
        return offsets.reshape(len(x), -1, 4), logits.reshape(len(x), -1, _CLASSES)


class SSDLite(nn.Module):
    """The person detector: 300 x 300 image to 1917 boxes with scores.

    `forward` takes (B, 3, 300, 300) float32, RGB scaled to [-1, 1], and returns boxes (B, 1917, 4) float32 xyxy as
    fractions of the image (not clipped) and person scores (B, 1917) float32 in [0, 1].
    """

    anchors: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvUnit(3, 32, f"{_TF_BACKBONE}/Conv", 3, 2)
        blocks: list[InvertedResidual] = []
        channels = 32
        for expansion, out, repeats, stride in _INVERTED_RESIDUALS:
            for i in range(repeats):
                name = f"{_TF_BACKBONE}/expanded_conv" + (f"_{len(blocks)}" if blocks else "")
                blocks.append(InvertedResidual(channels, out, expansion, stride if i == 0 else 1, name))
                channels = out
        self.blocks = nn.ModuleList(blocks)
        self.last = ConvUnit(channels, 1280, f"{_TF_BACKBONE}/Conv_1")
        self.extras = nn.ModuleList(_extra_layers(1280))
        maps = (576, 1280, *(out for _, out in _EXTRA_CHANNELS))
        self.predictors = nn.ModuleList(
            Predictor(c, 3 if i == 0 else 6, f"BoxPredictor_{i}") for i, c in enumerate(maps)
        )
        self.register_buffer("anchors", _anchors(), persistent=False)

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
            if i == 13:  # stride 16, before the depthwise convolution that halves it
                yield wide
        x = self.last(x)
        yield x
        for layer in self.extras:
            x = layer(x)
            yield x

    def constant_names(self) -> set[str]:
        """Names of all constants that `load_constants` needs."""
        return {name for unit in self._units() for name in unit.constant_names()}

    def load_constants(self, constants: Mapping[str, npt.NDArray]) -> None:
        """Takes the weights of a TensorFlow graph (see `frozen_graph.read_constants`).

        Raises:
            WeightsMismatchError: A constant is missing or has another shape.
        """
        missing = self.constant_names() - set(constants)
        if missing:
            raise WeightsMismatchError("the SSDLite person detector", missing=missing)
        wrong = []
        for unit in self._units():
            states = self._state(unit, constants)
            if isinstance(states, str):
                wrong.append(states)
                continue
            with torch.no_grad():
                unit.conv.weight.copy_(states[0])
                assert unit.conv.bias is not None
                unit.conv.bias.copy_(states[1])
        if wrong:
            raise WeightsMismatchError("the SSDLite person detector", wrong_shape=wrong)

    @staticmethod
    def _state(unit: ConvUnit, constants: Mapping[str, npt.NDArray]) -> tuple[Tensor, Tensor] | str:
        """Weight and bias for a layer, or a line that says which shapes do not fit."""
        shapes = [constants[name].shape for name in unit.constant_names()]
        expected, channels = unit.conv.weight.shape, unit.conv.out_channels
        order = (2, 3, 0, 1) if unit.depthwise else (3, 2, 0, 1)
        fits = len(shapes[0]) == 4 and tuple(shapes[0][axis] for axis in order) == tuple(expected)
        if not fits or any(shape != (channels,) for shape in shapes[1:]):
            return f"{unit.name} {shapes}, expected {tuple(expected)} in another order and ({channels},)"
        return unit.state_from(constants)

    def _units(self) -> Iterator[ConvUnit]:
        return (module for module in self.modules() if isinstance(module, ConvUnit))


def _extra_layers(channels: int) -> Iterator[nn.Module]:
    for i, (squeeze, out) in enumerate(_EXTRA_CHANNELS, start=2):
        name = f"{_TF_BACKBONE}/layer_19_2_Conv2d_{i}_3x3_s2_{out}"
        yield nn.Sequential(
            ConvUnit(channels, squeeze, f"{_TF_BACKBONE}/layer_19_1_Conv2d_{i}_1x1_{squeeze}"),
            ConvUnit(squeeze, squeeze, f"{name}_depthwise", 3, 2, depthwise=True),
            ConvUnit(squeeze, out, name),
        )
        channels = out


def _anchors() -> Tensor:
    """(1917, 4) float32 anchors as fractions of the image: centre x, centre y, width, height."""
    grids = [19]
    while grids[-1] > 1:
        grids.append(-(-grids[-1] // 2))
    layers: list[tuple[tuple[float, float], ...]] = [_LOWEST_ANCHORS]
    for scale, next_scale in list(pairwise(_ANCHOR_SCALES))[1:]:
        layers.append((*((scale, ratio) for ratio in _ANCHOR_RATIOS), ((scale * next_scale) ** 0.5, 1.0)))
    parts = []
    for grid, shapes in zip(grids, layers, strict=True):
        centre = (np.arange(grid) + 0.5) / grid
        y, x, k = np.meshgrid(centre, centre, np.arange(len(shapes)), indexing="ij")
        size = np.array([(scale * ratio**0.5, scale / ratio**0.5) for scale, ratio in shapes])
        parts.append(np.concatenate([x[..., None], y[..., None], size[k]], axis=-1).reshape(-1, 4))
    return torch.from_numpy(np.concatenate(parts).astype(np.float32))


def _decode(offsets: Tensor, anchors: Tensor) -> Tensor:
    """Box offsets (..., 4) in the order y, x, h, w to xyxy fractions of the image."""
    dy, dx, dh, dw = offsets.unbind(-1)
    x, y, width, height = anchors.unbind(-1)
    centre_x, centre_y = x + dx / 10 * width, y + dy / 10 * height
    half_width, half_height = torch.exp(dw / 5) * width / 2, torch.exp(dh / 5) * height / 2
    corners = (centre_x - half_width, centre_y - half_height, centre_x + half_width, centre_y + half_height)
    return torch.stack(corners, dim=-1)
