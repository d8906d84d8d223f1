"""Losses of clips and of boxes, as means over the rows that count, and how many those are."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.models.preprocessing import Preprocessing
from sf_detect.training.clip_dataset import ClipBatch

LOSSES = ("softmax", "sigmoid")


def scores_of(network: nn.Module, preprocessing: Preprocessing, batch: ClipBatch, detection: bool) -> Tensor:
    """Logits (N, C) of a batch's boxes, or (B, C) of its clips: positions of a classifier are averaged.

    (B, positions, C) of a network whose loss is taken at each of them (`loss_at_every_position`).
    """
    device = next(network.parameters()).device
    pathways = preprocessing.pack(batch.frames.to(device, non_blocking=True))
    if detection:
        return network(pathways, batch.boxes.to(device))
    logits = network(pathways)
    if logits.ndim == 2:
        return logits
    logits = logits.flatten(1, -2)
    inner = getattr(network, "module", network)  # of a network that is trained by several processes
    return logits if getattr(inner, "loss_at_every_position", False) else logits.mean(1)


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
        """The weighted mean over the rows, and figures for the log; zero (with a gradient) without rows.

        Args:
            logits: (rows, C), or (rows, positions, C): a row's loss is then the mean over its positions.
            batch: With the rows' targets.
        """
        targets, weights = batch.targets.to(logits.device), self.weights(batch).to(logits.device)
        positions = logits.float() if logits.ndim == 3 else logits.float()[:, None]
        loss = (self._rows(positions, targets) * weights).sum() / weights.sum().clamp(min=1e-6)
        hits = targets.gather(1, positions.mean(1).argmax(1, keepdim=True))[:, 0]
        named = targets.sum(1) > 0
        return loss, {"accuracy": (hits[named].mean() if named.any() else hits.sum()).item()}

    def _rows(self, logits: Tensor, targets: Tensor) -> Tensor:
        """(rows,) losses of logits (rows, positions, C)."""
        goals = targets[:, None].expand_as(logits)
        if self.kind == "sigmoid":
            return functional.binary_cross_entropy_with_logits(logits, goals, reduction="none").mean((1, 2))
        goals = goals / goals.sum(-1, keepdim=True).clamp(min=1)
        columns = logits.transpose(1, 2), goals.transpose(1, 2)
        return functional.cross_entropy(*columns, reduction="none", label_smoothing=self.smoothing).mean(1)
