"""What a network expects of its input. Needs torch only to make tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from sf_detect import boxes as box_ops
from sf_detect.structures import Clip, UInt8Array

if TYPE_CHECKING:
    import torch
    from torch import Tensor


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

    def __post_init__(self) -> None:
        if self.short_side < 1:
            raise ValueError(f"short_side is a positive number of pixels, got {self.short_side}")
        if not all(np.isfinite(v) and v > 0 for v in self.std) or not all(map(np.isfinite, self.mean)):
            raise ValueError(f"std is positive and mean finite in every channel, got {self.std} and {self.mean}")

    def pathways(self, clips: Sequence[Clip], device: torch.device) -> list[Tensor]:
        """Clips of one common size as network input.

        Returns:
            One (B, 3, T, h, w) float32 tensor per pathway, slow first; of flow (B, 2, T, h, w).
        """
        import torch

        return self.pack(
            torch.from_numpy(np.stack([resized_frames(clip, self.short_side) for clip in clips])).to(device)
        )

    def pack(self, frames: Tensor) -> list[Tensor]:
        """RGB frames (B, T, h, w, 3) uint8, of the network's size already, as its pathways; see `pathways`."""
        import torch

        shown = frames.flip(-1) if self.bgr else frames
        mean, std = (torch.tensor(v, device=frames.device) for v in (self.mean, self.std))
        # The channel axis stays innermost in memory: convolutions on a CPU are several times faster that way.
        fast = (shown.float() * (1 / (255 * std)) - mean / std).permute(0, 4, 1, 2, 3)
        shown = fast if self.flow is None else self._flow_pathway(frames).to(frames.device)
        if self.slow_index is None:
            return [shown]
        return [fast[:, :, list(self.slow_index)], shown]

    def _flow_pathway(self, clips: Tensor) -> Tensor:
        import torch

        assert self.flow is not None
        return torch.from_numpy(np.stack([self.flow(frames) for frames in clips.cpu().numpy()])).permute(0, 4, 1, 2, 3)


def resized_frames(clip: Clip, short_side: int) -> UInt8Array:
    """The frames of a clip, (T, h, w, 3), in the size of a network whose pictures have that short side."""
    height, width = size = box_ops.network_size(clip.frames.shape[1:3], short_side)
    if clip.frames.shape[1:3] == size:
        return clip.frames
    return np.stack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR) for frame in clip.frames])
