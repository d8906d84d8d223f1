"""Writes a synthetic AVA evaluation case of the size of the real one: ground truth and detections as csv.

The default has 50,000 keyframes with 5,880,000 detection rows (persons times 60 scores, thresholded) and about 214,000
ground-truth rows. Boxes of detections lie around those of the ground truth, so that the result is not trivial.

    python tools/make_ava_case.py OUT_DIR
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sf_detect.labels import label_set

_KEYFRAMES_PER_VIDEO = 897  # seconds 902 to 1798
_BLOCK = 500


def make_case(folder: Path, keyframes: int, detections: int, groundtruths: int, decimals: int, seed: int) -> None:
    """Writes `folder/gt.csv` and `folder/det.csv`.

    Args:
        folder: Made if it is missing.
        keyframes, detections, groundtruths: Rows of detections are exact, those of ground truth about as asked.
        decimals: Digits of a score behind the point; few digits give equal scores.
        seed: Of the random numbers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    ids = np.array(label_set("ava60").ids)
    popularity = random.dirichlet(np.full(len(ids), 0.3))
    rows_of = np.bincount(random.integers(0, keyframes, detections), minlength=keyframes)
    with (folder / "gt.csv").open("w") as truth, (folder / "det.csv").open("w") as found:
        for first in range(0, keyframes, _BLOCK):
            for keyframe in range(first, min(first + _BLOCK, keyframes)):
                video, second = divmod(keyframe, _KEYFRAMES_PER_VIDEO)
                prefix = f"synth{video:06d},{902 + second:04d}"
                boxes = _boxes(random, int(random.integers(1, 4)))
                labels = _labels(random, ids, popularity, len(boxes), groundtruths / keyframes)
                truth.writelines(_truth_rows(prefix, boxes, labels))
                found.writelines(_found_rows(random, prefix, boxes, labels, ids, int(rows_of[keyframe]), decimals))


def _boxes(random: np.random.Generator, count: int) -> npt.NDArray[np.float64]:
    corner, size = random.uniform(0, 0.6, (count, 2)), random.uniform(0.1, 0.39, (count, 2))
    return np.round(np.concatenate([corner, corner + size], axis=1), 3)


def _labels(
    random: np.random.Generator,
    ids: npt.NDArray[np.int64],
    popularity: npt.NDArray[np.float64],
    persons: int,
    mean: float,
) -> list[set[int]]:
    """Label ids of every person: `mean` a keyframe."""
    number = random.poisson(mean / persons, persons)
    return [set(random.choice(ids, n, p=popularity).tolist()) for n in number]


def _truth_rows(prefix: str, boxes: npt.NDArray[np.float64], labels: list[set[int]]) -> list[str]:
    rows = []
    for person, (box, own) in enumerate(zip(boxes, labels, strict=True)):
        place = ",".join(f"{value:.3f}" for value in box)
        rows += [f"{prefix},{place},{label},{person}\n" for label in sorted(own)]
    return rows


def _found_rows(
    random: np.random.Generator,
    prefix: str,
    boxes: npt.NDArray[np.float64],
    labels: list[set[int]],
    ids: npt.NDArray[np.int64],
    count: int,
    decimals: int,
) -> list[str]:
    """`count` rows: persons near the true ones, each with its classes in the order of the ids."""
    rows: list[str] = []
    person = 0
    while len(rows) < count:
        nearest = person % len(boxes)
        jitter = random.normal(0, 0.02 if person < len(boxes) else 0.15, 4)
        low, high = np.clip(np.sort((boxes[nearest] + jitter).reshape(2, 2), axis=0), 0, 1)
        place = f"{low[0]:.3f},{low[1]:.3f},{high[0]:.3f},{high[1]:.3f}"
        scores = random.beta(0.5, 4, len(ids)) + 0.3 * np.isin(ids, list(labels[nearest]))
        rows += [f"{prefix},{place},{i},{min(s, 1):.{decimals}f}\n" for i, s in zip(ids, scores.tolist(), strict=True)]
        person += 1
    return rows[:count]


def main() -> None:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--keyframes", type=int, default=50_000)
    parser.add_argument("--detections", type=int, default=5_880_000)
    parser.add_argument("--groundtruths", type=int, default=239_000, help="before repeated labels are merged")
    parser.add_argument("--decimals", type=int, default=9, help="digits of a score")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    make_case(given.folder, given.keyframes, given.detections, given.groundtruths, given.decimals, given.seed)


if __name__ == "__main__":
    main()
