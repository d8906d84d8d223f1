"""Pickles that were written to do harm, opcode by opcode; each is told by what it tries."""

from __future__ import annotations

import os
import pickle
import struct
from collections.abc import Callable

import numpy as np


def text(value: str) -> bytes:
    """BINUNICODE."""
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def named(module: str, name: str) -> bytes:
    """GLOBAL."""
    return f"c{module}\n{name}\n".encode()


def type_of(code: str, state: bytes = b"(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t") -> bytes:
    """A numpy.dtype with its state."""
    return named("numpy", "dtype") + b"(" + text(code) + b"\x89\x88tR" + state + b"b"


#: The state that makes NumPy take the bytes of an array for pointers.
FORGED = b"(K\x03X\x01\x00\x00\x00|NNNJ\x08\x00\x00\x00J\xff\xff\xff\xffK\x3ft"
FORGED_FIELDS = (
    b"(K\x03X\x01\x00\x00\x00|N" + text("f") + b"\x85}" + text("f") + type_of("O8") + b"K\x00\x86sK\x08K\x01K\x10t"
)
EMPTY = named("numpy.core.multiarray", "_reconstruct") + b"(" + named("numpy", "ndarray") + b"K\x00\x85C\x01btR"


def array(shape: bytes, kind: bytes, data: bytes) -> bytes:
    """An ndarray with its state; shape and data are opcodes."""
    return EMPTY + b"(K\x01" + shape + kind + b"\x89" + data + b"tb"


def scalar(kind: bytes, data: bytes) -> bytes:
    """A NumPy scalar."""
    return named("numpy._core.multiarray", "scalar") + kind + data + b"\x86R"


class _Command:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch ran",)


