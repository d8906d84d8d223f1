"""Converted networks compute what TensorFlow's rules say, and what OpenVINO's own reader makes of the file."""

from __future__ import annotations

import numpy as np
import pytest

from sf_detect.engines.onnx_graph import OnnxGraph
from sf_detect.engines.onnxruntime_engine import OnnxRuntimeEngine
from sf_detect.errors import WeightsFormatError
from sf_detect.keypoints.tflite_onnx import GraphConverter
from sf_detect.weights.tflite import read_tflite
from tests.weights.tflite_writer import NetworkWriter

RANDOM = np.random.default_rng(7)
PICTURE = RANDOM.normal(size=(1, 10, 7, 3)).astype(np.float32)


def weights(*shape: int) -> np.ndarray:
    return (RANDOM.normal(size=shape) / 2).astype(np.float16).astype(np.float32)


def run(network: NetworkWriter, output: int, tmp_path, channels_last: bool = True) -> np.ndarray:
    """What the converted network gives for PICTURE."""
    file = tmp_path / "network.tflite"
    file.write_bytes(network.file([0], [output]))
    graph = read_tflite(file)
    onnx = OnnxGraph("test")
    picture = onnx.input("picture", "float32", (1, 3, 10, 7))
    (name,) = GraphConverter(graph, onnx, picture).write([output])
    shape = graph.tensors[output].shape
    four = len(shape) == 4
    onnx.output("found", name, "float32", tuple(shape[i] for i in (0, 3, 1, 2)) if four else shape)
    found = OnnxRuntimeEngine(onnx.model()).run({"picture": PICTURE.transpose(0, 3, 1, 2)})["found"]
    return found.transpose(0, 2, 3, 1) if four else found


def network() -> tuple[NetworkWriter, int]:
    made = NetworkWriter()
    return made, made.tensor(*PICTURE.shape)


