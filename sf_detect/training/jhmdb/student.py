"""Training the default model: what is trained how fast, the loss, the scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sf_detect.boxes import iou
from sf_detect.data.jhmdb import JHMDBClip
from sf_detect.errors import WeightsError
from sf_detect.models.classification_head import or_none
from sf_detect.models.inception_i3d import block_channels
from sf_detect.models.slowfast_tiny import ALPHA, FAST_WIDTHS, SLOW_BLOCKS, SlowFastTiny
from sf_detect.structures import Detections
from sf_detect.training.jhmdb.distillation import DistillationLoss, TeacherMaps
from sf_detect.training.jhmdb.views import OTHER, Batch, FrameStore, TrainingViews, Window, evaluation_view
from sf_detect.weights.checkpoint import read_torch_content

FROZEN = ("slow_1a", "slow_2b")


class Student(nn.Module):
    """The network, what distillation adds to it, and their loss.

    Args:
        network: with batch normalisation, not folded.
        teacher: stored maps, or None to train on labels alone.
        distillation: weight of the teacher's terms.
        pooled: weight, among them, of the features of the boxes beside that of the cells of the maps.
        trend: weight of the teacher's trend among them.
        label: weight of the cross-entropy over the actions and "none".
        background: weight of a box without the actor beside that of one with them.
        soft: share of the target that `soft_labels` has; the rest is the smoothed label.
        soft_labels: (training clips, classes) probabilities; needed where `soft` is not 0.
    """

    def __init__(
        self,
        network: SlowFastTiny,
        teacher: TeacherMaps | None,
        distillation: float = 2.0,
        pooled: float = 0.0,
        trend: float = 0.5,
        label: float = 1.0,
        background: float = 0.3,
        soft: float = 0.0,
        soft_labels: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.network, self.teacher = network, teacher
        self.distillation = DistillationLoss(block_channels(SLOW_BLOCKS[-1]) + FAST_WIDTHS[-1], trend, pooled)
        self.weights = (distillation, label, background)
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
        distillation, label, background = self.weights
        network, scored = self.network, batch.indices.shape[1] // ALPHA
        maps = {name: x[:, -scored:] for name, x in network.features(batch.pathways(ALPHA)).items()}
        logits = network.classifier(network.dropout(network.pool(maps, batch.boxes)))
        actors = batch.labels >= 0
        entropy = functional.cross_entropy(or_none(logits), self._targets(batch, logits.shape[1]), reduction="none")
        loss = label * (entropy * torch.where(actors, 1.0, background)).sum() / actors.sum()
        hits = (logits[actors].argmax(1) == batch.labels[actors]).float().mean()
        figures = {"label loss": loss.item(), "accuracy": hits.item()}
        if self.teacher is not None:
            extra = self.distillation(maps, self.teacher, batch)
            figures["teacher loss"] = extra.item()
            loss = loss + distillation * extra
        return loss, figures

    def _targets(self, batch: Batch, classes: int) -> Tensor:
        """(boxes, classes + 1): smoothed labels, those of actors mixed with the soft ones; "none" comes last."""
        nobody = batch.labels < 0
        targets = functional.one_hot(batch.labels.where(~nobody, classes), classes + 1) * 0.9
        targets = targets + 0.1 / (classes + 1)
        if self.soft and self.soft_labels is not None:
            soft = functional.pad(self.soft_labels, (0, 1))[batch.clips[batch.boxes[:, 0].long()]]
            targets = torch.where(nobody[:, None], targets, torch.lerp(targets, soft, self.soft))
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


def load_student(student: Student, checkpoint: Path) -> None:
    """Starts a student from a checkpoint of another run: the averaged network, and what distillation adds to it.

    Raises:
        WeightsError: The file can't be read or holds another network.
    """
    try:
        state = read_torch_content(checkpoint)
        student.load_state_dict(state["model"])
        student.network.load_state_dict(state["average"])
    except Exception as error:  # torch raises many kinds for damaged files
        reason = str(error).splitlines()[0]
        raise WeightsError(
            f"start={checkpoint}: {reason}. Expected the checkpoint.pt of an earlier run of this recipe"
        ) from error


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
        found.append(_score(network, fast, box[None]))
    return torch.cat(found)


@torch.inference_mode()
def bystander_scores(
    network: SlowFastTiny,
    store: FrameStore,
    clips: Sequence[JHMDBClip],
    persons: Mapping[str, Sequence[Detections]],
    window: Window,
    size: tuple[int, int],
) -> Tensor:
    """Logits (n, C) of those whom the detector sees on the middle frames and who are not the actor.

    Args:
        network, store, clips, window, size: As for `scores`.
        persons: By video, one `Detections` a frame.
    """
    network.eval()
    found = [torch.zeros(0, network.classifier.out_features)]
    for clip in clips:
        fast, _ = evaluation_view(store, clip, window, size)
        middle = clip.num_frames // 2
        seen = persons[clip.video_id][middle].boxes
        others = seen[iou(seen, clip.boxes[middle][None])[:, 0] < OTHER]
        scaled = others * np.tile([size[1] / clip.width, size[0] / clip.height], 2)
        found.append(_score(network, fast, torch.from_numpy(scaled).float()))
    return torch.cat(found)


def _score(network: SlowFastTiny, fast: Tensor, boxes: Tensor) -> Tensor:
    slow = fast[:, ALPHA - 1 :: ALPHA]
    return network([slow[None], fast[None]], functional.pad(boxes, (1, 0)))


def accuracy(logits: Tensor, clips: Sequence[JHMDBClip]) -> float:
    """Top-1 clip accuracy."""
    labels = torch.tensor([clip.label for clip in clips])
    return (logits.argmax(1) == labels).float().mean().item()
