"""Losses of clips and of boxes, as means over the rows that count, and how many those are."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.models.predictor import Preprocessing
from sf_detect.training.clip_dataset import ClipBatch

LOSSES = ("softmax", "sigmoid")


def scores_of(network: nn.Module, preprocessing: Preprocessing, batch: ClipBatch, detection: bool) -> Tensor:
    """Logits (N, C) of a batch's boxes, or (B, C) of its clips: positions of a classifier are averaged."""
    device = next(network.parameters()).device
    pathways = preprocessing.pack(batch.frames.to(device, non_blocking=True))
    if detection:
        return network(pathways, batch.boxes.to(device))
    logits = network(pathways)
    return logits if logits.ndim == 2 else logits.flatten(1, -2).mean(1)


class ActionLoss:
    """The loss of a batch.

    Args:
        kind: "softmax": cross-entropy, for exclusive classes; rows with several labels share the goal among them, rows
            with none do not count. "sigmoid": binary cross-entropy, averaged over rows and classes.
        smoothing: Label smoothing of softmax.
        background: Weight of background boxes under "sigmoid".

    Raises:
        UnknownNameError: Another kind.
        ConfigError: Background boxes under softmax, which has no place for them.
    """

    def __init__(self, kind: str, smoothing: float = 0.0, background: float = 0.0) -> None:
        if kind not in LOSSES:
            raise UnknownNameError("loss", kind, LOSSES)
        if kind == "softmax" and background:
            raise ConfigError("softmax knows no background; set loss.kind=sigmoid, or views.background=0")
        self.kind, self.smoothing, self.background = kind, smoothing, background

    def weights(self, batch: ClipBatch) -> Tensor:
        """(rows,) how much each row counts; on the CPU."""
        if self.kind == "softmax":
            return (batch.targets.sum(1) > 0).float()
        if len(batch.kept) != len(batch.targets):  # clips, not boxes
            return torch.ones(len(batch.targets))
        return torch.where(batch.kept < 0, self.background, 1.0)

    def __call__(self, logits: Tensor, batch: ClipBatch) -> tuple[Tensor, dict[str, float]]:
        """The weighted mean over the rows, and figures for the log; zero (with a gradient) without rows."""
        targets, weights = batch.targets.to(logits.device), self.weights(batch).to(logits.device)
        logits = logits.float()
        total = weights.sum()
        if self.kind == "sigmoid":
            rows = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(1)
        else:
            goals = targets / targets.sum(1, keepdim=True).clamp(min=1)
            rows = functional.cross_entropy(logits, goals, reduction="none", label_smoothing=self.smoothing)
        loss = (rows * weights).sum() / total.clamp(min=1e-6)
        hits = targets.gather(1, logits.argmax(1, keepdim=True))[:, 0]
        named = targets.sum(1) > 0
        return loss, {"accuracy": (hits[named].mean() if named.any() else hits.sum()).item()}