def correlate(picture: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """(H, W, C) and (O, h, w, C): every output pixel by itself, no padding."""
    height, width = kernel.shape[1:3]
    rows = range(0, picture.shape[0] - height + 1, stride)
    columns = range(0, picture.shape[1] - width + 1, stride)
    return np.array([
        [[(picture[y : y + height, x : x + width] * one).sum() for one in kernel] for x in columns] for y in rows
    ])  # fmt: skip


def same(picture: np.ndarray, size: int, stride: int) -> np.ndarray:
    """With TensorFlow's padding: as many outputs as strides begun, the odd zero behind."""
    around = []
    for length in picture.shape[:2]:
        total = max((-(-length // stride) - 1) * stride + size - length, 0)
        around.append((total // 2, total - total // 2))
    return np.pad(picture, [*around, (0, 0)])


@pytest.mark.parametrize(("size", "stride", "shape"), [(3, 2, (5, 4)), (2, 1, (10, 7)), (4, 3, (4, 3))])
def test_convolution_pads_as_tensorflow_does(tmp_path, size, stride, shape):
    made, picture = network()
    kernel, bias = weights(4, size, size, 3), weights(4)
    half = made.constant(kernel.astype(np.float16))
    operands = [picture, made.add("DEQUANTIZE", [half], kernel.shape), made.constant(bias)]
    output = made.add("CONV_2D", operands, (1, *shape, 4), {0: 0, 1: stride, 2: stride, 3: 3})
    expected = np.clip(correlate(same(PICTURE[0], size, stride), kernel, stride) + bias, 0, 6)
    np.testing.assert_allclose(run(made, output, tmp_path)[0], expected, atol=1e-5)


def test_depthwise_convolution_after_padding(tmp_path):
    made, picture = network()
    kernel, bias = weights(1, 3, 3, 3), weights(3)
    padded = made.add(
        "PAD", [picture, made.constant(np.array([[0, 0], [1, 2], [0, 1], [0, 0]], np.int32))], (1, 13, 8, 3)
    )
    operands = [padded, made.constant(kernel), made.constant(bias)]
    output = made.add("DEPTHWISE_CONV_2D", operands, (1, 6, 3, 3), {0: 1, 1: 2, 2: 2, 3: 1, 4: 1})
    wide = np.pad(PICTURE[0], [(1, 2), (0, 1), (0, 0)])
    channels = [correlate(wide[..., c : c + 1], kernel[..., c : c + 1], 2)[..., 0] + bias[c] for c in range(3)]
    np.testing.assert_allclose(run(made, output, tmp_path)[0], np.maximum(np.stack(channels, -1), 0), atol=1e-5)


def test_pooling_adding_and_shapes(tmp_path):
    made, picture = network()
    twice = made.add("ADD", [picture, picture], PICTURE.shape, {0: 1})
    pooled = made.add("MAX_POOL_2D", [twice], (1, 5, 3, 3), {0: 1, 1: 2, 2: 2, 3: 2, 4: 2, 5: 0})
    flat = made.add("RESHAPE", [pooled, made.constant(np.array([1, 45], np.int32))], (1, 45))
    output = made.add("LOGISTIC", [flat], (1, 45))
    best = np.maximum(2 * PICTURE[0], 0)[:, :6].reshape(5, 2, 3, 2, 3).max(axis=(1, 3))
    np.testing.assert_allclose(run(made, output, tmp_path)[0], 1 / (1 + np.exp(-best.ravel())), atol=1e-6)


def test_sparse_weights(tmp_path):
    made, picture = network()
    kernel = weights(4, 1, 1, 3).astype(np.float16)
    kernel[1:, 0, 0, 1] = 0
    operands = [picture, made.add("DEQUANTIZE", [made.sparse(kernel)], kernel.shape)]
    output = made.add("CONV_2D", operands, (1, 10, 7, 4), {0: 1, 1: 1, 2: 1})
    expected = PICTURE @ kernel[:, 0, 0].astype(np.float32).T
    np.testing.assert_allclose(run(made, output, tmp_path), expected, atol=1e-5)


def test_depth_becomes_space_block_by_block(tmp_path):
    made, picture = network()
    kernel = weights(8, 1, 1, 3)
    deep = made.add("CONV_2D", [picture, made.constant(kernel)], (1, 10, 7, 8), {0: 1, 1: 1, 2: 1})
    output = made.add("DEPTH_TO_SPACE", [deep], (1, 20, 14, 2), {0: 2})
    rows = (PICTURE @ kernel[:, 0, 0].T).reshape(10, 7, 2, 2, 2)  # row and column in the block, then the channel
    expected = rows.transpose(0, 2, 1, 3, 4).reshape(1, 20, 14, 2)
    np.testing.assert_allclose(run(made, output, tmp_path), expected, atol=1e-5)


@pytest.mark.parametrize(("axis", "shape"), [(1, (1, 20, 7, 3)), (2, (1, 10, 14, 3)), (-1, (1, 10, 7, 6))])
def test_pictures_are_joined_along_the_axis_that_tensorflow_means(tmp_path, axis, shape):
    made, picture = network()
    twice = made.add("ADD", [picture, picture], PICTURE.shape)
    output = made.add("CONCATENATION", [picture, twice], shape, {0: axis, 1: 1})
    expected = np.maximum(np.concatenate([PICTURE, 2 * PICTURE], axis), 0)
    np.testing.assert_allclose(run(made, output, tmp_path), expected, atol=1e-6)


def test_rows_are_joined(tmp_path):
    made, picture = network()
    rows = made.add("RESHAPE", [picture, made.constant(np.array([1, 70, 3], np.int32))], (1, 70, 3))
    output = made.add("CONCATENATION", [rows, rows, rows], (1, 210, 3), {0: 1})
    np.testing.assert_array_equal(run(made, output, tmp_path), np.tile(PICTURE.reshape(1, 70, 3), (1, 3, 1)))


def test_resizing_between_pixel_centres(tmp_path):
    made, picture = network()
    size = made.constant(np.array([20, 14], np.int32))
    output = made.add("RESIZE_BILINEAR", [picture, size], (1, 20, 14, 3), {2: 0, 3: 1})
    found = run(made, output, tmp_path)[0]
    np.testing.assert_allclose(
        found[1, 1], PICTURE[0, :2, :2].reshape(4, 3).T @ [9 / 16, 3 / 16, 3 / 16, 1 / 16], atol=1e-5
    )
    np.testing.assert_allclose(found[0, 0], PICTURE[0, 0, 0], atol=1e-6)


def test_openvino_reads_the_file_the_same_way(tmp_path):
    openvino = pytest.importorskip("openvino")
    made, picture = network()
    kernel = made.constant(weights(4, 3, 3, 3))
    found = made.add("CONV_2D", [picture, kernel, made.constant(weights(4))], (1, 5, 4, 4), {0: 0, 1: 2, 2: 2, 3: 3})
    size = made.constant(np.array([10, 8], np.int32))
    output = made.add("RESIZE_BILINEAR", [found, size], (1, 10, 8, 4), {2: 0, 3: 1})
    own = run(made, output, tmp_path)
    core = openvino.Core()
    model = core.read_model(tmp_path / "network.tflite")
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    np.testing.assert_allclose(own, compiled({0: PICTURE})[0], atol=1e-5)


def test_only_what_the_outputs_need_is_written(tmp_path):
    made, picture = network()
    wanted = made.add("LOGISTIC", [picture], PICTURE.shape)
    made.add("ADD", [picture, made.constant(weights(3))], PICTURE.shape)  # a sum that is not converted
    assert run(made, wanted, tmp_path).shape == PICTURE.shape


@pytest.mark.parametrize(
    ("kind", "shape", "options", "problem"),
    [
        ("CONV_2D", (4, 3, 3, 3), {0: 0, 1: 1, 2: 1, 4: 2}, "a dilated convolution"),
        ("CONV_2D", (4, 3, 3, 3), {0: 0, 1: 1, 2: 1, 3: 2}, "the activation 2"),
        ("CONV_2D", (4, 3, 3, 3), {0: 0, 1: 0, 2: 0}, "CONV_2D with ZeroDivisionError"),
        ("CONV_2D", (3,), {0: 0}, "CONV_2D with ValueError"),
        ("DEPTHWISE_CONV_2D", (1, 3, 3, 6), {0: 0, 3: 2}, "a depthwise convolution that multiplies channels"),
        ("ADD", (3,), {}, "an operand is computed nowhere before"),
    ],
)
def test_what_is_not_converted_is_said(tmp_path, kind, shape, options, problem):
    made, picture = network()
    output = made.add(kind, [picture, made.constant(weights(*shape))], (1, 10, 7, 4), options)
    with pytest.raises(WeightsFormatError, match=f"the TensorFlow Lite network has {problem}.*the published file"):
        run(made, output, tmp_path)


def test_a_network_of_two_inputs(tmp_path):
    made, picture = network()
    file = tmp_path / "network.tflite"
    file.write_bytes(made.file([picture, picture], [picture]))
    with pytest.raises(WeightsFormatError, match="2 inputs, expected one"):
        GraphConverter(read_tflite(file), OnnxGraph("test"), "picture")
