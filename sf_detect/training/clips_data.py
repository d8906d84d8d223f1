"""The data of a recipe of kind `clips`: what is trained on, what the best epoch is chosen on, what is tested."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sf_detect.data.datasets import build_dataset
from sf_detect.data.samples import ActionDataset
from sf_detect.errors import ConfigError
from sf_detect.training.clips_recipe import ClipsRecipe
from sf_detect.training.hold_out import held_out_videos, of_videos


@dataclass(frozen=True, eq=False)
class EvaluationData:
    """Data that a network is measured on.

    Attributes:
        dataset: What is looked at; its boxes may be a detector's.
        truth: The same with annotated boxes, for detection.
        is_test: Whether it is the side that results are reported on.
    """

    dataset: ActionDataset
    truth: ActionDataset
    is_test: bool


class RecipeData:
    """The sides of a recipe's data.

    Raises:
        ConfigError, DataError: As `read_dataset`.
    """

    def __init__(self, recipe: ClipsRecipe) -> None:
        self.recipe = recipe

    @cached_property
    def _train(self) -> ActionDataset:
        return read_dataset(self.recipe.data)

    @cached_property
    def _held_out(self) -> frozenset[str]:
        share = self.recipe.held_out
        return held_out_videos(self._train, share) if share else frozenset()

    def training(self) -> ActionDataset:
        """Without the videos that are held out."""
        return of_videos(self._train, self._held_out, False) if self._held_out else self._train

    def validation(self) -> EvaluationData | None:
        """What the best epoch is chosen on; None where nothing is."""
        recipe = self.recipe
        if self._held_out:
            return self._read({**recipe.data, **recipe.validation}, False, self._held_out)
        names_another_side = not recipe.test or {"split", "annotations", "root"} & recipe.validation.keys()
        if not recipe.validation or not names_another_side:
            return None
        return self._read({**recipe.data, **recipe.validation}, self._is_test(recipe.validation))

    def test(self) -> EvaluationData | None:
        """What `sf-detect test` measures: `test`, else what the best epoch is chosen on; None where neither is."""
        recipe = self.recipe
        if not recipe.test:
            return self.validation()
        return self._read({**recipe.data, **recipe.validation, **recipe.test}, True)

    def _is_test(self, validation: dict[str, Any]) -> bool:
        options = {**self.recipe.data, **validation}
        return options.get("split") == "test" or (bool(self.recipe.test) and options == {**options, **self.recipe.test})

    def _read(self, options: dict[str, Any], is_test: bool, videos: frozenset[str] | None = None) -> EvaluationData:
        dataset = truth = read_dataset(options)
        if any(sample.scores is not None for sample in dataset.samples):
            truth = read_dataset({**options, "proposals": None})
        if videos:
            name = dataset.name
            dataset, truth = (of_videos(part, videos, True) for part in (dataset, truth))
            if not len(dataset):
                raise ConfigError(
                    f"held_out: none of the {len(videos)} videos that are held out is in {name}; leave other sides out "
                    "of `validation`, and name the test side in `test`"
                )
        return EvaluationData(dataset, truth, is_test)


def read_dataset(options: dict[str, Any]) -> ActionDataset:
    """The dataset of a recipe's `data`.

    Raises:
        ConfigError: No name, a wrong option, or clips without an action, as published test lists are.
        DataError: Data that can't be read.
    """
    if "name" not in options:
        raise ConfigError("data.name is missing; name a dataset, such as data.name=ava")
    dataset = build_dataset(str(options["name"]), {k: v for k, v in options.items() if k != "name"})
    bare = sum(not sample.labels for sample in dataset.samples) if dataset.task == "classification" else 0
    if bare:
        raise ConfigError(
            f"{bare} of {len(dataset)} clips of {dataset.name} have no action, so there is nothing to learn or to "
            "measure; choose another split, such as val"
        )
    return dataset
