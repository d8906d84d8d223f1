"""Pickles: everything that is read equals what Python reads; everything else is refused, and says why."""

from __future__ import annotations

import pickle
from collections import Counter, OrderedDict, defaultdict

import numpy as np
import pytest

from sf_detect import pickles
from sf_detect.pickles.machine import Machine, Name
from tests.pickles import crafted

PLAIN = {
    "numbers": [0, -1, 255, 256, 65536, -(1 << 31), 1 << 40, 1 << 70, -(1 << 70), 0.5, float("inf"), True, False, None],
    "text": ["", "a", "\xe9\u4e2d", "x" * 300, b"", b"\x00\xff", b"y" * 300],
    "containers": {"a": (1, (2, ()), [3]), 5: {"b": [{}]}, (1, "x"): [()] * 3, "four": (1, 2, 3, 4)},
    "sets": [{1, 2}, frozenset({"a"}), set()],
    "bytes that change": bytearray(b"abc"),
    "complex": [1 + 2j],
    "ordered": OrderedDict([("b", 1), ("a", 2)]),
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", PLAIN)
def test_plain_values_are_what_they_were(kind: str, protocol: int) -> None:
    assert pickles.read(pickle.dumps(PLAIN[kind], protocol)) == PLAIN[kind]


@pytest.mark.parametrize("protocol", range(6))
def test_special_dicts_come_as_dicts(protocol: int) -> None:
    counts, lists = Counter("aab"), defaultdict(list, {"a": [1]})
    ordered = OrderedDict(a=1)
    ordered._metadata = {"version": 1}  # type: ignore[attr-defined]
    read = pickles.read(pickle.dumps([counts, lists, ordered], protocol))
    assert read == [{"a": 2, "b": 1}, {"a": [1]}, {"a": 1}]
    assert [type(found) for found in read] == [dict] * 3


def test_what_occurs_twice_stays_one_object() -> None:
    row, array = [1], np.ones(2)
    read = pickles.read(pickle.dumps([row, row, array, array], 4))
    assert read[0] is read[1]
    assert read[2] is read[3]


CODES = ("?", "i1", "u2", "<i4", ">i8", "f2", ">f4", "f8", "c8")
ARRAYS = {
    **{
        code: np.arange(6).reshape(2, 3).astype(code)
        for code in ["?", "i1", "u2", "<i4", ">i8", "f2", ">f4", "f8", "c8"]
    },
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "strided": np.arange(12.0).reshape(3, 4)[:, ::2],
    "permuted": np.arange(24.0).reshape(2, 3, 4).transpose(1, 2, 0),
    "scalar": np.array(3.5),
    "empty": np.zeros((0, 4), np.float32),
    "text": np.array(["a", "\xe9\u4e2d"]),
    "bytes": np.array([b"a", b"bc"]),
    "objects": np.array([[1], "a", None, np.ones(2)], object),
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_are_what_they_were(kind: str, protocol: int) -> None:
    array = ARRAYS[kind]
    read = pickles.read(pickle.dumps(array, protocol))
    assert type(read) is np.ndarray
    assert (read.dtype, read.shape) == (array.dtype, array.shape)
    assert read.flags.writeable
    for got, expected in zip(read.ravel(), array.ravel(), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("value", [np.float64(0.5), np.float32(2), np.int64(-3), np.bool_(True), np.str_("a")])
@pytest.mark.parametrize("old", [False, True])
def test_numpy_scalars(value: np.generic, old: bool) -> None:
    data = pickle.dumps({"best": value}, 2)
    read = pickles.read(data.replace(b"numpy._core", b"numpy.core") if old else data)["best"]
    assert (type(read), read) == (type(value), value)


@pytest.mark.parametrize("value", [np.datetime64("2020-01-01"), np.zeros(2, "m8[s]"), np.zeros(2, [("a", "f4")])])
def test_what_numpy_can_hold_besides_is_left_unread(value: object) -> None:
    assert isinstance(pickles.read(pickle.dumps({"when": value}, 4))["when"], pickles.Unread)


def test_text_that_cannot_be_printed_is_replaced() -> None:
    assert pickles.read(pickle.dumps("caf\udce9", 4)) == "caf?"


MESSAGES = {
    "a command": r"asks for (posix|nt)\.system, which could run code",
    "getattr": r"builtins\.getattr",
    "array larger than its bytes": "bytes, but 8 are there",
    "object array of bytes": "1 objects without a list",
    "text that is none": "impossible characters",
    "array of 40 dimensions": "not a tuple of sizes",
    "empty array of impossible size": "impossible shape",
    "array without a state": "_Array instead of an object",
    "array with its state twice": "gives a state to ndarray",
    "state for a class": "gives a state to Name",
    "an object outside": "outside of the pickle",
    "an extension": r"opcode b'\\x82' at byte 2 is not read",
    "huge text of four bytes": "cut short: 4294967295 bytes",
    "a huge number": "cut short",
    "a number of many digits": "a number of 100000 digits",
    "a key twice": "the key 'a' occurs twice",
    "a list in a set": "list as a key",
    "a wide tuple as a key": "key of more than 1000 values",
    "an integer to collide": "more than 64 bits as a key",
    "an encoding that runs code": "rot13",
    "a call of a number": "calls what is no function",
    "array without a type": "without a numpy.dtype",
    "an empty stack": "damaged before byte 3",
}


@pytest.mark.parametrize("what", MESSAGES)
def test_refusals_say_why(what: str) -> None:
    with pytest.raises(pickle.UnpicklingError, match=MESSAGES[what]):
        pickles.read(b"\x80\x04" + crafted.OBJECTS[what] + b".")


@pytest.mark.parametrize("what", ["forged object scalar", "forged fields", "forged object array", "forged buffer"])
def test_forged_types_are_never_built(what: str) -> None:
    assert isinstance(pickles.read(b"\x80\x04" + crafted.OBJECTS[what] + b"."), pickles.Unread)


@pytest.mark.parametrize("kind", crafted.legitimate())
def test_a_pickle_that_is_cut_anywhere_is_refused(kind: str) -> None:
    data = crafted.legitimate()[kind]
    for end in range(len(data)):
        with pytest.raises(pickle.UnpicklingError):
            pickles.read(data[:end])


def test_many_small_objects_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sf_detect.pickles.machine._MAX_OBJECTS", 1000)
    with pytest.raises(pickle.UnpicklingError, match="more than 1000 objects"):
        pickles.read(b"\x80\x04]" + b"}a" * 2000 + b".")
    with pytest.raises(pickle.UnpicklingError, match="more than 1000 objects"):
        pickles.read(b"\x80\x04N" + b"\x94" * 2000 + b".")


def test_pickles_one_after_another() -> None:
    machine = Machine(pickle.dumps(1) + pickle.dumps("b") + b"rest", {})
    assert [machine.load(), machine.load()] == [1, "b"]
    assert machine.position == len(pickle.dumps(1) + pickle.dumps("b"))


def test_a_function_that_fails_is_damage() -> None:
    machine = Machine(b"cm\nf\n)R.", {("m", "f"): Name("m.f", lambda: [][0])})
    with pytest.raises(pickle.UnpicklingError, match="damaged"):
        machine.load()


def test_arrays_of_lists() -> None:
    assert pickles.array_of([[1, 2], (3, np.float32(4))]).tolist() == [[1, 2], [3, 4]]
    assert pickles.array_of(np.float64(2)).tolist() == 2
    twice: list[object] = [1]
    for _ in range(12):
        twice = [twice] * 9
    with pytest.raises(ValueError, match="more than 1000 numbers"):
        pickles.array_of(twice, 1000)
    deep: list[object] = []
    deep.append(deep)
    with pytest.raises(ValueError, match="nested more than"):
        pickles.array_of(deep)
    with pytest.raises(ValueError, match="str where a number"):
        pickles.array_of(["a"])
