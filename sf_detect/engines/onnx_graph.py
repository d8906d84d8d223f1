"""Writing ONNX graphs: just enough of the operator set for the networks that are converted here.

The graphs are written from arrays, without torch: converting a network needs neither the time to import torch nor an
exporter that follows its versions. The networks in `detection` and `models` are the reference; tests compare.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sf_detect.errors import MissingExtraError

OPSET = 17
"""Read by ONNX Runtime from 1.12 and by OpenVINO from 2023.0."""
_IR_VERSION = 8

Shape = tuple[int | str, ...]
"""Sizes of the axes; a name stands for a size that is known when the network runs."""


@dataclass(frozen=True)
class TensorSpec:
    """Type and shape of an input or an output."""

    dtype: str
    shape: Shape


@dataclass(frozen=True)
class OnnxModel:
    """A serialised graph and what goes in and out of it.

    Attributes:
        content: The `ModelProto`.
        inputs, outputs: By name, in the graph's order.
    """

    content: bytes
    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]

    def to_bytes(self) -> bytes:
        """The inverse of `from_bytes`."""
        specs = [{name: [s.dtype, s.shape] for name, s in specs.items()} for specs in (self.inputs, self.outputs)]
        return json.dumps(specs).encode() + b"\n" + self.content

    @classmethod
    def from_bytes(cls, stored: bytes) -> OnnxModel:
        """What `to_bytes` made."""
        header, _, content = stored.partition(b"\n")
        inputs, outputs = (
            {name: TensorSpec(dtype, tuple(shape)) for name, (dtype, shape) in specs.items()}
            for specs in json.loads(header)
        )
        return cls(content, inputs, outputs)


class OnnxGraph:
    """A graph that is written operator by operator.

    A tensor is its name; an array in the place of a name becomes a constant.

    Raises:
        MissingExtraError: The package `onnx` is not installed.
    """

    def __init__(self, name: str) -> None:
        try:
            import onnx
        except ImportError as error:
            raise MissingExtraError("onnx", "onnxruntime", "converting a network") from error
        self._onnx, self._name = onnx, name
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._inputs: dict[str, TensorSpec] = {}
        self._outputs: dict[str, TensorSpec] = {}

    def input(self, name: str, dtype: str, shape: Shape) -> str:
        """An input of the graph."""
        self._inputs[name] = TensorSpec(dtype, shape)
        return name

    def output(self, name: str, tensor: str, dtype: str, shape: Shape) -> None:
        """An output of the graph, which takes the value of `tensor`; add what reads the tensor before."""
        self._outputs[name] = TensorSpec(dtype, shape)
        if tensor in self._inputs or tensor in self._outputs:
            self._nodes.append(self._onnx.helper.make_node("Identity", [tensor], [name]))
            return
        for node in self._nodes:  # under its final name it need not be copied
            for names in (node.input, node.output):
                for i, other in enumerate(names):
                    if other == tensor:
                        names[i] = name

    def constant(self, array: npt.NDArray) -> str:
        """A constant."""
        name = f"constant_{len(self._constants)}"
        self._constants.append(self._onnx.numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name

    def add(self, operator: str, *tensors: str | npt.NDArray, **attributes: Any) -> str:
        """An operator of one output."""
        return self._add(operator, tensors, 1, attributes)[0]

    def split(self, tensor: str, sizes: Sequence[int], axis: int) -> list[str]:
        """Consecutive parts of a tensor."""
        return self._add("Split", (tensor, integers(*sizes)), len(sizes), {"axis": axis})

    def slice(self, tensor: str, start: int, stop: int, axis: int = 0, step: int = 1) -> str:
        """`tensor[start:stop:step]` along an axis."""
        return self.add("Slice", tensor, *(integers(value) for value in (start, stop, axis, step)))

    def normalised(self, pixels: str, scale: npt.NDArray[np.float32], offset: npt.NDArray[np.float32]) -> str:
        """Pictures (N, H, W, 3) uint8 as (N, 3, H, W) float32: `pixel * scale - offset`, per channel or for all."""
        pixels = self.add("Transpose", self.add("Cast", pixels, to=self._onnx.TensorProto.FLOAT), perm=[0, 3, 1, 2])
        return self.add("Sub", self.add("Mul", pixels, scale), offset)

    def as_float(self, tensor: str) -> str:
        """Integers or truth values as float32."""
        return self.add("Cast", tensor, to=self._onnx.TensorProto.FLOAT)

    def model(self) -> OnnxModel:
        """The graph, complete."""
        helper = self._onnx.helper
        graph = helper.make_graph(
            self._nodes,
            self._name,
            [self._value(name, spec) for name, spec in self._inputs.items()],
            [self._value(name, spec) for name, spec in self._outputs.items()],
            self._constants,
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=_IR_VERSION, producer_name="sf_detect")
        return OnnxModel(model.SerializeToString(deterministic=True), dict(self._inputs), dict(self._outputs))

    def _value(self, name: str, spec: TensorSpec) -> Any:
        helper = self._onnx.helper
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype)), spec.shape)

    def _add(
        self, operator: str, tensors: Sequence[str | npt.NDArray], outputs: int, attributes: dict[str, Any]
    ) -> list[str]:
        inputs = [x if isinstance(x, str) else self.constant(x) for x in tensors]
        names = [f"{operator.lower()}_{len(self._nodes)}_{i}" for i in range(outputs)]
        self._nodes.append(self._onnx.helper.make_node(operator, inputs, names, **attributes))
        return names


def integers(*values: int) -> npt.NDArray[np.int64]:
    """A constant of the type that ONNX wants for axes, sizes and positions."""
    return np.array(values, np.int64)


def real(*values: float) -> npt.NDArray[np.float32]:
    """A float32 constant; of no axis where it is one value."""
    return np.array(values if len(values) > 1 else values[0], np.float32)
