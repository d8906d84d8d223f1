"""Which backend computes a network, and how it is opened: converted, checked against torch, kept for the next start.

`auto` takes the fastest backend that is installed and gives torch's results on this machine. Both are found out once,
at the first start with a backend, and stored: later starts read what was found and import one backend only.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from sf_detect.engines.engine import Arrays, Engine, Warn, print_warning
from sf_detect.engines.onnx_graph import OPSET, OnnxModel
from sf_detect.engines.onnxruntime_engine import OnnxRuntimeEngine
from sf_detect.engines.openvino_engine import OpenVINOEngine
from sf_detect.engines.store import EngineStore, Facts
from sf_detect.errors import EngineError, MissingExtraError, SFDetectError, UnknownNameError
from sf_detect.version import __version__
from sf_detect.weights.cache import cache_directory

CONVERTED = ("onnxruntime", "openvino")
"""Backends that compute converted networks, the one that starts fastest first."""
BACKENDS = ("auto", "torch", *CONVERTED)
TOLERANCE = 1e-4
"""Most by which an output of a converted network may differ from torch's."""
_SAMPLES = 64  # values of an output that are compared
_SMALL = 0.01  # below it, sigmoids are exact in their absolute value only
_TIMED_RUNS = 6
_WORTH_IT = 0.8  # share of the time from which a backend is taken that starts more slowly


@dataclass(frozen=True)
class Network:
    """A network that can be converted.

    Attributes:
        name: For files and people.
        weights: SHA-256 of its weights, hexadecimal.
        settings: What else the converted network depends on.
        convert: Makes the graph.
        torch: Opens the network in torch, the reference.
        example: Inputs, the same at every call.
        sources: Modules that make the graph: files whose change makes a converted network obsolete.
        expected: `sample` of torch's outputs for `example`, where they are known without torch.
    """

    name: str
    weights: str
    settings: Mapping[str, str]
    convert: Callable[[], OnnxModel]
    torch: Callable[[], Engine]
    example: Callable[[], Arrays]
    sources: Sequence[str] = ()
    expected: Mapping[str, Sequence[float]] | None = None

    def facts(self) -> dict[str, str]:
        """All that the converted network depends on."""
        code = hashlib.sha256(b"".join(Path(source).read_bytes() for source in self.sources if Path(source).is_file()))
        made_by = {"sf_detect": __version__, "code": code.hexdigest(), "opset": str(OPSET)}
        return {**self.settings, **made_by, "weights": self.weights}


@dataclass(frozen=True)
class EngineOptions:
    """How engines are opened.

    Attributes:
        backend: One of `BACKENDS`.
        threads: That each engine may use.
        store: Where converted networks are kept; None keeps nothing.
        warn: Receives what a user should know.
    """

    backend: str = "auto"
    threads: int = 1
    store: EngineStore | None = None
    warn: Warn = print_warning

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise UnknownNameError("backend", self.backend, BACKENDS)

    def load(self, name: str, facts: Facts) -> bytes | None:
        """See `EngineStore.load`."""
        return None if self.store is None else self.store.load(name, facts)

    def save(self, name: str, facts: Facts, content: bytes) -> None:
        """See `EngineStore.save`."""
        if self.store is not None:
            self.store.save(name, facts, content)


def engine_options(backend: str = "auto", threads: int = 1, warn: Warn = print_warning) -> EngineOptions:
    """Options that keep converted networks in the package's cache.

    Raises:
        UnknownNameError: There is no such backend.
    """
    return EngineOptions(backend, threads, EngineStore(cache_directory() / "engines", warn), warn)


@dataclass(frozen=True)
class Check:
    """What was found out about a backend on this machine.

    Attributes:
        difference: Largest difference from torch's outputs; infinite where an output is not a number.
        milliseconds: Of the processor for one run, the fastest of a few; 0 where there was no choice.
    """

    difference: float
    milliseconds: float

    @property
    def passed(self) -> bool:
        """Whether the outputs are torch's."""
        return self.difference <= TOLERANCE


def installed() -> list[str]:
    """The backends of `CONVERTED` that are installed."""
    return [name for name in CONVERTED if find_spec(name) is not None]


def open_engine(network: Network, options: EngineOptions) -> Engine:
    """The network on the backend that the options name.

    Raises:
        MissingExtraError: A backend that was asked for is not installed.
        EngineError: It can't build the network, or its outputs are not torch's. "auto" warns and takes another.
        WeightsError: The weights can't be read.
    """
    if options.backend == "torch":
        return network.torch()
    if options.backend != "auto":
        return _checked(network, options.backend, options)
    for backend in _fastest_first(network, options):
        try:
            return _checked(network, backend, options)
        except (EngineError, MissingExtraError) as error:
            options.warn(f"backend {backend} is not used for {network.name}: {error}")
    return network.torch()


