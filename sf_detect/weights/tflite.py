"""Networks in TensorFlow Lite files, read without TensorFlow.

Such a file is a FlatBuffer (https://flatbuffers.dev/internals/): tables that point at each other by offsets. Only what
describes a network is decoded, into numbers and arrays; nothing of it is run. Every offset is checked against the file
before it is followed, and every count before anything is made of it. Field numbers are those of TensorFlow's
`lite/schema/schema.fbs`, version 3.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sf_detect.errors import WeightsFormatError

_MAX_BYTES = 500_000_000
_MAX_ITEMS = 100_000  # tensors, buffers or operators
_MAX_OPERANDS = 64  # of one operator
_MAX_AXES = 8
_MAX_ZEROS = 255  # of a sparse tensor, for each value that is written

_MODEL_CODES, _MODEL_SUBGRAPHS, _MODEL_BUFFERS = 1, 2, 4
_CODE_OLD, _CODE = 0, 3
_GRAPH_TENSORS, _GRAPH_INPUTS, _GRAPH_OUTPUTS, _GRAPH_OPERATORS = 0, 1, 2, 3
_TENSOR_SHAPE, _TENSOR_TYPE, _TENSOR_BUFFER, _TENSOR_SPARSITY = 0, 1, 2, 6
_OPERATOR_CODE, _OPERATOR_INPUTS, _OPERATOR_OUTPUTS, _OPERATOR_OPTIONS = 0, 1, 2, 4
_BUFFER_DATA = 0
_SPARSITY_ORDER, _SPARSITY_BLOCKS, _SPARSITY_AXES = 0, 1, 2
_AXIS_FORMAT, _AXIS_SIZE, _AXIS_SEGMENTS, _AXIS_INDICES = 0, 1, 2, 4  # each list has its type, then its table
_AXIS_DENSE, _AXIS_SPARSE = 0, 1

_INDEX_TYPES = {1: "int32", 2: "uint16", 3: "uint8"}
_TYPES = {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 9: "int8"}

_FILTER = {"padding": (0, "b", 0), "stride_w": (1, "i", 1), "stride_h": (2, "i", 1)}
_KINDS: dict[int, tuple[str, dict[str, tuple[int, str, int]]]] = {
    0: ("ADD", {"activation": (0, "b", 0)}),
    2: ("CONCATENATION", {"axis": (0, "i", 0), "activation": (1, "b", 0)}),
    3: ("CONV_2D", {**_FILTER, "activation": (3, "b", 0), "dilation_w": (4, "i", 1), "dilation_h": (5, "i", 1)}),
    4: (
        "DEPTHWISE_CONV_2D",
        {
            **_FILTER,
            "multiplier": (3, "i", 1),
            "activation": (4, "b", 0),
            "dilation_w": (5, "i", 1),
            "dilation_h": (6, "i", 1),
        },
    ),
    5: ("DEPTH_TO_SPACE", {"block": (0, "i", 0)}),
    6: ("DEQUANTIZE", {}),
    14: ("LOGISTIC", {}),
    17: ("MAX_POOL_2D", {**_FILTER, "width": (3, "i", 1), "height": (4, "i", 1), "activation": (5, "b", 0)}),
    22: ("RESHAPE", {}),
    23: ("RESIZE_BILINEAR", {"align_corners": (2, "b", 0), "half_pixel_centers": (3, "b", 0)}),
    34: ("PAD", {}),
    124: ("DENSIFY", {}),
}
"""Operators by code: name, and options as field number, kind and default."""


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor of the graph: its shape and type, and its values, zeros included, where it is a constant."""

    shape: tuple[int, ...]
    dtype: str
    values: npt.NDArray | None = None


@dataclass(frozen=True)
class Operator:
    """An operator; inputs and outputs are positions in `Graph.tensors`, an absent input is -1."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Graph:
    """A network; operators come in an order in which they can be run."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class _MalformedError(Exception):
    """The bytes are not what was expected; becomes a `WeightsFormatError` naming the file."""


