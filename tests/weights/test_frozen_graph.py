"""The frozen graph reader against graphs written byte by byte."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sf_detect.errors import WeightsFormatError
from sf_detect.weights.frozen_graph import read_constants
from tests.weights.graph_writer import constant, field, node, shape, tensor, varint


def write(path: Path, *nodes: bytes) -> Path:
    path.write_bytes(b"".join(nodes))
    return path


def test_reads_raw_content(tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    file = write(tmp_path / "g.pb", constant("a/weights", values))
    got = read_constants(file)
    assert list(got) == ["a/weights"]
    np.testing.assert_array_equal(got["a/weights"], values)
    assert got["a/weights"].dtype == np.float32


def test_reads_only_the_names_asked_for(tmp_path: Path) -> None:
    file = write(tmp_path / "g.pb", constant("a", np.ones(2, np.float32)), constant("b", np.zeros(2, np.float32)))
    assert set(read_constants(file, ["b"])) == {"b"}


def test_reads_values_packed_single_and_repeated(tmp_path: Path) -> None:
    packed = tensor(1, shape(3), field(5, struct.pack("<3f", 1, 2, 3)))
    single = tensor(1, shape(), varint(5 << 3 | 5) + struct.pack("<f", 0.5))
    repeated = tensor(3, shape(4), varint(7 << 3) + varint(7))
    negative = tensor(9, shape(1), varint(10 << 3) + varint((1 << 64) - 2))
    nodes = [node(n, "Const", t) for n, t in zip("psrn", (packed, single, repeated, negative), strict=True)]
    got = read_constants(write(tmp_path / "g.pb", *nodes))
    np.testing.assert_array_equal(got["p"], [1, 2, 3])
    assert got["s"].shape == ()
    assert got["s"] == 0.5
    np.testing.assert_array_equal(got["r"], [7, 7, 7, 7])
    np.testing.assert_array_equal(got["n"], [-2])


def test_ignores_operations_and_strings(tmp_path: Path) -> None:
    values = np.ones(1, np.float32)
    text = node("text", "Const", tensor(7, shape(1), field(8, b"x")))
    other = constant("op", values).replace(b"Const", b"Other")
    assert set(read_constants(write(tmp_path / "g.pb", text, other, constant("a", values)))) == {"a"}


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\x0a\xff\x01ab", "a field of 255 bytes where 2 are left"),
        (b"\x0a", "ends inside a number"),
        (b"\xff" * 11, "longer than 64 bits"),
        (b"\x0b", "wire type 3"),
        (b"\x02\x00", "field number 0"),
        (b"this is a text file, not a graph", "not a TensorFlow frozen graph"),
        (node("a", "Const", tensor(1, shape(2), field(4, b"abc"))), "holds 3 bytes"),
        (node("a", "Const", tensor(1, shape(2), field(5, b"abc"))), "holds 3 bytes"),
        (node("a", "Const", tensor(1, shape(2))), "holds 0 values"),
        (node("a", "Const", tensor(3, shape(1), field(7, b"\x01\x02"))), "holds 2 values"),
        (node("a", "Const", tensor(1, shape(1), varint(5 << 3) + varint(1))), "an integer where float32"),
        (node("a", "Const", tensor(1, shape(1 << 40), field(5, b"abcd"))), "impossible shape"),
        (node("a", "Const", tensor(1, shape((1 << 64) - 1), field(5, b"abcd"))), "impossible shape"),
        (node("a", "Const", tensor(1, shape(*[1 << 20] * 3), field(5, b"abcd"))), "impossible shape"),
        (field(1, field(1, b"\xff\xfe")), "not UTF-8"),
    ],
)
def test_malformed_bytes_are_named(tmp_path: Path, data: bytes, problem: str) -> None:
    with pytest.raises(WeightsFormatError, match=r"g\.pb is not a TensorFlow frozen graph") as caught:
        read_constants(write(tmp_path / "g.pb", data))
    assert problem in str(caught.value)


def test_a_constant_of_another_type_is_an_error_only_when_asked_for(tmp_path: Path) -> None:
    file = write(tmp_path / "g.pb", node("text", "Const", tensor(7, shape(1), field(8, b"x"))))
    assert read_constants(file) == {}
    with pytest.raises(WeightsFormatError, match="'text' has data type 7"):
        read_constants(file, ["text"])


def test_missing_constants_are_listed(tmp_path: Path) -> None:
    file = write(tmp_path / "g.pb", constant("a", np.ones(1, np.float32)))
    with pytest.raises(WeightsFormatError, match="lacks 2 expected constants: b, c"):
        read_constants(file, ["a", "c", "b"])


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsFormatError, match="cannot read the frozen graph"):
        read_constants(tmp_path / "none.pb")


@given(st.binary(max_size=200), st.integers(0, 60))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_never_escapes_as_another_error(tmp_path: Path, junk: bytes, at: int) -> None:
    good = constant("a/weights", np.arange(6, dtype=np.float32)) + constant("b", np.arange(3, dtype=np.int32))
    file = write(tmp_path / "g.pb", good[:at], junk, good[at + len(junk) :])
    with contextlib.suppress(WeightsFormatError):
        read_constants(file)
