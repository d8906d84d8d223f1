"""A convolutional network of a TensorFlow Lite file as an ONNX graph, so that any engine runs it.

TensorFlow keeps the channels last, ONNX second: pictures are (N, C, H, W) throughout the written graph, and only what
looks at the order of the values (a change of shape) gets them as TensorFlow has them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from sf_detect.engines.onnx_graph import OnnxGraph, integers, real
from sf_detect.errors import WeightsFormatError
from sf_detect.weights.tflite import Graph, Operator

_RELU, _RELU6 = 1, 3
_VALID = 1


class GraphConverter:
    """Writes the operators of a network that its wanted outputs need.

    Args:
        graph: The network.
        onnx: Where to.
        pictures: The tensor (N, C, H, W) float32 of `onnx` that is the network's input.

    Raises:
        WeightsFormatError: The network has more than one input.
    """

    def __init__(self, graph: Graph, onnx: OnnxGraph, pictures: str) -> None:
        if len(graph.inputs) != 1:
            raise _unfit(f"{len(graph.inputs)} inputs, expected one")
        self._graph, self._onnx = graph, onnx
        self._names: dict[int, str] = {graph.inputs[0]: pictures}
        self._arrays: dict[int, npt.NDArray] = {}
        self._writers: Mapping[str, Callable[[Operator], str]] = {
            "ADD": self._add,
            "CONCATENATION": self._concatenate,
            "CONV_2D": self._convolution,
            "DEPTHWISE_CONV_2D": self._depthwise,
            "DEPTH_TO_SPACE": self._depth_to_space,
            "LOGISTIC": lambda operator: self._onnx.add("Sigmoid", self._name(operator.inputs[0])),
            "MAX_POOL_2D": self._max_pool,
            "RESHAPE": self._reshape,
            "RESIZE_BILINEAR": self._resize,
            "PAD": self._pad,
        }

    def write(self, outputs: list[int]) -> list[str]:
        """The names of these tensors in the ONNX graph, after what computes them.

        Raises:
            WeightsFormatError: An operator is used in a way that is not written here.
        """
        needed = set(outputs)
        chosen = []
        for operator in reversed(self._graph.operators):
            if needed & set(operator.outputs):
                chosen.append(operator)
                needed |= set(operator.inputs)
        for operator in reversed(chosen):
            try:
                self._write(operator)
            except (IndexError, KeyError, ValueError, ZeroDivisionError) as error:
                raise _unfit(f"{operator.kind} with {type(error).__name__}: {error}") from error
        return [self._name(i) for i in outputs]

    def _write(self, operator: Operator) -> None:
        (output,) = operator.outputs
        if operator.kind == "DEQUANTIZE":  # weights kept in half precision
            self._arrays[output] = self._array(operator.inputs[0]).astype(np.float32)
        elif operator.kind == "DENSIFY":  # weights of which many are zero; the reader filled them in
            self._arrays[output] = self._array(operator.inputs[0])
        else:
            self._names[output] = self._writers[operator.kind](operator)

    def _array(self, tensor: int) -> npt.NDArray:
        if tensor in self._arrays:
            return self._arrays[tensor]
        values = self._graph.tensors[tensor].values if tensor >= 0 else None
        if values is None:
            raise _unfit("an operand that should be a constant is none")
        return values

    def _name(self, tensor: int) -> str:
        if tensor not in self._names:
            raise _unfit("an operand is computed nowhere before")
        return self._names[tensor]

    def _shape(self, tensor: int) -> tuple[int, int, int, int]:
        """Batch, height, width, channels."""
        n, height, width, channels = self._graph.tensors[tensor].shape
        return n, height, width, channels

    def _convolution(self, operator: Operator) -> str:
        weights = self._array(operator.inputs[1]).transpose(0, 3, 1, 2)  # out, height, width, in
        return self._convolved(operator, weights, 1)

    def _depthwise(self, operator: Operator) -> str:
        weights = self._array(operator.inputs[1]).transpose(3, 0, 1, 2)  # 1, height, width, channels
        channels = self._shape(operator.inputs[0])[3]
        if operator.options["multiplier"] != 1 or weights.shape[0] != channels:
            raise _unfit("a depthwise convolution that multiplies channels")
        return self._convolved(operator, weights, channels)

    def _convolved(self, operator: Operator, weights: npt.NDArray, groups: int) -> str:
        options = operator.options
        if (options["dilation_h"], options["dilation_w"]) != (1, 1):
            raise _unfit("a dilated convolution")
        operands: list[str | npt.NDArray] = [self._name(operator.inputs[0]), np.ascontiguousarray(weights, np.float32)]
        if len(operator.inputs) > 2 and operator.inputs[2] >= 0:
            operands.append(self._array(operator.inputs[2]).astype(np.float32))
        found = self._onnx.add(
            "Conv",
            *operands,
            group=groups,
            kernel_shape=list(weights.shape[2:]),
            strides=[options["stride_h"], options["stride_w"]],
            pads=self._padding(operator, weights.shape[2], weights.shape[3]),
        )
        return self._activated(found, options["activation"])

    def _max_pool(self, operator: Operator) -> str:
        options = operator.options
        found = self._onnx.add(
            "MaxPool",
            self._name(operator.inputs[0]),
            kernel_shape=[options["height"], options["width"]],
            strides=[options["stride_h"], options["stride_w"]],
            pads=self._padding(operator, options["height"], options["width"]),
        )
        return self._activated(found, options["activation"])

    def _padding(self, operator: Operator, height: int, width: int) -> list[int]:
        """Before and after, rows and columns; TensorFlow's "same" puts the odd one behind."""
        if operator.options["padding"] == _VALID:
            return [0, 0, 0, 0]
        _, tall, wide, _ = self._shape(operator.inputs[0])
        totals = []
        for size, kernel, axis in ((tall, height, "h"), (wide, width, "w")):
            stride = operator.options[f"stride_{axis}"]
            totals.append(max((-(-size // stride) - 1) * stride + kernel - size, 0))
        return [*(total // 2 for total in totals), *(total - total // 2 for total in totals)]

    def _add(self, operator: Operator) -> str:
        one, other = (self._name(i) for i in operator.inputs)
        if len({self._graph.tensors[i].shape for i in operator.inputs}) != 1:
            raise _unfit("a sum of tensors of different shapes")
        return self._activated(self._onnx.add("Add", one, other), operator.options["activation"])

    def _concatenate(self, operator: Operator) -> str:
        axes = len(self._graph.tensors[operator.outputs[0]].shape)
        axis = operator.options["axis"] % axes
        parts = [self._name(i) for i in operator.inputs]
        found = self._onnx.add("Concat", *parts, axis=(0, 2, 3, 1)[axis] if axes == 4 else axis)
        return self._activated(found, operator.options["activation"])

    def _depth_to_space(self, operator: Operator) -> str:
        # TensorFlow counts a block's place first and the channel last, which is ONNX's default too.
        return self._onnx.add("DepthToSpace", self._name(operator.inputs[0]), blocksize=operator.options["block"])

    def _pad(self, operator: Operator) -> str:
        before, after = self._array(operator.inputs[1])[[0, 3, 1, 2]].T
        return self._onnx.add("Pad", self._name(operator.inputs[0]), integers(*before, *after), mode="constant")

    def _reshape(self, operator: Operator) -> str:
        values = self._name(operator.inputs[0])
        shape = self._graph.tensors[operator.outputs[0]].shape
        if len(self._graph.tensors[operator.inputs[0]].shape) == 4:
            values = self._onnx.add("Transpose", values, perm=[0, 2, 3, 1])
        found = self._onnx.add("Reshape", values, integers(*shape))
        return self._onnx.add("Transpose", found, perm=[0, 3, 1, 2]) if len(shape) == 4 else found

    def _resize(self, operator: Operator) -> str:
        options = operator.options
        rule = "half_pixel" if options["half_pixel_centers"] else "asymmetric"
        n, height, width, channels = self._shape(operator.outputs[0])
        # ONNX takes the size at the fourth place; the other two ways of saying it stay empty.
        return self._onnx.add(
            "Resize",
            self._name(operator.inputs[0]),
            "",
            "",
            integers(n, channels, height, width),
            mode="linear",
            coordinate_transformation_mode="align_corners" if options["align_corners"] else rule,
        )

    def _activated(self, tensor: str, activation: int) -> str:
        if activation == _RELU6:
            return self._onnx.add("Clip", tensor, real(0), real(6))
        if activation == _RELU:
            return self._onnx.add("Relu", tensor)
        if activation:
            raise _unfit(f"the activation {activation}")
        return tensor


def _unfit(problem: str) -> WeightsFormatError:
    return WeightsFormatError(
        f"the TensorFlow Lite network has {problem}, which is not converted here. Use the published file."
    )
