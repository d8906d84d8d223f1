"""The default person detector as an ONNX graph; `detection.ssdlite.SSDLite` is the same network in torch.

Pixels are normalised inside the graph, and of each anchor only the person's logit is computed, not the background's.
"""

from __future__ import annotations

from itertools import chain

import numpy as np
import numpy.typing as npt

from sf_detect.detection.ssdlite_layers import (
    CLASSES,
    INPUT_SIZE,
    TAPPED_BLOCK,
    ConvLayer,
    FoldedWeights,
    anchor_boxes,
    ssdlite_layers,
)
from sf_detect.engines.onnx_graph import OnnxGraph, OnnxModel, integers, real

_PERSON = slice(1, None, CLASSES)  # of the label layer's channels, which alternate between the classes
_CENTRE_SCALE, _SIZE_SCALE = 10, 5  # of the box coder


def ssdlite_model(weights: FoldedWeights) -> OnnxModel:
    """The detector's graph.

    Args:
        weights: Of every layer (`SSDLiteLayers.fold`).

    Returns:
        A graph from `images` (1, 300, 300, 3) uint8 RGB to `boxes` (1, 1917, 4) float32, xyxy as fractions of the
        image, not clipped, and `scores` (1, 1917) float32 in [0, 1].
    """
    return _SSDLiteGraph(weights).model()


def convolved(
    graph: OnnxGraph, layer: ConvLayer, x: str, weight: npt.NDArray[np.float32], bias: npt.NDArray[np.float32]
) -> str:
    """A layer's output in a graph."""
    attributes = {"kernel_shape": [layer.kernel] * 2, "strides": [layer.stride] * 2, "group": layer.groups}
    padding = {"auto_pad": "SAME_UPPER"} if layer.kernel > 1 else {}
    x = graph.add("Conv", x, weight, bias, **attributes, **padding)
    return graph.add("Clip", x, real(0), real(6)) if layer.activate else x


class _SSDLiteGraph:
    def __init__(self, weights: FoldedWeights) -> None:
        self._weights, self._layers, self._graph = weights, ssdlite_layers(), OnnxGraph("ssdlite_person")

    def model(self) -> OnnxModel:
        graph = self._graph
        images = graph.input("images", "uint8", (1, INPUT_SIZE, INPUT_SIZE, 3))
        maps = self._features(graph.normalised(images, real(2 / 255), real(1)))
        offsets, logits = [], []
        for head, x in zip(self._layers.predictors, maps, strict=True):
            offsets.append(self._by_anchor(self._conv(head.box, self._conv(head.box_filter, x)), -1, 4))
            label = self._conv(head.label, self._conv(head.label_filter, x), _PERSON)
            logits.append(self._by_anchor(label, -1))
        anchors = anchor_boxes()
        boxes = self._decode(graph.add("Concat", *offsets, axis=1), anchors)
        scores = graph.add("Sigmoid", graph.add("Concat", *logits, axis=1))
        graph.output("boxes", boxes, "float32", (1, len(anchors), 4))
        graph.output("scores", scores, "float32", (1, len(anchors)))
        return graph.model()

    def _features(self, x: str) -> list[str]:
        """The six maps that the heads look at, finest first."""
        layers = self._layers
        x, maps = self._conv(layers.stem, x), []
        for i, block in enumerate(layers.blocks):
            wide = x if block.expand is None else self._conv(block.expand, x)
            if i == TAPPED_BLOCK:
                maps.append(wide)
            y = self._conv(block.project, self._conv(block.filter, wide))
            x = self._graph.add("Add", y, x) if block.residual else y
        for group in chain([(layers.last,)], layers.extras):
            for layer in group:
                x = self._conv(layer, x)
            maps.append(x)
        return maps

    def _conv(self, layer: ConvLayer, x: str, channels: slice = slice(None)) -> str:
        """A layer's output, or some of its channels."""
        weight, bias = (array[channels] for array in self._weights[layer.name])
        return convolved(self._graph, layer, x, weight, bias)

    def _by_anchor(self, x: str, *shape: int) -> str:
        """(1, anchors * k, H, W) as (1, H * W * anchors, k) or, of one value each, (1, H * W * anchors)."""
        x = self._graph.add("Transpose", x, perm=[0, 2, 3, 1])
        return self._graph.add("Reshape", x, integers(1, *shape))

    def _decode(self, offsets: str, anchors: npt.NDArray[np.float32]) -> str:
        """Box offsets (1, 1917, 4) in the order y, x, h, w to xyxy fractions of the image."""
        graph = self._graph
        centres, sizes = anchors[None, :, 1::-1], anchors[None, :, :1:-1]
        shift, growth = graph.split(offsets, (2, 2), axis=2)
        centre = graph.add("Add", graph.add("Mul", shift, sizes / _CENTRE_SCALE), centres)
        half = graph.add("Mul", graph.add("Exp", graph.add("Mul", growth, real(1 / _SIZE_SCALE))), sizes / 2)
        corners = graph.add("Concat", graph.add("Sub", centre, half), graph.add("Add", centre, half), axis=2)
        return graph.add("Gather", corners, integers(1, 0, 3, 2), axis=2)
