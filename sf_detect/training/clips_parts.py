"""What training and testing of a `clips` recipe share: network, data, views, evaluator, the weights' description."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import nn

from sf_detect.data.clip_augmentation import Augmentation
from sf_detect.data.samples import ActionDataset
from sf_detect.errors import ConfigError
from sf_detect.models.preprocessing import Preprocessing
from sf_detect.models.slow_index import slow_index
from sf_detect.models.video_views import Views
from sf_detect.structures import ClipSpec
from sf_detect.training.clip_dataset import ClipViews
from sf_detect.training.clips_data import EvaluationData
from sf_detect.training.clips_evaluation import Evaluator
from sf_detect.training.clips_recipe import ClipsRecipe
from sf_detect.training.distributed import Processes
from sf_detect.training.loop import autocast_type
from sf_detect.training.multigrid import SamplingGrid
from sf_detect.video.optical_flow import flow_clip
from sf_detect.weights.checkpoint import write_safetensors
from sf_detect.zoo.table import build_network, entry

_MAX_SIDE = 4096

CHOSEN_ON = "chosen_on"
"""Key in the metadata of weights: the data on which their epoch was found to be the best."""


class Parts:
    """What training and testing share: the recipe's network, the classes of a dataset, preprocessing.

    Raises:
        ConfigError, UnknownNameError: A setting that is not accepted.
    """

    def __init__(self, recipe: ClipsRecipe, dataset: ActionDataset) -> None:
        self.recipe, self.folder, self.dataset = recipe, Path(recipe.work), dataset
        _check_sides(recipe)
        self.entry = entry(recipe.network.name)
        if self.entry.task != self.dataset.task:
            raise ConfigError(
                f"{self.entry.name} is for {self.entry.task}, {self.dataset.name} for {self.dataset.task}; choose a "
                "network of the data's task (`sf-detect weights list`)."
            )
        self.classes = recipe.network.num_classes or self.dataset.num_classes
        if self.classes != self.dataset.num_classes:
            raise ConfigError(
                f"network.num_classes={self.classes}, but {self.dataset.name} has {self.dataset.num_classes} classes"
            )
        self.spec = _clip_spec(self.entry.clip_spec, recipe)
        self.network = build_network(self.entry, self.classes, **recipe.network.options)
        self.alpha: int | None = recipe.network.options.get("alpha", self.entry.alpha)
        self.rule = recipe.network.slow_index_rule or self.entry.slow_index_rule
        self.activation = recipe.loss.kind
        if self.activation == "auto":
            self.activation = "sigmoid" if self.dataset.multi_label else "softmax"

    @property
    def short_side(self) -> int:
        """Of test pictures, in pixels."""
        return self.recipe.views.short_side or self.entry.short_side

    @property
    def test_crop(self) -> int:
        """Side of a classifier's test squares, in pixels."""
        return self.recipe.views.test_crop or min(self.entry.crop or self.short_side, self.short_side)

    @property
    def grid(self) -> SamplingGrid:
        """The shape of training clips, without multigrid."""
        spec = self.spec
        return SamplingGrid(spec.num_frames, (spec.sampling_rate, spec.sampling_rate), self.recipe.views.crop)

    def preprocessing(self, num_frames: int | None = None) -> Preprocessing:
        """The network's, for clips of so many frames; None takes the recipe's."""
        frames = num_frames or self.spec.num_frames
        index = None if self.alpha is None else tuple(slow_index(frames, self.alpha, self.rule))
        own = self.entry
        flow = flow_clip if own.fast_input == "flow" else None
        return Preprocessing(self.short_side, own.mean, own.std, own.channel_order == "bgr", index, flow)

    def views(self, test_views: str) -> ClipViews:
        """The recipe's views, with so many in testing."""
        v = self.recipe.views
        scales, aspect = _pair(v.scales, "scales"), _pair(v.aspect, "aspect")
        area = None if v.area is None else _pair(v.area, "area")
        augmentation = Augmentation(v.crop, scales, area, aspect, v.flip, v.colour)
        return ClipViews(
            self.spec,
            augmentation,
            v.sampling,
            v.erase,
            v.background,
            self.short_side,
            self.test_crop,
            Views.parse(test_views),
            self.entry.short_video == "loop",
        )

    def evaluator(self, data: EvaluationData, test_views: str, processes: Processes) -> Evaluator:
        """Measures on the data.

        Raises:
            ConfigError: It has other classes.
        """
        dataset = data.dataset
        if dataset.class_names != self.dataset.class_names:
            raise ConfigError(f"{dataset.name} has other classes than {self.dataset.name}; evaluate on the same ones")
        recipe, e = self.recipe, self.recipe.evaluation
        return Evaluator(
            data.dataset,
            data.truth,
            self.views(test_views),
            self.preprocessing(),
            self.activation,
            self.folder,
            e.batch,
            recipe.workers,
            e.pooling,
            e.protocol,
            autocast_type(recipe.precision),
            processes,
        )

    def write(self, network: nn.Module, path: Path, facts: dict[str, Any]) -> None:
        """Writes weights with what a predictor needs to know."""
        pre = self.preprocessing()
        described = {
            "num_frames": self.spec.num_frames,
            "sampling_rate": self.spec.sampling_rate,
            "fps": float(self.spec.fps),
            "keyframe": self.spec.keyframe,
            "alpha": self.alpha,
            "slow_index_rule": self.rule,
            "short_side": self.short_side,
            "mean": pre.mean,
            "std": pre.std,
            "channel_order": self.entry.channel_order,
            "activation": self.activation,
        }
        if self.dataset.task == "classification":
            described |= {
                "crop": self.test_crop,
                "whole_video": self.recipe.views.sampling == "segments",
                "view_scores": self.recipe.evaluation.pooling,
            }
        metadata = {
            "model": self.entry.name,
            "options": json.dumps(self.recipe.network.options),
            "labels": json.dumps(self.dataset.class_names),
            "label_ids": json.dumps(self.dataset.class_ids),
            "input": json.dumps(described),
            **{name: str(value) for name, value in facts.items()},
        }
        write_safetensors(network.state_dict(), path, metadata)


