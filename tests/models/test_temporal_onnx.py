"""Convolutions over time in ONNX graphs compute what the layers of the networks compute."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sf_detect.engines.onnx_graph import OnnxGraph
from sf_detect.engines.onnxruntime_engine import OnnxRuntimeEngine
from sf_detect.models.slowfast_tiny import FrameConv
from sf_detect.models.streaming_layers import StreamedFrameConv
from sf_detect.models.temporal_onnx import ClipTime, StreamTime, grouped_weight

pytest.importorskip("onnxruntime", reason="needs ONNX Runtime, which the install brings")

CHANNELS, OUT = 3, 5
KINDS = [(taps, kernel, step) for taps in (2, 3, 5, 6) for kernel, step in ((1, 1), (3, 1), (1, 4)) if taps >= step]


def layer(taps: int, kernel: int, step: int, causal: bool) -> FrameConv:
    torch.manual_seed(taps)
    made = FrameConv(CHANNELS, OUT, kernel, taps=taps, step=step, causal=causal, folded=True, rectify=False)
    torch.nn.init.normal_(made.bias)
    return made.eval()


def parameters(conv: FrameConv) -> tuple[np.ndarray, np.ndarray]:
    return conv.weight.detach().numpy(), conv.bias.detach().numpy()


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("taps", "kernel", "step"), KINDS)
@pytest.mark.parametrize("frames", [4, 8, 12])
def test_clip(taps: int, kernel: int, step: int, causal: bool, frames: int) -> None:
    conv = layer(taps, kernel, step, causal)
    maps = np.random.default_rng(0).normal(size=(frames, CHANNELS, 6, 7)).astype(np.float32)
    graph = OnnxGraph("test")
    x = graph.input("x", "float32", (frames, CHANNELS, "h", "w"))
    y = ClipTime(graph, causal, 4).convolve(x, "layer", *parameters(conv), frames, step)
    graph.output("y", y, "float32", (frames // step, OUT, "h", "w"))
    found = OnnxRuntimeEngine(graph.model()).run({"x": maps})["y"]
    with torch.inference_mode():
        expected = conv(torch.from_numpy(maps), frames).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(("taps", "kernel", "step"), [kind for kind in KINDS if kind[0] > kind[2]])
def test_stream(taps: int, kernel: int, step: int) -> None:
    frames = 4 if kernel == 1 else 1
    conv = layer(taps, kernel, step, True)
    streamed = StreamedFrameConv(conv)
    graph = OnnxGraph("test")
    x = graph.input("x", "float32", (frames, CHANNELS, "h", "w"))
    time = StreamTime(graph, 4)
    y = time.convolve(x, "layer", *parameters(conv), frames, step)
    graph.output("y", y, "float32", (frames // step, OUT, "h", "w"))
    time.add_outputs()
    engine = OnnxRuntimeEngine(graph.model())
    past = np.zeros((taps - step, CHANNELS, 6, 7), np.float32)
    rng = np.random.default_rng(0)
    for _ in range(4):
        maps = rng.normal(size=(frames, CHANNELS, 6, 7)).astype(np.float32)
        found = engine.run({"x": maps, "past.layer": past})
        past = found["next.layer"]
        with torch.inference_mode():
            expected = streamed(torch.from_numpy(maps), frames).numpy()
        np.testing.assert_allclose(found["y"], expected, atol=1e-5)
        np.testing.assert_array_equal(past, streamed.kept()[0].permute(0, 3, 1, 2))


def test_weights_of_groups() -> None:
    weight = np.arange(1, 4, dtype=np.float32).reshape(1, 3, 1, 1, 1)
    causal, ahead = grouped_weight(weight, 0, 2)
    assert ahead == 0
    assert causal[:, :, :, 0, 0].tolist() == [[[1, 2], [3, 0]], [[0, 1], [2, 3]]]
    centred, ahead = grouped_weight(weight, 1, 2)
    assert ahead == 1
    assert centred[:, :, :, 0, 0].tolist() == [[[0, 1], [2, 3], [0, 0]], [[0, 0], [1, 2], [3, 0]]]
