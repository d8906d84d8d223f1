"""Labelled moments as tensors: which frames, which view of them, which boxes; for loader workers.

Everything drawn at random follows from the seed, the epoch and the sample's number, so that a view is the same in
every run, whichever worker of whichever process makes it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from types import TracebackType
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from sf_detect import boxes as box_ops
from sf_detect.data.augmentation import background_box, random_erase
from sf_detect.data.clip_augmentation import Augmentation, augment
from sf_detect.data.decoding import probe, read_clip
from sf_detect.data.samples import ActionDataset, ClipSample
from sf_detect.data.snippets import segment_starts
from sf_detect.errors import ConfigError, DataError, UnknownNameError
from sf_detect.models.video_views import Cropper, Views, clip_times
from sf_detect.structures import ClipSpec, UInt8Array
from sf_detect.training.multigrid import SamplingGrid

SAMPLING = ("rate", "segments")
_REPLACEMENTS = 10
_FPS = 30.0  # of a video that does not say

Times = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ClipViews:
    """How clips are cut out of videos and pictures out of frames.

    Attributes:
        spec: The network's sampling.
        augmentation: Of training clips.
        sampling: "rate" (the network's sampling rate around a keyframe, or anywhere in the span) or "segments" (one
            frame out of each of `spec.num_frames` equal parts of the span: TSN and Something-Something).
        erase: Largest share of a training picture that is greyed out.
        background: Boxes without a person, with no action, that are added to each training clip where they fit.
        short_side: Of test pictures, in pixels.
        test_crop: Side of a classifier's test squares, in pixels.
        test_views: Of a classifier.
        loop: A video shorter than its clip starts over in testing.
    """

    spec: ClipSpec
    augmentation: Augmentation
    sampling: str = "rate"
    erase: float = 0.0
    background: int = 0
    short_side: int = 256
    test_crop: int = 256
    test_views: Views = Views(1, 1)  # noqa: RUF009 (frozen)
    loop: bool = False

    def __post_init__(self) -> None:
        if self.sampling not in SAMPLING:
            raise UnknownNameError("sampling", self.sampling, SAMPLING)

    def at(self, grid: SamplingGrid, rng: np.random.Generator) -> ClipViews:
        """The same for training clips of another shape: what they show of a picture does not change with the crop."""
        low, high = grid.sampling_rates
        rate = low if low == high else int(rng.integers(low, high + 1))
        whole = self.augmentation
        least, most = (scale * grid.crop / whole.crop for scale in whole.scales)
        return replace(
            self,
            spec=replace(self.spec, num_frames=grid.frames, sampling_rate=rate),
            augmentation=replace(whole, crop=grid.crop, scales=(least, most)),
        )


@dataclass(frozen=True, eq=False)
class ClipItem:
    """One sample, decoded.

    Attributes:
        index: Of the sample in its dataset.
        frames: (V, T, h, w, 3) uint8 RGB, V views.
        boxes: (N, 4) float32 xyxy pixels of `frames`.
        targets: (N, C) float32 multi-hot, (1, C) for classification.
        kept: (N,) which of the sample's boxes these are; -1 for background.
        problem: What went wrong; a training clip is then another sample's, a test clip is empty.
    """

    index: int
    frames: Tensor
    boxes: Tensor
    targets: Tensor
    kept: Tensor
    problem: str | None = None


def sample_span(sample: ClipSample) -> tuple[float, float]:
    """Start and end of what a sample is about, seconds on the annotation's clock."""
    if sample.span is not None:
        return sample.span
    info = probe(sample)
    frames = info.num_frames / float(info.fps or _FPS) if info.num_frames else 0.0
    return sample.start_time, sample.start_time + (info.duration or frames)


def training_times(sample: ClipSample, views: ClipViews, rng: np.random.Generator) -> Times:
    """When the frames of a training clip are: around the keyframe, or at a random place of the span."""
    spec = views.spec
    if views.sampling == "segments":
        return _segments(sample, spec.num_frames, rng)
    if sample.keyframe is not None:
        return sample.keyframe + spec.offsets()
    start, end = sample_span(sample)
    room = max(0.0, end - start - spec.duration)
    return start + room * rng.random() + np.arange(spec.num_frames) * np.float64(spec.interval)


def viewing_times(sample: ClipSample, views: ClipViews) -> list[Times]:
    """When the frames of a test clip are, for each temporal view: at most `test_views.clips`, fewer of short videos."""
    spec = views.spec
    if views.sampling == "segments":
        return [_segments(sample, spec.num_frames, None)]
    if sample.keyframe is not None:
        return [sample.keyframe + spec.offsets()]
    start, end = sample_span(sample)
    return [start + times for times in clip_times(spec, views.test_views.clips, end - start, views.loop)]