def _pair(values: list[float], name: str) -> tuple[float, float]:
    if len(values) != 2:
        raise ConfigError(f"views.{name} holds the smallest and the largest value, got {values}")
    return values[0], values[1]


def _clip_spec(own: ClipSpec, recipe: ClipsRecipe) -> ClipSpec:
    chosen = recipe.network
    try:
        return replace(
            own,
            num_frames=own.num_frames if chosen.num_frames is None else chosen.num_frames,
            sampling_rate=own.sampling_rate if chosen.sampling_rate is None else chosen.sampling_rate,
            fps=own.fps if chosen.fps is None else Fraction(chosen.fps).limit_denominator(1001),
            keyframe=chosen.keyframe or own.keyframe,
        )
    except (ValueError, OverflowError) as error:  # of the numbers, or of fps that is not finite
        raise ConfigError(f"network: {error}. Leave it out to take that of {chosen.name}.") from error


def _check_sides(recipe: ClipsRecipe) -> None:
    views = recipe.views
    for name, value in (("crop", views.crop), ("short_side", views.short_side), ("test_crop", views.test_crop)):
        if value is not None and not 1 <= value <= _MAX_SIDE:
            raise ConfigError(f"views.{name} is a number of pixels from 1 to {_MAX_SIDE}, got {value}")


def read_chosen_on(path: Path) -> str | None:
    """The data on which the epoch of weights was chosen; None where the file does not say."""
    try:
        with safe_open(path, "pt") as file:
            return (file.metadata() or {}).get(CHOSEN_ON)
    except (SafetensorError, OSError):
        return None  # of another format
