"""Reads every file of some folders with every reader that takes such files; run as a program, so that a crash is seen.

Prints a JSON object by folder: the failures (anything but a result or an error of our own tree), how often a file was
refused and read, and the most memory so far, in MB, beyond what it took to start.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from sf_detect.detection import coco
from sf_detect.detection.detectron2_weights import from_detectron2, read_detectron2
from sf_detect.errors import SFDetectError
from sf_detect.evaluation.clip_files import read_view_scores
from sf_detect.evaluation.tube_pickles import read_annotation_pickle, read_detection_pickle
from sf_detect.weights.checkpoint import load_into, read_checkpoint
from sf_detect.weights.frozen_graph import read_constants
from sf_detect.zoo.trained import read_box_regression, read_thresholds, read_trained


def load(path: Path) -> None:
    load_into(torch.nn.Linear(2, 3), read_checkpoint(path))


def trained(path: Path) -> None:
    found = read_trained(path)
    if found is not None:
        found.load()


WEIGHTS: tuple[Callable[[Path], Any], ...] = (
    load,
    lambda path: from_detectron2(read_detectron2(path)),
    coco._read_state,
    trained,
    read_thresholds,
    read_box_regression,
)
READERS: dict[str, tuple[Callable[[Path], Any], ...]] = {
    ".pkl": (*WEIGHTS, read_annotation_pickle, read_detection_pickle),
    ".deep": (load, read_detection_pickle),
    ".pth": WEIGHTS,
    ".safetensors": WEIGHTS,
    ".pb": (read_constants,),
    ".npz": (read_view_scores,),
}


def peak() -> float:
    """Megabytes; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:
        return 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def outcome(folder: Path, before: float) -> dict[str, Any]:
    failures: list[str] = []
    counts = {"files": 0, "read": 0, "refused": 0}
    for path in sorted(folder.iterdir()):
        print(path, file=sys.stderr, flush=True)  # the last one is to blame for a crash
        counts["files"] += 1
        for reader in READERS[path.suffix]:
            try:
                reader(path)
                counts["read"] += 1
            except SFDetectError as error:
                counts["refused"] += 1
                if not str(error):
                    failures.append(f"{path.name}: an error without a message")
            except Exception as error:
                name = getattr(reader, "__name__", "reader")
                failures.append(f"{path.name}, {name}: {type(error).__name__}: {str(error)[:200]}")
    return {"failures": failures, **counts, "megabytes": peak() - before}


if __name__ == "__main__":
    torch.set_num_threads(1)
    start = peak()
    print(json.dumps({folder.name: outcome(folder, start) for folder in sorted(Path(sys.argv[1]).iterdir())}))
