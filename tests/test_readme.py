"""What the README promises, run: its Python examples, its files and links, its commands."""

import re
from pathlib import Path

import pytest

from fakes import FakeActionModel, FakeDetector
from sf_detect import build
from sf_detect.config import RunConfig
from synthetic_video import write_video

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_python_examples_run_as_written(number, tmp_path, monkeypatch, capsys):
    # Only the detector is a fake: its weights are fetched on first use, and tests have no network.
    monkeypatch.setattr(build, "build_detector", lambda *_: FakeDetector())
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "video.mp4", num_frames=20)
    exec(compile(EXAMPLES[number], f"README example {number}", "exec"), {})
    assert capsys.readouterr().out


def test_the_loop_prints_what_counts_only(tmp_path, monkeypatch, capsys):
    # The fake model gives everybody 0.5 for "wave", 0.1 and 0.2 for "stand"; its thresholds are 0.25.
    monkeypatch.setattr(build, "build_predictor", lambda *_: FakeActionModel())
    monkeypatch.setattr(build, "build_detector", lambda *_: FakeDetector())
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "video.mp4", num_frames=20)
    exec(compile(EXAMPLES[1], "README's loop", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert all(line.endswith("['wave']") for line in lines)


def test_there_are_examples():
    assert len(EXAMPLES) >= 2


def test_links_lead_somewhere():
    targets = [t for t in re.findall(r"\]\(([^)]+)\)", README) if not t.startswith("http")]
    assert targets
    assert [t for t in targets if not (ROOT / t).exists()] == []


def test_the_first_example_is_short():
    assert len(EXAMPLES[0].strip().splitlines()) <= 5


def test_public_names_exist():
    import sf_detect

    for name in sf_detect.__all__:
        assert getattr(sf_detect, name) is not None
    assert set(sf_detect.__all__) <= set(dir(sf_detect))
    with pytest.raises(AttributeError, match="no attribute 'annotate_'"):
        _ = sf_detect.annotate_


def test_defaults_build_without_files():
    assert RunConfig().model.name == build.DEFAULT_MODEL
