"""The reader of TensorFlow Lite files against files written byte by byte, good, bad and damaged."""

from __future__ import annotations

import contextlib
import random
import struct
from pathlib import Path

import numpy as np
import pytest

from sf_detect.errors import WeightsFormatError
from sf_detect.weights import tflite
from sf_detect.weights.tflite import read_tflite
from tests.weights.tflite_writer import NetworkWriter, Table, file_of


def small() -> NetworkWriter:
    network = NetworkWriter()
    picture = network.tensor(1, 4, 4, 2)
    half = network.constant(np.arange(6, dtype=np.float16).reshape(3, 1, 1, 2))
    weights = network.add("DEQUANTIZE", [half], (3, 1, 1, 2))
    found = network.add("CONV_2D", [picture, weights, -1], (1, 2, 2, 3), {0: 1, 1: 2, 2: 2, 3: 3})
    network.add("LOGISTIC", [found], (1, 2, 2, 3))
    return network


def read(tmp_path: Path, content: bytes) -> tflite.Graph:
    file = tmp_path / "network.tflite"
    file.write_bytes(content)
    return read_tflite(file)


def test_a_network_is_read_as_it_was_written(tmp_path):
    graph = read(tmp_path, small().file([0], [4]))
    assert (graph.inputs, graph.outputs) == ((0,), (4,))
    assert [operator.kind for operator in graph.operators] == ["DEQUANTIZE", "CONV_2D", "LOGISTIC"]
    convolution = graph.operators[1]
    assert convolution.inputs == (0, 2, -1)
    assert dict(convolution.options) == {
        "padding": 1,
        "stride_w": 2,
        "stride_h": 2,
        "activation": 3,
        "dilation_w": 1,
        "dilation_h": 1,
    }
    assert [tensor.shape for tensor in graph.tensors[:2]] == [(1, 4, 4, 2), (3, 1, 1, 2)]
    assert graph.tensors[0].values is None
    np.testing.assert_array_equal(graph.tensors[1].values.ravel(), np.arange(6, dtype=np.float16))


def one(**changes: object) -> bytes:
    """A network whose parts are changed by field: model, graph, tensor, operator, code."""
    parts = {
        "tensor": {0: [2], 1: 0, 2: 1},
        "operator": {0: 0, 1: [0], 2: [0]},
        "code": {0: 14},
        "buffer": {0: np.ones(2, np.float32).tobytes()},
    }
    for part, fields in changes.items():
        if part in parts:
            parts[part] = {**parts[part], **fields}
    graph = {0: [Table(parts["tensor"])], 1: [0], 2: [0], 3: [Table(parts["operator"])], **changes.get("graph", {})}
    graphs = [Table(graph)] * changes.get("graphs", 1)
    return file_of(Table({1: [Table(parts["code"])], 2: graphs, 4: [Table({}), Table(parts["buffer"])]}))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "it begins with b''"),
        (b"\x08\0\0\0TFL2", "it begins with"),
        (struct.pack("<I", 1 << 30) + b"TFL3", "requires a buffer"),
        (one(graphs=2), "it holds 2 graphs, expected one"),
        (one(code={0: 77}), "its operator 77 is not known here"),
        (one(operator={0: 5}), "its operator -1 is not known here"),
        (one(operator={1: [1]}), "names a tensor that is not among the 1"),
        (one(operator={2: [-1]}), "names a tensor that is not among the 1"),
        (one(graph={1: [-2]}), "names a tensor that is not among the 1"),
        (one(operator={1: [0] * 65}), "a list of 65 items"),
        (one(tensor={0: [1] * 9}), "a list of 9 items"),
        (one(tensor={0: [-2]}), r"a tensor of shape \(-2,\)"),
        (one(tensor={1: 17}), "type 17"),
        (one(tensor={2: 2}), "in buffer 2 of 2"),
        (one(tensor={0: [3]}), r"8 bytes for a constant of shape \(3,\), float32"),
        (one(tensor={0: [1 << 30, 1 << 30]}), "8 bytes for a constant of shape"),
        (one(tensor={6: Table({})}), "a sparse tensor of shape"),
    ],
)
def test_other_files_are_refused(tmp_path, content, problem):
    with pytest.raises(WeightsFormatError, match=f"(?s)is not a TensorFlow Lite network.*{problem}.*fetch the file"):
        read(tmp_path, content)


