"""The streaming benchmark: what it counts, and that its other parts run. Nothing is timed here."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from sf_detect import build

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("benchmark_streaming", ROOT / "tools" / "benchmark_streaming.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call(tool, monkeypatch, capsys, *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", ["benchmark_streaming.py", *arguments])
    tool.main()
    return capsys.readouterr().out


@pytest.mark.parametrize(
    "model", ["slowfast_tiny_jhmdb", "ava_slowfast_8x8_r50", "ava_slowfast_8x8_r101_nl", "k400_i3d_8x8_r50"]
)
def test_a_slow_step_costs_its_share_of_a_clip(tool, monkeypatch, capsys, model):
    printed = call(tool, monkeypatch, capsys, "cost", "--model", model, "--size", "64x96")
    steps, share = (float(re.search(p, printed)[1]) for p in (r", (\d+) slow steps", r"= 1/([\d.]+) of a clip"))
    assert share == pytest.approx(steps, rel=0.01)


def test_the_document_states_what_the_tool_counts(tool, monkeypatch, capsys):
    text = (ROOT / "docs" / "streaming.md").read_text()
    printed = call(tool, monkeypatch, capsys, "cost")
    for clip, step, share in re.findall(r"clip +([\d.]+) G multiply-adds; slow step +([\d.]+) G = 1/([\d.]+)", printed):
        row = next(line for line in text.splitlines() if f"| {step} G" in line)
        assert float(re.search(r"\| ([\d.]+) G \|", row)[1]) == pytest.approx(float(clip), abs=0.05)
        assert f"| 1/{float(share):.0f} |" in row


def test_time_prints_both_forms(tool, monkeypatch, capsys):
    printed = call(
        tool, monkeypatch, capsys, "time", "--model", build.DEFAULT_MODEL, "--size", "32x32", "--repeat", "1"
    )
    assert re.search(r"clip .*predictions/s.*\n +streaming .*predictions/s", printed)


def test_a_size_that_is_none(tool, monkeypatch, capsys):
    with pytest.raises(SystemExit, match="expected HEIGHTxWIDTH"):
        call(tool, monkeypatch, capsys, "cost", "--model", build.DEFAULT_MODEL, "--size", "64")
