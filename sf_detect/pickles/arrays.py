"""What stands for NumPy's functions and Python's containers in a pickle; see `machine`.

An array is built here, from bytes whose number fits its shape and a type of plain numbers or text. Everything else that
NumPy can pickle (dates, records) becomes an `Unread`, which is harmless where nobody asks for it.
"""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sf_detect.pickles.keys import checked_key, pairs_of
from sf_detect.pickles.machine import Machine, Name, Stateful

_NUMBERS = frozenset(["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"])
_TEXT = re.compile(r"[SU][1-9][0-9]{0,5}")
_OBJECTS = frozenset(("O", "O4", "O8"))
_MAX_DIMENSIONS = 32
_MAX_EMPTY = 1 << 20
_LARGEST_CHARACTER = 0x10FFFF
_MAX_NESTING = 16


@dataclass(frozen=True, eq=False)
class Unread:
    """Something in a pickle that is not built, such as an array of dates.

    Attributes:
        text: What it is.
    """

    text: str


@dataclass(frozen=True, eq=False)
class _Type(Stateful):
    """`numpy.dtype`: a code such as "f4", and the order of bytes."""

    code: str
    order: str = "="

    def with_state(self, state: Any) -> _Type:
        if type(state) is not tuple or len(state) < 5 or state[1] not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError("a numpy.dtype of another state than (version, byte order, ...)")
        if any(part is not None for part in state[2:5]):  # the type of a subarray, names, fields
            return _Type("V")
        return _Type(self.code, "=" if state[1] == "|" else state[1])

    @property
    def numpy(self) -> np.dtype[Any] | None:
        """The type, where its values are plain numbers or text."""
        plain = self.code in _NUMBERS or _TEXT.fullmatch(self.code)
        return np.dtype(self.order + self.code) if plain else None


class _Array(Stateful):
    """`numpy.ndarray` before its state."""

    def with_state(self, state: Any) -> npt.NDArray[Any] | Unread:
        if type(state) is not tuple or len(state) not in (4, 5):
            raise pickle.UnpicklingError("a numpy.ndarray of another state than (version, shape, dtype, order, data)")
        shape, dtype, fortran, data = state[-4:]
        return _array(shape, dtype, data, "F" if fortran else "C")


def _array(shape: Any, dtype: Any, data: Any, order: str) -> npt.NDArray[Any] | Unread:
    count = _count(shape)
    if type(dtype) is not _Type:
        raise pickle.UnpicklingError("an array without a numpy.dtype")
    if dtype.code in _OBJECTS:
        return _objects(shape, data, count, order)
    kind = dtype.numpy
    if kind is None:
        return Unread(f"a NumPy array of type {dtype.code[:20]}")
    content = _bytes(data)
    if len(content) != count * kind.itemsize:
        raise pickle.UnpicklingError(
            f"an array of shape {shape} of {kind.name} has {count * kind.itemsize} bytes, but {len(content)} are there"
        )
    flat = _values(content, kind) if count else np.zeros(0, kind)
    return flat.reshape(shape, order="F" if order == "F" else "C")


def _count(shape: Any) -> int:
    if type(shape) is not tuple or len(shape) > _MAX_DIMENSIONS or any(type(n) is not int or n < 0 for n in shape):
        raise pickle.UnpicklingError("the shape of an array is not a tuple of sizes")
    count = math.prod(shape)
    if not count and math.prod(n for n in shape if n) > _MAX_EMPTY:
        raise pickle.UnpicklingError(f"an empty array of the impossible shape {shape}")
    return count


def _objects(shape: tuple[int, ...], items: Any, count: int, order: str) -> npt.NDArray[Any]:
    if type(items) is not list or len(items) != count:
        raise pickle.UnpicklingError(f"an array of {count} objects without a list of as many")
    flat = np.empty(count, object)
    for place, item in enumerate(items):
        flat[place] = item
    return flat.reshape(shape, order="F" if order == "F" else "C")


def _bytes(data: Any) -> bytes | bytearray:
    if isinstance(data, str):
        return data.encode("latin1")  # of Python 2
    if not isinstance(data, (bytes, bytearray)):
        raise pickle.UnpicklingError(f"the data of an array is {type(data).__name__}, expected bytes")
    return data


def _values(content: bytes | bytearray, kind: np.dtype[Any]) -> npt.NDArray[Any]:
    """(N,) a copy that owns its memory."""
    if kind.kind == "b":
        return np.frombuffer(content, np.uint8) != 0
    if kind.kind == "U":
        order = ">" if kind.str[0] == ">" else "<"
        if np.frombuffer(content, f"{order}u4").max() > _LARGEST_CHARACTER:
            raise pickle.UnpicklingError("text of impossible characters")
    return np.frombuffer(content, kind).copy()


def _scalar(dtype: Any, data: Any = b"") -> Any:
    if type(dtype) is not _Type:
        raise pickle.UnpicklingError("a NumPy scalar without a numpy.dtype")
    kind = dtype.numpy
    if kind is None:
        return Unread(f"a NumPy scalar of type {dtype.code[:20]}")
    content = _bytes(data)
    if len(content) != kind.itemsize:
        raise pickle.UnpicklingError(f"a scalar of {kind.name} has {kind.itemsize} bytes, but {len(content)} are there")
    return _values(content, kind).astype(kind.newbyteorder("="))[0]


