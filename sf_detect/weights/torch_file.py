"""Files that `torch.save` wrote, zip archives and the older legacy format, read without torch's own loader.

The pickle inside is interpreted by `sf_detect.pickles`; tensors are built here, from storages whose sizes are compared
with the bytes of the file. So a file can hold NumPy numbers beside the weights, and nothing in it is ever called.
"""

from __future__ import annotations

import math
import pickle
import sys
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sf_detect.errors import WeightsFormatError
from sf_detect.pickles.arrays import NAMES, Unread
from sf_detect.pickles.keys import pairs_of
from sf_detect.pickles.machine import Machine, Name
from sf_detect.zip_files import member_named, open_archive, read_member

LEGACY_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The first bytes of a file in the legacy format: its magic number, pickled."""

_LEGACY_PROTOCOL = 1001
_MAX_DIMENSIONS = 32
# A file may repeat a value by a stride of 0; no network here has more parameters than this.
FREE_VALUES = 1 << 27
"""Values that a tensor may have beyond its storage, which strides of zero repeat."""

_STORAGES = {
    "Untyped": torch.uint8,
    "Double": torch.float64,
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
    "ComplexDouble": torch.complex128,
    "ComplexFloat": torch.complex64,
    "QInt8": torch.int8,
    "QUInt8": torch.uint8,
    "QInt32": torch.int32,
}
_UNREAD = (
    "_rebuild_sparse_tensor",
    "_rebuild_qtensor",
    "_rebuild_nested_tensor",
    "_rebuild_meta_tensor_no_storage",
    "_rebuild_wrapper_subclass",
    "_rebuild_device_tensor_from_numpy",
)


def read_torch(path: Path) -> Any:
    """The content of a file of `torch.save`: tensors on the CPU, arrays, numbers, text and containers.

    Raises:
        RefusedNameError: It asks for a class or function that could run code.
        pickle.UnpicklingError: It is damaged, cut short, or claims more than it holds.
        WeightsFormatError: It is a program, or another archive.
        Exception: Whatever the standard library raises for damaged archives, `zipfile.BadZipFile` for most.
    """
    with path.open("rb") as file:
        legacy = file.read(len(LEGACY_START)) == LEGACY_START
    return _read_legacy(path.read_bytes()) if legacy else _read_archive(path)


@dataclass(frozen=True, eq=False)
class _StorageType:
    dtype: torch.dtype


@dataclass(frozen=True, eq=False)
class _Storage:
    """The bytes of a storage as (N,) values of its type."""

    values: Tensor


def _read_archive(path: Path) -> Any:
    with open_archive(path) as archive:
        names = [info.filename for info in archive.infolist()]
        found = [name for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
        if any(name.count("/") == 1 and name.endswith("/constants.pkl") for name in names):
            raise WeightsFormatError(
                "it is a TorchScript program (torch.jit.save), which is never run here. Expected weights: where you "
                "trust the file, load it with torch.jit.load elsewhere and torch.save its state_dict()"
            )
        if len(found) != 1:
            raise WeightsFormatError("it is a zip archive, but not one of torch.save (it has no data.pkl)")
        root = found[0].removesuffix("data.pkl")
        swap = f"{root}byteorder" in names and read_member(archive, f"{root}byteorder") != sys.byteorder.encode()
        storages: dict[str, Tensor] = {}

        def persistent(identity: Any) -> _Storage:
            dtype, key, count, _ = _storage_id(identity)
            if key not in storages:
                storages[key] = _read_storage(archive, f"{root}data/{key}", dtype, swap)
            if storages[key].numel() != count * dtype.itemsize:
                raise pickle.UnpicklingError(
                    f"storage {key} has {storages[key].numel()} bytes, but {count} values of {dtype} are claimed"
                )
            return _Storage(storages[key].view(dtype))

        return Machine(read_member(archive, found[0]), _TORCH_NAMES, persistent).load()


def _read_storage(archive: zipfile.ZipFile, name: str, dtype: torch.dtype, swap: bool) -> Tensor:
    """(N,) uint8."""
    info = member_named(archive, name)
    storage = torch.empty(info.file_size, dtype=torch.uint8)
    content = storage.numpy()
    with archive.open(info) as file:
        _fill(file, content)
    width = dtype.itemsize // (2 if dtype.is_complex else 1)
    if swap and width > 1 and len(content) % width == 0:
        content[:] = content.reshape(-1, width)[:, ::-1].reshape(-1)
    return storage


def _fill(file: IO[bytes], content: npt.NDArray[np.uint8]) -> None:
    view, done = content.data, 0
    while done < len(content):
        count = file.readinto(view[done : done + (1 << 24)])  # type: ignore[attr-defined]
        if not count:
            raise pickle.UnpicklingError(f"a storage is cut short: {done} of {len(content)} bytes are there")
        done += count
    file.read(1)  # the end, where the checksum is compared


def _storage_id(identity: Any) -> tuple[torch.dtype, str, int, Any]:
    """Type, key, number of values and view of the persistent id of a storage."""
    if type(identity) is not tuple or len(identity) not in (5, 6) or identity[0] != "storage":
        raise pickle.UnpicklingError("it refers to something else than a storage (a whole module, perhaps)")
    kind, key, _, count = identity[1:5]
    if not isinstance(kind, _StorageType) or not isinstance(key, str) or type(count) is not int or count < 0:
        raise pickle.UnpicklingError("a storage without a type, a key or a size")
    return kind.dtype, key, count, identity[5] if len(identity) == 6 else None


def _read_legacy(data: bytes) -> Any:
    """The older format: pickles one after another, then the bytes of all storages."""
    storages: dict[str, tuple[Tensor, torch.dtype]] = {}
    free = len(data)

    def persistent(identity: Any) -> _Storage:
        nonlocal free
        dtype, key, count, part = _storage_id(identity)
        if key not in storages:
            free -= count * dtype.itemsize
            if free < 0:
                raise pickle.UnpicklingError(f"it is cut short: its storages claim more than its {len(data)} bytes")
            storages[key] = torch.empty(count * dtype.itemsize, dtype=torch.uint8), dtype
        if storages[key][0].numel() != count * dtype.itemsize:
            raise pickle.UnpicklingError(f"storage {key} is claimed in two sizes")
        values = storages[key][0].view(dtype)
        return _Storage(values if part is None else _part(values, part))

    machine = Machine(data, _TORCH_NAMES, persistent)
    _, protocol, system, content, keys = (machine.load() for _ in range(5))
    if protocol != _LEGACY_PROTOCOL or not isinstance(system, dict) or not system.get("little_endian", True):
        raise pickle.UnpicklingError("it is of another protocol, or of a machine of the other byte order")
    if type(keys) is not list or sorted(map(str, keys)) != sorted(storages):
        raise pickle.UnpicklingError("its list of storages is not that of its tensors")
    _fill_legacy(data, machine.position, [(str(key), *storages[str(key)]) for key in keys])
    return content


def _fill_legacy(data: bytes, position: int, storages: Iterable[tuple[str, Tensor, torch.dtype]]) -> None:
    for key, storage, dtype in storages:
        stored, end = data[position : position + 8], position + 8 + storage.numel()
        if end > len(data):
            raise pickle.UnpicklingError(f"it is cut short: {end - len(data)} bytes of storage {key} are missing")
        if int.from_bytes(stored, "little", signed=True) * dtype.itemsize != storage.numel():
            raise pickle.UnpicklingError(f"storage {key} has another size than its tensors claim")
        if storage.numel():
            storage.numpy()[:] = np.frombuffer(data, np.uint8, storage.numel(), position + 8)
        position = end


def _part(values: Tensor, part: Any) -> Tensor:
    """A view of a storage, as very old files have them: (key, offset, size)."""
    if type(part) is not tuple or len(part) != 3 or not _are_sizes(part[1:]) or part[1] + part[2] > len(values):
        raise pickle.UnpicklingError("a view that leaves its storage")
    return values[part[1] : part[1] + part[2]]


def _are_sizes(numbers: Any) -> bool:
    return type(numbers) is tuple and all(type(n) is int and 0 <= n < 1 << 62 for n in numbers)


def _rebuild(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor | Unread:
    if isinstance(storage, Unread):
        return storage
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("a tensor without a storage")
    return _strided(storage.values, offset, size, stride)


def _rebuild_typed(storage: Any, offset: Any, size: Any, stride: Any, _: Any, __: Any, dtype: Any, *___: Any) -> Any:
    """Types without a kind of storage of their own, such as float8, are kept as bytes."""
    if not isinstance(storage, _Storage) or not isinstance(dtype, torch.dtype):
        raise pickle.UnpicklingError("a tensor without a storage or type")
    return _strided(storage.values.view(torch.uint8).view(dtype), offset, size, stride)


def _strided(values: Tensor, offset: Any, size: Any, stride: Any) -> Tensor:
    if not _are_sizes(size) or not _are_sizes(stride) or not _are_sizes((offset,)) or len(size) != len(stride):
        raise pickle.UnpicklingError("a tensor's offset, sizes or strides are not numbers from 0")
    count = math.prod(size)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if len(size) > _MAX_DIMENSIONS or (count and last >= values.numel()) or offset > values.numel():
        raise pickle.UnpicklingError(
            f"a tensor of size {size}, strides {stride} and offset {offset} leaves its storage of {values.numel()}"
        )
    if math.prod(n for n in size if n) > max(values.numel(), FREE_VALUES):
        raise pickle.UnpicklingError(f"a tensor claims the size {size}, but its storage holds {values.numel()} values")
    return values.as_strided(size, stride, offset)


def _first(data: Any, *_: Any) -> Any:
    return data


def _from_type(function: Any, _: Any, arguments: Any, *__: Any) -> Any:
    """A subclass of Tensor, or a tensor with attributes: as the tensor that it is."""
    if not isinstance(function, Name) or function.call is None or type(arguments) is not tuple:
        raise pickle.UnpicklingError("a tensor that is not rebuilt by a function")
    return function.call(*arguments)


def _size(items: Any = ()) -> tuple[Any, ...]:
    if not isinstance(items, (tuple, list)):
        raise pickle.UnpicklingError("a torch.Size of no numbers")
    return tuple(items)


def _torch_names() -> dict[tuple[str, str], Any]:
    functions: dict[tuple[str, str], Any] = {
        ("torch._utils", "_rebuild_tensor"): _rebuild,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
        ("torch._utils", "_rebuild_tensor_v3"): _rebuild_typed,
        ("torch._utils", "_rebuild_parameter"): _first,
        ("torch._utils", "_rebuild_parameter_with_state"): _first,
        ("torch._utils", "_rebuild_device_tensor_from_cpu_tensor"): _first,
        ("torch._tensor", "_rebuild_from_type_v2"): _from_type,
        ("torch.nn.parameter", "Parameter"): _first,
        ("torch", "Size"): _size,
        ("torch", "device"): lambda *parts: Unread(f"device {':'.join(str(p)[:20] for p in parts)}"),
        ("torch.serialization", "_get_layout"): lambda *_: Unread("a layout"),
        ("collections", "OrderedDict"): pairs_of,
    }
    functions |= {("torch._utils", name): lambda *_, n=name: Unread(f"a tensor of {n}") for name in _UNREAD}
    named: dict[tuple[str, str], Any] = {key: Name(".".join(key), call) for key, call in functions.items()}
    for module in ("torch", "torch.cuda", "torch.storage"):
        named |= {(module, f"{name}Storage"): _StorageType(dtype) for name, dtype in _STORAGES.items()}
    types = {name: value for name, value in vars(torch).items() if isinstance(value, torch.dtype)}
    named |= {("torch", name): value for name, value in types.items()}
    return {**NAMES, **named, ("torch", "Tensor"): Name("torch.Tensor")}


_TORCH_NAMES = _torch_names()
