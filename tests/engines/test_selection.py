"""Which backend is taken, and that it is one that computes what torch computes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sf_detect.engines import Engine, EngineOptions, EngineStore, Network, OnnxModel, TensorSpec, open_engine, selection
from sf_detect.engines.onnx_graph import OnnxGraph, real
from sf_detect.errors import EngineError, MissingExtraError, UnknownNameError

SPEC = {"x": TensorSpec("float32", ("n", 2))}


class Counted:
    """A network that doubles its input, and how often it was converted and opened in torch."""

    def __init__(self, factor: float = 2.0) -> None:
        self.converted = self.reference = 0
        self.factor = factor

    def convert(self) -> OnnxModel:
        self.converted += 1
        graph = OnnxGraph("doubling")
        graph.output(
            "y", graph.add("Mul", graph.input("x", "float32", ("n", 2)), real(self.factor)), "float32", ("n", 2)
        )
        return graph.model()

    def torch(self) -> Engine:
        self.reference += 1
        return Doubling()

    def network(self, **changes: object) -> Network:
        example = {"x": np.array([[1, 2], [3, 4]], np.float32)}
        made = Network("net", "abc", {}, self.convert, self.torch, lambda: example)
        return replace(made, **changes)  # type: ignore[arg-type]


class Doubling:
    backend, inputs, outputs = "torch", SPEC, {"y": SPEC["x"]}

    def run(self, inputs: dict) -> dict:
        return {"y": 2 * inputs["x"]}


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def options(tmp_path: Path, warnings: list[str]) -> Callable[[str], EngineOptions]:
    store = EngineStore(tmp_path / "engines", warnings.append)
    return lambda backend: EngineOptions(backend, store=store, warn=warnings.append)


def only(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Only these backends are installed."""
    found = selection.find_spec
    for name in names:
        if found(name) is None:
            pytest.skip(f"{name} is not installed")
    monkeypatch.setattr(selection, "find_spec", lambda name: found(name) if name in names else None)


def test_an_unknown_backend() -> None:
    with pytest.raises(
        UnknownNameError, match=r"unknown backend 'tensorflow'.*Known: auto, onnxruntime, openvino, torch"
    ):
        EngineOptions("tensorflow")


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_backend_that_is_not_installed(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch)
    with pytest.raises(MissingExtraError, match=rf"pip install 'sf_detect\[{backend}\]'"):
        open_engine(Counted().network(), EngineOptions(backend))


def test_auto_takes_torch_where_nothing_else_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch)
    counted = Counted()
    assert open_engine(counted.network(), EngineOptions()).backend == "torch"
    assert counted.converted == 0


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_it_is_converted_and_checked_once(backend: str, options, warnings: list[str], monkeypatch) -> None:
    only(monkeypatch, backend)
    counted = Counted()
    for asked in ("auto", backend, "auto"):
        engine = open_engine(counted.network(), options(asked))
        assert engine.backend == backend
        assert engine.run({"x": np.ones((1, 2), np.float32)})["y"].tolist() == [[2, 2]]
    assert (counted.converted, counted.reference) == (1, 1)
    assert not warnings


@pytest.mark.parametrize(
    "changes", [{"weights": "other"}, {"settings": {"a": "b"}}, {"sources": [__file__]}, {"name": "another"}]
)
def test_it_is_converted_anew_when_something_changes(changes: dict, options, monkeypatch) -> None:
    only(monkeypatch, "onnxruntime")
    counted = Counted()
    open_engine(counted.network(), options("auto"))
    open_engine(counted.network(**changes), options("auto"))
    assert (counted.converted, counted.reference) == (2, 2)


@pytest.mark.parametrize("version", ["sf_detect", "backend", "processor"])
def test_another_version_or_processor_is_checked_anew(version: str, options, monkeypatch) -> None:
    only(monkeypatch, "onnxruntime")
    counted = Counted()
    open_engine(counted.network(), options("auto"))
    if version == "sf_detect":
        monkeypatch.setattr(selection, "__version__", "0")
    elif version == "backend":
        monkeypatch.setattr(selection.metadata, "version", lambda name: "0")
    else:
        monkeypatch.setattr(selection, "processor", lambda: "another")
    open_engine(counted.network(), options("auto"))
    assert counted.reference == 2


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("what", ["onnx", "check", "openvino"])
def test_a_damaged_entry_is_made_anew(backend: str, what: str, options, warnings, monkeypatch, tmp_path: Path) -> None:
    only(monkeypatch, backend)
    counted = Counted()
    open_engine(counted.network(), options(backend))
    damaged = [path for path in (tmp_path / "engines").iterdir() if what in path.name.partition("-")[0].split("_")[-1]]
    for path in damaged:
        path.write_bytes(path.read_bytes()[:-7] + b"damaged")
    engine = open_engine(counted.network(), options(backend))
    assert engine.run({"x": np.ones((1, 2), np.float32)})["y"].tolist() == [[2, 2]]
    assert len(warnings) == len(damaged)
    open_engine(counted.network(), options(backend))
    assert len(warnings) == len(damaged)
    if backend == "openvino" or what != "openvino":
        assert damaged