def read_tflite(path: str | Path) -> Graph:
    """The network of a `.tflite` file.

    Raises:
        WeightsFormatError: The file can't be read, is no such network, or holds operators that are not known here.
    """
    try:
        if Path(path).stat().st_size > _MAX_BYTES:
            raise _MalformedError(f"it is longer than {_MAX_BYTES} bytes")
        return _graph(_Table.root(Path(path).read_bytes()))
    except OSError as error:
        raise WeightsFormatError(f"cannot read the network {path}: {error.strerror}. Check the path.") from error
    except (_MalformedError, struct.error) as error:
        raise WeightsFormatError(
            f"{path} is not a TensorFlow Lite network that can be used: {error}. Expected a .tflite file as published; "
            "fetch the file again if it was downloaded."
        ) from error


class _Table:
    """A table of a FlatBuffer: fields by number."""

    def __init__(self, data: bytes, start: int) -> None:
        self._data, self._start = data, start
        self._fields = start - self._int(start, "i")
        self._length = self._int(self._fields, "H")

    @classmethod
    def root(cls, data: bytes) -> _Table:
        if data[4:8] != b"TFL3":
            raise _MalformedError(f"it begins with {data[:8]!r}")
        return cls(data, struct.unpack_from("<I", data)[0])

    def number(self, field: int, kind: str, default: int = 0) -> int:
        place = self._place(field)
        return default if place is None else self._int(place, kind)

    def table(self, field: int) -> _Table | None:
        place = self._place(field)
        return None if place is None else _Table(self._data, place + self._int(place, "I"))

    def tables(self, field: int) -> Iterator[_Table]:
        place, count = self._vector(field, 4, _MAX_ITEMS)
        for item in range(place, place + 4 * count, 4):
            yield _Table(self._data, item + self._int(item, "I"))

    def integers(self, field: int, most: int) -> tuple[int, ...]:
        place, count = self._vector(field, 4, most)
        return struct.unpack_from(f"<{count}i", self._data, place)

    def numbers(self, field: int, dtype: str) -> npt.NDArray:
        kind = np.dtype(dtype).newbyteorder("<")
        place, count = self._vector(field, kind.itemsize, len(self._data))
        return np.frombuffer(self._data, kind, count, place) if count else np.zeros(0, kind)

    def content(self, field: int) -> memoryview:
        place, count = self._vector(field, 1, len(self._data))
        return memoryview(self._data)[place : place + count]

    def _vector(self, field: int, item_bytes: int, most: int) -> tuple[int, int]:
        """Where its items begin, and how many there are."""
        place = self._place(field)
        if place is None:
            return 0, 0
        start = place + self._int(place, "I")
        count = self._int(start, "I")
        if count > most or start + 4 + count * item_bytes > len(self._data):
            raise _MalformedError(f"a list of {count} items at byte {start}, of at most {most} within the file")
        return start + 4, count

    def _place(self, field: int) -> int | None:
        entry = 4 + 2 * field
        if entry + 2 > self._length:
            return None
        offset = self._int(self._fields + entry, "H")
        return self._start + offset if offset else None

    def _int(self, place: int, kind: str) -> int:
        if place < 0:  # which Python would count from the end
            raise _MalformedError(f"an offset points {-place} bytes before the file")
        return int(struct.unpack_from(f"<{kind}", self._data, place)[0])


def _graph(model: _Table) -> Graph:
    graphs = list(model.tables(_MODEL_SUBGRAPHS))
    if len(graphs) != 1:
        raise _MalformedError(f"it holds {len(graphs)} graphs, expected one")
    codes = [max(code.number(_CODE_OLD, "b"), code.number(_CODE, "i")) for code in model.tables(_MODEL_CODES)]
    buffers = [buffer.content(_BUFFER_DATA) for buffer in model.tables(_MODEL_BUFFERS)]
    tensors = tuple(_tensor(table, buffers) for table in graphs[0].tables(_GRAPH_TENSORS))
    found = Graph(
        tensors,
        tuple(_operator(table, codes) for table in graphs[0].tables(_GRAPH_OPERATORS)),
        graphs[0].integers(_GRAPH_INPUTS, _MAX_OPERANDS),
        graphs[0].integers(_GRAPH_OUTPUTS, _MAX_OPERANDS),
    )
    named = [found.inputs, found.outputs, *(o.outputs for o in found.operators)]
    if not all(0 <= i < len(tensors) for some in named for i in some) or not all(
        -1 <= i < len(tensors) for operator in found.operators for i in operator.inputs
    ):
        raise _MalformedError(f"an operator names a tensor that is not among the {len(tensors)}")
    return found


