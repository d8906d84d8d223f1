"""The command as a user meets it: exit codes, messages, outputs. Detector and action model are fakes."""

import errno
import json
import os
import signal
import sys
from dataclasses import replace

import av
import pytest

from fakes import FakeActionModel, FakeDetector
from sf_detect import build, cli
from sf_detect.commands.run import _no_action, default_output
from sf_detect.config import RunConfig
from sf_detect.processing import BestGuess
from synthetic_video import cut_short, write_audio_only, write_video

LABELS = ("stand", "walk", "wave")


class FakePredictor(FakeActionModel):
    warning: str | None = None

    def __init__(self) -> None:
        super().__init__(labels=LABELS)
        self.spec = replace(self.spec, thresholds=(0.4, 0.4, 0.4), warning=self.warning)


@pytest.fixture
def fakes(monkeypatch, tmp_path):
    """Runs `sf-detect` in an empty folder with fakes for the networks; returns the exit code."""
    monkeypatch.setattr(build, "build_predictor", lambda *_: FakePredictor())
    monkeypatch.setattr(build, "build_detector", lambda *_: FakeDetector())
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("fakes")
def test_run_writes_all_outputs(sf_detect, tmp_path, capsys):
    video = write_video(tmp_path / "in.mp4", num_frames=40, audio=True)
    assert sf_detect("run", video, "--out-video", "o.mp4", "--out-jsonl", "o.jsonl", "--out-csv", "o.csv") == 0
    with av.open("o.mp4") as container:
        assert sum(1 for _ in container.decode(video=0)) == 40
        assert len(container.streams.audio) == 1
    lines = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == [0, 15, 30]
    assert set(lines[0]) == {"schema", "video", "frame", "time", "width", "height", "persons"}
    assert lines[0]["schema"] == "sf-detect/1"
    assert [p["track_id"] for p in lines[0]["persons"]] == [1, 2]
    rows = [row.split(",") for row in (tmp_path / "o.csv").read_text().splitlines()]
    assert {len(row) for row in rows} == {8}
    assert {row[0] for row in rows} == {"in"}
    assert {row[6] for row in rows} == {"1", "2", "3"}
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "40 frames" in printed.err
    assert "wrote o.mp4" in printed.err


@pytest.mark.usefixtures("fakes")
def test_a_video_whose_size_changes_keeps_one_size_in_the_output(sf_detect, tmp_path, capsys):
    parts = [write_video(tmp_path / f"{i}.ts", 20, size=size) for i, size in enumerate([(64, 48), (48, 96), (64, 48)])]
    (tmp_path / "in.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    assert sf_detect("run", "in.ts", "--out-video", "o.mp4", "--out-jsonl", "o.jsonl") == 0
    with av.open("o.mp4") as container:
        pictures = [picture.to_ndarray(format="rgb24") for picture in container.decode(video=0)]
    assert {picture.shape for picture in pictures} == {(48, 64, 3)}
    assert len(pictures) == 60
    assert pictures[30][:, :18].max() < 20  # 24x48 in the middle of 64x48
    assert pictures[30][:, 46:].max() < 20
    lines = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    found = {(line["width"], line["height"]): [p["track_id"] for p in line["persons"]] for line in lines}
    assert set(found) == {(64, 48), (48, 96)}
    assert found[(48, 96)] == [3, 4]
    assert "the size of the pictures changes 2 times, first at 0.63 s to 48x96" in capsys.readouterr().err


@pytest.mark.usefixtures("fakes")
def test_a_jump_of_hours_loses_nothing(sf_detect, tmp_path, capsys):
    write_video(tmp_path / "in.mkv", pts=[i / 30 + 30_000 * (i >= 20) for i in range(40)])
    assert sf_detect("run", "in.mkv", "--out-video", "o.mp4", "-q") == 0
    with av.open("o.mp4") as container:
        assert sum(1 for _ in container.decode(video=0)) == 40
    assert "the time stamps jump once, first at 0.63 s by +30000.0 s" in capsys.readouterr().err


@pytest.mark.usefixtures("fakes")
def test_warnings_of_the_model_come_before_the_first_result(sf_detect, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(FakePredictor, "warning", "fake: an approximation")
    said: list[str] = []
    call = FakePredictor.__call__

    def listening(self, clips):
        said.append(capsys.readouterr().err)
        return call(self, clips)

    monkeypatch.setattr(FakePredictor, "__call__", listening)
    video = write_video(tmp_path / "in.mp4", num_frames=20)
    assert sf_detect("run", video, "-q") == 0
    assert said[0] == "sf-detect: fake: an approximation\n"
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("fakes")
def test_run_writes_events(sf_detect, tmp_path, capsys):
    video = write_video(tmp_path / "in.mp4", num_frames=50)
    assert sf_detect("run", video, "--out-events", "e.csv", "--threshold", "0.4") == 0
    assert (tmp_path / "e.csv").read_text().splitlines() == [
        "video,track_id,label,start,end,score",
        "in,1,wave,0.000,1.667,0.50000",
        "in,2,wave,0.000,1.667,0.50000",
    ]
    printed = capsys.readouterr().err
    assert "wrote e.csv" in printed
    assert "no action reached" not in printed
    assert not list(tmp_path.glob("*actions*")), "a video is the default only where nothing else is asked for"


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        (("--threshold", "0.6"), "Try --threshold 0.50, or another model (--model; `sf-detect weights list` shows"),
        (("--set", "render.thresholds.wave=0.9"), "Try a threshold of 0.50 or less for it in render.thresholds, or an"),
    ],
)
@pytest.mark.usefixtures("fakes")
def test_the_summary_says_when_no_action_reached_its_threshold(sf_detect, tmp_path, capsys, options, advice):
    video = write_video(tmp_path / "in.mp4", num_frames=20)
    assert sf_detect("run", video, "--out-events", "e.csv", *options) == 0
    printed = capsys.readouterr().err
    assert "no action reached its threshold. The best guess is wave of person 1 at 0.0 s, score 0.50. " in printed
    assert advice in printed
    assert sf_detect("run", video, "--out-events", "e.csv", *options, "-q") == 0
    assert capsys.readouterr().err == ""


