"""Temporal segment networks (Wang et al., "Temporal Segment Networks", ECCV 2016).

A video is cut into K equal segments; one short snippet of each passes the same image network, and a consensus of the
snippets' class scores decides. `sf_detect.data.snippets` makes the snippets of each modality;
`sf_detect.models.inflation.across_modalities` starts one modality's network from another's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.models.bn_inception import FEATURES, BNInception

#: Channels of one snippet by modality: an image, five RGB differences, five flows of two components.
CHANNELS: Mapping[str, int] = {"rgb": 3, "rgb_difference": 15, "flow": 10, "warped_flow": 10}
#: Dropout in front of the classifier (paper, section 4.1): higher for the spatial stream.
DROPOUT: Mapping[str, float] = {"rgb": 0.8, "rgb_difference": 0.7, "flow": 0.7, "warped_flow": 0.7}
CONSENSUS = ("average", "max", "weighted")


class SegmentalConsensus(nn.Module):
    """One score per class out of K snippets' scores (paper, equation 1).

    Args:
        kind: "average", "max", or "weighted", which learns one weight per segment.
        segments: K, for "weighted".
    """

    def __init__(self, kind: str, segments: int) -> None:
        super().__init__()
        if kind not in CONSENSUS:
            raise UnknownNameError("consensus", kind, CONSENSUS)
        self.kind = kind
        self.weight = nn.Parameter(torch.full((segments,), 1 / segments)) if kind == "weighted" else None

    def forward(self, scores: Tensor) -> Tensor:
        """(B, classes) of (B, K, classes)."""
        if self.kind == "max":
            return scores.amax(1)
        if self.weight is None:
            return scores.mean(1)
        if len(self.weight) != scores.shape[1]:
            raise ConfigError(f"this consensus learnt {len(self.weight)} segments' weights, got {scores.shape[1]}")
        return torch.einsum("bkc,k->bc", scores, self.weight)


class TSN(nn.Module):
    """A temporal segment network of one modality.

    Args:
        num_classes: Classes.
        modality: One of `CHANNELS`.
        segments: K in training; testing takes any number unless the consensus is weighted (25 in the paper).
        consensus: See `SegmentalConsensus`.
        dropout: In front of the classifier; None takes the paper's.
        partial_bn: In training, only the first normalisation updates its mean and variance (paper, section 3.2).
    """

    alpha = None

    def __init__(
        self,
        num_classes: int,
        *,
        modality: str = "rgb",
        segments: int = 3,
        consensus: str = "average",
        dropout: float | None = None,
        partial_bn: bool = True,
    ) -> None:
        super().__init__()
        if modality not in CHANNELS:
            raise UnknownNameError("modality", modality, CHANNELS)
        self.modality, self.segments, self.partial_bn = modality, segments, partial_bn
        self.base_model = BNInception(CHANNELS[modality])
        self.dropout = nn.Dropout(DROPOUT[modality] if dropout is None else dropout)
        self.new_fc = nn.Linear(FEATURES, num_classes)
        self.consensus = SegmentalConsensus(consensus, segments)
        nn.init.normal_(self.new_fc.weight, std=0.001)
        nn.init.zeros_(self.new_fc.bias)

    def train(self, mode: bool = True) -> TSN:
        """As usual, but with `partial_bn` every normalisation after the first stays in evaluation mode."""
        super().train(mode)
        if mode and self.partial_bn:
            for layer in [m for m in self.modules() if isinstance(m, nn.BatchNorm2d)][1:]:
                layer.eval()
        return self

    def snippet_scores(self, clip: Tensor) -> Tensor:
        """Logits (B, K, classes) of snippets (B, channels, K, H, W)."""
        batch, _, segments = clip.shape[:3]
        images = clip.transpose(1, 2).flatten(0, 1)
        return self.new_fc(self.dropout(self.base_model(images))).unflatten(0, (batch, segments))

    def forward(self, pathways: Sequence[Tensor], boxes: Tensor | None = None) -> Tensor:
        """Consensus logits, in front of the softmax.

        Args:
            pathways: `[snippets]`, (B, channels, K, H, W): the K snippets lie on the time axis.
            boxes: Not used.

        Returns:
            (B, 1, 1, 1, classes).

        Raises:
            ConfigError: The snippets have other channels.
        """
        shapes = [tuple(x.shape) for x in pathways]
        channels = CHANNELS[self.modality]
        if len(shapes) != 1 or len(shapes[0]) != 5 or shapes[0][1] != channels:
            raise ConfigError(
                f"a TSN of modality {self.modality!r} takes snippets of shape (B, {channels}, K, H, W), got {shapes}"
            )
        return self.consensus(self.snippet_scores(pathways[0]))[:, None, None, None]


def fuse_streams(scores: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Late fusion: the weighted sum of the streams' softmax scores, over the weights' sum.

    Args:
        scores: Logits (..., classes) by stream.
        weights: By stream; the paper takes 1 for RGB and 1.5 for flow.

    Raises:
        ConfigError: The streams and the weights have different names.
    """
    if scores.keys() != weights.keys() or not scores:
        raise ConfigError(f"late fusion needs one weight per stream, got {sorted(scores)} and {sorted(weights)}")
    total = sum(weights.values())
    return torch.stack([weights[k] / total * v.softmax(-1) for k, v in scores.items()]).sum(0)


def tsn(num_classes: int = 400, **options: Any) -> TSN:
    """A temporal segment network over BN-Inception; of RGB unless `modality` says otherwise."""
    return TSN(num_classes, **options)
