"""What `sf-detect train` and `sf-detect test` can run: the table from a config's key `recipe` to its jobs."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.training import clips
from sf_detect.training.clips_recipe import ClipsRecipe
from sf_detect.training.jhmdb import i3d
from sf_detect.training.jhmdb import slowfast_tiny as tiny
from sf_detect.training.jhmdb.measuring import measure
from sf_detect.training.postures import testing as postures
from sf_detect.training.postures.recipe import PostureRecipe

Say = Callable[[str], None]


@dataclass(frozen=True)
class RecipeKind:
    """One kind of recipe.

    Attributes:
        schema: Dataclass of its settings, with defaults.
        train: Trains, or continues, and returns the file of weights it wrote.
        test: Measures the weights of a file, or of `train` (or those that ship) where None.
    """

    schema: type
    train: Callable[[Any, Say], Path]
    test: Callable[[Any, Path | None, Say], object]


def _one_process(what: str) -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(f"{what} trains in one process, got WORLD_SIZE={os.environ['WORLD_SIZE']}; drop torchrun.")


def _train_tiny(recipe: tiny.Recipe, say: Say) -> Path:
    _one_process("slowfast_tiny_jhmdb")
    if recipe.loss.distillation:
        tiny.prepare(recipe, say)  # passes over what is there already
    return tiny.train(recipe, say)


def _test_tiny(recipe: tiny.Recipe, weights: Path | None, say: Say) -> dict[str, Any]:
    work = tiny.Work(recipe)
    return measure(
        "slowfast_tiny_jhmdb",
        weights,
        work.data,
        recipe.split,
        work.folder,
        say,
        causal=True,
        tile=recipe.tile,
        smoothing=recipe.smoothing,
        exponent=recipe.person_exponent,
    )


def _train_i3d(recipe: i3d.I3DRecipe, say: Say) -> Path:
    _one_process("i3d_jhmdb")
    return i3d.train(recipe, say)


def _test_i3d(recipe: i3d.I3DRecipe, weights: Path | None, say: Say) -> dict[str, Any]:
    work = tiny.Work(recipe.as_tiny())
    return measure("i3d_jhmdb", weights, work.data, recipe.split, work.folder, say, tile=recipe.tile)


def _train_postures(recipe: PostureRecipe, say: Say) -> Path:
    _one_process("postures")
    return postures.train(recipe, say)


RECIPES: dict[str, RecipeKind] = {
    "clips": RecipeKind(ClipsRecipe, clips.train, clips.test),
    "slowfast_tiny_jhmdb": RecipeKind(tiny.Recipe, _train_tiny, _test_tiny),
    "i3d_jhmdb": RecipeKind(i3d.I3DRecipe, _train_i3d, _test_i3d),
    "postures": RecipeKind(PostureRecipe, _train_postures, postures.test),
}
"""Every kind of recipe by the name that configs give in their key `recipe`."""


def recipe_kind(name: str) -> RecipeKind:
    """The kind of a name.

    Raises:
        UnknownNameError: No kind has it; the error lists those that exist.
    """
    if name not in RECIPES:
        raise UnknownNameError("recipe", name, RECIPES)
    return RECIPES[name]
