"""Times AVA evaluation against the plain evaluator of tools/, side by side, each in a process of its own.

    python tools/benchmark_ava.py                      # a case of AVA's size; the plain evaluator takes minutes
    python tools/benchmark_ava.py --keyframes 2000     # a smaller one, in proportion
    python tools/benchmark_ava.py --case FOLDER        # gt.csv and det.csv that are there already

CPU seconds compare better than wall seconds on a machine that does other work. The runs alternate.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

_EVALUATORS = ("plain", "sf_detect")
_FULL = 50_000


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
    return {**seconds, "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "result": result}


def in_own_process(evaluator: str, folder: Path) -> dict[str, object]:
    """`evaluate_once`, elsewhere."""
    command = [sys.executable, __file__, "--case", str(folder), "--only", evaluator]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def compare(folder: Path, repeat: int) -> None:
    """Prints medians, their ratios, and the greatest difference of a class's AP."""
    runs: dict[str, list[dict[str, object]]] = {name: [] for name in _EVALUATORS}
    for i in range(repeat):
        for name in _EVALUATORS:
            if name != "plain" or i == 0:  # minutes each: once is enough
                runs[name].append(in_own_process(name, folder))
                last = runs[name][-1]
                print(
                    f"{name:<10} wall {last['wall']:8.2f} s  CPU {last['cpu']:8.2f} s  peak {last['mb']:6.0f} MB",
                    flush=True,
                )
    for kind in ("wall", "cpu"):
        plain, own = (median(float(str(run[kind])) for run in runs[name]) for name in _EVALUATORS)
        print(f"{kind:<4} ratio {plain / own:.1f} (plain {plain:.2f} s, sf_detect {own:.2f} s)")
    results = [json.loads(json.dumps(runs[name][0]["result"])) for name in _EVALUATORS]
    pairs = [(results[0]["per_class"][name], results[1]["per_class"][name]) for name in results[0]["per_class"]]
    same_empty = all((a is None) == (b is None) for a, b in pairs)
    worst = max(abs(a - b) for a, b in pairs if a is not None and b is not None)
    print(f"mAP {results[1]['mAP']:.6f}; greatest difference of an AP {worst:.1e}; same classes scored: {same_empty}")


def main() -> None:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", type=Path, help="folder with gt.csv and det.csv; made in a temporary one by default")
    parser.add_argument("--keyframes", type=int, default=_FULL)
    parser.add_argument("--repeat", type=int, default=3, help="runs of sf_detect; the plain evaluator runs once")
    parser.add_argument("--only", choices=_EVALUATORS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        print(json.dumps(evaluate_once(given.only, given.case)))
        return
    if given.case:
        compare(given.case, given.repeat)
        return
    from make_ava_case import make_case

    with tempfile.TemporaryDirectory() as name:
        share = given.keyframes / _FULL
        make_case(Path(name), given.keyframes, round(5_880_000 * share), round(239_000 * share), 9, 0)
        compare(Path(name), given.repeat)


if __name__ == "__main__":
    main()
