"""Writes the few protocol buffer messages that a frozen graph consists of."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_NUMBERS = {np.dtype(np.float32): 1, np.dtype(np.float64): 2, np.dtype(np.int32): 3, np.dtype(np.int64): 9}


def varint(value: int) -> bytes:
    """An unsigned integer, seven bits a byte."""
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number: int, data: bytes) -> bytes:
    """A field of bytes."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def shape(*dims: int) -> bytes:
    """A TensorShapeProto."""
    return b"".join(field(2, varint(1 << 3) + varint(dim)) for dim in dims)


def tensor(dtype: int, shape_proto: bytes, values: bytes = b"") -> bytes:
    """A TensorProto with already encoded value fields."""
    return varint(1 << 3) + varint(dtype) + field(2, shape_proto) + values


def node(name: str, op: str, tensor_proto: bytes) -> bytes:
    """A graph's field 1: a NodeDef whose attribute `value` is the tensor."""
    attribute = field(1, b"value") + field(2, field(8, tensor_proto))
    return field(1, field(1, name.encode()) + field(2, op.encode()) + field(5, attribute))


def constant(name: str, array: npt.NDArray) -> bytes:
    """A node of type Const that holds `array` as raw bytes."""
    content = field(4, np.ascontiguousarray(array).tobytes())
    return node(name, "Const", tensor(_NUMBERS[array.dtype], shape(*array.shape), content))
