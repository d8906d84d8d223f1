"""From clips to action scores: the edge where NumPy clips become normalised tensors.

The network never sees a picture of arbitrary size or a box of the source frame: the predictor owns preprocessing and
coordinates, and both travel with the weights (`Preprocessing`), so that a checkpoint can't be fed the wrong way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sf_detect import boxes as box_ops
from sf_detect.box_regression import BoxRegression
from sf_detect.models.classification_head import activate
from sf_detect.structures import ActionDetections, Clip, ClipSpec, UInt8Array

DEFAULT_THRESHOLD = 0.25
"""Score from which an action counts where the weights bring no thresholds."""


@dataclass(frozen=True)
class Preprocessing:
    """What a network expects of its input.

    Attributes:
        short_side: Pixels of the shorter side after resizing; the longer one keeps the aspect ratio.
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
        height, width = clip.frames.shape[1:3]
        if min(height, width) == self.short_side:
            return clip.frames
        ratio = self.short_side / min(height, width)
        size = (max(1, int(width * ratio)), max(1, int(height * ratio)))
        return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR) for frame in clip.frames])


class PredictorOutputs:
    """What a predictor says about its scores, whichever way they are computed; see `ActionPredictor`."""

    def __init__(
        self,
        labels: Sequence[str],
        activation: str,
        name: str,
        label_ids: Sequence[int] | None,
        thresholds: Sequence[float] | None,
        box_regression: BoxRegression | None,
    ) -> None:
        activate(torch.zeros(1), activation)  # an unknown name is told now, not after the first clip
        self.labels, self.name, self._activation = tuple(labels), name, activation
        self.label_ids = tuple(label_ids) if label_ids is not None else tuple(range(1, len(self.labels) + 1))
        self.thresholds = tuple(thresholds) if thresholds is not None else (DEFAULT_THRESHOLD,) * len(self.labels)
        self.box_regression = box_regression

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
        name: For people to read.
        label_ids: C ids of the classes in annotation files; counted from 1 where None.
        thresholds: C scores from which an action counts; `DEFAULT_THRESHOLD` where None.
        box_regression: How a detector's boxes are to be moved before they are scored; None leaves them.
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
        name: str = "",
        label_ids: Sequence[int] | None = None,
        thresholds: Sequence[float] | None = None,
        box_regression: BoxRegression | None = None,
    ) -> None:
        super().__init__(labels, activation, name, label_ids, thresholds, box_regression)
        self.clip_spec, self.preprocessing = clip_spec, preprocessing
        self._device = torch.device(device)
        self._network = network.eval().to(self._device)

    @torch.inference_mode()
    def __call__(self, clips: Sequence[Clip]) -> list[ActionDetections]:
        """Score the persons of each clip; clips of one size run as one batch, clips without persons cost nothing."""
        results = [
            ActionDetections(c.keyframe_pts, c.persons, np.zeros((len(c.persons), len(self.labels)), np.float32))
            for c in clips
        ]
        by_size: dict[tuple[int, ...], list[int]] = {}
        for i, clip in enumerate(clips):
            if len(clip.persons):
                by_size.setdefault(clip.frames.shape, []).append(i)
        for indices in by_size.values():
            scores = self._score([clips[i] for i in indices])
            for i, part in zip(indices, scores, strict=True):
                results[i] = ActionDetections(clips[i].keyframe_pts, clips[i].persons, part)
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
