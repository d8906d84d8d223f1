"""Annotate a video so that nobody can be recognised in it.

python demo/blur_everyone.py video.mp4 blurred.mp4
"""

from __future__ import annotations

import argparse

import sf_detect


def main() -> None:
    """Annotate one file with every detected person hidden."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("target")
    arguments = parser.parse_args()
    overrides = ["render.anonymise=person", "pipeline.detection_interval=0.1", "detector.score_threshold=0.2"]
    config = sf_detect.load_config(sf_detect.RunConfig, overrides=overrides)
    summary = sf_detect.annotate_video(arguments.source, out_video=arguments.target, config=config)
    print(
        f"{len(summary.tracks)} people hidden in {summary.frames} frames; check the result, detection can miss people"
    )


if __name__ == "__main__":
    main()