def _tensor(table: _Table, buffers: list[memoryview]) -> Tensor:
    shape = table.integers(_TENSOR_SHAPE, _MAX_AXES)
    kind, buffer = table.number(_TENSOR_TYPE, "b"), table.number(_TENSOR_BUFFER, "I")
    if min(shape, default=0) < 0 or kind not in _TYPES or buffer >= len(buffers):
        raise _MalformedError(f"a tensor of shape {shape}, type {kind}, in buffer {buffer} of {len(buffers)}")
    content, dtype = buffers[buffer], np.dtype(_TYPES[kind]).newbyteorder("<")
    if not content:
        return Tensor(shape, _TYPES[kind])
    sparsity = table.table(_TENSOR_SPARSITY)
    if sparsity is not None:
        if len(content) % dtype.itemsize:
            raise _MalformedError(f"{len(content)} bytes for values of {dtype.name}")
        return Tensor(shape, _TYPES[kind], _dense(np.frombuffer(content, dtype), shape, sparsity))
    if math.prod(shape) * dtype.itemsize != len(content):
        raise _MalformedError(f"{len(content)} bytes for a constant of shape {shape}, {dtype.name}")
    return Tensor(shape, _TYPES[kind], np.frombuffer(content, dtype).reshape(shape))


def _dense(values: npt.NDArray, shape: tuple[int, ...], sparsity: _Table) -> npt.NDArray:
    """A sparse tensor with its zeros; of the ways to write one, that in which only the last axis leaves values out."""
    axes = list(sparsity.tables(_SPARSITY_AXES))
    formats = [axis.number(_AXIS_FORMAT, "b") for axis in axes]
    sizes = tuple(axis.number(_AXIS_SIZE, "i") for axis in axes[:-1])
    order, blocks = sparsity.integers(_SPARSITY_ORDER, _MAX_AXES), sparsity.integers(_SPARSITY_BLOCKS, _MAX_AXES)
    if order != tuple(range(len(shape))) or blocks or not shape or sizes != shape[:-1]:
        raise _MalformedError(f"a sparse tensor of shape {shape} in the order {order} with blocks {blocks}")
    if formats != [*[_AXIS_DENSE] * len(sizes), _AXIS_SPARSE]:
        raise _MalformedError(f"a sparse tensor of shape {shape} with axes of the formats {formats}")
    segments, indices = (_index_list(axes[-1], field) for field in (_AXIS_SEGMENTS, _AXIS_INDICES))
    rows, counts = math.prod(sizes), np.diff(segments)
    fits = len(segments) == rows + 1 and segments[0] == 0 and counts.min(initial=0) >= 0
    # Before anything of its size is made: a short file can't ask for much memory.
    much = rows * shape[-1] > (_MAX_ZEROS + 1) * len(values)
    if not fits or not segments[-1] == len(indices) == len(values) or much:
        raise _MalformedError(f"{len(values)} values in {len(segments)} segments for a sparse tensor of shape {shape}")
    if len(indices) and not 0 <= indices.min() <= indices.max() < shape[-1]:
        raise _MalformedError(f"a value outside a sparse tensor of shape {shape}")
    dense = np.zeros((rows, shape[-1]), values.dtype)
    dense[np.repeat(np.arange(rows), counts), indices] = values
    return dense.reshape(shape)


def _index_list(axis: _Table, field: int) -> npt.NDArray[np.int64]:
    kind, table = axis.number(field, "b"), axis.table(field + 1)
    if kind not in _INDEX_TYPES or table is None:
        raise _MalformedError(f"a list of positions of type {kind}")
    return table.numbers(0, _INDEX_TYPES[kind]).astype(np.int64)


def _operator(table: _Table, codes: list[int]) -> Operator:
    index = table.number(_OPERATOR_CODE, "I")
    code = codes[index] if index < len(codes) else -1
    if code not in _KINDS:
        raise _MalformedError(f"its operator {code} is not known here")
    name, fields = _KINDS[code]
    options = table.table(_OPERATOR_OPTIONS)
    return Operator(
        name,
        table.integers(_OPERATOR_INPUTS, _MAX_OPERANDS),
        table.integers(_OPERATOR_OUTPUTS, _MAX_OPERANDS),
        {
            option: default if options is None else options.number(field, kind, default)
            for option, (field, kind, default) in fields.items()
        },
    )
