"""What postures cost: processor seconds a second of video with them and without, and per look at a person.

    python tools/benchmark_postures.py VIDEO [--seconds 10] [--rounds 3] [--backend auto] [--weights FILE]

Both ways take turns in one process, after a first round that is not counted, so that the ratio also holds on a machine
that does other things; processor seconds count all threads. Nothing is drawn or written.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import sf_detect
from sf_detect.config import PostureConfig, RunConfig


def measure(annotator: sf_detect.Annotator, video: Path) -> tuple[float, float, float]:
    """Processor seconds of a run, its seconds of video, and persons a keyframe."""
    begun, last, people = time.process_time(), 0.0, []
    for result in annotator.results(video):
        last = result.frame.pts
        if result.is_keyframe:
            people.append(len(result.persons))
    return time.process_time() - begun, last - (annotator.config.start or 0.0), float(np.mean(people or [0]))


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--seconds", type=float, default=10.0, help="of video")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--weights", help="of the posture classifier [the shipped file]")
    arguments = parser.parse_args()
    annotators = {
        mode: sf_detect.Annotator(
            RunConfig(
                backend=arguments.backend,
                max_seconds=arguments.seconds,
                posture=PostureConfig(mode, arguments.weights),
            )
        )
        for mode in ("off", "on")
    }
    costs: dict[str, list[float]] = {mode: [] for mode in annotators}
    for number in range(arguments.rounds + 1):
        for mode, annotator in annotators.items():
            spent, seconds, people = measure(annotator, arguments.video)
            if number:
                costs[mode].append(spent / seconds)
    without, with_postures = (min(costs[mode]) for mode in ("off", "on"))
    print(f"{arguments.video.name}: {people:.1f} persons a keyframe")
    print(f"processor seconds a second of video: {without:.3f} without postures, {with_postures:.3f} with")
    print(f"ratio {with_postures / without:.3f}; {(with_postures - without) / max(people, 1e-9):.4f} a person")


if __name__ == "__main__":
    main()
