"""The demo scripts run as they are, with a fake in place of the detector, whose weights are fetched on first use."""

import runpy
import sys
from pathlib import Path

import pytest

from fakes import FakeDetector
from sf_detect import build
from synthetic_video import write_video

DEMO = Path(__file__).resolve().parents[2] / "demo"


@pytest.mark.parametrize("script", sorted(DEMO.glob("*.py")), ids=lambda path: path.stem)
def test_script_runs(script, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(build, "build_detector", lambda *_: FakeDetector())
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "in.mp4", num_frames=10)
    monkeypatch.setattr(sys, "argv", [str(script), "in.mp4", *(["out.mp4"] if "blur" in script.name else [])])
    runpy.run_path(str(script), run_name="__main__")
    assert "pe" in capsys.readouterr().out  # person, people
    assert len(script.read_text().splitlines()) <= 80