def test_a_guess_that_is_next_to_nothing_suggests_no_threshold():
    guess = BestGuess("carry_hold", 0.03, None, 12.34)
    assert _no_action(guess, RunConfig()) == (
        "no action reached its threshold. The best guess is carry hold at 12.3 s, score 0.03. Try another model "
        "(--model; `sf-detect weights list` shows which there are)."
    )


@pytest.mark.usefixtures("fakes")
def test_run_without_outputs_writes_a_video_here(sf_detect, tmp_path):
    video = write_video(tmp_path / "in.mp4", num_frames=5)
    assert sf_detect("run", video) == 0
    assert (tmp_path / "in_actions.mp4").exists()


@pytest.mark.usefixtures("fakes")
def test_quiet_json_lines_on_standard_output(sf_detect, tmp_path, capsys):
    video = write_video(tmp_path / "in.mp4", num_frames=20)
    assert sf_detect("run", video, "--out-jsonl", "-", "-q", "--stride", "0.25", "--max-seconds", "0.5") == 0
    printed = capsys.readouterr()
    assert [json.loads(line)["frame"] for line in printed.out.splitlines()] == [0, 8]
    assert printed.err == ""


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("run", "missing.mp4"), 1, "missing.mp4"),
        (("run", "."), 1, "image"),
        (("run", "empty.mp4"), 1, "empty"),
        (("run", "text.mp4"), 1, "text.mp4"),
        (("run", "sound.mp4"), 1, "audio"),
        (("run", "cut.mp4"), 1, "cut.mp4"),
        (("run", "in.mp4", "--out-video", "in.mp4"), 2, "the input, which it would overwrite"),
        (("run", "in.mp4", "--out-jsonl", "a.mp4"), 2, "--out-jsonl a.mp4 ends in '.mp4'; expected .jsonl"),
        (("run", "in.mp4", "--start", "3", "--end", "2"), 2, "end is 2.0, which is not after start, 3.0"),
        (("run", "in.mp4", "--every", "0"), 2, "every is 0; expected 1 or more"),
        (("run", "in.mp4", "--out-jsonl", "/proc/none/a.jsonl"), 1, "/proc/none"),
        (("run", "in.mp4", "--out-video", "/proc/none/a.mp4"), 1, "/proc/none"),
        (("run", "in.mp4", "--show", "wav"), 2, "Did you mean 'wave'"),
        (("run", "in.mp4", "--threshold", "7"), 2, "render.threshold is 7.0; expected a number from 0 to 1"),
        (("run", "in.mp4", "--anonymise", "face"), 2, "head"),
        (("run", "in.mp4", "--stride", "0"), 2, "above 0"),
        (("run", "in.mp4", "--set", "pipeline.strid=1"), 2, "Did you mean 'pipeline.stride'"),
        (("run", "in.mp4", "--config", "none.yaml"), 2, "can't be read"),
        (("run", "in.mp4", "--config", "text.mp4"), 2, "text.mp4"),
        (("run",), 2, "INPUT"),
        (("weights", "pull", "slowfast_tinny_jhmdb"), 2, "Did you mean 'slowfast_tiny_jhmdb'"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
@pytest.mark.usefixtures("fakes")
def test_bad_input_gives_a_message_and_a_code(sf_detect, tmp_path, capsys, arguments, code, message):
    write_video(tmp_path / "in.mp4", num_frames=3)
    cut_short(write_video(tmp_path / "cut.mp4", num_frames=30), 0.5)
    write_audio_only(tmp_path / "sound.mp4")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("this is not a video\n" * 50)
    assert sf_detect(*arguments) == code
    printed = capsys.readouterr()
    assert message in printed.err
    assert "Traceback" not in printed.err
    assert not list(tmp_path.glob("*actions*"))


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--device", "cuda:99", "cuda:99"),
        ("--device", "gpu", "Expected cpu, cuda"),
        ("--model", "slowfast_tinny_jhmdb", "Did you mean 'slowfast_tiny_jhmdb'"),
        ("--model", "k400_slow_8x8_r50", "classifies whole clips"),
        ("--detector", "ssdlite_persn", "Did you mean 'ssdlite_person'"),
        ("--tile", "perhaps", "perhaps"),
        ("--weights", "none.pyth", "no such file"),
    ],
)
def test_names_that_do_not_exist(sf_detect, tmp_path, monkeypatch, capsys, option, value, message):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "in.mp4", num_frames=3)
    assert sf_detect("run", "in.mp4", option, value) in (1, 2)
    assert message in capsys.readouterr().err


