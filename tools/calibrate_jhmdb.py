"""Fits the box regression and the thresholds that ship with slowfast_tiny_jhmdb, and writes them into its file.

    python tools/calibrate_jhmdb.py WEIGHTS --data DIR --work DIR --others 2=SPLIT2.safetensors 3=SPLIT3.safetensors

Clips that the model was trained on tell nothing about its scores. But models trained by the same recipe on splits 2 and
3 have not seen all of them: where a clip trains in split 1 and tests in another, that split's model scores it.
The box regression is fitted on the training clips of split 1. WEIGHTS is the file of split 1, changed in place.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from sf_detect.data.jhmdb import JHMDB
from sf_detect.errors import SFDetectError
from sf_detect.models.classification_head import activate
from sf_detect.training.calibration import class_thresholds
from sf_detect.training.export import load_shipped
from sf_detect.training.jhmdb.persons import find_persons, fit_box_regression, track_persons
from sf_detect.training.jhmdb.slowfast_tiny import Recipe
from sf_detect.training.jhmdb.student import bystander_scores, scores
from sf_detect.training.jhmdb.views import FrameStore, Window
from sf_detect.weights.quantised import rewrite_metadata
from sf_detect.zoo.table import entry

FALSE_LABELS = 0.05
"""Share of bystanders who may get a label; they sometimes do what the actor does."""


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, help="of split 1; what is fitted here is replaced")
    parser.add_argument("--data", type=Path, required=True, help="J-HMDB")
    parser.add_argument("--work", type=Path, required=True, help="folder with decoded frames and detected persons")
    parser.add_argument("--others", nargs="+", required=True, metavar="SPLIT=FILE", help="models of other splits")
    return parser.parse_args()


def main() -> int:
    """Scores, chooses, writes."""
    arguments, recipe = _parse(), Recipe()
    size, window = (recipe.short_side, int(recipe.short_side * 4 / 3)), Window(recipe.test_frames, recipe.step)
    activation = entry("slowfast_tiny_jhmdb").activation
    try:
        data = JHMDB(arguments.data)
        store = FrameStore(arguments.work / "frames.npy", data.clips)
        found, labels, nobody = [], [], []
        train = data.split(1, "train")
        detected = find_persons(train, arguments.work, "auto", print)
        regression = fit_box_regression(train, detected)
        for other in arguments.others:
            split, _, file = other.partition("=")
            clips = [c for c in train if c.split[int(split) - 1] == "test"]
            network = load_shipped(Path(file))
            persons = track_persons(clips, detected, regression)
            logits = scores(network, store, clips, window, size)
            strangers = bystander_scores(network, store, clips, persons, window, size)
            found.append(activate(logits, activation).numpy())
            nobody.append(activate(strangers, activation).numpy())
            labels += [c.label for c in clips]
        held_out, wanted = np.concatenate(found), np.array(labels)
        thresholds = class_thresholds(held_out, wanted, np.concatenate(nobody), FALSE_LABELS)
        stated = json.dumps([round(float(t), 3) for t in thresholds])
        rewrite_metadata(arguments.weights, thresholds=stated, box_regression=regression.to_json())
    except SFDetectError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{len(wanted)} clips, accuracy {(held_out.argmax(1) == wanted).mean():.3f}; {sum(map(len, nobody))} others")
    for label, threshold in zip(data.labels, thresholds, strict=True):
        print(f"  {label:<16}{threshold:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