def _type(code: Any, *_: Any) -> _Type:
    if not isinstance(code, str):
        raise pickle.UnpicklingError(f"numpy.dtype of {type(code).__name__}, expected a code such as 'f4'")
    return _Type(code)


_NDARRAY = Name("numpy.ndarray")


def _reconstruct(kind: Any, *_: Any) -> _Array:
    if kind is not _NDARRAY:
        raise pickle.UnpicklingError("an array of another class than numpy.ndarray")
    return _Array()


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any, axes: Any = None) -> npt.NDArray[Any] | Unread:
    found = _array(shape, dtype, data, "F" if order == "F" else "C")
    if axes is None or isinstance(found, Unread):
        return found
    if type(axes) is not tuple or sorted(axes) != list(range(found.ndim)):
        raise pickle.UnpicklingError("the axes of an array are not a permutation")
    return found.transpose(axes)


def _encode(text: Any, encoding: Any = "utf-8") -> bytes:
    """`_codecs.encode`, by which Python 3 pickles bytes under protocol 2."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"_codecs.encode with encoding {str(encoding)[:40]!r}")
    return str(text).encode("latin1")


def _sequence(items: Any = ()) -> Any:
    if not isinstance(items, (list, tuple, set, frozenset)):
        raise pickle.UnpicklingError(f"a collection of {type(items).__name__}")
    return items


def _octets(content: Any = b"", encoding: Any = "latin-1") -> bytearray:
    return bytearray(_encode(content, encoding) if isinstance(content, str) else _bytes(content))


def _default_dict(_factory: Any = None, items: Any = ()) -> dict[Any, Any]:
    return pairs_of(items)


def _complex(real: Any = 0.0, imaginary: Any = 0.0) -> complex:
    return complex(float(real), float(imaginary))


def _names() -> dict[tuple[str, str], Name]:
    calls: dict[tuple[str, str], Any] = {
        ("numpy", "dtype"): _type,
        ("collections", "OrderedDict"): pairs_of,
        ("collections", "Counter"): pairs_of,
        ("collections", "defaultdict"): _default_dict,
        ("_codecs", "encode"): _encode,
    }
    for package in ("numpy.core", "numpy._core"):  # NumPy moved these between versions
        calls[(f"{package}.multiarray", "_reconstruct")] = _reconstruct
        calls[(f"{package}.multiarray", "scalar")] = _scalar
        calls[(f"{package}.numeric", "_frombuffer")] = _frombuffer
    containers: dict[str, Any] = {
        "list": lambda items=(): list(_sequence(items)),
        "dict": pairs_of,
        "set": lambda items=(): set(map(checked_key, _sequence(items))),
        "frozenset": lambda items=(): frozenset(map(checked_key, _sequence(items))),
        "bytes": lambda: b"",
        "bytearray": _octets,
        "complex": _complex,
    }
    calls |= {(module, name): call for module in ("builtins", "__builtin__") for name, call in containers.items()}
    named = {key: Name(".".join(key), call) for key, call in calls.items()}
    factories = {(module, name): Name(name) for module in ("builtins", "__builtin__") for name in ("int", "float")}
    return {**named, **factories, ("numpy", "ndarray"): _NDARRAY}


NAMES: Mapping[tuple[str, str], Name] = _names()
"""What stands for each name."""


def read(data: bytes) -> Any:
    """The object of a pickle of containers, numbers, text and arrays; text of Python 2 is taken for latin1.

    Subclasses of dict come as dicts, and arrays of dates and records as `Unread`.

    Raises:
        RefusedNameError: It names anything else.
        pickle.UnpicklingError: It is no pickle, is damaged, or claims more than it holds.
    """
    return Machine(data, NAMES).load()


def array_of(value: object, limit: int = 10_000_000) -> npt.NDArray[Any]:
    """An array out of an array, a number, or lists of numbers in lists.

    Args:
        value: Of a pickle.
        limit: Numbers that lists may hold: a small pickle can refer to one list any number of times.

    Raises:
        ValueError: It is something else, or longer.
    """
    if isinstance(value, (np.ndarray, np.generic, bool, int, float)):
        return np.asarray(value)
    if isinstance(value, Unread):
        raise ValueError(f"{value.text}, which is not read")
    if _size(value, 0, {}) > limit:
        raise ValueError(f"lists of more than {limit} numbers")
    return np.asarray(value)


def _size(value: object, depth: int, known: dict[int, int]) -> int:
    if isinstance(value, np.ndarray):
        return value.size
    if not isinstance(value, (list, tuple)):
        if not isinstance(value, (np.generic, bool, int, float)):
            raise ValueError(f"{type(value).__name__} where a number is expected")
        return 1
    if depth > _MAX_NESTING:
        raise ValueError(f"lists that are nested more than {_MAX_NESTING} deep")
    if id(value) not in known:
        known[id(value)] = 1 + sum(_size(item, depth + 1, known) for item in value)
    return known[id(value)]
