"""Weights of one's own: a file that `sf-detect train` wrote says what network, input and labels it needs."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from sf_detect.box_regression import BoxRegression
from sf_detect.errors import ConfigError, UnknownNameError, WeightsFormatError
from sf_detect.labels import LabelMap
from sf_detect.structures import ClipSpec
from sf_detect.weights.zoo import build_network, entry
from sf_detect.weights.zoo_entry import ZooEntry

if TYPE_CHECKING:
    from torch import nn

_KEYS = ("model", "options", "labels", "label_ids", "input")


@dataclass(frozen=True)
class TrainedModel:
    """What such a file says of itself.

    Attributes:
        path: The file.
        entry: The zoo's entry of the network, with the classes and the input that it was trained with.
        labels: Its classes.
        options: Of the network's builder.
    """

    path: str
    entry: ZooEntry
    labels: LabelMap
    options: dict[str, Any]

    def load(self, device: str = "cpu") -> nn.Module:
        """The network in evaluation mode.

        Raises:
            WeightsMismatchError: The weights are not those of the network that the file names.
        """
        from sf_detect.weights.checkpoint import load_into
        from sf_detect.weights.unfilled import unfilled

        with unfilled():
            network = build_network(self.entry, len(self.labels), **self.options)
        load_into(network, self.path)
        return network.to(device).eval()


def read_trained(path: str | os.PathLike[str]) -> TrainedModel | None:
    """What a file of weights says of itself; None where it says nothing (published files, those of other programs).

    Raises:
        WeightsFormatError: What it says can't be understood.
    """
    metadata = _metadata(path)
    if not set(_KEYS) <= set(metadata):
        return None
    try:
        base = entry(metadata["model"])
        options, names, ids, described = (json.loads(metadata[key]) for key in _KEYS[1:])
        labels = LabelMap.of_file(tuple(names), tuple(ids))  # earlier versions counted from 0
        spec = ClipSpec(
            int(described["num_frames"]),
            int(described["sampling_rate"]),
            Fraction(described["fps"]).limit_denominator(1001),
            described["keyframe"],
        )
        own = replace(
            base,
            clip_spec=spec,
            alpha=described["alpha"],
            slow_index_rule=described["slow_index_rule"],
            short_side=int(described["short_side"]),
            mean=tuple(described["mean"]),
            std=tuple(described["std"]),
            channel_order=described["channel_order"],
            activation=described["activation"],
            crop=_crop(base, described),
            whole_video=bool(described.get("whole_video", base.whole_video)),
            view_scores=str(described.get("view_scores", base.view_scores)),
        )
        given = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    except (ValueError, TypeError, KeyError, AttributeError, ConfigError, UnknownNameError) as error:
        raise WeightsFormatError(
            f"{path} says of itself what can't be understood: {type(error).__name__}: {error}. Expected a file that "
            "this version of `sf-detect train` wrote."
        ) from error
    return TrainedModel(os.fspath(path), own, labels, given)


def _crop(base: ZooEntry, described: dict[str, Any]) -> int | None:
    """Side of a classifier's squares, which can't be larger than the pictures that they are cut out of."""
    if "crop" in described:
        return int(described["crop"])
    return None if base.crop is None else min(base.crop, int(described["short_side"]))


def read_thresholds(path: str | os.PathLike[str], num_classes: int | None = None) -> tuple[float, ...] | None:
    """The score of each class from which it counts, where a file of weights states it.

    Args:
        path: The file.
        num_classes: How many there must be; None takes any number.

    Raises:
        WeightsFormatError: What it states is not one number from 0 to 1 for each class.
    """
    stated = _metadata(path).get("thresholds")
    if stated is None:
        return None
    try:
        thresholds = tuple(float(value) for value in json.loads(stated))
    except (ValueError, TypeError, RecursionError):
        thresholds = ()
    if (
        not thresholds
        or len(thresholds) != (num_classes or len(thresholds))
        or not all(0 <= t <= 1 for t in thresholds)
    ):
        shown = stated if len(stated) <= 80 else f"{stated[:80]}..."
        raise WeightsFormatError(
            f"{path} states thresholds that can't be used: got {shown!r}, expected a JSON list of "
            f"{num_classes or 'some'} numbers from 0 to 1, one a class. Write the file again with such a list under "
            "'thresholds' in its metadata, or without that entry."
        )
    return thresholds


def read_box_regression(path: str | os.PathLike[str]) -> BoxRegression | None:
    """How a detector's boxes are moved for the model, where a file of weights states it.

    Raises:
        WeightsFormatError: What it states is not a box regression.
    """
    stated = _metadata(path).get("box_regression")
    if stated is None:
        return None
    try:
        return BoxRegression.from_json(stated)
    except ValueError as error:
        raise WeightsFormatError(
            f"{path} states a box regression that can't be used: {error}. Expected JSON with the name of a 'detector' "
            "and its 'weights'. Write the file again with it under 'box_regression' in its metadata, or without."
        ) from error


def _metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(os.fspath(path), "pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError):
        return {}  # of another format, or not there: whoever loads it says so
