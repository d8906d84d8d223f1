"""How far streaming and clip inference agree: the tool runs, and says what it compared."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from sf_detect.config import ModelConfig, RunConfig
from synthetic_video import write_video

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("streaming_agreement", ROOT / "tools" / "streaming_agreement.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_alignment_of_a_folder_of_videos(tool, monkeypatch, capsys, tmp_path):
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, num_frames=20, fps=25)
    monkeypatch.setattr(sys, "argv", ["streaming_agreement.py", str(tmp_path), "--stride", "10", "--limit", "1"])
    tool.main()
    printed = capsys.readouterr().out
    assert "slowfast_tiny_jhmdb; 1 moments of 1 video(s)" in printed
    for name in tool.ALIGNMENTS:
        assert re.search(rf"  {name} +0\.\d{{4}} +0\.\d{{4}} +-?[01]\.\d{{4}} +\d+%", printed)


def test_a_causal_model_begins_as_its_clip_does(tool, monkeypatch, capsys, tmp_path):
    video = write_video(tmp_path / "v.mp4", num_frames=20, fps=25)
    # At the first frame of a video both take it to stand still before; the clips of later frames begin with padding.
    clips = tool.build.build_predictor(RunConfig())
    ((streamed, by_clip),) = tool.moments(clips, clips.open_stream(), video, 10)
    np.testing.assert_allclose(streamed, by_clip[0], atol=1e-4)
    assert not np.allclose(streamed, by_clip[-1], atol=1e-4)


def test_weights_of_centred_padding_are_told_apart(tool, capsys, tmp_path):
    video = write_video(tmp_path / "v.mp4", num_frames=20, fps=25)
    shipped = ROOT / "sf_detect" / "weights" / "shipped" / "slowfast_tiny_jhmdb.safetensors"
    with pytest.raises(tool.build.ConfigError, match=r"trained with causal=True.*--set model.causal=true"):
        tool.print_agreement(RunConfig(model=ModelConfig(weights=str(shipped), causal=False)), [video], 10)


def test_rows(tool):
    left = np.array([[0.1, 0.9], [0.8, 0.3]], np.float32)
    assert tool.compared(left, 1 - left).split()[2:] == ["-1.0000", "0%"]
    assert tool.compared(left, left).split() == ["0.0000", "0.0000", "1.0000", "100%"]
    assert tool.compared(left, np.zeros_like(left)).split()[2] == "nan"


def test_nothing_to_compare(tool, tmp_path):
    with pytest.raises(SystemExit, match="without videos"):
        tool.videos_of(tmp_path)
    video = write_video(tmp_path / "v.mp4", num_frames=3, fps=25)
    with pytest.raises(SystemExit, match="no video is as long as a clip"):
        tool.print_agreement(RunConfig(), [video], 1.0)