def test_help_shows_examples(sf_detect, capsys):
    assert sf_detect("run", "--help") == 0
    assert "sf-detect run video.mp4" in capsys.readouterr().out


def test_version(sf_detect, capsys):
    assert sf_detect("--version") == 0
    assert capsys.readouterr().out.startswith("sf-detect ")


def test_weights_list(sf_detect, capsys):
    assert sf_detect("weights", "list") == 0
    printed = capsys.readouterr().out
    assert "ssdlite_person" in printed
    assert "slowfast_tiny_jhmdb" in printed


@pytest.mark.parametrize(
    ("source", "name"),
    [("a/b.mkv", "b_actions.mp4"), ("0", "camera0_actions.mp4"), ("rtsp://h/live?x=1", "live_actions.mp4")],
)
def test_default_output(source, name):
    assert default_output(source) == name


@pytest.fixture
def run_with(sf_detect, tmp_path, monkeypatch, capsys):
    """Runs a short video with a function in place of the model's building; returns exit code and messages."""

    def run(build_predictor):
        monkeypatch.setattr(build, "build_predictor", build_predictor)
        monkeypatch.chdir(tmp_path)
        write_video(tmp_path / "in.mp4", num_frames=3)
        return sf_detect("run", "in.mp4"), capsys.readouterr().err

    return run


def test_a_defect_is_told_without_a_traceback(run_with, monkeypatch):
    def broken(*_):
        raise KeyError("lost")

    code, printed = run_with(broken)
    assert code == 1
    assert "unexpected KeyError: 'lost'" in printed
    assert "SF_DETECT_DEBUG=1" in printed
    monkeypatch.setenv("SF_DETECT_DEBUG", "1")
    monkeypatch.setattr(sys, "argv", ["sf-detect", "run", "in.mp4"])
    with pytest.raises(KeyError):
        cli.main()


def test_a_full_disk_is_no_defect(run_with):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "cache/weights")

    code, told = run_with(full)
    assert code == 1
    assert "No space left on device: 'cache/weights'. Expected room and permission" in told
    assert "defect" not in told


@pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
@pytest.mark.usefixtures("signals_arrive")
def test_an_interruption_that_a_library_makes_its_own_error(run_with):
    def interrupted(*_):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except BaseException as error:
            raise RuntimeError("cannot go on") from error

    code, told = run_with(interrupted)
    assert code == 143
    assert "unexpected" not in told


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), ("auto", False)),
        (("--postures",), ("on", False)),
        (("--no-postures",), ("off", False)),
        (("--keypoints",), ("auto", True)),
        (("--set", "posture.mode=off", "--set", "keypoints.write=true"), ("off", True)),
    ],
)
def test_postures_and_keypoints_are_chosen(sf_detect, monkeypatch, tmp_path, options, expected):
    asked = []
    monkeypatch.setattr(build, "with_postures", lambda config, model, *_: asked.append(config.posture.mode) or model)
    monkeypatch.setattr(build, "keypoint_estimators", lambda config, *_: asked.append(config.keypoints.write))
    video = write_video(tmp_path / "in.mp4", num_frames=3)
    assert sf_detect("run", video, "--out-jsonl", "o.jsonl", *options) == 0
    assert tuple(asked) == expected


@pytest.mark.usefixtures("fakes")
def test_a_posture_mode_that_is_none(sf_detect, tmp_path, capsys):
    video = write_video(tmp_path / "in.mp4", num_frames=3)
    assert sf_detect("run", video, "--set", "posture.mode=of") == 2
    assert "posture.mode" in capsys.readouterr().err
