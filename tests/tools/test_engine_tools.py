"""The tools for engines name the default networks, and time what they are given."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sf_detect.engines import EngineOptions, Network
from tests.engines.test_selection import Counted
from tools import benchmark_engines, engine_references


def test_the_default_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    for tool in (benchmark_engines, engine_references):
        monkeypatch.setattr(tool, "fetch_detector", lambda entry: "weights.pb")
    # features are a form of their own, computed where somebody asks for them
    names = [network.name for network in benchmark_engines.networks().values()]
    assert names == [
        "ssdlite_person",
        *(f"slowfast_tiny_jhmdb_{form}" for form in ("clip", "clip_features", "step", "head")),
    ]
    kept = [network.name for network in engine_references.default_networks()]
    assert kept == [names[0], "efficientnet_lite0", *names[1:]]


def test_the_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def networks() -> Iterator[tuple[str, Network]]:
        for name in ("detector", "clip", "step", "head"):
            yield name, Counted().network()

    monkeypatch.setattr(benchmark_engines, "networks", lambda: dict(networks()))
    monkeypatch.setattr(benchmark_engines, "installed", list)
    monkeypatch.setattr(benchmark_engines, "options_of", EngineOptions)
    monkeypatch.setattr(benchmark_engines, "_SIDE", 8)
    monkeypatch.setattr(benchmark_engines, "median_times", lambda call, runs: (call(), (2.0, 1.0))[1])
    monkeypatch.setattr("sys.argv", ["benchmark_engines.py", "--runs", "2"])
    benchmark_engines.main()
    assert "| torch | 2.0 (1.0) | 2.0 (1.0) | 2.0 (1.0) | 2.0 (1.0) | 1/1.00 |" in capsys.readouterr().out
