"""The benchmark of routes: what it runs and what it makes of the seconds. Nothing is timed here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools import benchmark_routes

VIDEO = Path("some folder") / "it's.mp4"


def test_the_loop_is_the_one_of_the_readme_over_the_given_video():
    loop = benchmark_routes.readme_loop(VIDEO)
    compile(loop, "loop", "exec")
    assert "Annotator(" in loop
    assert repr(str(VIDEO)) in loop
    assert "video.mp4" not in loop


def test_every_route_takes_the_video_in_a_process_of_its_own():
    routes = benchmark_routes.routes(VIDEO)
    assert list(routes) == ["command", "loop of the README", "demo/timeline.py"]
    for command in routes.values():
        assert command[0] == sys.executable
        assert any(str(VIDEO) in part or repr(str(VIDEO)) in part for part in command)


@pytest.mark.parametrize(("loop_cpu", "kept"), [(11.9, True), (12.1, False)])
def test_a_loop_may_take_a_fifth_more_than_the_command(monkeypatch, capsys, loop_cpu, kept):
    cpu = {"run": [30.0, 10.0, 9.0], "-c": [loop_cpu] * 3, "timeline.py": [10.0] * 3}

    def seconds(command):
        (name,) = [n for n in cpu if any(part == n or part.endswith("/" + n) for part in command)]
        return cpu[name].pop(0), 4.0

    monkeypatch.setattr(benchmark_routes, "cpu_and_wall_seconds", seconds)
    assert benchmark_routes.measure(VIDEO, 3) is kept
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("loop of the README"))
    assert row.split()[-3:] == [f"{loop_cpu:.1f}", "4.0", f"{loop_cpu / 10:.2f}"]


def test_a_route_that_fails_ends_the_benchmark():
    cpu, wall = benchmark_routes.cpu_and_wall_seconds([sys.executable, "-c", "pass"])
    assert cpu >= 0
    assert wall >= 0
    with pytest.raises(SystemExit, match="exited with 3"):
        benchmark_routes.cpu_and_wall_seconds([sys.executable, "-c", "raise SystemExit(3)"])


def test_the_busy_core_ends_with_the_benchmark(monkeypatch):
    started = []
    real = benchmark_routes.subprocess.Popen
    monkeypatch.setattr(
        benchmark_routes.subprocess, "Popen", lambda *a, **k: started.append(real(*a, **k)) or started[0]
    )
    with pytest.raises(OSError, match="in the middle"), benchmark_routes.busy_core():
        assert started[0].poll() is None
        raise OSError("in the middle")
    assert started[0].poll() is not None