POINTER = b"C\x08" + b"A" * 8
OBJECTS: dict[str, bytes] = {
    "a command": pickle.dumps(_Command(), protocol=2)[2:-1],
    "builtins.eval": named("builtins", "eval") + text("1") + b"\x85R",
    "getattr": named("builtins", "getattr") + named("numpy", "ndarray") + text("tofile") + b"\x86R",
    "numpy's loader": named("numpy", "load") + text("x.npy") + b"\x85R",
    "a dotted name": b"\x8c\x05numpy\x8c\x0cdtype.newbyte\x93)R",
    "object scalar": scalar(type_of("O8"), POINTER),
    "forged object scalar": scalar(type_of("V8", FORGED), POINTER),
    "forged number": scalar(type_of("f8", FORGED), POINTER),
    "forged fields": scalar(type_of("V8", FORGED_FIELDS), POINTER),
    "object array of bytes": array(b"K\x01\x85", type_of("O8"), POINTER),
    "forged object array": array(b"K\x01\x85", type_of("V8", FORGED_FIELDS), POINTER),
    "forged buffer": named("numpy._core.numeric", "_frombuffer")
    + b"("
    + POINTER
    + type_of("V8", FORGED_FIELDS)
    + b"K\x01\x85"
    + text("C")
    + b"tR",
    "array larger than its bytes": array(b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86", type_of("f8"), POINTER),
    "array of negative size": array(b"J\xff\xff\xff\xff\x85", type_of("f8"), b"C\x00"),
    "empty array of impossible size": array(b"K\x00J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x87", type_of("f8"), b"C\x00"),
    "array of 40 dimensions": array(b"(" + b"K\x01" * 40 + b"t", type_of("f8"), POINTER),
    "array without a type": array(b"K\x01\x85", b"N", POINTER),
    "array of the array class": named("numpy", "ndarray") + b"K\x08\x85R",
    "text that is none": array(b"K\x01\x85", type_of("U1"), b"C\x04\xff\xff\xff\xff"),
    "huge text": array(b"K\x01\x85", type_of("U999999"), b"C\x04abcd"),
    "array without a state": EMPTY,
    "array with its state twice": array(b"K\x01\x85", type_of("f8"), POINTER) + b"(K\x01NNNNtb",
    "state for a class": named("numpy", "ndarray") + b"}" + text("__doc__") + text("x") + b"sb",
    "state for a stand-in": named("numpy", "dtype") + b"N}" + text("call") + b"Ns\x86b",
    "state for a tuple": b")}b",
    "keyword arguments": named("builtins", "dict") + b")}\x92",
    "an instance": b"(" + b"ibuiltins\nlist\n",
    "an object": b"(" + named("builtins", "list") + b"o",
    "an extension": b"\x82\x01",
    "an extension of four bytes": b"\x84\xff\xff\xff\x7f",
    "an object outside": text("x") + b"Q",
    "a buffer outside": b"\x97",
    "a read-only buffer": b"C\x01x\x98",
    "a huge place in the memo": b"Nr\xff\xff\xff\xff",
    "a huge place in the memo, as text": b"Np" + b"9" * 30 + b"\n",
    "a negative place in the memo": b"Np-1\n",
    "an unknown place in the memo": b"h\x07",
    "a huge number": b"\x8b\xff\xff\xff\x7f",
    "a negative length": b"\x8b\xff\xff\xff\xff",
    "a number of many digits": b"L" + b"9" * 100_000 + b"L\n",
    "huge text of four bytes": b"X\xff\xff\xff\xff",
    "huge text of eight bytes": b"\x8d" + b"\xff" * 8,
    "huge bytes": b"\x8e" + b"\xff\xff\xff\xff\xff\xff\xff\x7f",
    "huge bytearray": b"\x96" + b"\x00\x00\x00\x00\x40\x00\x00\x00",
    "a huge frame": b"\x95" + b"\xff" * 8,
    "a mark alone": b"(",
    "an empty stack": b"0",
    "a tuple of nothing": b"\x87",
    "a list that is none": b"}Na",
    "a list in a set": b"\x8f(]\x90",
    "a dict as a key": b"}}Ns",
    "a key twice": b"}" + (text("a") + b"N") + b"s" + text("a") + b"Ns",
    "a key without a value": b"}(Nu",
    "a wide tuple as a key": b"}" + b"N\x85" + b"2\x86" * 40 + b"Ns",
    "an integer to collide": b"}\x8a\x20" + b"\x01" * 32 + b"Ns",
    "an encoding that runs code": named("_codecs", "encode") + text("x") + text("rot13") + b"\x86R",
    "an attribute that hides a method": named("collections", "OrderedDict")
    + b")R"
    + b"}"
    + text("items")
    + b"Nsb"
    + b"Na",
    "a call of a number": b"K\x01)R",
    "arguments that are none": named("builtins", "set") + b"NR",
    "lists of lists": b"]" + b"".join(b"q%c](" % i + b"h%c" % i * 9 + b"e" for i in range(40)),
    "a torch module": named("torch.nn.modules.linear", "Linear") + b")\x81",
    "no end": b"N" * 1000 + b"(",
}

#: What overflows the C stack of a reader that hashes or frees what it was given: large, so read by few.
DEEP: dict[str, bytes] = {
    "a deep tuple as a key": b"}" + b")" + b"\x85" * 150_000 + b"Ns",
    "a deep tuple in a set": b"\x8f(" + b")" + b"\x85" * 150_000 + b"\x90",
    "deep lists": b"]" * 100_000 + b"a" * 99_999,
}

WRAPPED = {
    "blobs": lambda made: b"\x80\x04}" + text("blobs") + b"}" + text("conv1_w") + made + b"ss.",
    "flax": lambda made: b"\x80\x04}" + text("params") + made + b"s" + text("batch_stats") + b"K\x01s.",
    "detectron2": lambda made: b"\x80\x04}" + text("model") + b"}" + text("backbone") + made + b"ss.",
    "act": lambda made: b"\x80\x04}" + text("gttubes") + b"}" + text("v") + made + b"ss.",
    "pyannot": lambda made: b"\x80\x04}" + text("v") + b"}" + text("annotations") + made + b"ss.",
    "detections": lambda made: b"\x80\x04" + made + b".",
    "tubes": lambda made: b"\x80\x04}K\x01](" + text("v") + b"K\x01" + made + b"\x87es.",
    "key": lambda made: b"\x80\x04}" + made + b"Ns.",
}


def whole() -> dict[str, bytes]:
    """Every crafted object in every place of the files that are read."""
    return {f"{what} in {where}": wrap(made) for what, made in OBJECTS.items() for where, wrap in WRAPPED.items()}


def deep() -> dict[str, bytes]:
    """The deep objects by themselves."""
    return {what: b"\x80\x04" + made + b"." for what, made in DEEP.items()}


def legitimate() -> dict[str, bytes]:
    """Pickles of the kinds that are read, in several protocols, for mutation."""
    rows = np.arange(16.0).reshape(2, 8)
    tube = np.arange(10, dtype=np.float32).reshape(2, 5)
    one = {"label": 1, "sf": np.int64(2), "ef": 4, "boxes": np.ones((2, 4), np.int16)}
    contents = {
        "blobs": {"blobs": {"conv1_w": np.ones((2, 3), np.float32), "lr": np.float64(0.5)}},
        "detectron2": {"model": {"backbone.fpn_lateral2.bias": np.zeros(3, np.float32)}, "__author__": "x"},
        "act": {"labels": ["a"], "gttubes": {"v": {0: [tube]}}, "test_videos": [["v"]], "nframes": {"v": 3}},
        "pyannot": {"v": {"annotations": [one], "numf": 9}},
        "detections": rows,
        "tubes": {0: [("v", np.float32(0.5), tube)]},
    }
    return {
        f"{what} {protocol}": pickle.dumps(content, protocol)
        for what, content in contents.items()
        for protocol in (0, 2, 4, 5)
    }
