"""Names of inputs and outputs that are odd: not UTF-8, very long, links, folders, devices, pipes."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from test_cli import fakes  # noqa: F401  fixture

from sf_detect.errors import ConfigError, SinkError
from sf_detect.outputs import check_outputs
from sf_detect.sinks import JsonLinesSink
from sf_detect.structures import VideoInfo
from sf_detect.video.writer import VideoWriter
from sf_detect.weights.checkpoint import write_safetensors
from synthetic_video import write_video

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX names, links and devices")


def frames_of(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


@posix
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"caf\xe9.mp4", "caf\\xe9"),
        (b"\xff\xfe.mp4", "\\xff\\xfe"),
        ("語".encode() * 80 + b".mp4", "語" * 80),
        (b"n" * 250 + b".mp4", "n" * 250),
        (b"a[red]b[bold].mp4", "a[red]b[bold]"),
        (b"new\nline\x1b[2J.mp4", "new\\x0aline\\x1b[2J"),
    ],
    ids=["latin1", "bytes", "characters", "long", "markup", "controls"],
)
@pytest.mark.usefixtures("fakes")
def test_inputs_with_odd_names(sf_detect, tmp_path, capfd, name, shown):
    write_video(tmp_path / "in.mp4", num_frames=8)
    os.rename(tmp_path / "in.mp4", os.fsencode(tmp_path) + b"/" + name)
    source = os.fsdecode(name)
    assert sf_detect("run", source) == 0
    (video,) = tmp_path.glob("*_actions.mp4")
    assert frames_of(video) == 8
    assert sf_detect("run", source, "--out-jsonl", "o.jsonl", "--out-csv", "o.csv") == 0
    assert json.loads((tmp_path / "o.jsonl").read_bytes().decode())["video"] == shown
    assert shown in (tmp_path / "o.csv").read_bytes().decode()
    assert sf_detect("run", f"{source}x") == 1
    printed = capfd.readouterr().err
    assert "does not exist" in printed or "too long" in printed
    assert "\x1b" not in printed
    assert len(list(tmp_path.iterdir())) == 4


@posix
@pytest.mark.usefixtures("fakes")
def test_outputs_with_odd_names(sf_detect, tmp_path):
    write_video(tmp_path / "in.mp4", num_frames=8)
    stems = [os.fsdecode(b"caf\xe9"), "語" * 80, "n" * 249]
    for stem in stems:
        outputs = (f"--out-video={stem}.mp4", f"--out-jsonl={stem}.jsonl", f"--out-csv={stem}.csv")
        assert sf_detect("run", "in.mp4", "-q", *outputs) == 0
        assert frames_of(tmp_path / f"{stem}.mp4") == 8
    assert len(list(tmp_path.iterdir())) == 1 + 3 * len(stems)


@posix
@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.usefixtures("fakes")
def test_outputs_that_are_links(sf_detect, tmp_path, exists):
    write_video(tmp_path / "in.mp4", num_frames=8)
    far = tmp_path / "far"
    far.mkdir()
    for ending in ("mp4", "jsonl", "csv"):
        if exists:
            (far / f"real.{ending}").write_text("old")
        (tmp_path / f"o.{ending}").symlink_to(far / f"real.{ending}")
    assert sf_detect("run", "in.mp4", "--out-video", "o.mp4", "--out-jsonl", "o.jsonl", "--out-csv", "o.csv") == 0
    assert all((tmp_path / f"o.{ending}").is_symlink() for ending in ("mp4", "jsonl", "csv"))
    assert frames_of(far / "real.mp4") == 8
    assert json.loads((far / "real.jsonl").read_text())["video"] == "in"
    assert sorted(path.name for path in far.iterdir()) == ["real.csv", "real.jsonl", "real.mp4"]


@posix
@pytest.mark.usefixtures("fakes")
def test_an_output_that_leads_to_the_input_is_refused(sf_detect, tmp_path):
    write_video(tmp_path / "in.mp4", num_frames=3)
    (tmp_path / "o.mp4").symlink_to("in.mp4")
    assert sf_detect("run", "in.mp4", "--out-video", "o.mp4") == 2
    assert frames_of(tmp_path / "in.mp4") == 3


@posix
@pytest.mark.usefixtures("fakes")
def test_devices_links_in_circles_and_folders(sf_detect, tmp_path, capfd):
    write_video(tmp_path / "in.mp4", num_frames=3)
    (tmp_path / "null.mp4").symlink_to(os.devnull)
    (tmp_path / "round.mp4").symlink_to("round.mp4")
    (tmp_path / "folder.mp4").mkdir()
    for name, reason in (("null.mp4", "device or a pipe"), ("round.mp4", "circle"), ("folder.mp4", "folder")):
        assert sf_detect("run", "in.mp4", "--out-video", name) == 1
        assert reason in capfd.readouterr().err
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    assert sf_detect("run", "in.mp4", "-q", "--out-jsonl", os.devnull, "--out-csv", os.devnull) == 0
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.mp4", "in.mp4", "null.mp4", "round.mp4"]


@posix
def test_standard_output_by_its_names(tmp_path):
    """A file that the shell opened is written to as it is: what is in it stays."""
    code = (
        "import sys; from sf_detect.sinks.text_output import TextOutput\n"
        "for name in sys.argv[1:]:\n"
        "    output = TextOutput(name, 'x'); output.write(name + '\\n'); output.close()\n"
    )
    (tmp_path / "link").symlink_to("/dev/stdout")
    names = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", str(tmp_path / "link")]
    names = [name for name in names if not name.startswith("/proc") or os.path.exists("/proc/self")]
    with (tmp_path / "o").open("w") as file:
        file.write("before\n")
        file.flush()
        subprocess.run([sys.executable, "-c", code, *names], stdout=file, check=True)
    assert (tmp_path / "o").read_text().splitlines() == ["before", *names]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "o"]


@posix
def test_two_outputs_on_the_standard_output_are_refused():
    for names in (("-", "-"), ("-", "/dev/stdout"), ("/dev/fd/1", "/dev/stdout")):
        with pytest.raises(ConfigError, match="also --out-jsonl"):
            check_outputs(None, {"jsonl": names[0], "csv": names[1]})
    check_outputs(None, {"jsonl": os.devnull, "csv": os.devnull})
    check_outputs("http://h/" + "n" * 300, {"jsonl": "a.jsonl"})


@posix
def test_a_pipe_takes_lines(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text()))
    reader.start()
    JsonLinesSink(tmp_path / "pipe", "a", ["x"]).close()
    reader.join(10)
    assert read == [""]
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_a_second_run_onto_the_same_outputs_is_refused(tmp_path):
    info = VideoInfo(32, 32)
    first, lines = VideoWriter(tmp_path / "o.mp4", info), JsonLinesSink(tmp_path / "o.jsonl", "a", ["x"])
    with pytest.raises(SinkError, match="another run is writing it"):
        VideoWriter(tmp_path / "o.mp4", info)
    with pytest.raises(SinkError, match="another run is writing it"):
        JsonLinesSink(tmp_path / "o.jsonl", "b", ["x"])
    first.write(np.zeros((32, 32, 3), np.uint8), 0.0)
    first.close()
    lines.close()
    assert frames_of(tmp_path / "o.mp4") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.jsonl", "o.mp4"]


@posix
def test_weights_have_the_permissions_of_the_umask(tmp_path):
    before = os.umask(0o022)
    try:
        write_safetensors({"a": torch.zeros(2)}, tmp_path / "w.safetensors", {})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "w.safetensors").stat().st_mode) == 0o644


@posix
def test_a_disk_that_is_full_leaves_no_weights(tmp_path):
    """The limit on the size of a file stands for the full disk."""
    code = (
        "import resource, sys, torch; from sf_detect.weights.checkpoint import write_safetensors\n"
        "from sf_detect.errors import WeightsFormatError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    write_safetensors({'a': torch.zeros(10000)}, sys.argv[1], {})\n"
        "except WeightsFormatError as error:\n"
        "    print(error)\n"
    )
    (tmp_path / "w.safetensors").write_text("old")
    command = [sys.executable, "-c", code, str(tmp_path / "w.safetensors")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (tmp_path / "w.safetensors").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == ["w.safetensors"]
    assert "cannot write the weights" in ended.stdout, ended
