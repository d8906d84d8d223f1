"""From clips to action scores: the edge where NumPy clips become normalised tensors.

The network never sees a picture of arbitrary size or a box of the source frame: the predictor owns preprocessing and
coordinates, and both travel with the weights (`Preprocessing`), so that a checkpoint can't be fed the wrong way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sf_detect import boxes as box_ops
from sf_detect.errors import ConfigError
from sf_detect.interfaces import ActionStream
from sf_detect.model_spec import ModelSpec
from sf_detect.models.classification_head import activate
from sf_detect.structures import ActionDetections, Clip, ClipSpec, UInt8Array

Resize = Callable[[UInt8Array, int], UInt8Array]
"""`(image, short_side) -> image`."""


@dataclass(frozen=True)
class Preprocessing:
    """What a network expects of its input.

    Attributes:
        short_side: Pixels of the shorter side after resizing; see `boxes.network_size`.
        mean, std: Per channel, in the channel order of the network, for pixels scaled to [0, 1].
        bgr: True for networks trained on BGR pictures.
        slow_index: Which clip frames the slow pathway takes; None for a single-pathway network.
        flow: Optical flow (T, h, w, 2) float32 of RGB frames (T, h, w, 3) uint8, for networks whose fast or only
            pathway is shown flow; None for those that see RGB alone.
    """

    short_side: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    bgr: bool = False
    slow_index: tuple[int, ...] | None = None
    flow: Callable[[UInt8Array], npt.NDArray[np.float32]] | None = None

    def pathways(self, clips: Sequence[Clip], device: torch.device) -> list[Tensor]:
        """Clips of one common size as network input.

        Returns:
            One (B, 3, T, h, w) float32 tensor per pathway, slow first; of flow (B, 2, T, h, w).
        """
        return self.pack(torch.from_numpy(np.stack([self._resized(clip) for clip in clips])).to(device))

    def pack(self, frames: Tensor) -> list[Tensor]:
        """RGB frames (B, T, h, w, 3) uint8, of the network's size already, as its pathways; see `pathways`."""
        shown = frames.flip(-1) if self.bgr else frames
        mean, std = (torch.tensor(v, device=frames.device) for v in (self.mean, self.std))
        # The channel axis stays innermost in memory: convolutions on a CPU are several times faster that way.
        fast = (shown.float() * (1 / (255 * std)) - mean / std).permute(0, 4, 1, 2, 3)
        shown = fast if self.flow is None else self._flow_pathway(frames).to(frames.device)
        if self.slow_index is None:
            return [shown]
        return [fast[:, :, list(self.slow_index)], shown]

    def _flow_pathway(self, clips: Tensor) -> Tensor:
        assert self.flow is not None
        return torch.from_numpy(np.stack([self.flow(frames) for frames in clips.cpu().numpy()])).permute(0, 4, 1, 2, 3)

    def _resized(self, clip: Clip) -> np.ndarray:
        height, width = size = box_ops.network_size(clip.frames.shape[1:3], self.short_side)
        if clip.frames.shape[1:3] == size:
            return clip.frames
        return np.stack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR) for frame in clip.frames])


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
        activate(torch.zeros(1), activation)  # an unknown name is told now, not after the first clip
        self.spec, self._activation = spec, activation

    @property
    def labels(self) -> tuple[str, ...]:
        """C class names."""
        return self.spec.labels

    @property
    def thresholds(self) -> tuple[float, ...]:
        """C decision thresholds: scores from which an action counts."""
        return self.spec.thresholds

    def _activated(self, logits: Tensor) -> np.ndarray:
        """Logits (N, C) as scores (N, C) float32 in [0, 1]."""
        return activate(logits.float(), self._activation).cpu().numpy()


class ActionPredictor(PredictorOutputs):
    """A network as an `ActionModel`.

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
        super().__init__(model_spec(labels, clip_spec, preprocessing, **about), activation)
        self.preprocessing = preprocessing
        self._device, self._resize = torch.device(device), resize
        self._network = network.eval().to(self._device)

    def open_stream(self) -> ActionStream:
        """The streaming form, with a state of its own.

        Raises:
            ConfigError: The network has none.
        """
        from sf_detect.models.streaming_predictor import StreamingPredictor

        if self._resize is None:
            raise ConfigError(
                f"{self.spec.name or 'the model'} was built without a way to resize single frames, which streaming "
                "needs; build it with build_predictor, or pass resize."
            )
        return StreamingPredictor(
            self._network,
            self.spec.clip_spec,
            self.labels,
            self.preprocessing,
            self._resize,
            activation=self._activation,
            device=self._device,
            name=self.spec.name,
            label_ids=self.spec.label_ids,
            thresholds=self.spec.thresholds,
            box_regression=self.spec.box_regression,
        )

    @torch.inference_mode()
    def __call__(self, clips: Sequence[Clip]) -> list[ActionDetections]:
        """Score the persons of each clip; clips of one size run as one batch, clips without persons cost nothing."""
        count = len(self.labels)
        results = [
            ActionDetections(c.keyframe_pts, c.persons, np.zeros((len(c.persons), count), np.float32), float(c.pts[-1]))
            for c in clips
        ]
        by_size: dict[tuple[int, ...], list[int]] = {}
        for i, clip in enumerate(clips):
            if len(clip.persons):
                by_size.setdefault(clip.frames.shape, []).append(i)
        for indices in by_size.values():
            scores = self._score([clips[i] for i in indices])
            for i, part in zip(indices, scores, strict=True):
                results[i] = replace(results[i], scores=part)
        return results

    def _score(self, clips: Sequence[Clip]) -> list[np.ndarray]:
        pathways = self.preprocessing.pathways(clips, self._device)
        input_size = (pathways[0].shape[-2], pathways[0].shape[-1])
        rows = []
        for batch_index, clip in enumerate(clips):
            scaled = box_ops.scale(box_ops.clip(clip.persons.boxes, clip.image_size), clip.image_size, input_size)
            rows.append(np.concatenate([np.full((len(scaled), 1), batch_index, np.float32), scaled], axis=1))
        logits = self._network(pathways, torch.from_numpy(np.concatenate(rows)).float().to(self._device))
        return np.split(self._activated(logits), np.cumsum([len(c.persons) for c in clips])[:-1])
