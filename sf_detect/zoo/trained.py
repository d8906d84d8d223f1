"""Trained weights: the metadata of a file that `sf-detect train` wrote names its network, input and labels."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sf_detect.box_regression import BoxRegression
from sf_detect.errors import ConfigError, WeightsFormatError
from sf_detect.labels import LabelMap
from sf_detect.weights.safetensors_file import parse_json, read_metadata
from sf_detect.zoo.entry import ZooEntry
from sf_detect.zoo.stated_input import stated_entry, stated_labels, stated_options
from sf_detect.zoo.table import build_network, entry

if TYPE_CHECKING:
    from torch import nn

_KEYS = ("model", "options", "labels", "label_ids", "input")


@dataclass(frozen=True)
class TrainedModel:
    """The metadata of such a file.

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
            WeightsFormatError: No network has such options.
            WeightsMismatchError: The weights are not those of the network that the file names.
        """
        from sf_detect.weights.checkpoint import load_into
        from sf_detect.weights.unfilled import unfilled

        try:
            with unfilled():
                network = build_network(self.entry, len(self.labels), **self.options)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, RuntimeError) as error:
            raise WeightsFormatError(
                f"{self.path} states options of {self.entry.name} that no network can have: {self.options}: "
                f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}. Expected a file that "
                "`sf-detect train` wrote."
            ) from error
        load_into(network, self.path)
        return network.to(device).eval()


def read_trained(path: str | os.PathLike[str]) -> TrainedModel | None:
    """The metadata of a trained file; None where there is none (published files, those of other programs).

    Raises:
        WeightsFormatError: What it says can't be understood.
    """
    metadata = read_metadata(path)
    if not set(_KEYS) <= set(metadata):
        return None
    try:
        options, names, ids, described = (parse_json(metadata[key]) for key in _KEYS[1:])
        own = stated_entry(entry(metadata["model"]), described)
        labels, given = stated_labels(names, ids), stated_options(options)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, ConfigError) as error:
        raise WeightsFormatError(
            f"{path}: its metadata can't be understood: {type(error).__name__}: {error}. Expected a file that "
            "this version of `sf-detect train` wrote."
        ) from error
    return TrainedModel(os.fspath(path), own, labels, given)


def read_thresholds(path: str | os.PathLike[str], num_classes: int | None = None) -> tuple[float, ...] | None:
    """The score of each class from which it counts, where a file of weights states it.

    Args:
        path: The file.
        num_classes: How many there must be; None takes any number.

    Raises:
        WeightsFormatError: What it states is not one number from 0 to 1 for each class.
    """
    stated = read_metadata(path).get("thresholds")
    if stated is None:
        return None
    try:
        thresholds = tuple(float(value) for value in parse_json(stated))
    except (ValueError, TypeError):
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
    stated = read_metadata(path).get("box_regression")
    if stated is None:
        return None
    try:
        return BoxRegression.from_json(stated)
    except ValueError as error:
        raise WeightsFormatError(
            f"{path} states a box regression that can't be used: {error}. Expected JSON with the name of a 'detector' "
            "and its 'weights'. Write the file again with it under 'box_regression' in its metadata, or without."
        ) from error
