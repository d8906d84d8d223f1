"""The clip classifier's head: average over time and a spatial window, one linear layer, positions kept."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sf_detect.models.activation import check_activation


def or_none(logits: Tensor) -> Tensor:
    """Logits (..., C) with that of "none of the classes", 0, as column C."""
    return F.pad(logits, (0, 1))


def activate(logits: Tensor, activation: str) -> Tensor:
    """Scores of logits whose last axis is the classes.

    Args:
        logits: (..., C).
        activation: "sigmoid" for independent classes; "softmax" for exclusive ones, one of which is always true;
            "softmax_or_none" for exclusive ones of which none may be true: "none" has the logit 0, so the scores sum
            to less than 1.

    Raises:
        UnknownNameError: It is none of these.
    """
    if check_activation(activation) == "softmax_or_none":
        return or_none(logits).softmax(-1)[..., :-1]
    return logits.softmax(-1) if activation == "softmax" else logits.sigmoid()


def clip_scores(logits: Tensor, activation: str = "softmax") -> Tensor:
    """Scores (B, classes) of positional logits (B, T', H', W', classes): activation per position, then the mean.

    This order is the published fully convolutional testing (paper, section 4).
    """
    return activate(logits, activation).flatten(1, -2).mean(1)


def window_pool(x: Tensor, window: int) -> Tensor:
    """Averages (B, C, T, H, W) over all frames and a `window` x `window` neighbourhood, stride 1.

    A side of the map that is smaller than the window is averaged whole: (B, C, 1, H', W').
    """
    return F.avg_pool3d(x, (x.shape[2], min(window, x.shape[3]), min(window, x.shape[4])), stride=1)


class ClassificationHead(nn.Module):
    """Logits at every position of the pooling window.

    Args:
        in_channels: Channels of each pathway's last stage.
        num_classes: C.
        window: Side of the spatial window, the last map's side at the training crop (7 for 224).
        dropout: Probability, in training.
    """

    def __init__(self, in_channels: Sequence[int], num_classes: int, *, window: int = 7, dropout: float = 0.5) -> None:
        super().__init__()
        self.window = window
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(sum(in_channels), num_classes)

    def forward(self, features: Sequence[Tensor], boxes: Tensor | None = None) -> Tensor:
        """(B, 1, H', W', C) logits of the last stage of each pathway, (B, C_p, T_p, H, W). `boxes` are not used."""
        size = features[0].shape[3:]
        pooled = []
        for x in features:
            if x.shape[3:] != size:  # a fast pathway of lower resolution: bring it to the slow one's positions
                x = F.interpolate(x, size=(x.shape[2], *size), mode="nearest")
            pooled.append(window_pool(x, self.window))
        return self.projection(self.dropout(torch.cat(pooled, 1).permute(0, 2, 3, 4, 1)))
