"""How good is `query --like`: of the most alike person in other recordings of J-HMDB, how many do the same?

    python tools/measure_alike.py ROOT                 # videos.csv, boxes.csv and videos/ACTION/NAME.mp4

Clips of the first split's test part, boxes of the annotators, a keyframe every 8 frames. Printed are the shares of the
nearest and of the nearest five clips of other recordings that show the same action: by whole features, and by the
shorter ones that an archive keeps.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sf_detect import build
from sf_detect.archive.features import compacted, unit
from sf_detect.config import ModelConfig, RunConfig
from sf_detect.models.predictor import EnginePredictor
from sf_detect.structures import Detections
from sf_detect.video.clip_buffer import ClipBuffer

_EVERY = 8
Vectors = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """A clip with one actor.

    Attributes:
        action: What the actor does.
        recording: What it was cut out of.
        features: (K, D) of its keyframes.
    """

    action: str
    recording: str
    features: npt.NDArray[np.float32]


def read_samples(root: Path, predictor: EnginePredictor, limit: int | None) -> list[Sample]:
    """The clips of the test part, scored."""
    boxes: dict[str, dict[int, list[float]]] = defaultdict(dict)
    with (root / "boxes.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            boxes[row["video_id"]][int(row["frame"])] = [float(row[key]) for key in ("x1", "y1", "x2", "y2")]
    with (root / "videos.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split1"] == "test"][:limit]
    samples = []
    for row in rows:
        path = root / "videos" / row["action"] / f"{row['video_id']}.mp4"
        features = _features(path, boxes[row["video_id"]], predictor)
        if len(features):
            samples.append(Sample(row["action"], row["source_name"].rsplit("_", 1)[0], np.concatenate(features)))
    return samples


def _features(path: Path, boxes: dict[int, list[float]], predictor: EnginePredictor) -> list[npt.NDArray[np.float32]]:
    buffer = ClipBuffer(predictor.spec.clip_spec, predictor.spec.short_side)
    keyframes = []
    with build.open_source(path) as source:
        for frame in source:
            buffer.push(frame)
            if frame.index % _EVERY == _EVERY // 2 and frame.index in boxes:
                buffer.expect(frame.pts)
                keyframes.append((frame.pts, frame.size, boxes[frame.index]))
    clips = [
        buffer.clip(pts, Detections(np.array([box], np.float32), np.ones(1, np.float32)), size)
        for pts, size, box in keyframes
    ]
    return [found.features for found in predictor(clips) if found.features is not None]


def precision(samples: list[Sample], vectors: Vectors) -> tuple[float, float]:
    """Shares of the nearest and the nearest five of other recordings that do the same."""
    actions, recordings = (np.array([getattr(s, name) for s in samples]) for name in ("action", "recording"))
    centred = unit(vectors - vectors.mean(0))
    likeness = centred @ centred.T
    likeness[recordings[:, None] == recordings] = -np.inf
    nearest = np.argsort(-likeness, axis=1, kind="stable")[:, :5]
    same = actions[nearest] == actions[:, None]
    return float(same[:, 0].mean()), float(same.mean())


def main() -> None:
    """Parse, score and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--limit", type=int, help="so many clips only")
    arguments = parser.parse_args()
    predictor = build.build_predictor(RunConfig(model=ModelConfig(features=True)))
    samples = read_samples(arguments.root, predictor, arguments.limit)
    whole = np.concatenate([unit(unit(s.features.astype(np.float64)).mean(0, keepdims=True)) for s in samples])
    kept = np.concatenate([unit(compacted(s.features).mean(0, keepdims=True)) for s in samples])
    chance = np.mean([np.mean([other.action == s.action for other in samples]) for s in samples])
    print(f"{len(samples)} clips; by chance {chance:.3f}")
    for name, vectors in (("whole features", whole), ("as in an archive", kept)):
        first, five = precision(samples, vectors)
        print(f"{name + f' ({vectors.shape[1]})':<26} nearest {first:.3f}   nearest five {five:.3f}")


if __name__ == "__main__":
    main()
