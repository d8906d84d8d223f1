"""Every recipe of configs/ is loaded, its data options are checked, and its network takes a few steps on tiny data."""

import json
from pathlib import Path

import pytest
from tiny_actions import write_charades, write_custom, write_list

from sf_detect.commands.train import load_recipe
from sf_detect.data.datasets import DATASETS, dataset_options
from sf_detect.training import clips
from sf_detect.training.clips_recipe import ClipsRecipe
from sf_detect.zoo import table as zoo

CONFIGS = Path(__file__).parents[2] / "configs"
ALL = sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.glob("*/*.yaml"))
GENERIC = [name for name in ALL if "recipe: clips\n" in (CONFIGS / name).read_text()]

SMALL_PICTURES = {"views.crop": 32, "views.scales": "[40, 48]", "views.short_side": 40, "views.test_crop": 40}
SMALL_SLOWFAST = {
    "network.options.depth": "[1, 1, 1, 1]",
    "network.options.width": 8,
    "network.options.slow_frames": 2,
    "network.num_frames": 8,
}
#: What makes a network small, by a part of its name.
SMALL = {
    "c3d": {"network.options.width": 32},
    "tsn": {"network.num_frames": 2, "views.crop": 64, "views.scales": "[64, 64]", "views.test_crop": 64},
    "inception": {"network.num_frames": 8, **SMALL_PICTURES},
    "x3d": {"network.num_frames": 4, **SMALL_PICTURES},
    "slowfast_tiny": {"network.num_frames": 8, "views.crop": 32, "views.scales": "[40, 48]"},
    "4x16": {**SMALL_SLOWFAST, **SMALL_PICTURES, "network.num_frames": 16},
    "slow_4x16": {**SMALL_SLOWFAST, **SMALL_PICTURES, "network.num_frames": 2},
    "slow_8x8": {**SMALL_SLOWFAST, **SMALL_PICTURES, "network.num_frames": 2},
    "slow_nl": {**SMALL_SLOWFAST, **SMALL_PICTURES, "network.num_frames": 2},
    "": {**SMALL_SLOWFAST, **SMALL_PICTURES},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("configs")
    write_custom(root / "custom", videos=4)
    write_list(root / "list", root / "custom")
    write_charades(root / "charades", root / "custom")
    return root


def tiny_overrides(name: str, work: Path) -> list[str]:
    recipe = load_recipe(CONFIGS / name)[1]
    small = next(found for key, found in SMALL.items() if key in recipe.network.name)
    if recipe.network.options.get("alpha") == 8:
        small = {**small, "network.num_frames": 16}
    settings = {"work": work, "device": "cpu", "workers": 0, "epochs": 1, "batch": 2, "precision": "fp32", **small}
    return [f"{key}={value}" for key, value in settings.items()]


@pytest.mark.parametrize("name", ALL)
def test_loads(name):
    kind, recipe = load_recipe(CONFIGS / name)
    assert isinstance(recipe, kind.schema)


@pytest.mark.parametrize("name", GENERIC)
def test_data_options_exist_and_starting_weights_are_known(name):
    recipe = load_recipe(CONFIGS / name)[1]
    validation = {**recipe.data, **recipe.validation}
    for options in (recipe.data, validation, {**validation, **recipe.test}):
        given = {key: value for key, value in options.items() if key != "name"}
        dataset_options(options["name"], DATASETS[options["name"]].options, given)
    weights = recipe.initialise.weights
    assert weights in (None, "resnet50", "googlenet", *zoo.ZOO) or weights.startswith("work/")
    if weights is not None and weights.startswith("work/"):
        assert (CONFIGS / f"{Path(weights).parent.relative_to('work')}.yaml").exists()
    assert recipe.work == f"work/{name.removesuffix('.yaml')}"


@pytest.mark.parametrize("name", GENERIC)
def test_the_best_epoch_is_not_chosen_on_a_test_side(name):
    recipe = load_recipe(CONFIGS / name)[1]
    chosen_on = {**recipe.data, **recipe.validation}
    assert chosen_on.get("split") != "test"
    assert recipe.held_out or chosen_on["split"] != recipe.data["split"]
    assert not recipe.held_out or recipe.test["split"] == "test"


@pytest.mark.parametrize("name", GENERIC)
def test_takes_a_few_steps(name, data, tmp_path):
    recipe = load_recipe(CONFIGS / name, tiny_overrides(name, tmp_path / "work"))[1]
    assert isinstance(recipe, ClipsRecipe)
    kind, split = recipe.data["name"], "val"
    if zoo.entry(recipe.network.name).task == "detection":
        recipe.data = {"name": "custom", "root": str(data / "custom")}
    elif kind == "charades":
        split = "test"
        recipe.data = {"name": kind, "root": str(data / "charades"), "media": str(data / "custom")}
    else:
        recipe.data = {"name": "kinetics", "root": str(data / "list"), "classes": str(data / "custom" / "labels.txt")}
    recipe.validation = {"split": split}
    if recipe.initialise.weights != "slowfast_tiny_jhmdb":  # the one that ships
        recipe.initialise.weights = None
    weights = clips.train(recipe, lambda _: None)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "work" / "log.jsonl").read_text().splitlines()[:-1]]
    assert losses
    assert all(0 < loss < 20 for loss in losses)
    assert weights.name == "best.safetensors"
