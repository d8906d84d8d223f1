"""`sf-detect live` against a real RTSP server: what is left of it, however it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import av
import pytest

from servers.camera_server import Serve

pytestmark = [pytest.mark.servers, pytest.mark.usefixtures("signals_arrive")]
PATIENCE = 60.0


class Command:
    """The command in a process of its own, without a network that computes."""

    def __init__(self, folder: Path, *sources: str) -> None:
        self.folder = folder
        arguments = ["--no-window", "--model", "none", "--detector", "whole_frame", "--set", "live.stride=0.2"]
        arguments += ["--record", str(folder / "{source}.mp4"), "--out-jsonl", str(folder / "{source}.jsonl")]
        command = [sys.executable, "-m", "sf_detect.cli", "live", *sources, *arguments, "--progress", "json"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def records(self, name: str) -> list[dict]:
        """Those that are written so far."""
        paths = [*self.folder.glob(f"{name}.jsonl"), *self.folder.glob(f"{name}.jsonl.*.part")]
        lines = paths[0].read_text().splitlines() if paths else []
        return [json.loads(line) for line in lines]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < end, "it did not happen"
            time.sleep(0.1)

    def end(self, number: int) -> tuple[float, list[dict], str]:
        """Seconds that it took to end, its JSON lines and what it said."""
        begun = time.monotonic()
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        return time.monotonic() - begun, [json.loads(line) for line in out.splitlines()], err


@pytest.fixture
def start(tmp_path):
    commands = []

    def begin(*sources: str) -> Command:
        commands.append(Command(tmp_path, *sources))
        return commands[-1]

    yield begin
    for command in commands:
        if command.process.poll() is None:
            command.process.kill()
            command.process.communicate()


def times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(video=0)]


def test_interrupted_while_frames_come(units, serve: Serve, start, tmp_path):
    command = start(f"cam={serve(units).url}")
    command.wait_for(lambda: len(command.records("cam")) > 5)
    seconds, _, err = command.end(signal.SIGINT)
    assert command.process.returncode == 130
    assert seconds < 4, err
    assert times(tmp_path / "cam.mp4")[-1] > 1
    assert not list(tmp_path.glob("*.part"))


def test_terminated_while_the_camera_hangs(units, serve: Serve, start, tmp_path):
    server = serve(units)
    command = start(f"cam={server.url}")
    command.wait_for(lambda: len(command.records("cam")) > 5)
    server.stop()
    count = len(command.records("cam"))
    time.sleep(5)  # stalled by now: the point of the test
    seconds, lines, err = command.end(signal.SIGTERM)
    server.go_on()
    assert command.process.returncode == 143
    assert seconds < 4, err
    assert {line["state"] for line in lines} & {"stalled", "connecting", "waiting"}
    recorded = times(tmp_path / "cam.mp4")
    assert recorded[-1] - command.records("cam")[-1]["time"] > 1.0, "notices stand for the frozen frame"
    assert len(command.records("cam")) <= count + 5


def test_a_killed_server_comes_back(units, serve: Serve, start, tmp_path):
    server = serve(units)
    command = start(f"cam={server.url}")
    command.wait_for(lambda: len(command.records("cam")) > 5)
    server.kill()
    time.sleep(4)
    before = command.records("cam")
    serve(units, port=server.port)
    command.wait_for(lambda: len(command.records("cam")) > len(before) + 5)
    _, lines, _ = command.end(signal.SIGINT)
    records = command.records("cam")
    (gap,) = [(one, other) for one, other in pairwise(records) if other["time"] - one["time"] > 2]
    tracks = [{person["track_id"] for person in record["persons"]} for record in gap]
    assert not tracks[0] & tracks[1], "who they are is not known after the gap"
    assert lines[-1]["reconnects"] == 1
    recorded = times(tmp_path / "cam.mp4")
    assert recorded == sorted(recorded)
    assert recorded[-1] >= records[-1]["time"] - 0.5


def test_killed_at_once_the_recording_plays_up_to_its_last_seconds(units, serve: Serve, start, tmp_path):
    command = start(f"cam={serve(units).url}")
    command.wait_for(lambda: bool(command.records("cam")) and command.records("cam")[-1]["time"] > 5)
    command.process.kill()
    command.process.communicate()
    (part,) = tmp_path.glob("cam.mp4.*.part")
    assert times(part)[-1] > command.records("cam")[-1]["time"] - 2.2


def test_of_two_cameras_one_dies(units, serve: Serve, start):
    good, bad = serve(units), serve(units)
    command = start(f"good={good.url}", f"bad={bad.url}")
    command.wait_for(lambda: min(len(command.records(name)) for name in ("good", "bad")) > 5)
    bad.kill()
    count, begun = len(command.records("good")), time.monotonic()
    time.sleep(5)
    rate = (len(command.records("good")) - count) / (time.monotonic() - begun)
    _, lines, _ = command.end(signal.SIGINT)
    assert rate > 3, f"{rate:.1f} of 5 records a second"
    last = {line["name"]: line for line in lines}
    assert last["good"]["reconnects"] == 0


def test_a_wrong_password_is_told_and_not_shown(units, serve: Serve, start):
    server = serve(units, "--user", "admin", "--password", "correct-horse")
    command = start(f"cam={server.url.replace('rtsp://', 'rtsp://admin:battery-staple@')}")
    time.sleep(6)
    _, lines, err = command.end(signal.SIGINT)
    assert "refused" in {line["state"] for line in lines}
    assert "battery-staple" not in json.dumps(lines) + err
