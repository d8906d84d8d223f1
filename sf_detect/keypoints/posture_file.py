"""The weights file of the posture classifier: safetensors, with all that is known of its outputs as metadata."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sf_detect.errors import WeightsFormatError
from sf_detect.keypoints.appearance import PREFIX, AppearanceHead
from sf_detect.keypoints.features import features
from sf_detect.keypoints.fusion import Fusion
from sf_detect.keypoints.looks import Window
from sf_detect.keypoints.network import PostureNetwork
from sf_detect.keypoints.postures import NAMES, PostureScores
from sf_detect.labels import shown_names
from sf_detect.model_spec import ModelSpec
from sf_detect.weights.safetensors_file import parse_json, read_safetensors

SHIPPED = Path(__file__).parents[1] / "weights" / "shipped" / "posture.safetensors"
FORMAT = "sf-detect-posture/1"
_MAX_BYTES = 50_000_000
_UNSEEN = Window(
    np.zeros(1),
    np.zeros((1, 33, 3), np.float32),
    np.zeros((1, 33, 3), np.float32),
    np.zeros(1, np.float32),
    np.zeros((1, 4), np.float32),
    (1, 1),
)


@dataclass(frozen=True)
class PostureFile:
    """The classifier of a file, and what is known of its outputs.

    Attributes:
        network: Features to logits.
        thresholds: Decision thresholds of `NAMES`.
        alone: Of the movements that are actions too, those that the classifier alone decides.
        metadata: Of the file, for whoever joins action scores.
        appearance: What scores a person's picture; None where landmarks alone tell postures.
    """

    network: PostureNetwork
    thresholds: tuple[float, ...]
    alone: tuple[str, ...]
    metadata: dict[str, str]
    appearance: AppearanceHead | None = None

    def scores_for(self, spec: ModelSpec) -> PostureScores:
        """What the classifier adds to an action model, whose labels get the names that people are to read."""
        network, shown = self.network, replace(spec, labels=shown_names(spec.labels))
        return PostureScores(
            shown,
            lambda window: network.logits(features(window)),
            network.postures,
            self.thresholds,
            Fusion.from_metadata(self.metadata, spec.name, spec.labels),
            self.alone,
        )


def read_posture_file(path: str | os.PathLike[str] = SHIPPED) -> PostureFile:
    """Reads a classifier.

    Args:
        path: The file; without one, that which ships with the package.

    Raises:
        WeightsFormatError: It can't be read, or is no such file.
        WeightsMismatchError: Its arrays are not those of a classifier.
    """
    try:
        if os.path.getsize(path) > _MAX_BYTES:
            raise _other(path, f"it is longer than {_MAX_BYTES} bytes")
    except OSError as error:
        raise WeightsFormatError(f"posture weights {path}: {error.strerror}. Check the path.") from error
    arrays, metadata = read_safetensors(path, "np")
    if metadata.get("format") != FORMAT:
        raise _other(path, f"its format is {metadata.get('format')!r:.60}")
    try:
        labels = parse_json(metadata["labels"])
        thresholds = _thresholds(labels)
        alone = tuple(label["name"] for label in labels if label["group"] == "posture" and label.get("alone") is True)
    except (KeyError, TypeError, ValueError) as error:
        raise _other(path, f"its labels can't be used ({type(error).__name__}: {error})") from error
    appearance = AppearanceHead.from_arrays(arrays)
    bodies = {name: array for name, array in arrays.items() if not name.startswith(PREFIX)}
    network = PostureNetwork.from_arrays(bodies, metadata)
    network.logits(features(_UNSEEN))  # a file for other features fails here, not in the middle of a video
    return PostureFile(network, thresholds, alone, metadata, appearance)


def _thresholds(labels: Any) -> tuple[float, ...]:
    """Those of the postures, which stand first, in the order of `NAMES`."""
    postures = [label for label in labels if label["group"] == "posture" and label["name"] != "none"]
    if tuple(label["name"] for label in postures) != NAMES:
        raise ValueError(f"the postures are {[label['name'] for label in postures]}")
    thresholds = tuple(float(label["threshold"]) for label in postures)
    if not all(0 <= value <= 1 for value in thresholds):
        raise ValueError(f"the thresholds are {thresholds}")
    return thresholds


def _other(path: str | os.PathLike[str], problem: str) -> WeightsFormatError:
    return WeightsFormatError(
        f"{path} is no file of posture weights: {problem}. Expected safetensors in the format {FORMAT}, with the "
        f"postures {', '.join(NAMES)}; leave posture.weights out for the file that ships with the package."
    )