def _segments(sample: ClipSample, count: int, rng: np.random.Generator | None) -> Times:
    start, end = sample_span(sample)
    interval = float(1 / (probe(sample).fps or _FPS))
    places = segment_starts(max(1, round((end - start) / interval)), count, 1, rng)
    return start + places * np.float64(interval)


class Place(NamedTuple):
    """What a training clip follows from.

    Attributes:
        epoch: From 0.
        sample: Its number.
        grid: The clip's shape.
    """

    epoch: int
    sample: int
    grid: SamplingGrid


class TrainingClips(Dataset[ClipItem]):
    """Randomly cut, augmented clips; called with a `Place`.

    Args:
        dataset: Samples with labels.
        views: How they are cut.
        seed: Of everything random.
    """

    def __init__(self, dataset: ActionDataset, views: ClipViews, seed: int) -> None:
        self.dataset, self.views, self.seed = dataset, views, seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, place: Place) -> ClipItem:  # type: ignore[override]
        """The clip of a sample; one that can't be decoded is replaced by the next that can.

        Raises:
            ConfigError: Many in a row can't be decoded.
        """
        epoch, index, grid = place
        problem: str | None = None
        for step in range(_REPLACEMENTS):
            number = (index + step) % len(self.dataset)
            try:
                rng = np.random.default_rng([self.seed, epoch, number])
                return self._item(number, self.views.at(grid, rng), rng, problem)
            except DataError as error:
                problem = problem or str(error)
        raise ConfigError(f"{_REPLACEMENTS} clips in a row can't be decoded, the first because {problem}")

    def _item(self, index: int, views: ClipViews, rng: np.random.Generator, problem: str | None) -> ClipItem:
        sample = self.dataset.samples[index]
        times = training_times(sample, views, rng)
        # Frames need not be larger than the largest picture that a part is cut out of.
        frames = read_clip(sample, times, int(views.augmentation.scales[1]))
        boxes = sample.boxes * np.array([frames.shape[2], frames.shape[1]] * 2, np.float32)
        images, boxes, kept = augment(rng, frames, boxes, views.augmentation)
        if views.erase:
            images = random_erase(rng, images, views.erase)
        targets = sample.targets(self.dataset.num_classes)
        if self.dataset.task == "detection":
            extra = np.array(list(_background(rng, boxes, views)), np.float32).reshape(-1, 4)
            boxes = np.concatenate([boxes, extra])
            targets = np.concatenate([targets[kept], np.zeros((len(extra), self.dataset.num_classes), np.float32)])
            kept = np.concatenate([kept, np.full(len(extra), -1)])
        return _item(index, images[None], boxes, targets, kept, problem)


def _background(rng: np.random.Generator, persons: npt.NDArray[np.float32], views: ClipViews) -> Iterator[np.ndarray]:
    for _ in range(views.background):
        nobody = persons[0] if len(persons) else np.zeros(4, np.float32)
        box = background_box(rng, nobody, views.augmentation.crop)
        if box is not None and (not len(persons) or box_ops.iou(box[None], persons).max() < 0.1):
            yield box


class EvaluationClips(Dataset[ClipItem]):
    """Whole frames with their boxes (detection), or the squares of one temporal view (classification).

    A classification sample comes as often as `views.test_views.clips` says: item i is view i % clips of sample
    i // clips.
    """

    def __init__(self, dataset: ActionDataset, views: ClipViews) -> None:
        self.dataset, self.views = dataset, views
        single = dataset.task == "detection" or views.sampling == "segments"
        self.clips = 1 if single else views.test_views.clips

    def __len__(self) -> int:
        return len(self.dataset) * self.clips

    def __getitem__(self, number: int) -> ClipItem:
        index, clip = divmod(number, self.clips)
        sample = self.dataset.samples[index]
        try:
            frames = self._frames(sample, clip)
        except DataError as error:
            none = np.zeros((0, 1, 1, 1, 3), np.uint8)
            return _item(index, none, sample.boxes, self._targets(sample), np.arange(len(sample.boxes)), str(error))
        boxes = sample.boxes * np.array([frames.shape[3], frames.shape[2]] * 2, np.float32)
        return _item(index, frames, boxes, self._targets(sample), np.arange(len(boxes)), None)

    def _targets(self, sample: ClipSample) -> npt.NDArray[np.float32]:
        return sample.targets(self.dataset.num_classes)

    def _frames(self, sample: ClipSample, clip: int) -> UInt8Array:
        views = self.views
        times = viewing_times(sample, views)
        frames = read_clip(sample, times[min(clip, len(times) - 1)], views.short_side)
        if self.dataset.task == "detection":
            return frames[None]
        cropper = Cropper(views.short_side, views.test_crop, views.test_views.crops)
        return np.stack([cropper(frame) for frame in frames], 1)


