"""From clips to action scores: the edge where NumPy clips become normalised tensors.

The network never sees a picture of arbitrary size or a box of the source frame: the predictor owns preprocessing and
coordinates, and both travel with the weights (`Preprocessing`), so that a checkpoint can't be fed the wrong way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sf_detect import boxes as box_ops
from sf_detect.engines import to_numpy
from sf_detect.errors import ConfigError
from sf_detect.interfaces import ActionStream
from sf_detect.model_spec import ModelSpec
from sf_detect.models.action_engines import ActionEngines
from sf_detect.models.activation import check_activation, scores_of
from sf_detect.models.preprocessing import Preprocessing, resized_frames
from sf_detect.structures import ActionDetections, Clip, ClipSpec, UInt8Array

if TYPE_CHECKING:
    import torch
    from torch import nn

Resize = Callable[[UInt8Array, int], UInt8Array]
"""`(image, short_side) -> image`."""


def model_spec(labels: Sequence[str], clip_spec: ClipSpec, preprocessing: Preprocessing, **about: Any) -> ModelSpec:
    """The `ModelSpec` of a network with that preprocessing; values of None in `about` are left at their defaults."""
    given = {key: value for key, value in about.items() if value is not None}
    return ModelSpec(given.pop("name", ""), tuple(labels), clip_spec, preprocessing.short_side, **given)


class PredictorOutputs:
    """What a predictor says about its scores, whichever way they are computed; see `ActionPredictor`.

    Attributes:
        spec: All that others need to know of the model.
    """

    def __init__(self, spec: ModelSpec, activation: str) -> None:
        # An unknown name raises here, not after the first clip.
        self.spec, self._activation = spec, check_activation(activation)

    @property
    def labels(self) -> tuple[str, ...]:
        """C class names."""
        return self.spec.labels

    @property
    def thresholds(self) -> tuple[float, ...]:
        """C decision thresholds: scores from which an action counts."""
        return self.spec.thresholds

    def _activated(self, logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Logits (N, C) as scores (N, C) float32 in [0, 1]."""
        return scores_of(logits, self._activation)


class EnginePredictor(PredictorOutputs):
    """An action network as an `ActionModel`.

    Args:
        engines: The network.
        spec: All that others need to know of the model.
        preprocessing: What the network expects of its input.
        activation: See `classification_head.activate`.
        resize: `(image, short_side) -> image`, the resizing that the streaming form uses; None: it has none.

    Raises:
        UnknownNameError: No such activation.
    """

    def __init__(
        self,
        engines: ActionEngines,
        spec: ModelSpec,
        preprocessing: Preprocessing,
        activation: str,
        resize: Resize | None = None,
    ) -> None:
        super().__init__(spec, activation)
        self.preprocessing = preprocessing
        self._engines, self._resize = engines, resize

    def resized(self, short_side: int) -> EnginePredictor:
        """The same network with pictures of another short side, in pixels, than it was trained on."""
        return EnginePredictor(
            self._engines,
            replace(self.spec, short_side=short_side),
            replace(self.preprocessing, short_side=short_side),
            self._activation,
            self._resize,
        )

    def open_stream(self) -> ActionStream:
        """The streaming form, with a state of its own.

        Raises:
            ConfigError: The network has none.
        """
        from sf_detect.models.streaming_predictor import EngineStream

        if self._resize is None:
            raise ConfigError(
                f"{self.spec.name or 'the model'} was built without a way to resize single frames, which streaming "
                "needs; build it with build_predictor, or pass resize."
            )
        return EngineStream(
            self._engines.open_stream(), self.spec, self._activation, self._resize, self.preprocessing.slow_index
        )

    def __call__(self, clips: Sequence[Clip]) -> list[ActionDetections]:
        """Score the persons of each clip; clips of one size run as one batch, clips without persons cost nothing."""
        count = len(self.labels)
        results = [
            ActionDetections(c.keyframe_pts, c.persons, np.zeros((len(c.persons), count), np.float32), float(c.pts[-1]))
            for c in clips
        ]
        by_size: dict[tuple[int, ...], list[int]] = {}
        one_by_one = self._engines.clip.inputs["frames"].shape[0] == 1
        for i, clip in enumerate(clips):
            if len(clip.persons):
                by_size.setdefault((i,) if one_by_one else clip.frames.shape, []).append(i)
        for indices in by_size.values():
            found = self._score([clips[i] for i in indices])
            for i, (scores, features) in zip(indices, found, strict=True):
                results[i] = replace(results[i], scores=scores, features=features)
        return results

    def _score(self, clips: Sequence[Clip]) -> list[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]]:
        """Scores (N, C) and, where the engine has them, features (N, D) of each clip."""
        frames = np.stack([resized_frames(clip, self.spec.short_side) for clip in clips])
        rows = []
        for batch_index, clip in enumerate(clips):
            inside = box_ops.clip(clip.persons.boxes, clip.image_size)
            scaled = box_ops.scale(inside, clip.image_size, frames.shape[2:4])
            rows.append(np.concatenate([np.full((len(scaled), 1), batch_index, np.float32), scaled], axis=1))
        boxes = np.concatenate(rows).astype(np.float32)
        found = self._engines.clip.run({"frames": frames, "boxes": boxes})
        ends = np.cumsum([len(c.persons) for c in clips])[:-1]
        scores = np.split(self._activated(to_numpy(found["logits"])), ends)
        if "features" not in found:
            return [(part, None) for part in scores]
        return list(zip(scores, np.split(to_numpy(found["features"]).astype(np.float32), ends), strict=True))


class ActionPredictor(EnginePredictor):
    """A network of torch as an `ActionModel`.

    Args:
        network: `network(pathways, boxes)` returns (N, C) logits; put into eval mode here.
        clip_spec: How its clips are sampled.
        labels: C class names.
        preprocessing: What it expects of its input.
        activation: See `activate`.
        device: Where it runs.
        resize: `(image, short_side) -> image`, the resizing that the streaming form uses; None: it has none.
        **about: What else the `ModelSpec` says: name, label_ids, thresholds, box_regression.
    """

    def __init__(
        self,
        network: nn.Module,
        clip_spec: ClipSpec,
        labels: Sequence[str],
        preprocessing: Preprocessing,
        *,
        activation: str = "sigmoid",
        device: torch.device | str = "cpu",
        resize: Resize | None = None,
        **about: Any,
    ) -> None:
        from sf_detect.models.torch_action_engines import TorchActionEngines

        super().__init__(
            TorchActionEngines(network, preprocessing, clip_spec.num_frames, device),
            model_spec(labels, clip_spec, preprocessing, **about),
            preprocessing,
            activation,
            resize,
        )
