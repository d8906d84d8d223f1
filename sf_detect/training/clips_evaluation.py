"""Measuring a network on a dataset: frame-mAP of persons, top-k or mAP of clips; the work is shared by processes."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from sf_detect.atomic_file import atomic_file, create_beside, write_text
from sf_detect.data.samples import ActionDataset
from sf_detect.errors import ConfigError, TrainingError, UnknownNameError
from sf_detect.evaluation.classification import CHARADES_PROTOCOLS, POOLINGS, multilabel_map, topk_accuracy
from sf_detect.evaluation.command import evaluate_ava
from sf_detect.labels import LabelMap, label_set
from sf_detect.models.classification_head import activate, clip_scores
from sf_detect.models.preprocessing import Preprocessing
from sf_detect.training.clip_dataset import ClipBatch, ClipViews, EvaluationClips, by_size, start_worker
from sf_detect.training.distributed import ALONE, Processes

OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Measured:
    """A result.

    Attributes:
        main: Which figure decides between weights.
        figures: By name, in [0, 1].
        details: What else goes into a file of results.
        table: For people to read.
        problems: Clips that could not be decoded; they count as not recognised.
    """

    main: str
    figures: dict[str, float]
    details: dict[str, Any] = field(default_factory=dict)
    table: str = ""
    problems: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        """The figure that decides; -1 where there was nothing to measure."""
        return self.figures[self.main] if np.isfinite(self.figures[self.main]) else -1.0


@dataclass(frozen=True, eq=False)
class Evaluator:
    """Measures networks on one dataset.

    Attributes:
        dataset: What is looked at; its boxes may be a detector's.
        truth: The same with annotated boxes, for detection.
        views: How clips are cut.
        preprocessing: Of the network.
        activation: "softmax" or "sigmoid".
        folder: Where detections are written.
        batch, workers: Clips at a time; processes that decode.
        pooling: Of a clip's views, one of `POOLINGS`.
        protocol: See `EvaluationRecipe`; None takes the first.
        precision: Of the forward pass; None is full.
        processes: Those that share the work.
    """

    dataset: ActionDataset
    truth: ActionDataset
    views: ClipViews
    preprocessing: Preprocessing
    activation: str
    folder: Path
    batch: int = 8
    workers: int = 0
    pooling: str = "mean"
    protocol: str | None = None
    precision: torch.dtype | None = None
    processes: Processes = ALONE

    def __post_init__(self) -> None:
        if self.pooling not in POOLINGS:
            raise UnknownNameError("pooling of views", self.pooling, POOLINGS)
        if not len(self.dataset):
            raise ConfigError(f"{self.dataset.name} has no samples to evaluate on; check the paths in `validation`")

    @property
    def labels(self) -> LabelMap:
        """The dataset's classes that are scored: of AVA's 80 the official 60."""
        all_of_ava, own = label_set("ava80"), self.dataset.class_ids
        if self.dataset.task == "detection" and own == all_of_ava.ids and self.dataset.class_names == all_of_ava.names:
            return label_set("ava60")
        return LabelMap(self.dataset.class_names, own)

    def __call__(self, network: nn.Module, name: str, progress: OnProgress | None = None) -> Measured:
        """Measures a network, which is left in evaluation mode; the same result in every process.

        Args:
            network: Scores clips or boxes.
            name: Of the detections' file.
            progress: Told about batches done.

        Raises:
            TrainingError: No clip could be decoded, or scores are not finite.
        """
        network.eval()
        measure = self._detection if self.dataset.task == "detection" else self._classification
        return measure(network, name, progress or (lambda *_: None))

    def _batches(self, progress: OnProgress, problems: list[str]) -> Iterator[ClipBatch]:
        clips = EvaluationClips(self.dataset, self.views)
        mine = Subset(clips, range(self.processes.rank, len(clips), self.processes.world))
        loader: DataLoader[Any] = DataLoader(
            mine, self.batch, num_workers=self.workers, collate_fn=by_size, worker_init_fn=start_worker
        )
        for number, batches in enumerate(loader, start=1):
            for batch in batches:
                problems += batch.problems
                if len(batch.frames):
                    yield batch
            progress("evaluation", number, len(loader))

    @torch.inference_mode()
    def _scores(self, network: nn.Module, batch: ClipBatch) -> npt.NDArray[np.float32]:
        """(N, C) of the batch's boxes, or (B, C) of its clips."""
        device = next(network.parameters()).device
        pathways = self.preprocessing.pack(batch.frames.to(device))
        boxes = (batch.boxes.to(device),) if self.dataset.task == "detection" else ()
        with torch.autocast(device.type, self.precision, enabled=self.precision is not None):
            logits: Tensor = network(pathways, *boxes)
        score = clip_scores if logits.ndim > 2 else activate
        return score(logits.float(), self.activation).cpu().numpy()

    def _gathered(self, problems: list[str], done: int) -> tuple[str, ...]:
        found = [one for part in self.processes.gather(problems) for one in part]
        if not sum(self.processes.gather(done)):
            raise TrainingError(f"no clip of {self.dataset.name} could be decoded, the first because {found[0]}")
        return tuple(dict.fromkeys(found))

    def _detection(self, network: nn.Module, name: str, progress: OnProgress) -> Measured:
        path, problems = self.folder / f"{name}.csv", list[str]()
        handle, part = create_beside(path)
        try:
            with open(handle, "w", newline="", encoding="utf-8") as file:
                done, *counts = self._write_detections(network, file, progress, problems)
            bad = self._gathered(problems, done)
            hits, persons = np.sum(self.processes.gather(counts), 0)
            parts = self.processes.gather(part)
            figures, details, table = {"frame_mAP": 0.0}, dict[str, Any](), ""
            if self.processes.leads:
                _join(path, parts)
                result = evaluate_ava(self._truth_file(), path, None, self.labels, self.protocol or "activitynet")
                figures["frame_mAP"], table = result.mean_ap, result.table()
                details = {**result.to_json(), "protocol": result.protocol, "detections": path.name}
            if persons:
                figures["accuracy"] = float(hits / persons)
            figures, details, table = self.processes.gather((figures, details, table))[0]
        finally:
            part.unlink(missing_ok=True)
        return Measured("frame_mAP", figures, details, table, bad)

    def _write_detections(
        self, network: nn.Module, file: TextIO, progress: OnProgress, problems: list[str]
    ) -> tuple[int, int, int]:
        """Clips done, persons whose best class is right, and persons who do anything."""
        hits = persons = done = 0
        for batch in self._batches(progress, problems):
            done += len(batch.frames)
            if len(batch.boxes):
                scores = self._scores(network, batch)
                self._write(file, batch, scores)
                named = batch.targets.sum(1) > 0
                best = torch.from_numpy(scores.argmax(1, keepdims=True))
                hits += int(batch.targets.gather(1, best)[:, 0][named].sum())
                persons += int(named.sum())
        return done, hits, persons

    def _write(self, file: TextIO, batch: ClipBatch, scores: npt.NDArray[np.float32]) -> None:
        writer = csv.writer(file, lineterminator="\n")
        ids = self.dataset.class_ids
        for place, kept, row in zip(batch.boxes[:, 0].long().tolist(), batch.kept.tolist(), scores, strict=True):
            sample = self.dataset.samples[int(batch.indices[place])]
            box = [f"{edge:.6f}" for edge in sample.boxes[kept]]
            where = [sample.video_id, keyframe_text(sample.keyframe), *box]
            writer.writerows([*where, label, f"{score:.7g}"] for label, score in zip(ids, row.tolist(), strict=True))

    def _truth_file(self) -> Path:
        path = self.folder / "truth.csv"
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        for sample in self.truth.samples:
            for box, labels in zip(sample.boxes, sample.labels, strict=True):
                where = [sample.video_id, keyframe_text(sample.keyframe), *(f"{edge:.6f}" for edge in box)]
                writer.writerows([*where, self.truth.class_ids[label]] for label in labels)
        write_text(path, text.getvalue())
        return path

    def _classification(self, network: nn.Module, name: str, progress: OnProgress) -> Measured:
        problems: list[str] = []
        shape = (len(self.dataset), self.dataset.num_classes)
        pooled, counts = np.zeros(shape, np.float32), np.zeros(len(self.dataset), np.int64)
        pool = np.add if self.pooling == "mean" else np.maximum
        for batch in self._batches(progress, problems):
            scores, indices = self._scores(network, batch), batch.indices.numpy()
            pool.at(pooled, indices, scores)
            np.add.at(counts, indices, 1)
        bad = self._gathered(problems, int(counts.sum()))
        parts, numbers = zip(*self.processes.gather((pooled, counts)), strict=True)
        pooled, counts = pool.reduce(parts), np.sum(numbers, 0)
        if self.pooling == "mean":
            pooled = pooled / np.maximum(counts, 1)[:, None]
        if not np.isfinite(pooled).all():
            raise TrainingError(f"scores on {self.dataset.name} are not finite; the weights are spoilt")
        targets = np.stack([sample.targets(shape[1])[0] for sample in self.dataset.samples])
        if self.dataset.multi_label:
            result = multilabel_map(pooled, targets.astype(int), self.labels, self.protocol or CHARADES_PROTOCOLS[0])
            return Measured("mAP", {"mAP": result.mean_ap}, result.to_json(), result.table(), bad)
        accuracy = topk_accuracy(pooled, targets.argmax(1), (1, min(5, shape[1])))
        figures = {f"top{k}": value for k, value in accuracy.items()}
        return Measured("top1", figures, {"videos": shape[0]}, "", bad)


def keyframe_text(time: float | None) -> str:
    """A keyframe as AVA files write it: 0902, or with decimals where it has some."""
    assert time is not None
    return f"{round(time):04d}" if abs(time - round(time)) < 1e-6 else f"{time:.6f}"


def _join(path: Path, parts: list[Path]) -> None:
    with atomic_file(path) as whole:
        for part in parts:
            whole.write(part.read_bytes())