def _item(
    index: int, frames: UInt8Array, boxes: np.ndarray, targets: np.ndarray, kept: np.ndarray, problem: str | None
) -> ClipItem:
    return ClipItem(
        index,
        torch.from_numpy(frames),
        torch.from_numpy(np.asarray(boxes, np.float32)),
        torch.from_numpy(np.asarray(targets, np.float32)),
        torch.from_numpy(np.asarray(kept, np.int64)),
        problem,
    )


@dataclass(frozen=True, eq=False)
class ClipBatch:
    """Clips of one size.

    Attributes:
        frames: (B, T, h, w, 3) uint8 RGB.
        boxes: (N, 5) float32: index into the batch, xyxy pixels of `frames`.
        targets: (N, C) for detection, (B, C) for classification; float32 multi-hot.
        indices: (B,) of the samples.
        kept: (N,) see `ClipItem`.
        problems: What could not be decoded.
    """

    frames: Tensor
    boxes: Tensor
    targets: Tensor
    indices: Tensor
    kept: Tensor
    problems: tuple[str, ...] = ()

    @classmethod
    def of(cls, items: Sequence[ClipItem]) -> ClipBatch:
        """The items' views one after another; items of several views repeat their index."""
        views = [len(item.frames) for item in items]
        places = torch.repeat_interleave(torch.tensor([len(item.boxes) for item in items]))
        return cls(
            torch.cat([item.frames for item in items]),
            torch.cat([places[:, None].float(), torch.cat([item.boxes for item in items])], 1),
            torch.cat([item.targets for item in items]),
            torch.tensor([item.index for item in items]).repeat_interleave(torch.tensor(views)),
            torch.cat([item.kept for item in items]),
            tuple(item.problem for item in items if item.problem is not None),
        )


def by_size(items: Sequence[ClipItem]) -> list[ClipBatch]:
    """Items of any sizes as batches of one size each; those that could not be decoded are empty batches."""
    groups: dict[tuple[int, ...], list[ClipItem]] = {}
    for item in items:
        groups.setdefault(tuple(item.frames.shape[2:4]), []).append(item)
    return [ClipBatch.of(group) for group in groups.values()]


class EpochBatches(Sampler[list[Place]]):
    """The batches of one process in one epoch, from a position on.

    All processes together take consecutive parts of one shuffled order, so that the batches of N processes of size B
    are those of one process of size N * B. The clips that fill no last batch wait for the next epoch.

    Args:
        size: Samples there are.
        batch: Clips of a process and step part, of a grid whose factor is 1; larger ones join several such batches.
        rank, world: The process, and how many there are.
        seed, epoch: The order follows from them.
        cycle: The shapes that steps take in turn.
        accumulate: Batches of a step.
        start: Batches to pass over: an interrupted epoch goes on.
    """

    def __init__(
        self,
        size: int,
        batch: int,
        rank: int,
        world: int,
        seed: int,
        epoch: int,
        cycle: Sequence[SamplingGrid],
        accumulate: int = 1,
        start: int = 0,
    ) -> None:
        order = np.random.default_rng([seed, epoch]).permutation(size)
        whole = batch * world
        if size < whole:  # a small dataset is seen more than once
            order = np.resize(order, whole)
        parts = order[: len(order) // whole * whole].reshape(-1, world, batch)[:, rank]
        batches: list[list[Place]] = []
        for number in count():
            grid = cycle[number // accumulate % len(cycle)]
            if len(parts) < grid.batch:
                break
            batches.append([Place(epoch, int(index), grid) for index in parts[: grid.batch].ravel()])
            parts = parts[grid.batch :]
        self._batches = batches[start:]

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[Place]]:
        return iter(self._batches)


def start_worker(_: int) -> None:
    """One OpenCV thread for each worker: they share the cores already (torch sees to its own).

    A worker whose training was interrupted is not told so by a traceback of the thread that hands its batches over.
    """
    cv2.setNumThreads(1)
    sys.excepthook = _unless_nobody_listens


def _unless_nobody_listens(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not isinstance(error, (ConnectionError, EOFError)):
        sys.__excepthook__(kind, error, trace)
