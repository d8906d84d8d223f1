"""Testing by a recipe of kind `clips`: weights are measured, and the result says what their epoch was chosen on."""

from __future__ import annotations

import json
import math
from pathlib import Path

from sf_detect.atomic_file import write_text
from sf_detect.errors import ConfigError
from sf_detect.training.clips_data import RecipeData
from sf_detect.training.clips_evaluation import Measured
from sf_detect.training.clips_parts import Parts, read_chosen_on
from sf_detect.training.clips_recipe import ClipsRecipe
from sf_detect.training.distributed import process_group
from sf_detect.training.report import Report, Say, in_words
from sf_detect.weights.checkpoint import load_into


def test(recipe: ClipsRecipe, weights: Path | None, say: Say) -> Measured:
    """Measures weights on the test data, all views; writes test.json (and test_detections.csv) into `work`.

    Args:
        recipe: The recipe.
        weights: A checkpoint; None takes the best one in `work`, else the last one.
        say: Receives the result.

    Raises:
        ConfigError: There is nothing to test on, or there are no weights.
    """
    if not (recipe.validation or recipe.test or recipe.held_out):
        raise ConfigError("nothing to test on; set `validation` or `test`, such as validation.split=val")
    with process_group(recipe.device) as (processes, device):
        data = RecipeData(recipe).test()
        assert data is not None
        parts = Parts(recipe, data.dataset)
        file = weights or _trained(parts.folder)
        load_into(parts.network, file)
        parts.folder.mkdir(parents=True, exist_ok=True)
        evaluator = parts.evaluator(data, recipe.evaluation.test_views, processes)
        report = Report(parts.folder, say, None, silent=not processes.leads)
        try:
            measured = evaluator(parts.network.to(device), "test_detections", report.progress)
        finally:
            report.close()
        if processes.leads:
            _write_result(parts, file, measured, say)
        return measured


def _trained(folder: Path) -> Path:
    for name in ("best.safetensors", "last.safetensors"):
        if (folder / name).is_file():
            return folder / name
    raise ConfigError(f"no weights in {folder}; train first (`sf-detect train`), or give a file with --weights")


def _write_result(parts: Parts, file: Path, measured: Measured, say: Say) -> None:
    dataset, chosen_on = parts.dataset, read_chosen_on(file)
    same = chosen_on == dataset.name
    result = {
        "weights": str(file),
        "dataset": dataset.name,
        "chosen_on": chosen_on,
        "chosen_on_same_data": same,
        "samples": len(dataset),
        "missing_videos": list(dataset.missing),
        "undecoded": list(measured.problems),
        "figures": {name: value if math.isfinite(value) else None for name, value in measured.figures.items()},
        **measured.details,
    }
    path = parts.folder / "test.json"
    write_text(path, json.dumps(result, indent=1) + "\n")
    if measured.table:
        say(measured.table)
    say(f"{dataset.name}, {len(dataset)} samples: {in_words(measured.figures)}")
    if same:
        say(
            f"the epoch of these weights was chosen on the same data, {chosen_on}: the figures are the best of several "
            "tries. Choose on other data with held_out and test.split (see docs/training.md)"
        )
    if measured.problems or dataset.missing:
        say(f"{len(measured.problems)} clips can't be decoded, {len(dataset.missing)} videos are missing; see {path}")
    say(f"wrote {path}")
