"""The layers of SSDLite with a MobileNetV2 backbone (Sandler et al. 2018, section 6.2), described without torch.

Both forms of the network follow this description: the torch module (`ssdlite`) and the ONNX graph
(`ssdlite_onnx`). Names are those of the published TensorFlow graph, where the weights come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from sf_detect.errors import WeightsMismatchError

INPUT_SIZE = 300
NMS_IOU = 0.6
MAX_DETECTIONS = 100
CLASSES = 2  # background, person
TAPPED_BLOCK = 13
"""The block whose expanded input the finest predictor sees: stride 16, before the convolution that halves it."""

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
_BACKBONE = "FeatureExtractor/MobilenetV2"

FoldedWeights = dict[str, tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]
"""Layer's name -> weight (out, in / groups, kernel, kernel) and bias (out,), batch norm folded in."""


def fold_batch_norm(
    weight: npt.NDArray[np.float64], *norm: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Weight (out, in / groups, k, k) and bias (out,) of a convolution with the batch norm behind it.

    Args:
        weight: Of the convolution.
        *norm: Gain, offset, mean and variance, (out,) each.
    """
    gamma, beta, mean, variance = norm
    gain = gamma / np.sqrt(variance + _BATCH_NORM_EPSILON)
    return (weight * gain[:, None, None, None]).astype(np.float32), (beta - mean * gain).astype(np.float32)


@dataclass(frozen=True)
class ConvLayer:
    """A convolution with TensorFlow's "same" padding (the odd pixel behind), and an optional ReLU6.

    Attributes:
        channels_in, channels_out: Channels.
        name: The layer's scope in the TensorFlow graph.
        kernel: Square kernel size, 1 or 3.
        stride: 1 or 2.
        depthwise: One filter per channel.
        activate: Whether ReLU6 follows.
        batch_norm: Whether the graph has a batch norm behind the convolution, else a bias.
    """

    channels_in: int
    channels_out: int
    name: str
    kernel: int = 1
    stride: int = 1
    depthwise: bool = False
    activate: bool = True
    batch_norm: bool = True

    @property
    def groups(self) -> int:
        """Groups of the convolution."""
        return self.channels_in if self.depthwise else 1

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """(out, in / groups, kernel, kernel)."""
        return self.channels_out, self.channels_in // self.groups, self.kernel, self.kernel

    def constant_names(self) -> list[str]:
        """Names of this layer's constants in the graph: weights first."""
        weights = f"{self.name}/{'depthwise_weights' if self.depthwise else 'weights'}"
        if not self.batch_norm:
            return [weights, f"{self.name}/biases"]
        return [weights] + [f"{self.name}/BatchNorm/{n}" for n in ("gamma", "beta", "moving_mean", "moving_variance")]

    def misfit(self, constants: Mapping[str, npt.NDArray]) -> str | None:
        """A line that says which shapes do not fit; None where all do."""
        if any(constants[name].dtype.kind != "f" for name in self.constant_names()):
            return f"{self.name} holds integers, expected floating point"
        shapes = [constants[name].shape for name in self.constant_names()]
        # TensorFlow: (h, w, in, out), depthwise (h, w, channels, 1)
        fits = len(shapes[0]) == 4 and tuple(shapes[0][axis] for axis in self._order) == self.weight_shape
        if any(constants[name].dtype.kind != "f" for name in self.constant_names()):
            return f"{self.name} holds integers, expected floating point"
        if fits and all(shape == (self.channels_out,) for shape in shapes[1:]):
            return None
        return f"{self.name} {shapes}, expected {self.weight_shape} in another order and ({self.channels_out},)"

    def folded(self, constants: Mapping[str, npt.NDArray]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Weight and bias from the graph's constants; see `FoldedWeights`."""
        weight, *rest = (np.asarray(constants[name], np.float64) for name in self.constant_names())
        weight = weight.transpose(self._order)
        if not self.batch_norm:
            return weight.astype(np.float32), rest[0].astype(np.float32)
        return fold_batch_norm(weight, *rest)

    @property
    def _order(self) -> tuple[int, int, int, int]:
        return (2, 3, 0, 1) if self.depthwise else (3, 2, 0, 1)


@dataclass(frozen=True)
class ResidualLayers:
    """Expand, filter depthwise, project; the input is added where shapes allow (paper, figure 4d)."""

    expand: ConvLayer | None
    filter: ConvLayer
    project: ConvLayer

    @property
    def residual(self) -> bool:
        """Whether the block's input is added to its output."""
        entry = self.expand or self.filter
        return self.filter.stride == 1 and entry.channels_in == self.project.channels_out

    def convolutions(self) -> list[ConvLayer]:
        """Its layers, in their order."""
        return [layer for layer in (self.expand, self.filter, self.project) if layer is not None]


@dataclass(frozen=True)
class PredictorLayers:
    """Depthwise separable heads for box offsets and class logits on one feature map of `anchors` boxes a cell."""

    anchors: int
    box_filter: ConvLayer
    box: ConvLayer
    label_filter: ConvLayer
    label: ConvLayer


@dataclass(frozen=True)
class SSDLiteLayers:
    """The whole network; see the functions of this module for its parts."""

    stem: ConvLayer
    blocks: tuple[ResidualLayers, ...]
    last: ConvLayer
    extras: tuple[tuple[ConvLayer, ConvLayer, ConvLayer], ...]
    predictors: tuple[PredictorLayers, ...]

    def convolutions(self) -> Iterator[ConvLayer]:
        """All layers with weights."""
        yield self.stem
        for block in self.blocks:
            yield from block.convolutions()
        yield self.last
        for extra in self.extras:
            yield from extra
        for head in self.predictors:
            yield from (head.box_filter, head.box, head.label_filter, head.label)

    def constant_names(self) -> set[str]:
        """Names of all constants that `fold` needs."""
        return {name for layer in self.convolutions() for name in layer.constant_names()}

    def fold(self, constants: Mapping[str, npt.NDArray]) -> FoldedWeights:
        """Weights of all layers from a TensorFlow graph's constants (see `frozen_graph.read_constants`).

        Raises:
            WeightsMismatchError: A constant is missing or has another shape.
        """
        missing = self.constant_names() - set(constants)
        if missing:
            raise WeightsMismatchError("the SSDLite person detector", missing=missing)
        wrong = [line for layer in self.convolutions() if (line := layer.misfit(constants)) is not None]
        if wrong:
            raise WeightsMismatchError("the SSDLite person detector", wrong_shape=wrong)
        return {layer.name: layer.folded(constants) for layer in self.convolutions()}


def ssdlite_layers() -> SSDLiteLayers:
    """The published person detector."""
    stem = ConvLayer(3, 32, f"{_BACKBONE}/Conv", 3, 2)
    blocks = tuple(_blocks(stem.channels_out))
    last = ConvLayer(blocks[-1].project.channels_out, 1280, f"{_BACKBONE}/Conv_1")
    extras = tuple(_extras(last.channels_out))
    maps = (blocks[TAPPED_BLOCK].filter.channels_in, last.channels_out, *(extra[-1].channels_out for extra in extras))
    predictors = tuple(_predictor(c, 3 if i == 0 else 6, f"BoxPredictor_{i}") for i, c in enumerate(maps))
    return SSDLiteLayers(stem, blocks, last, extras, predictors)


def _blocks(channels: int) -> Iterator[ResidualLayers]:
    count = 0
    for expansion, out, repeats, stride in _INVERTED_RESIDUALS:
        for i in range(repeats):
            name = f"{_BACKBONE}/expanded_conv" + (f"_{count}" if count else "")
            wide = channels * expansion
            yield ResidualLayers(
                ConvLayer(channels, wide, f"{name}/expand") if expansion > 1 else None,
                ConvLayer(wide, wide, f"{name}/depthwise", 3, stride if i == 0 else 1, depthwise=True),
                ConvLayer(wide, out, f"{name}/project", activate=False),
            )
            channels, count = out, count + 1


def _extras(channels: int) -> Iterator[tuple[ConvLayer, ConvLayer, ConvLayer]]:
    for i, (squeeze, out) in enumerate(_EXTRA_CHANNELS, start=2):
        name = f"{_BACKBONE}/layer_19_2_Conv2d_{i}_3x3_s2_{out}"
        yield (
            ConvLayer(channels, squeeze, f"{_BACKBONE}/layer_19_1_Conv2d_{i}_1x1_{squeeze}"),
            ConvLayer(squeeze, squeeze, f"{name}_depthwise", 3, 2, depthwise=True),
            ConvLayer(squeeze, out, name),
        )
        channels = out


def _predictor(channels: int, anchors: int, name: str) -> PredictorLayers:
    box, label = f"{name}/BoxEncodingPredictor", f"{name}/ClassPredictor"
    return PredictorLayers(
        anchors,
        ConvLayer(channels, channels, f"{box}_depthwise", 3, depthwise=True),
        ConvLayer(channels, 4 * anchors, box, activate=False, batch_norm=False),
        ConvLayer(channels, channels, f"{label}_depthwise", 3, depthwise=True),
        ConvLayer(channels, CLASSES * anchors, label, activate=False, batch_norm=False),
    )


def anchor_boxes() -> npt.NDArray[np.float32]:
    """(1917, 4) anchors as fractions of the image: centre x, centre y, width, height."""
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
    return np.concatenate(parts).astype(np.float32)
