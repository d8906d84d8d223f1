"""The same work by the command and by Python loops, beside one busy core: `python tools/benchmark.py routes`.

Threads that wait for each other in a loop burn processor time without doing anything, all the more where another
program holds a core. What counts is the processor time of the whole process beside the command's.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 1.2
"""A loop's processor time over the command's, at most."""


def readme_loop(video: Path) -> str:
    """The loop of README.md as it stands there, over `video`."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (loop,) = [block for block in blocks if "annotator.results(" in block]
    return loop.replace('"video.mp4"', repr(str(video)))


def routes(video: Path) -> dict[str, list[str]]:
    """Name and command line of each route."""
    python = sys.executable
    return {
        "command": [python, "-m", "sf_detect.cli", "run", str(video), "--quiet", "--out-jsonl", "-"],
        "loop of the README": [python, "-c", readme_loop(video)],
        "demo/timeline.py": [python, str(ROOT / "demo" / "timeline.py"), str(video)],
    }


def cpu_and_wall_seconds(command: list[str]) -> tuple[float, float]:
    """Of one process and all its threads, from start to exit.

    Raises:
        SystemExit: The process failed.
    """
    before = os.times()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise SystemExit(f"{command[:4]} exited with {done.returncode}")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return cpu, after.elapsed - before.elapsed


@contextmanager
def busy_core() -> Iterator[None]:
    """Another program that never waits."""
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        other.kill()
        other.wait()


def measure(video: Path, repeat: int) -> bool:
    """Print medians of every route, runs interleaved; returns whether every loop keeps to `LIMIT`."""
    found: dict[str, list[tuple[float, float]]] = {}
    with busy_core():
        for _ in range(repeat):
            for name, command in routes(video).items():
                found.setdefault(name, []).append(cpu_and_wall_seconds(command))
    ratios = {}
    command_cpu = statistics.median(cpu for cpu, _ in found["command"])
    print(f"{'beside one busy core':<24}{'CPU s':>8}{'wall s':>8}{'CPU of the command':>20}")
    for name, times in found.items():
        cpu, wall = (statistics.median(column) for column in zip(*times, strict=True))
        ratios[name] = cpu / command_cpu
        print(f"{name:<24}{cpu:>8.1f}{wall:>8.1f}{ratios[name]:>20.2f}")
    return max(ratios.values()) <= LIMIT
