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
    "CONCATENATION": 2,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 4,
    "DENSIFY": 124,
    "DEPTH_TO_SPACE": 5,
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


def _write_vector(data: bytearray, items: bytes | np.ndarray | Sequence[Any]) -> int:
    data.extend(bytes(-len(data) % 4))
    start = len(data)
    data.extend(struct.pack("<I", len(items)))
    if isinstance(items, np.ndarray):
        data.extend(items.tobytes())
    elif isinstance(items, bytes):
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


_POSITIONS = {"int32": 1, "uint16": 2, "uint8": 3}


def sparsity(array: np.ndarray, positions: str, **changes: Any) -> Table:
    """How an array is written of which only the last axis leaves zeros out.

    Args:
        array: The values, zeros included.
        positions: Type of the lists of positions.
        **changes: Of `order`, `blocks`, `sizes` and `formats` of the axes, `segments`, `indices` or their `kind`.
    """
    rows = array.reshape(-1, array.shape[-1]) != 0
    segments = np.concatenate([[0], np.cumsum(rows.sum(axis=1))])
    parts = {
        "order": list(range(array.ndim)),
        "blocks": [],
        "sizes": list(array.shape[:-1]),
        "formats": [*[0] * (array.ndim - 1), 1],
        "segments": segments,
        "indices": np.nonzero(rows)[1],
        "kind": _POSITIONS[positions],
        **changes,
    }
    lists = {2: parts["kind"], 4: parts["kind"]}
    for field_number, name in ((3, "segments"), (5, "indices")):
        lists[field_number] = Table({0: np.asarray(parts[name], positions)})
    axes = [Table({0: kind, 1: size}) for kind, size in zip(parts["formats"], parts["sizes"], strict=False)]
    axes.append(Table({0: parts["formats"][-1], 1: 0, **lists}))
    return Table({0: parts["order"], 1: parts["blocks"], 2: axes})


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

    def sparse(self, array: np.ndarray, positions: str = "uint8", **changes: Any) -> int:
        """A constant of which only what is not 0 is written, and its output of "DENSIFY"; see `sparsity`."""
        self.buffers.append(Table({0: array[array != 0].tobytes()}))
        number = self.tensor(*array.shape, dtype=array.dtype.name, buffer=len(self.buffers) - 1)
        self.tensors[number] = Table({**self.tensors[number].fields, 6: sparsity(array, positions, **changes)})
        return self.add("DENSIFY", [number], array.shape)

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
