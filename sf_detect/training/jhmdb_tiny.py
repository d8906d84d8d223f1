"""Training the default model: what is trained how fast, the loss, the scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sf_detect.data.augmentation import background_box
from sf_detect.data.jhmdb import JHMDBClip
from sf_detect.models.inception_i3d import block_channels
from sf_detect.models.slowfast_tiny import ALPHA, FAST_WIDTHS, SLOW_BLOCKS, SlowFastTiny
from sf_detect.training.distillation import DistillationLoss, TeacherMaps
from sf_detect.training.views import Batch, FrameStore, TrainingViews, Window, evaluation_view

FROZEN = ("slow_1a", "slow_2b", "slow_2c")


class Student(nn.Module):
    """The network, what distillation adds to it, and their loss.

    Args:
        network: with batch normalisation, not folded.
        teacher: stored maps, or None to train on labels alone.
        distillation: weight of the teacher's terms.
        softmax: weight of the cross-entropy over the actors, beside the sigmoid loss.
        background: weight of background boxes, whose targets are all zero.
        soft: share of the target that `soft_labels` has; the rest is the smoothed label.
        soft_labels: (training clips, classes) probabilities; needed where `soft` is not 0.
    """

    def __init__(
        self,
        network: SlowFastTiny,
        teacher: TeacherMaps | None,
        distillation: float = 1.0,
        softmax: float = 0.5,
        background: float = 0.5,
        soft: float = 0.0,
        soft_labels: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.network, self.teacher = network, teacher
        self.distillation = DistillationLoss(block_channels(SLOW_BLOCKS[-1]) + FAST_WIDTHS[-1])
        self.weights = (distillation, softmax, background)
        self.soft, self.soft_labels = soft, soft_labels
        for name in FROZEN:
            getattr(network, name).requires_grad_(False)

    def train(self, mode: bool = True) -> Student:
        """As usual, but the frozen layers keep their statistics."""
        super().train(mode)
        for name in FROZEN:
            getattr(self.network, name).eval()
        return self

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Loss of a batch and figures for the log."""
        distillation, softmax, background = self.weights
        network = self.network
        maps = network.features(batch.pathways(ALPHA))
        logits = network.classifier(network.dropout(network.pool(maps, batch.boxes)))
        actors = batch.labels >= 0
        targets = self._targets(batch, actors, logits.shape[1])
        binary = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(1)
        loss = (binary * torch.where(actors, 1.0, background)).sum() / actors.sum()
        likely = targets[actors] / targets[actors].sum(1, keepdim=True)
        loss = loss + softmax * functional.cross_entropy(logits[actors], likely)
        hits = (logits[actors].argmax(1) == batch.labels[actors]).float().mean()
        figures = {"label loss": loss.item(), "accuracy": hits.item()}
        if self.teacher is not None:
            extra = self.distillation(maps, self.teacher, batch)
            figures["teacher loss"] = extra.item()
            loss = loss + distillation * extra
        return loss, figures

    def _targets(self, batch: Batch, actors: Tensor, classes: int) -> Tensor:
        """(boxes, classes): smoothed labels, mixed with the soft ones; all low for background."""
        hot = functional.one_hot(batch.labels.clamp(min=0), classes) * actors[:, None]
        targets = hot * 0.9 + 0.005
        if self.soft and self.soft_labels is not None:
            clips = batch.clips[batch.boxes[:, 0].long()]
            mixed = torch.lerp(targets, self.soft_labels[clips], self.soft)
            targets = torch.where(actors[:, None], mixed, targets)
        return targets

    def groups(self, slow: float, new: float, decay: float) -> list[dict[str, object]]:
        """Optimiser groups: layers that start from Kinetics learn at rate `slow`, fresh ones at `new`."""
        fresh = ("distillation", "network.fast", "network.laterals", "network.classifier")
        buckets: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                key = (new if name.startswith(fresh) else slow, decay if parameter.ndim > 1 else 0.0)
                buckets.setdefault(key, []).append(parameter)
        return [{"params": found, "lr": rate, "weight_decay": wd} for (rate, wd), found in buckets.items()]


@torch.no_grad()
def recalibrate(network: SlowFastTiny, batches: Sequence[Batch]) -> None:
    """Replaces all batch statistics by those of a few batches: deflated kernels see other values than the original."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    for batch in batches:
        network(batch.pathways(ALPHA))
    for norm in norms:
        norm.momentum = 0.1


def prefetch(views: TrainingViews, numbers: np.ndarray, size: int, seed: Sequence[int]) -> Iterator[Batch]:
    """Batches in the given order, each prepared by a thread while the one before it is trained on."""
    chunks = [numbers[i : i + size].tolist() for i in range(0, len(numbers) - size + 1, size)]
    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(views.batch, chunk, seed) for chunk in chunks[:2]]
        for position in range(len(chunks)):
            if position + 2 < len(chunks):
                waiting.append(pool.submit(views.batch, chunks[position + 2], seed))
            yield waiting[position].result()
            waiting[position] = None  # type: ignore[call-overload]


@torch.inference_mode()
def scores(
    network: SlowFastTiny,
    store: FrameStore,
    clips: Sequence[JHMDBClip],
    window: Window,
    size: tuple[int, int],
) -> Tensor:
    """Logits (clips, C) with ground-truth boxes; see `evaluation_view`."""
    network.eval()
    found = []
    for clip in clips:
        fast, box = evaluation_view(store, clip, window, size)
        found.append(_score(network, fast, box))
    return torch.cat(found)


@torch.inference_mode()
def background_scores(
    network: SlowFastTiny, store: FrameStore, clips: Sequence[JHMDBClip], window: Window, size: tuple[int, int]
) -> Tensor:
    """Logits (n, C) of one random box per clip that hardly meets the actor; clips without room are left out."""
    network.eval()
    found = []
    for number, clip in enumerate(clips):
        fast, actor = evaluation_view(store, clip, window, size)
        box = background_box(np.random.default_rng(number), actor.numpy(), min(size))
        if box is not None:
            found.append(_score(network, fast, torch.from_numpy(box)))
    return torch.cat(found) if found else torch.zeros(0, network.classifier.out_features)


def _score(network: SlowFastTiny, fast: Tensor, box: Tensor) -> Tensor:
    slow = fast[:, ALPHA - 1 :: ALPHA]
    return network([slow[None], fast[None]], torch.cat([torch.zeros(1), box])[None])


def accuracy(logits: Tensor, clips: Sequence[JHMDBClip]) -> float:
    """Top-1 clip accuracy."""
    labels = torch.tensor([clip.label for clip in clips])
    return (logits.argmax(1) == labels).float().mean().item()
