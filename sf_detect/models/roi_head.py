"""The detection head of the paper (section 5): RoIAlign on the last stage's maps, pooled over time, per person."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

from sf_detect.errors import ConfigError


class RoIHead(nn.Module):
    """Scores boxes: mean over time, RoIAlign, maximum over the region, one linear layer.

    Args:
        in_channels: Channels of each pathway's last stage.
        num_classes: C.
        resolution: RoIAlign bins along each side.
        scale: Map size over input size, of the first pathway. Other pathways follow from their maps' sizes.
        aligned: Half-pixel-correct RoIAlign. Public checkpoints were trained with False.
        dropout: Probability, in training.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int,
        *,
        resolution: int = 7,
        scale: float = 1 / 16,
        aligned: bool = False,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.resolution, self.scale, self.aligned = resolution, scale, aligned
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(sum(in_channels), num_classes)

    def forward(self, features: Sequence[Tensor], boxes: Tensor | None) -> Tensor:
        """Logits (N, C) of N boxes.

        Args:
            features: The last stage of each pathway, (B, C_p, T_p, H, W).
            boxes: (N, 5): index into the batch, then xyxy in pixels of the network's input. N may be 0.

        Raises:
            ConfigError: No boxes, or boxes of another shape.
        """
        return self.score([x.mean(2) for x in features], boxes)

    def score(self, maps: Sequence[Tensor], boxes: Tensor | None) -> Tensor:
        """`forward` on maps (B, C_p, H, W) that are pooled over time already (streaming keeps a running window)."""
        if boxes is None:
            raise ConfigError(
                "a detection network scores boxes, got boxes=None; pass an (N, 5) tensor of batch index and xyxy, "
                "with the whole frame as one box where there is no detector"
            )
        if boxes.ndim != 2 or boxes.shape[1] != 5:
            raise ConfigError(f"boxes have shape (N, 5): batch index, x1, y1, x2, y2; got {tuple(boxes.shape)}")
        boxes = boxes.to(maps[0])
        regions = torch.cat([self._region(x, boxes, maps[0].shape[-1]) for x in maps], 1)
        return self.projection(self.dropout(regions))

    def _region(self, x: Tensor, boxes: Tensor, reference_width: int) -> Tensor:
        scale = self.scale * x.shape[-1] / reference_width
        bins = roi_align(x, boxes, self.resolution, scale, sampling_ratio=0, aligned=self.aligned)
        return bins.flatten(2).amax(2)