def test_compiled_code_that_openvino_refuses_is_compiled_anew(options, warnings, monkeypatch, tmp_path: Path) -> None:
    only(monkeypatch, "openvino")
    counted, chosen = Counted(), options("openvino")
    open_engine(counted.network(), chosen)
    facts = {**selection._machine_facts(counted.network(), "openvino"), "threads": "1"}
    chosen.save("net_openvino", facts, b"what is well kept, but no network")
    assert open_engine(counted.network(), chosen).run({"x": np.ones((1, 2), np.float32)})["y"].tolist() == [[2, 2]]
    assert "It is compiled anew" in warnings[0]


@pytest.mark.parametrize("factor", [2.001, float("nan"), float("inf")])
def test_a_backend_that_computes_something_else(factor: float, options, warnings: list[str], monkeypatch) -> None:
    only(monkeypatch, "onnxruntime")
    wrong = Counted(factor)
    for _ in range(2):  # the second time it is known
        with pytest.raises(EngineError, match="other outputs of net than torch"):
            open_engine(wrong.network(), options("onnxruntime"))
    assert wrong.reference == 1
    assert open_engine(wrong.network(), options("auto")).backend == "torch"
    assert "backend onnxruntime is not used for net" in warnings[0]


def test_a_check_without_torch(options, monkeypatch) -> None:
    only(monkeypatch, "onnxruntime")
    counted = Counted()
    open_engine(counted.network(expected={"y": [2.0, 4.0, 6.0, 8.0]}), options("auto"))
    assert counted.reference == 0
    with pytest.raises(EngineError, match="differ by 1"):
        open_engine(counted.network(name="b", expected={"y": [2.0, 4.0, 6.0, 9.0]}), options("onnxruntime"))
    with pytest.raises(EngineError, match="differ by inf"):
        open_engine(counted.network(name="c", expected={"y": [2.0, 4.0, 6.0]}), options("onnxruntime"))


@pytest.mark.parametrize(
    ("onnxruntime", "openvino", "chosen"), [(10, 9, "onnxruntime"), (10, 5, "openvino"), (5, 10, "onnxruntime")]
)
def test_auto_takes_the_fastest(onnxruntime, openvino, chosen, options, warnings, monkeypatch) -> None:
    only(monkeypatch, "onnxruntime", "openvino")
    times = {"onnxruntime": onnxruntime, "openvino": openvino}
    monkeypatch.setattr(selection, "_check", lambda network, engine, options: selection.Check(0, times[engine.backend]))
    assert open_engine(Counted().network(), options("auto")).backend == chosen
    assert not warnings


def test_auto_takes_what_passes(options, warnings: list[str], monkeypatch) -> None:
    only(monkeypatch, "onnxruntime", "openvino")
    passed = {"onnxruntime": 1.0, "openvino": 0.0}
    monkeypatch.setattr(
        selection, "_check", lambda network, engine, options: selection.Check(passed[engine.backend], 1)
    )
    assert open_engine(Counted().network(), options("auto")).backend == "openvino"


def test_times_are_taken_where_there_is_a_choice(options, monkeypatch) -> None:
    only(monkeypatch, "onnxruntime", "openvino")
    chosen = options("auto")
    open_engine(Counted().network(), chosen)
    for backend in ("onnxruntime", "openvino"):
        check = selection._known_check(Counted().network(), backend, chosen)
        assert check is not None
        assert check.passed


def test_nothing_is_kept_without_a_store(monkeypatch) -> None:
    only(monkeypatch, "onnxruntime")
    counted = Counted()
    for _ in range(2):
        open_engine(counted.network(), EngineOptions())
    assert counted.converted == 2
