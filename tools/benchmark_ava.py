"""Times AVA evaluation against the plain evaluator of tools/, side by side, each in a process of its own.

`tools/benchmark.py ava` calls this.

CPU seconds compare better than wall seconds on a machine that does other work. The runs alternate.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

EVALUATORS = ("plain", "sf_detect")
FULL = 50_000
"""Keyframes of a case of the size of AVA's validation set."""


def peak_megabytes(pid: int) -> float:
    """Highest resident size so far of a running process (Linux), in MB; 0 where unknown.

    `resource.getrusage` does not tell: it starts a child with the peak of the process that started it.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    lines = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(lines[0].split()[1]) / 1024 if lines else 0.0


def evaluate_once(evaluator: str, folder: Path) -> dict[str, object]:
    """Wall and CPU seconds of one evaluation in this process, its peak memory in MB, and the result."""
    files = (str(folder / "gt.csv"), str(folder / "det.csv"))
    if evaluator == "plain":
        from ava_reference_evaluator import evaluate

        from sf_detect.labels import label_set

        labels = label_set("ava60")
        wall, cpu = time.perf_counter(), time.process_time()
        result = evaluate(*files, labels)
    else:
        from sf_detect.evaluation.command import evaluate_ava

        wall, cpu = time.perf_counter(), time.process_time()
        result = evaluate_ava(*files).to_json()
    seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    return {**seconds, "mb": peak_megabytes(os.getpid()), "result": result}


def in_own_process(evaluator: str, folder: Path) -> dict[str, object]:
    """`evaluate_once`, elsewhere."""
    command = [sys.executable, __file__, evaluator, str(folder)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def compare(folder: Path, repeat: int) -> None:
    """Prints medians, their ratios, and the greatest difference of a class's AP."""
    runs: dict[str, list[dict[str, object]]] = {name: [] for name in EVALUATORS}
    for i in range(repeat):
        for name in EVALUATORS:
            if name != "plain" or i == 0:  # minutes each: once is enough
                runs[name].append(in_own_process(name, folder))
                last = runs[name][-1]
                print(
                    f"{name:<10} wall {last['wall']:8.2f} s  CPU {last['cpu']:8.2f} s  peak {last['mb']:6.0f} MB",
                    flush=True,
                )
    for kind in ("wall", "cpu"):
        plain, own = (median(float(str(run[kind])) for run in runs[name]) for name in EVALUATORS)
        print(f"{kind:<4} ratio {plain / own:.1f} (plain {plain:.2f} s, sf_detect {own:.2f} s)")
    results = [json.loads(json.dumps(runs[name][0]["result"])) for name in EVALUATORS]
    pairs = [(results[0]["per_class"][name], results[1]["per_class"][name]) for name in results[0]["per_class"]]
    same_empty = all((a is None) == (b is None) for a, b in pairs)
    worst = max(abs(a - b) for a, b in pairs if a is not None and b is not None)
    print(f"mAP {results[1]['mAP']:.6f}; greatest difference of an AP {worst:.1e}; same classes scored: {same_empty}")


def measure(case: Path | None, keyframes: int, repeat: int) -> None:
    """Compares on `case/gt.csv` and `case/det.csv`, or on a made case of so many keyframes."""
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f} before the first run")
    if case is not None:
        compare(case, repeat)
        return
    from make_ava_case import make_case

    with tempfile.TemporaryDirectory() as name:
        share = keyframes / FULL
        make_case(Path(name), keyframes, round(5_880_000 * share), round(239_000 * share), 9, 0)
        compare(Path(name), repeat)


if __name__ == "__main__":  # one evaluation, for `in_own_process`
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("evaluator", choices=EVALUATORS)
    parser.add_argument("case", type=Path, help="folder with gt.csv and det.csv")
    given = parser.parse_args()
    print(json.dumps(evaluate_once(given.evaluator, given.case)))