SPARSE = np.array([[0, 1, 0, 2], [0, 0, 0, 0], [3, 0, 0, 4]], np.float16).reshape(3, 1, 1, 4)


def sparse(array: np.ndarray = SPARSE, positions: str = "uint8", **changes: object) -> bytes:
    network = NetworkWriter()
    return network.file([0], [network.sparse(array, positions, **changes)])


@pytest.mark.parametrize("positions", ["uint8", "uint16", "int32"])
def test_sparse_tensors_are_read_with_their_zeros(tmp_path, positions):
    graph = read(tmp_path, sparse(positions=positions))
    assert graph.tensors[0].values.dtype == np.float16
    np.testing.assert_array_equal(graph.tensors[0].values, SPARSE)
    np.testing.assert_array_equal(read(tmp_path, sparse(SPARSE.ravel())).tensors[0].values, SPARSE.ravel())


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"order": [3, 0, 1, 2]}, r"in the order \(3, 0, 1, 2\)"),
        ({"blocks": [2]}, r"with blocks \(2,\)"),
        ({"sizes": [3, 1, 2]}, r"a sparse tensor of shape \(3, 1, 1, 4\)"),
        ({"formats": [0, 0, 1, 1]}, r"axes of the formats \[0, 0, 1, 1\]"),
        ({"formats": [0, 0, 0, 0]}, r"axes of the formats"),
        ({"kind": 4}, "a list of positions of type 4"),
        ({"kind": 0}, "a list of positions of type 0"),
        ({"segments": [0, 2, 2]}, "4 values in 3 segments"),
        ({"segments": [0, 3, 2, 4]}, "4 values in 4 segments"),
        ({"segments": [1, 2, 2, 4]}, "4 values in 4 segments"),
        ({"segments": [0, 2, 2, 5]}, "4 values in 4 segments"),
        ({"indices": [1, 3, 0]}, "4 values in 4 segments"),
        ({"indices": [1, 3, 0, 4]}, "a value outside a sparse tensor"),
    ],
)
def test_other_sparse_tensors_are_refused(tmp_path, changes, problem):
    with pytest.raises(WeightsFormatError, match=problem):
        read(tmp_path, sparse(**changes))


def test_sparse_tensors_of_next_to_nothing_are_refused(tmp_path):
    much = np.zeros((1, 1 << 16), np.float16)
    much[0, 5] = 1
    with pytest.raises(WeightsFormatError, match="1 values in 2 segments for a sparse tensor"):
        read(tmp_path, sparse(much, "int32"))


def test_a_file_that_is_not_there_or_too_long(tmp_path, monkeypatch):
    with pytest.raises(WeightsFormatError, match=r"cannot read the network .*Check the path"):
        read_tflite(tmp_path / "none.tflite")
    monkeypatch.setattr(tflite, "_MAX_BYTES", 10)
    with pytest.raises(WeightsFormatError, match="longer than 10 bytes"):
        read(tmp_path, one())


def test_offsets_before_the_file_are_refused(tmp_path):
    content = bytearray(one())
    root = struct.unpack_from("<I", content)[0]
    struct.pack_into("<i", content, root, root + 100)  # where its list of fields begins
    with pytest.raises(WeightsFormatError, match="an offset points 100 bytes before the file"):
        read(tmp_path, bytes(content))


@pytest.mark.parametrize("good", [small().file([0], [4]), sparse()])
def test_damaged_files_are_refused_or_read_but_never_more(tmp_path, good):
    chance = random.Random(15)
    for _ in range(600):
        content = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(content))
            content[place : place + chance.choice([1, 4])] = chance.randbytes(chance.choice([1, 4]))
        if chance.random() < 0.2:
            del content[chance.randrange(len(content)) :]
        with contextlib.suppress(WeightsFormatError):
            read(tmp_path, bytes(content))
