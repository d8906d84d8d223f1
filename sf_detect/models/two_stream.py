"""Networks of two modalities, RGB and optical flow (Carreira and Zisserman, "Quo Vadis", CVPR 2017, figure 2 c to e).

All take `[rgb, flow]`: (B, 3, T, H, W) in [-1, 1], and (B, 2, alpha * T, H, W), x and y displacement cut at 20 pixels
and scaled to [-1, 1]. `alpha` flow frames belong to each RGB frame. `sf_detect.video.optical_flow.flow_clip` computes
flow from frames; `sf_detect.models.inflation` starts each stream from ImageNet.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sf_detect.errors import ConfigError
from sf_detect.models.inception_i3d import FEATURES, InceptionV1, Unit3D
from sf_detect.models.single_pathway import inception_i3d, inception_i3d_flow

#: Flow frames that the two-dimensional networks stack for each RGB frame.
FLOW_FRAMES = 10
_FUSED_CHANNELS = 512


def stack_frames(clip: Tensor, length: int) -> Tensor:
    """(B, C, K * length, H, W) as K stacks of frames, (B, length * C, K, H, W), each frame's channels together.

    Raises:
        ConfigError: The frames are not a multiple of `length`.
    """
    if clip.ndim != 5 or not clip.shape[2] or clip.shape[2] % length:
        raise ConfigError(f"expected a clip (B, C, T, H, W) of a multiple of {length} frames, got {tuple(clip.shape)}")
    return clip.unflatten(2, (-1, length)).permute(0, 3, 1, 2, 4, 5).flatten(1, 2)


class SnippetInception(nn.Module):
    """Inception-v1 on stacks of consecutive frames.

    Args:
        num_classes: Classes.
        in_channels: Of a frame.
        length: Frames of a stack; the network sees their channels side by side.
        dropout: In front of the classifier.
    """

    alpha = None

    def __init__(self, num_classes: int, *, in_channels: int = 3, length: int = 1, dropout: float = 0.5) -> None:
        super().__init__()
        self.length = length
        self.trunk = InceptionV1(in_channels * length, inflated=False)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(FEATURES, num_classes)

    def forward(self, pathways: Sequence[Tensor], boxes: Tensor | None = None) -> Tensor:
        """Logits (B, K, 1, 1, classes) of `[clip]`, clip (B, C, K * length, H, W). `boxes` are not used."""
        (clip,) = pathways
        features = self.trunk.features(stack_frames(clip, self.length))["mixed_5c"].mean((3, 4))
        return self.classifier(self.dropout(features.transpose(1, 2)))[:, :, None, None]


class LateFusion(nn.Module):
    """Two networks whose logits are added.

    Args:
        rgb, flow: Called as `network([clip])`; they return logits of one shape.
        weights: Of the two. The published two-stream I3D adds the logits; the original two-stream network averages.
        alpha: Flow frames per RGB frame.
    """

    def __init__(
        self, rgb: nn.Module, flow: nn.Module, *, weights: tuple[float, float] = (1.0, 1.0), alpha: int = 1
    ) -> None:
        super().__init__()
        self.rgb, self.flow = rgb, flow
        self.weights, self.alpha = weights, alpha

    def forward(self, pathways: Sequence[Tensor], boxes: Tensor | None = None) -> Tensor:
        """The weighted sum of both streams' logits. `boxes` are not used.

        Args:
            pathways: `[rgb, flow]`, (B, 3, T, H, W) and (B, 2, alpha * T, H, W).

        Raises:
            ConfigError: Other inputs.
        """
        rgb, flow = require_modalities(pathways, self.alpha)
        return self.weights[0] * self.rgb([rgb]) + self.weights[1] * self.flow([flow])


class FusedTwoStream(nn.Module):
    """Inception-v1 features of RGB frames and of the flow around them, fused by a convolution over space and time.

    The paper's network (section 2.3) sees 5 RGB frames, 10 apart, and 10 flow frames for each: 5 x 7 x 7 maps of both
    streams pass a 3 x 3 x 3 convolution, 3 x 3 x 3 max pooling and one linear layer. What is left after the pooling
    (1 x 2 x 2 positions) is averaged in front of the linear layer.

    Args:
        num_classes: Classes.
        dropout: In front of the classifier.
    """

    alpha = FLOW_FRAMES

    def __init__(self, num_classes: int, *, dropout: float = 0.5) -> None:
        super().__init__()
        self.rgb = InceptionV1(3, inflated=False)
        self.flow = InceptionV1(2 * FLOW_FRAMES, inflated=False)
        self.fusion = Unit3D(2 * FEATURES, _FUSED_CHANNELS, 3)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(_FUSED_CHANNELS, num_classes)
        nn.init.normal_(self.fusion.conv.weight, std=0.01)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, pathways: Sequence[Tensor], boxes: Tensor | None = None) -> Tensor:
        """Logits (B, 1, 1, 1, classes). `boxes` are not used.

        Args:
            pathways: `[rgb, flow]`, (B, 3, T, H, W) and (B, 2, 10 * T, H, W).

        Raises:
            ConfigError: Other inputs.
        """
        rgb, flow = require_modalities(pathways, self.alpha)
        maps = [
            self.rgb.features(rgb)["mixed_5c"],
            self.flow.features(stack_frames(flow, FLOW_FRAMES))["mixed_5c"],
        ]
        x = self.fusion(torch.cat(maps, 1))
        x = F.max_pool3d(x, [min(3, side) for side in x.shape[2:]]).mean((2, 3, 4))
        return self.classifier(self.dropout(x))[:, None, None, None]


def require_modalities(pathways: Sequence[Tensor], alpha: int) -> tuple[Tensor, Tensor]:
    """The RGB and the flow clip of a network of two modalities.

    Raises:
        ConfigError: Not one clip of each, or not `alpha` flow frames per RGB frame.
    """
    shapes = [tuple(x.shape) for x in pathways]
    fits = len(shapes) == 2 and all(len(s) == 5 for s in shapes) and [s[1] for s in shapes] == [3, 2]
    if not fits or shapes[1][2] != alpha * shapes[0][2] or shapes[0][0] != shapes[1][0]:
        raise ConfigError(
            f"a network of two modalities takes [rgb, flow] of shapes (B, 3, T, H, W) and (B, 2, {alpha} * T, H, W), "
            f"got {shapes}"
        )
    return pathways[0], pathways[1]


def two_stream(num_classes: int = 400, *, dropout: float = 0.5) -> LateFusion:
    """The two-stream network (figure 2c): one RGB frame and ten flow frames, predictions averaged, trained as one."""
    return LateFusion(
        SnippetInception(num_classes, dropout=dropout),
        SnippetInception(num_classes, in_channels=2, length=FLOW_FRAMES, dropout=dropout),
        weights=(0.5, 0.5),
        alpha=FLOW_FRAMES,
    )


def fused_two_stream(num_classes: int = 400, *, dropout: float = 0.5) -> FusedTwoStream:
    """The 3D-fused two-stream network (figure 2d)."""
    return FusedTwoStream(num_classes, dropout=dropout)


def two_stream_i3d(num_classes: int = 400, *, dropout: float = 0.0) -> LateFusion:
    """Two-stream I3D (figure 2e): an Inception-I3D of RGB and one of flow, 64 frames each."""
    return LateFusion(inception_i3d(num_classes, dropout), inception_i3d_flow(num_classes, dropout))
