"""Inception-I3D as a detection backbone: RoIAlign on its last two stages, one linear layer.

Gu et al., "AVA", CVPR 2018, section 5, put boxes on I3D's features the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

from sf_detect.errors import ConfigError
from sf_detect.models.inception_i3d import InceptionV1, block_channels

#: Stage -> pixels per cell. The last stage knows most, stage 4 sees finer.
STRIDES: Mapping[str, int] = {"mixed_4f": 16, "mixed_5c": 32}
NUM_FEATURES = 2 * block_channels("mixed_4f") + block_channels("mixed_5c")


def pool_boxes(maps: Mapping[str, Tensor], boxes: Tensor | None) -> Tensor:
    """Features (N, `NUM_FEATURES`) of boxes; of the whole frame (B, ...) without boxes.

    Both stages' means over time, and the trend of stage 4: its second half's mean minus its first half's, which tells
    an action from its reverse. Of every feature the (signed) square root is taken, so that few strong channels do not
    outweigh the many weak ones.

    Args:
        maps: By stage, (B, C, t, h, w).
        boxes: (N, 5) index into the batch and xyxy in input pixels.
    """
    middle, last = maps["mixed_4f"], maps["mixed_5c"]
    half = max(1, middle.shape[2] // 2)
    trend = middle[:, :, -half:].mean(2) - middle[:, :, :half].mean(2)
    pooled = []
    for stage, x in (("mixed_4f", torch.cat([middle.mean(2), trend], 1)), ("mixed_5c", last.mean(2))):
        if boxes is not None:
            x = roi_align(x, boxes.to(x), 7, 1 / STRIDES[stage], sampling_ratio=2, aligned=True)
        pooled.append(x.mean((2, 3)))
    features = torch.cat(pooled, 1)
    return features / (features.abs() + 1e-12).sqrt()  # sign(f) sqrt(|f|), with a finite gradient at zero


class InceptionI3DDetector(nn.Module):
    """Scores boxes on the features of Inception-I3D.

    Args:
        num_classes: C.
        dropout: Probability of dropping a pooled feature before the classifier, in training.
    """

    def __init__(self, num_classes: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.backbone = InceptionV1()
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(NUM_FEATURES, num_classes)

    def forward(self, pathways: Sequence[Tensor], boxes: Tensor | None = None) -> Tensor:
        """Logits, before the activation.

        Args:
            pathways: One tensor (B, 3, T, H, W), float in [-1, 1]; T of 8 or more.
            boxes: (N, 5) index into the batch and xyxy in input pixels, or None for the whole frame.

        Returns:
            (N, num_classes), or (B, num_classes) without boxes.

        Raises:
            ConfigError: More than one pathway.
        """
        if len(pathways) != 1:
            raise ConfigError(f"Inception-I3D takes one pathway (B, 3, T, H, W), got {len(pathways)}")
        maps = self.backbone.features(pathways[0], tuple(STRIDES))
        return self.projection(self.dropout(pool_boxes(maps, boxes)))


def i3d_detector(num_classes: int, **options: Any) -> InceptionI3DDetector:
    """Inception-I3D with a RoI head."""
    return InceptionI3DDetector(num_classes, **options)


def backbone_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A classifier's state dict as the detector's, without the classifier's own head."""
    return {f"backbone.{name}": tensor for name, tensor in state.items() if not name.startswith("classifier.")}
