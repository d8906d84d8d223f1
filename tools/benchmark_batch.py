"""`annotate` beside the same files through `run` one by one, and what it loses when it is ill-treated.

    python tools/benchmark.py batch --videos FOLDER                # 300 clips and 3 long ones; all parts, an hour
    python tools/benchmark.py batch --videos FOLDER --clips 24 --parts speed
    python tools/benchmark.py batch --parts names                  # 100,000 names
    python tools/benchmark.py batch --videos FOLDER --case KEPT --parts workers,kills  # part by part, one table

Parts: speed (local with 1 and 2 workers, Ray where it is installed, `run` one by one, the networks alone), costs;
workers, worker and ray (the same files by each), kills (20 random moments), bad (files of ten kinds), disk (full),
hangs (decoder and server), names. With `--case`, what was found stays in that folder and the table holds it too.
"""

from __future__ import annotations

import json
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import benchmark_batch_costs
import benchmark_batch_faults
import benchmark_batch_names
from benchmark_batch_faults import Finding

ANNOTATE = [sys.executable, "-m", "sf_detect.cli", "annotate"]
FIXED = ["--backend", "onnxruntime"]
"""What "auto" would choose by speed, so that results can be compared."""
WAYS = {
    "worker": ("local, 1 worker", ("--workers", "1")),
    "workers": ("local, 2 workers", ("--workers", "2")),
    "ray": ("Ray, started for it", ("--engine", "ray")),
}
"""Names and options of ways to annotate the same videos."""
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
    if target.exists():  # of an earlier call
        return target
    target.mkdir()
    for place in range(clips):
        clip = found[place * len(found) // clips]
        (target / clip.parent.name).mkdir(exist_ok=True)
        (target / clip.parent.name / clip.name).symlink_to(clip.resolve())
    for path in long:
        (target / path.name).symlink_to(path.resolve())
    return target


def speed(source: Path, folder: Path) -> None:
    """Frames a second of each way, and what the networks alone would allow."""
    clips = sorted(path for path in source.rglob("*.mp4") if path.parent != source)
    networks = benchmark_batch_costs.networks(clips, folder)
    for way, (name, options) in WAYS.items():
        if way == "ray" and find_spec("ray") is None:
            continue
        out = folder / f"out {way}"
        shutil.rmtree(out, ignore_errors=True)
        run = measured([*ANNOTATE, source, "--out-dir", out, *options])
        summary = json.loads((out / "summary.json").read_text())
        frames, seconds = summary["frames"], summary["video_seconds"]
        different, files = benchmark_batch_faults.differences(folder / "out worker", out)
        note = (
            f"{frames / run.wall / networks:.0%} of the networks, exit {run.code}, {different} of {files} files differ"
        )
        benchmark_batch_costs.row(name, frames / run.wall, seconds / run.wall, run.core / seconds, note)
    _one_by_one(clips, folder)


def _one_by_one(clips: Sequence[Path], folder: Path) -> None:
    wall = core = seconds = 0.0
    frames = 0
    chosen = random.Random(0).sample(list(clips), min(ALONE, len(clips)))
    for clip in chosen:
        outputs = [folder / "alone.jsonl", folder / "alone.csv"]
        run = measured([*ANNOTATE[:-1], "run", clip, "--out-jsonl", outputs[0], "--out-events", outputs[1]])
        if run.code:
            raise SystemExit(f"`run` ended with {run.code}: {run.told}")
        count, length = (part.split()[0] for part in (run.told.split(" frames (")[0], run.told.split(" frames (")[1]))
        frames, seconds = frames + int(count.split()[-1]), seconds + float(length)
        wall, core = wall + run.wall, core + run.core
    note = f"{len(chosen)} clips"
    benchmark_batch_costs.row("`run`, one by one", frames / wall, seconds / wall, core / seconds, note)


def measure(
    videos: Path,
    clips: int,
    long: Sequence[Path],
    parts: Sequence[str],
    folder: Path,
    before: Sequence[str] = (),
    seconds: float = float("inf"),
) -> bool:
    """Prints what was measured.

    Args:
        videos: Folder of short clips.
        clips: How many of them.
        long: Long videos.
        parts: Which.
        folder: For everything that is made; a table of an earlier call in it goes on.
        before: What is put before each `annotate` of the parts that time nothing, such as nice -n 10.
        seconds: After which the part `kills` stops, for a later call to go on.

    Returns:
        Whether nothing was lost.
    """
    source = gather(videos, clips, long, folder) if set(parts) - {"names"} else folder
    annotate = [*before, *ANNOTATE, *FIXED]
    timed: dict[str, Callable[[], None]] = {
        "speed": partial(speed, source, folder),
        "costs": lambda: benchmark_batch_costs.costs(sorted(source.glob("*/*.mp4")), folder),
    }
    tried: dict[str, Callable[[], Iterable[Finding]]] = {
        "kills": partial(benchmark_batch_faults.kills, source, folder, annotate, seconds),
        "bad": partial(benchmark_batch_faults.bad_files, source, folder, annotate),
        "disk": partial(benchmark_batch_faults.full_disk, source, folder, annotate),
        "hangs": partial(benchmark_batch_faults.hangs, source, folder, annotate),
        "names": partial(benchmark_batch_names.names, folder),
    }
    for way, (name, options) in WAYS.items():
        tried[way] = partial(benchmark_batch_faults.way, source, folder, annotate, name, options)
    if unknown := set(parts) - timed.keys() - tried.keys():
        raise SystemExit(f"--parts {', '.join(sorted(unknown))}: expected some of {', '.join([*timed, *tried])}")
    for part in parts:
        if part in timed:
            timed[part]()
        else:
            _keep(folder / "found.json", part, tried[part]())
    return _table(folder / "found.json")


def _keep(path: Path, part: str, findings: Iterable[Finding]) -> None:
    found = []
    for finding in findings:
        print(f"{part}: {finding.what}: {finding.found}", flush=True)
        found.append(asdict(finding))
    known = json.loads(path.read_text()) if path.exists() else {}  # now, as other parts may run beside this one
    path.write_text(json.dumps({**known, part: found}, indent=1))


def _table(path: Path) -> bool:
    """Prints what was found as a table; whether all is as promised."""
    known: dict[str, list[dict[str, Any]]] = json.loads(path.read_text()) if path.exists() else {}
    found = [(part, Finding(**each)) for part, findings in known.items() for each in findings]
    if found:
        print("\n| part | what | found | as promised |\n|---|---|---|---|")
    for part, finding in found:
        print(f"| {part} | {finding.what} | {finding.found} | {'yes' if finding.kept else '**no**'} |", flush=True)
    return all(finding.kept for _, finding in found)
