"""TensorFlow Lite files written byte by byte, for tests: tables, and networks of a few operators."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_TYPES = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3}
_CODES = {
    "ADD": 0,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 4,
    "DEQUANTIZE": 6,
    "LOGISTIC": 14,
    "MAX_POOL_2D": 17,
    "RESHAPE": 22,
    "RESIZE_BILINEAR": 23,
    "PAD": 34,
}
_OPTIONS = {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 2, "ADD": 11, "RESIZE_BILINEAR": 15}
"""Kinds of options; the reader goes by the operator."""


@dataclass
class Table:
    """A table of a FlatBuffer: values by field number."""

    fields: Mapping[int, Any]

    def write(self, data: bytearray) -> int:
        """Appends it, what it points at behind it; returns where it begins."""
        data.extend(bytes(-len(data) % 4))
        count = 1 + max(self.fields, default=-1)
        fields = len(data)
        data.extend(struct.pack("<HH", 4 + 2 * count, 4 + 4 * len(self.fields)) + bytes(2 * count))
        data.extend(bytes(-len(data) % 4))
        start = len(data)
        data.extend(struct.pack("<i", start - fields) + bytes(4 * len(self.fields)))
        for place, (number, value) in enumerate(self.fields.items()):
            offset = 4 + 4 * place
            struct.pack_into("<H", data, fields + 4 + 2 * number, offset)
            if isinstance(value, int):
                struct.pack_into("<i", data, start + offset, value)
            else:
                found = value.write(data) if isinstance(value, Table) else _write_vector(data, value)
                struct.pack_into("<I", data, start + offset, found - start - offset)
        return start


def _write_vector(data: bytearray, items: bytes | Sequence[Any]) -> int:
    data.extend(bytes(-len(data) % 4))
    start = len(data)
    data.extend(struct.pack("<I", len(items)))
    if isinstance(items, bytes):
        data.extend(items + b"\0")  # text ends so
    elif items and isinstance(items[0], Table):
        data.extend(bytes(4 * len(items)))
        for i, item in enumerate(items):
            place = start + 4 + 4 * i
            struct.pack_into("<I", data, place, item.write(data) - place)
    else:
        data.extend(struct.pack(f"<{len(items)}i", *items))
    return start


def file_of(model: Table) -> bytes:
    """The file whose root is this table."""
    data = bytearray(b"\0\0\0\0TFL3")
    struct.pack_into("<I", data, 0, model.write(data))
    return bytes(data)


@dataclass
class NetworkWriter:
    """Puts a network together: tensors are numbers, constants are arrays."""

    tensors: list[Table] = field(default_factory=list)
    buffers: list[Table] = field(default_factory=lambda: [Table({})])
    operators: list[Table] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)

    def tensor(self, *shape: int, dtype: str = "float32", buffer: int = 0) -> int:
        name = f"t{len(self.tensors)}".encode()
        self.tensors.append(Table({0: list(shape), 1: _TYPES[dtype], 2: buffer, 3: name}))
        return len(self.tensors) - 1

    def constant(self, array: np.ndarray) -> int:
        self.buffers.append(Table({0: array.tobytes()}))
        return self.tensor(*array.shape, dtype=array.dtype.name, buffer=len(self.buffers) - 1)

    def add(self, kind: str, inputs: list[int], shape: Sequence[int], options: Mapping[int, int] | None = None) -> int:
        output = self.tensor(*shape)
        if kind not in self.kinds:
            self.kinds.append(kind)
        fields = {0: self.kinds.index(kind), 1: inputs, 2: [output]}
        chosen = {} if options is None else {3: _OPTIONS.get(kind, 0), 4: Table(options)}
        self.operators.append(Table({**fields, **chosen}))
        return output

    def model(self, inputs: list[int], outputs: list[int]) -> Table:
        codes = [Table({0: _CODES[kind]}) for kind in self.kinds]
        graph = Table({0: self.tensors, 1: inputs, 2: outputs, 3: self.operators})
        return Table({0: 3, 1: codes, 2: [graph], 4: self.buffers})

    def file(self, inputs: list[int], outputs: list[int]) -> bytes:
        return file_of(self.model(inputs, outputs))
