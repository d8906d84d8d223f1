"""Renders short clips of synthetic people as training examples of postures and body actions, with exact labels.

Needs the extra ``demo-clip``: ``anny`` (the body model) and ``numba``.

    python tools/render_training_people.py FOLDER --clips 300        # FOLDER/labels.csv, tracks/, one folder a person
    python tools/render_training_people.py FOLDER --first 300 --clips 100   # more of the same series
    python tools/render_training_people.py FOLDER --kinds clap wave --clips 20

Every clip shows another person, in another place, from another camera; its number and the seed decide all of it.
FOLDER is `footage` of the posture recipe. Clips that are there already stay.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from sf_detect.atomic_file import write_text
from sf_detect.errors import MissingExtraError


def main() -> None:
    """Parse and call."""
    options = _parse()
    try:
        from demo_clip.bodies import BodyFactory
        from training_people.clips import Clip, kinds
        from training_people.writing import write_clip, write_table

        factory = BodyFactory()
    except ModuleNotFoundError as error:
        raise SystemExit(str(MissingExtraError(error.name or "anny", "demo-clip", "rendering people"))) from None
    last = options.first + options.clips
    drawn = kinds(last, options.seed)
    if options.kinds:
        drawn = [options.kinds[k % len(options.kinds)] for k in range(last)]
    (options.out / "rows").mkdir(parents=True, exist_ok=True)
    try:
        for number in range(options.first, last):
            source = f"rendered{options.seed:02d}{number:04d}"
            path = options.out / "rows" / f"{source}.json"
            if not path.exists():
                clip = Clip(factory, drawn[number], options.seed, number, options.rate)
                write_text(path, json.dumps(write_clip(clip, options.out, source, options.crf)))
            print(f"\r{number + 1 - options.first}/{options.clips}", end="", flush=True)
    finally:  # an interrupted run is continued by the next
        paths = sorted((options.out / "rows").glob("*.json"))
        write_table(options.out / "labels.csv", [row for path in paths for row in json.loads(path.read_text())])
    print()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument("--clips", type=int, default=300, help="how many")
    parser.add_argument("--first", type=int, default=0, help="number of the first clip")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other people")
    parser.add_argument("--rate", type=float, default=8.0, help="frames per second")
    parser.add_argument("--crf", type=int, default=23, help="x264 quality, lower is better and larger")
    parser.add_argument("--kinds", nargs="+", metavar="KIND", help="only these, in turn")
    return parser.parse_args()


if __name__ == "__main__":
    main()