def _fastest_first(network: Network, options: EngineOptions) -> list[str]:
    """The installed backends that pass, the fastest first; a single one is checked when it is opened."""
    names = installed()
    if len(names) < 2:
        return names
    times: list[float] = []
    for place, backend in enumerate(names):
        try:
            check = _known_check(network, backend, options) or _check(
                network, _built(network, backend, options), options
            )
        except SFDetectError:  # said when it is opened
            check = Check(np.inf, np.inf)
        times.append((check.milliseconds if check.passed else np.inf) / _WORTH_IT**place)
    return [names[i] for i in np.argsort(times, kind="stable")]


def _checked(network: Network, backend: str, options: EngineOptions) -> Engine:
    """The network on a backend that is known to give torch's outputs, here and now."""
    engine = _built(network, backend, options)
    check = _known_check(network, backend, options) or _check(network, engine, options)
    if not check.passed:
        raise EngineError(
            f"{backend} {metadata.version(backend)} computes other outputs of {network.name} than torch on this "
            f"machine: they differ by {check.difference:.2g}, expected {TOLERANCE:.0e} at most. Use the backend torch, "
            f"or install another version of {backend}."
        )
    return engine


def _built(network: Network, backend: str, options: EngineOptions, keep: bool = True) -> Engine:
    if find_spec(backend) is None:
        raise MissingExtraError(backend, backend, f"the backend {backend!r}")
    model = _converted(network, options)
    if backend == "onnxruntime":
        return OnnxRuntimeEngine(model, options.threads)
    facts = {**_machine_facts(network, backend), "threads": str(options.threads)}
    name = f"{network.name}_openvino"
    if (compiled := options.load(name, facts)) is not None:
        try:
            return OpenVINOEngine(model, options.threads, compiled)
        except EngineError as error:
            options.warn(f"{error}. It is compiled anew.")
    engine = OpenVINOEngine(model, options.threads)
    if keep:
        options.save(name, facts, engine.compiled())
    return engine


def _converted(network: Network, options: EngineOptions) -> OnnxModel:
    """The network's graph, stored or made now."""
    facts, name = network.facts(), f"{network.name}_onnx"
    if (stored := options.load(name, facts)) is not None:
        return OnnxModel.from_bytes(stored)
    model = network.convert()
    options.save(name, facts, model.to_bytes())
    return model


def _known_check(network: Network, backend: str, options: EngineOptions) -> Check | None:
    stored = options.load(f"{network.name}_{backend}_check", _machine_facts(network, backend))
    return None if stored is None else Check(**json.loads(stored))


def _check(network: Network, engine: Engine, options: EngineOptions) -> Check:
    """Compares an engine with torch, or with what is known of torch, takes its time, and stores what was found."""
    example = network.example()
    expected = network.expected or sample(network.torch().run(example))
    found, times = engine.run(example), []
    for _ in range(_TIMED_RUNS if len(installed()) > 1 else 0):
        # The least of the wall times: processor time would count other threads of this process, such as imports.
        start = time.perf_counter()
        engine.run(example)
        times.append(time.perf_counter() - start)
    check = Check(difference(sample(found), expected), 1000 * min(times, default=0.0))
    facts = _machine_facts(network, engine.backend)
    options.save(f"{network.name}_{engine.backend}_check", facts, json.dumps(vars(check)).encode())
    return check


def sample(outputs: Arrays) -> dict[str, list[float]]:
    """Some values of each output, evenly spread."""
    return {
        name: np.asarray(array, np.float64).ravel()[:: max(1, array.size // _SAMPLES)].tolist()
        for name, array in outputs.items()
    }


def difference(found: Mapping[str, Sequence[float]], expected: Mapping[str, Sequence[float]]) -> float:
    """The largest difference between two samples; of outputs that are small everywhere, as a share of the largest.

    Infinite where a value is not a number, or there are other values.
    """
    if {k: len(v) for k, v in found.items()} != {k: len(v) for k, v in expected.items()}:
        return float("inf")
    largest = 0.0
    for name, values in expected.items():
        scale = min(1.0, max(_SMALL, float(np.max(np.abs(values), initial=0))))
        gaps = np.abs(np.subtract(found[name], values)) / scale
        largest = max(largest, float(np.nan_to_num(gaps, nan=np.inf, posinf=np.inf).max(initial=0)))
    return largest


def _machine_facts(network: Network, backend: str) -> dict[str, str]:
    """All that the outputs and the speed of a backend depend on."""
    return {**network.facts(), backend: metadata.version(backend), "processor": processor()}


@lru_cache(maxsize=1)
def processor() -> str:
    """The processor's name, as far as the system tells, and its kind."""
    name = platform.processor()
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            lines = dict(line.split(":", 1) for line in file.read(20_000).splitlines() if ":" in line)
        told = {key.strip(): value.strip() for key, value in lines.items()}
        name = " ".join(told.get(key, "") for key in ("model name", "flags", "Features")) or name
    except OSError:
        pass
    return f"{platform.system()} {platform.machine()} {hashlib.sha256(name.encode()).hexdigest()[:16]}"
