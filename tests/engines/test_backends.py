"""Every backend computes what torch computes: detector, clip, streaming step and head."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from sf_detect.detection import ssdlite_engine
from sf_detect.detection.ssdlite import SSDLite
from sf_detect.detection.ssdlite_layers import ssdlite_layers
from sf_detect.detection.ssdlite_onnx import ssdlite_model
from sf_detect.engines import Engine, EngineOptions, OnnxModel, TensorSpec
from sf_detect.engines.onnx_graph import OnnxGraph
from sf_detect.engines.onnxruntime_engine import OnnxRuntimeEngine
from sf_detect.engines.openvino_engine import OpenVINOEngine
from sf_detect.engines.torch_engine import TorchEngine
from sf_detect.errors import EngineError
from sf_detect.models.slowfast_tiny import slowfast_tiny
from sf_detect.zoo.slowfast_tiny_engines import TinyNetwork
from sf_detect.zoo.table import entry, load_network
from tests.detection.test_ssdlite import random_constants

TOLERANCE = 1e-4
CLASSES = {"onnxruntime": OnnxRuntimeEngine, "openvino": OpenVINOEngine}


@pytest.fixture(params=sorted(CLASSES))
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if find_spec(name) is None:
        pytest.skip(f"{name} is not installed: pip install 'sf_detect[{name}]'")
    return name


def unchecked(backend: str, monkeypatch: pytest.MonkeyPatch) -> EngineOptions:
    """Options whose engines are opened without the comparison that selection makes."""
    monkeypatch.setattr("sf_detect.engines.selection._checked", lambda n, b, o: CLASSES[b](n.convert(), o.threads))
    return EngineOptions(backend)


@lru_cache(maxsize=1)
def shipped() -> TinyNetwork:
    chosen = entry("slowfast_tiny_jhmdb")
    assert chosen.shipped is not None
    return TinyNetwork.of(chosen, chosen.shipped, lambda: load_network(chosen.name, chosen.shipped))


@lru_cache(maxsize=9)
def opened(form: str, backend: str) -> Engine:
    """A form of the shipped network, opened once for all tests: an engine remembers nothing from run to run."""
    if backend == "torch":
        return shipped().form(form).torch()
    return CLASSES[backend](shipped().form(form).convert(), 1)


def differs(found: dict, expected: dict) -> float:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].shape == array.shape, name
    return max(float(np.abs(found[name] - expected[name]).max(initial=0)) for name in expected)


def test_detector(backend: str) -> None:
    torch.manual_seed(0)
    network = SSDLite()
    constants = random_constants(network)
    network.load_constants(constants)
    engine = CLASSES[backend](ssdlite_model(ssdlite_layers().fold(constants)))
    pictures = ssdlite_engine.example()
    assert differs(engine.run(pictures), ssdlite_engine.torch_engine(network).run(pictures)) < TOLERANCE


@pytest.mark.parametrize("persons", [0, 1, 7])
@pytest.mark.parametrize("size", [(32, 48), (41, 67)])
def test_clip(backend: str, size: tuple[int, int], persons: int) -> None:
    rng = np.random.default_rng(persons)
    frames = rng.integers(0, 256, (1, 12, *size, 3), np.uint8)
    corners = rng.uniform(-10, 60, (persons, 2, 2)).astype(np.float32)
    boxes = np.concatenate([np.zeros((persons, 1)), corners.min(1), corners.max(1)], 1, dtype=np.float32)
    inputs = {"frames": frames, "boxes": boxes}
    expected = opened("clip", "torch").run(inputs)
    assert expected["logits"].shape == (persons, 21)
    assert differs(opened("clip", backend).run(inputs), expected) < TOLERANCE


def test_one_engine_takes_pictures_of_any_size(backend: str) -> None:
    engine, reference = opened("clip", backend), opened("clip", "torch")
    rng = np.random.default_rng(0)
    for size in ((48, 32), (32, 32), (32, 90), (48, 32)):
        inputs = {
            "frames": rng.integers(0, 256, (1, 12, *size, 3), np.uint8),
            "boxes": np.array([[0, 1, 2, 20, 30], [0, 0, 0, 32, 32]], np.float32),
        }
        assert differs(engine.run(inputs), reference.run(inputs)) < TOLERANCE


def state_at_start(network: TinyNetwork, size: tuple[int, int]) -> dict[str, np.ndarray]:
    from sf_detect.models.slowfast_tiny_onnx import past_layers

    return {f"past.{name}": layer.zeros(size) for name, layer in past_layers(network.state()).items()}


def stream(step: Engine, head: Engine, frames: np.ndarray, boxes: np.ndarray, state: dict) -> np.ndarray:
    """Logits after all frames, four at a time; the window is that of the last three steps."""
    maps = []
    for start in range(0, len(frames), 4):
        found = step.run({"frames": frames[start : start + 4], **state})
        maps.append(found)
        state = {f"past.{name[5:]}": value for name, value in found.items() if name.startswith("next.")}
    names = ("slow", "fast", "middle")
    window = {name: np.concatenate([found[name] for found in maps[-3:]]) for name in names}
    return head.run({**window, "boxes": boxes})["logits"]


@pytest.mark.parametrize("size", [(32, 48), (41, 67)])
@pytest.mark.parametrize("persons", [0, 1, 5])
def test_stream(backend: str, size: tuple[int, int], persons: int) -> None:
    from sf_detect.models.streaming import StreamingModel

    network = shipped()
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 256, (20, *size, 3), np.uint8)
    boxes = np.concatenate([np.zeros((persons, 1)), rng.uniform(0, 40, (persons, 4))], 1, dtype=np.float32)
    model = StreamingModel(network.network(), 3)
    scale, offset = network._pixel_range()
    model.push(torch.from_numpy(frames * scale - offset).permute(3, 0, 1, 2))
    expected = model.scores(torch.from_numpy(boxes[:, 1:])).numpy()
    for name in (backend, "torch"):
        found = stream(opened("step", name), opened("head", name), frames, boxes, state_at_start(network, size))
        assert differs({"logits": found}, {"logits": expected}) < TOLERANCE


def test_stream_of_one_window_is_the_clip(backend: str) -> None:
    frames = np.random.default_rng(2).integers(0, 256, (12, 32, 48, 3), np.uint8)
    boxes = np.array([[0, 3, 4, 30, 28]], np.float32)
    clip = opened("clip", backend).run({"frames": frames[None], "boxes": boxes})["logits"]
    state = state_at_start(shipped(), (32, 48))
    found = stream(opened("step", backend), opened("head", backend), frames, boxes, state)
    np.testing.assert_allclose(found, clip, atol=TOLERANCE)


@pytest.mark.parametrize("options", [{"causal": False}, {"ranks": {}}])
def test_other_networks_of_the_kind(backend: str, options: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    made = slowfast_tiny(5, **options).eval()
    state = {name: value.numpy() for name, value in made.state_dict().items()}
    causal = options.get("causal", True)
    args = ("own", "0", lambda: state, lambda: made, 8, (3, 7), (0.4, 0.5, 0.6), (0.2, 0.3, 0.4), causal)
    network = TinyNetwork(*args)
    inputs = {
        "frames": np.random.default_rng(0).integers(0, 256, (1, 8, 32, 32, 3), np.uint8),
        "boxes": np.array([[0, 3, 4, 30, 28]], np.float32),
    }
    expected = network.open_clip(EngineOptions("torch")).run(inputs)
    assert differs(network.open_clip(unchecked(backend, monkeypatch)).run(inputs), expected) < TOLERANCE


def doubling() -> OnnxModel:
    graph = OnnxGraph("doubling")
    x = graph.input("x", "float32", ("n", 2))
    graph.output("y", graph.add("Add", x, x), "float32", ("n", 2))
    return graph.model()


def doubling_engine(name: str) -> Engine:
    if name != "torch":
        return CLASSES[name](doubling())
    spec = TensorSpec("float32", ("n", 2))
    return TorchEngine(lambda inputs: {"y": 2 * inputs["x"]}, {"x": spec}, {"y": spec})


@pytest.mark.parametrize("name", ["torch", *CLASSES])
@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ({}, "missing: x"),
        ({"x": np.zeros((1, 2), np.float32), "z": np.zeros(1)}, "unknown: z"),
        ({"x": np.zeros((1, 3), np.float32)}, r"float32 of shape \(n, 2\), got float32 \(1, 3\)"),
        ({"x": np.zeros(2, np.float32)}, r"got float32 \(2,\)"),
        ({"x": np.zeros((1, 2))}, "got float64"),
    ],
)
def test_wrong_inputs(name: str, inputs: dict, problem: str) -> None:
    if find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    engine = doubling_engine(name)
    assert isinstance(engine, Engine)
    with pytest.raises(EngineError, match=problem):
        engine.run(inputs)


def test_outputs_stay_when_the_engine_runs_again(backend: str) -> None:
    engine = CLASSES[backend](doubling())
    first = engine.run({"x": np.ones((1, 2), np.float32)})["y"]
    engine.run({"x": np.zeros((1, 2), np.float32)})
    assert first.tolist() == [[2, 2]]


def test_views_are_taken(backend: str) -> None:
    engine = CLASSES[backend](doubling())
    x = np.arange(8, dtype=np.float32).reshape(2, 4)[:, ::-2]
    assert engine.run({"x": x})["y"].tolist() == [[6, 2], [14, 10]]


def test_what_is_no_network_is_refused(backend: str) -> None:
    broken = OnnxModel(b"no network", {}, {})
    with pytest.raises(EngineError, match="can't build the network"):
        CLASSES[backend](broken)


def test_threads(backend: str) -> None:
    with pytest.raises(EngineError, match="1 thread or more, got threads=0"):
        CLASSES[backend](doubling(), threads=0)
    before = torch.get_num_threads()
    CLASSES[backend](doubling(), threads=1).run({"x": np.ones((1, 2), np.float32)})
    assert torch.get_num_threads() == before


def test_the_published_detector_in_every_backend(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.detection.test_ssdlite import published_weights

    path = Path(published_weights(monkeypatch))
    network = ssdlite_engine.network(path, "0")
    pictures = ssdlite_engine.example()
    assert differs(CLASSES[backend](network.convert()).run(pictures), network.torch().run(pictures)) < TOLERANCE


@pytest.mark.skipif(find_spec("openvino") is None or os.name != "posix", reason="needs OpenVINO and POSIX signals")
def test_signals_arrive_after_networks_are_gone():
    """Each core of OpenVINO replaces the stack that signals are handled on; see `openvino_engine._core`."""
    code = """
import faulthandler, os, signal
faulthandler.enable()
from sf_detect.engines.onnx_graph import OnnxGraph, real
from sf_detect.engines.openvino_engine import OpenVINOEngine
graph = OnnxGraph("doubling")
graph.output("y", graph.add("Mul", graph.input("x", "float32", ("n", 2)), real(2.0)), "float32", ("n", 2))
first, second = OpenVINOEngine(graph.model()), OpenVINOEngine(graph.model())
del first
del second
signal.signal(signal.SIGTERM, lambda *_: print("arrived"))
os.kill(os.getpid(), signal.SIGTERM)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "arrived\n"), done.stderr
