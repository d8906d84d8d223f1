"""Constants of a TensorFlow frozen graph, read without TensorFlow.

A frozen graph is a serialised `GraphDef` protocol buffer whose trained parameters are nodes of type `Const`. Only
those nodes are decoded: no operation of the graph is ever built or run, so an untrusted file can do no more than
fail to parse. The wire format is https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sf_detect.errors import WeightsFormatError

# Field numbers of graph.proto, node_def.proto, attr_value.proto, tensor.proto and tensor_shape.proto.
_GRAPH_NODE = 1
_NODE_NAME, _NODE_OP, _NODE_ATTR = 1, 2, 5
_MAP_KEY, _MAP_VALUE = 1, 2
_ATTR_TENSOR = 8
_TENSOR_DTYPE, _TENSOR_SHAPE, _TENSOR_CONTENT = 1, 2, 4
_SHAPE_DIM, _DIM_SIZE = 2, 1

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# TensorFlow's DataType number -> NumPy type, and the field that holds the values when they are not raw bytes.
_DTYPES: dict[int, tuple[np.dtype, int]] = {
    1: (np.dtype("<f4"), 5),
    2: (np.dtype("<f8"), 6),
    3: (np.dtype("<i4"), 7),
    9: (np.dtype("<i8"), 10),
}

# A value may be stored once and stand for the whole tensor, so a few bytes can claim any size.
_MAX_ELEMENTS = 1 << 27
_MAX_REPEATED = 1 << 24  # values of all constants together that the file does not hold
_MAX_FIELDS = 1 << 20  # of one message


class _MalformedError(Exception):
    """The bytes are not the protocol buffer that was expected; becomes a `WeightsFormatError` naming the file."""


def read_constants(path: str | Path, names: Collection[str] | None = None) -> dict[str, npt.NDArray]:
    """Reads the constants of a frozen graph.

    Args:
        path: The `.pb` file.
        names: Nodes to read; None reads every numeric constant.

    Returns:
        Node name -> array in the shape and layout the graph holds (TensorFlow: height, width, in, out).

    Raises:
        WeightsFormatError: The file cannot be read, is not a frozen graph, or lacks one of `names`.
    """
    try:
        if Path(path).exists() and not Path(path).is_file():
            raise _MalformedError("it is no file")
        data = memoryview(Path(path).read_bytes())
        constants = _collect(_constants(data, None if names is None else set(names)))
    except OSError as error:
        raise WeightsFormatError(f"cannot read the frozen graph {path}: {error.strerror}. Check the path.") from error
    except _MalformedError as error:
        raise WeightsFormatError(
            f"{path} is not a TensorFlow frozen graph: {error}. Expected a serialised GraphDef (.pb) with its "
            "variables frozen to constants; fetch the file again if it was downloaded."
        ) from error
    missing = sorted(set(names or ()) - set(constants))
    if missing:
        shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise WeightsFormatError(
            f"{path} lacks {len(missing)} expected constants: {shown}. It is the frozen graph of another network."
        )
    return constants


def _collect(found: Iterator[tuple[str, npt.NDArray, int]]) -> dict[str, npt.NDArray]:
    """Constants by name, from names, values, and how many of these the file does not hold."""
    constants: dict[str, npt.NDArray] = {}
    repeated = 0
    for name, array, missing in found:
        repeated += missing
        if repeated > _MAX_REPEATED:
            raise _MalformedError(f"its constants claim {repeated} values that it does not hold")
        if name in constants:
            raise _MalformedError(f"two constants are called {name!r}")
        constants[name] = array
    return constants


def _constants(data: memoryview, names: set[str] | None) -> Iterator[tuple[str, npt.NDArray, int]]:
    """Name, values, and how many values are repeated."""
    for field, node in _fields(data):
        if field != _GRAPH_NODE or isinstance(node, int):
            continue
        name, is_constant, attributes = _node(node)
        if not is_constant or (names is not None and name not in names):
            continue
        tensor = _value(attributes)
        if tensor is not None:
            found = _tensor(tensor, name, required=names is not None)
            if found is not None:
                yield name, *found


def _node(data: memoryview) -> tuple[str, bool, list[memoryview]]:
    """Name, whether it is a constant, and the serialised attributes of a node."""
    name, op, attributes = "", "", []
    for field, value in _fields(data):
        if isinstance(value, int):
            continue
        if field == _NODE_NAME:
            name = _text(value)
        elif field == _NODE_OP:
            op = _text(value)
        elif field == _NODE_ATTR:
            attributes.append(value)
    return name, op == "Const", attributes


def _value(attributes: list[memoryview]) -> memoryview | None:
    """The serialised tensor of a constant."""
    tensor = None
    for attribute in attributes:
        entry = {key: item for key, item in _fields(attribute) if not isinstance(item, int)}
        if _MAP_KEY in entry and _MAP_VALUE in entry and bytes(entry[_MAP_KEY]) == b"value":
            value = {key: item for key, item in _fields(entry[_MAP_VALUE]) if not isinstance(item, int)}
            tensor = value.get(_ATTR_TENSOR)
    return tensor


def _tensor(data: memoryview, name: str, required: bool) -> tuple[npt.NDArray, int] | None:
    """A TensorProto's values and how many of them are repeated.

    None for a type that holds no numbers, unless the caller asked for this very one.
    """
    fields = list(_fields(data))
    number = next((value for field, value in fields if field == _TENSOR_DTYPE and isinstance(value, int)), 0)
    if number not in _DTYPES:
        if required:
            raise _MalformedError(f"constant {name!r} has data type {number}, expected one of {sorted(_DTYPES)}")
        return None
    dtype, value_field = _DTYPES[number]
    shape = _shape(fields, name)
    count = math.prod(shape)
    content = next((value for field, value in fields if field == _TENSOR_CONTENT), None)
    if isinstance(content, memoryview) and len(content):
        if len(content) != count * dtype.itemsize:
            raise _MalformedError(f"constant {name!r} of shape {shape} holds {len(content)} bytes of {dtype.name}")
        return np.frombuffer(content, dtype).reshape(shape), 0
    values = _values([value for field, value in fields if field == value_field], dtype, name, count)
    if count and not 0 < len(values) <= count:
        raise _MalformedError(f"constant {name!r} of shape {shape} holds {len(values)} values")
    repeated = count - len(values)
    if repeated > _MAX_REPEATED:
        raise _MalformedError(f"constant {name!r} of shape {shape} holds {len(values)} values")
    # The format drops a repeated tail: the last value stands for the rest.
    tail = np.full(max(repeated, 0), values[-1] if count else 0, dtype)
    return np.concatenate([values[:count], tail]).reshape(shape), max(repeated, 0)


def _shape(fields: list[tuple[int, int | memoryview]], name: str) -> tuple[int, ...]:
    dims: list[int] = []
    for field, value in fields:
        if field == _TENSOR_SHAPE and isinstance(value, memoryview):
            for number, dim in _fields(value):
                if number == _SHAPE_DIM and isinstance(dim, memoryview):
                    dims.append(next((v for f, v in _fields(dim) if f == _DIM_SIZE and isinstance(v, int)), 0))
    # A negative dimension arrives as a huge unsigned integer, so one bound catches both; one of 0 must hide no other.
    if len(dims) > 32 or math.prod(dim for dim in dims if dim) > _MAX_ELEMENTS:
        raise _MalformedError(f"constant {name!r} claims the impossible shape {tuple(dims)}")
    return tuple(dims)


def _values(items: list[int | memoryview], dtype: np.dtype, name: str, count: int) -> npt.NDArray:
    """Repeated values, packed into one byte string or given one by one; one more than `count` at most, if integers."""
    parts: list[npt.NDArray] = []
    for item in items:
        if isinstance(item, int):
            parts.append(_from_varints([item], dtype))
        elif dtype.kind == "i":
            parts.append(_from_varints(list(islice(_varints(item), count + 1)), dtype))
        elif len(item) % dtype.itemsize:
            raise _MalformedError(f"constant {name!r} holds {len(item)} bytes of {dtype.name}")
        else:
            parts.append(np.frombuffer(item, dtype))
    return np.concatenate(parts) if parts else np.zeros(0, dtype)


def _from_varints(values: list[int], dtype: np.dtype) -> npt.NDArray:
    if dtype.kind != "i":
        raise _MalformedError(f"an integer where {dtype.name} was expected")
    return np.array(values, np.uint64).astype(np.int64).astype(dtype)


def _varints(data: memoryview) -> Iterator[int]:
    position = 0
    while position < len(data):
        value, position = _varint(data, position)
        yield value


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    """An unsigned integer of at most 64 bits, and the position behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise _MalformedError("it ends inside a number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, position
    raise _MalformedError("a number is longer than 64 bits")


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(field number, value) of a message: an integer for varints, bytes for everything else."""
    position = count = 0
    while position < len(data):
        count += 1
        if count > _MAX_FIELDS:
            raise _MalformedError(f"a message of more than {_MAX_FIELDS} fields")
        tag, position = _varint(data, position)
        number, wire_type = tag >> 3, tag & 7
        if number == 0:
            raise _MalformedError("field number 0")
        if wire_type == _VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire_type == _BYTES:
            length, position = _varint(data, position)
        elif wire_type in (_FIXED32, _FIXED64):
            length = 4 if wire_type == _FIXED32 else 8
        else:
            raise _MalformedError(f"wire type {wire_type}")
        if length > len(data) - position:
            raise _MalformedError(f"a field of {length} bytes where {len(data) - position} are left")
        yield number, data[position : position + length]
        position += length


def _text(data: memoryview) -> str:
    try:
        return bytes(data).decode("utf-8")
    except UnicodeDecodeError:
        raise _MalformedError("a name is not UTF-8") from None
