"""`annotate` beside the same files through `run` one by one, and what it loses when it is ill-treated.

    python tools/benchmark.py batch --videos FOLDER                # 300 clips and 3 long ones; all parts, an hour
    python tools/benchmark.py batch --videos FOLDER --clips 24 --parts speed
    python tools/benchmark.py batch --parts names                  # 100,000 names

Parts: speed (local with 1 and 2 workers, Ray where it is installed, `run` one by one, the networks alone), kills (20
random moments), faults (bad files of ten kinds, full disk, hanging server), names.
"""

from __future__ import annotations

import json
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import benchmark_batch_costs
import benchmark_batch_faults
import benchmark_batch_names

ANNOTATE = [sys.executable, "-m", "sf_detect.cli", "annotate"]
ALONE = 10
"""Videos that go through `run` one by one; the rest is reckoned from them."""


@dataclass(frozen=True)
class Measured:
    """A command and its children.

    Attributes:
        wall, core: Seconds, from start to exit; of the processor, of all processes.
        code: Exit status.
        told: Its standard error.
    """

    wall: float
    core: float
    code: int
    told: str


def measured(command: Sequence[str | Path]) -> Measured:
    """Runs a command to its end."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    core = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(time.perf_counter() - start, core, done.returncode, done.stderr)


def gather(videos: Path, clips: int, long: Sequence[Path], folder: Path) -> Path:
    """A folder with links to so many short clips, evenly over the set, and the long ones."""
    found = sorted(videos.rglob("*.mp4"))
    if len(found) < clips:
        raise SystemExit(f"{videos} has {len(found)} clips, {clips} are wanted (--clips)")
    target = folder / "in"
    target.mkdir()
    for place in range(clips):
        clip = found[place * len(found) // clips]
        (target / clip.parent.name).mkdir(exist_ok=True)
        (target / clip.parent.name / clip.name).symlink_to(clip.resolve())
    for path in long:
        (target / path.name).symlink_to(path.resolve())
    return target


def speed(source: Path, folder: Path) -> None:
    """Frames a second of each way."""
    ways = {"local, 1 worker": ["--workers", "1"], "local, 2 workers": ["--workers", "2"]}
    if find_spec("ray") is not None:
        ways["Ray, started for it"] = ["--engine", "ray"]
    for name, options in ways.items():
        out = folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        run = measured([*ANNOTATE, source, "--out-dir", out, *options])
        summary = json.loads((out / "summary.json").read_text())
        frames, seconds = summary["frames"], summary["video_seconds"]
        benchmark_batch_costs.row(name, frames / run.wall, seconds / run.wall, run.core / seconds, f"exit {run.code}")
    _one_by_one(sorted(path for path in source.rglob("*.mp4") if path.parent != source), folder)
    benchmark_batch_costs.networks(sorted(source.glob("*/*.mp4"))[: 4 * ALONE], folder)


def _one_by_one(clips: Sequence[Path], folder: Path) -> None:
    wall = core = seconds = 0.0
    frames = 0
    for clip in random.Random(0).sample(list(clips), min(ALONE, len(clips))):
        outputs = [folder / "alone.jsonl", folder / "alone.csv"]
        run = measured([*ANNOTATE[:-1], "run", clip, "--out-jsonl", outputs[0], "--out-events", outputs[1]])
        count, length = (part.split()[0] for part in (run.told.split(" frames (")[0], run.told.split(" frames (")[1]))
        frames, seconds = frames + int(count.split()[-1]), seconds + float(length)
        wall, core = wall + run.wall, core + run.core
    benchmark_batch_costs.row("`run`, one by one", frames / wall, seconds / wall, core / seconds, f"{ALONE} clips")


def measure(videos: Path, clips: int, long: Sequence[Path], parts: Sequence[str], folder: Path) -> bool:
    """Prints what was measured.

    Returns:
        Whether nothing was lost.
    """
    kept = True
    source = gather(videos, clips, long, folder) if set(parts) - {"names"} else folder
    if "speed" in parts:
        speed(source, folder)
    if "costs" in parts:
        benchmark_batch_costs.costs(sorted(source.glob("*/*.mp4")), folder)
    if "kills" in parts:
        kept &= benchmark_batch_faults.kills(source, folder, ANNOTATE)
    if "faults" in parts:
        kept &= benchmark_batch_faults.faults(source, folder, ANNOTATE)
    if "names" in parts:
        kept &= benchmark_batch_names.names(folder)
    return kept
