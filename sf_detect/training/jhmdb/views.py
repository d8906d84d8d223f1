"""Training and test views of J-HMDB clips: frames, boxes and where they came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sf_detect.atomic_file import atomic_path
from sf_detect.boxes import iou
from sf_detect.data import augmentation as aug
from sf_detect.data.jhmdb import JHMDBClip, read_frames
from sf_detect.errors import DataError
from sf_detect.structures import Detections

#: A detected person is the actor from this IoU on, and somebody else below that one.
SAME, OTHER = 0.5, 0.3


def open_stored(path: Path) -> np.ndarray:
    """The array of an `.npy` that an earlier run stored, in a map of the file.

    Raises:
        DataError: It is not there or damaged.
    """
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise DataError(path, None, f"cannot be read as an array: {error}; delete it and it is made again") from error


class FrameStore:
    """Decoded frames of all clips in one memory-mapped file, so that epochs cost no decoding.

    Args:
        path: the .npy file; made when missing, with a list of its clips beside it.
        height: stored short side; J-HMDB is 4:3 throughout.
    """

    def __init__(self, path: Path, clips: Sequence[JHMDBClip], height: int = 192) -> None:
        self.height, self.width = height, round(height * 4 / 3 / 2) * 2
        counts = [clip.num_frames for clip in clips]
        starts = np.concatenate([[0], np.cumsum(counts)])
        self.spans = {c.video_id: (int(a), int(a) + c.num_frames) for c, a in zip(clips, starts[:-1], strict=True)}
        if not path.exists():
            self._decode(path, clips, int(starts[-1]))
        self.frames = open_stored(path)
        if self.frames.shape != (int(starts[-1]), self.height, self.width, 3):
            raise DataError(path, None, "was made from other clips or sizes; delete it and it is made again")

    def _decode(self, path: Path, clips: Sequence[JHMDBClip], total: int) -> None:
        shape = (total, self.height, self.width, 3)
        with atomic_path(path) as partial:
            frames = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape)
            for clip in clips:
                first, last = self.spans[clip.video_id]
                frames[first:last] = read_frames(clip, self.width, self.height)
            frames.flush()
            del frames  # Windows renames no file that is mapped

    def clip(self, clip: JHMDBClip) -> np.ndarray:
        """(num_frames, height, width, 3) RGB uint8, read-only."""
        first, last = self.spans[clip.video_id]
        return self.frames[first:last]

    def scale_boxes(self, clip: JHMDBClip) -> np.ndarray:
        """The clip's boxes (num_frames, 4) in pixels of the stored frames."""
        return clip.boxes * np.array([self.width / clip.width, self.height / clip.height] * 2)


@dataclass(frozen=True)
class Augmentation:
    """How training views differ from test views; see `data.augmentation`.

    Attributes:
        sizes: Sides of the square views in pixels, multiples of 32; one is drawn for each batch, so that persons of the
            same clip come in several sizes.
        past: Share of batches whose clips begin `past_frames` fast frames before the window that is scored.
        bystanders: Most persons other than the actor in each view.
    """

    sizes: tuple[int, ...] = (128,)
    scale: tuple[float, float] = (0.7, 1.0)
    speed: tuple[float, float] = (0.8, 1.25)
    centred: float = 0.5
    colour: float = 0.7
    erase: float = 0.2
    box: float = 0.1
    past: float = 0.0
    past_frames: int = 8
    bystanders: int = 2


@dataclass
class Batch:
    """What one step sees.

    Attributes:
        fast: (B, 3, T, H, W) float in [-1, 1]; the last frames are the window that is scored, those before it the past.
        boxes: (N, 5) index into the batch and xyxy in pixels of `fast`.
        labels: (N,) the box's action, or -1 for background and for persons other than the actor.
        clips: (B,) number of each clip in the training list.
        crops: (B, 4) xyxy of each view as shares of the frame.
        flips: (B,) mirrored.
        indices: (B, T') frame numbers of the window that is scored.
    """

    fast: Tensor
    boxes: Tensor
    labels: Tensor
    clips: Tensor
    crops: Tensor
    flips: Tensor
    indices: Tensor

    def pathways(self, alpha: int) -> list[Tensor]:
        """Slow and fast; slow frame k is fast frame alpha * k + alpha - 1."""
        return [self.fast[:, :, alpha - 1 :: alpha], self.fast]


@dataclass(frozen=True)
class Window:
    """How a test clip is sampled: fast frames, and video frames from one to the next."""

    frames: int
    step: int = 1


def to_input(images: np.ndarray) -> Tensor:
    """(..., T, H, W, 3) uint8 -> (..., 3, T, H, W) float in [-1, 1]; memory stays channels-last."""
    return torch.from_numpy(images).movedim(-1, -4).float().div_(127.5).sub_(1)


class TrainingViews:
    """Draws augmented views; view i of epoch e is the same in every run with the same seed.

    Args:
        store: Decoded frames of at least `clips`.
        clips: What views are drawn of.
        frames: Fast frames of a view.
        step: Video frames from one fast frame to the next.
        options: How views differ.
        persons: By video, whom a detector saw on every frame, in pixels of the video; None where nobody looked. They
            are further examples: of the action where they match the actor's box, of no action where they miss it.
    """

    def __init__(
        self,
        store: FrameStore,
        clips: Sequence[JHMDBClip],
        frames: int,
        step: int,
        options: Augmentation,
        persons: Mapping[str, Sequence[Detections]] | None = None,
    ) -> None:
        self.store, self.clips, self.frames, self.step, self.options = store, clips, frames, step, options
        self.persons = persons

    def batch(self, numbers: Sequence[int], seed: Sequence[int]) -> Batch:
        """The views of the clips called `numbers`."""
        o = self.options
        past = o.past_frames if np.random.default_rng([*seed, *numbers, 1]).random() < o.past else 0
        size = o.sizes[np.random.default_rng([*seed, *numbers, 2]).integers(len(o.sizes))]
        samples = [self._sample(n, np.random.default_rng([*seed, n]), past, size) for n in numbers]
        images, views, indices, boxes, labels = zip(*samples, strict=True)
        flat = [[i, *box] for i, group in enumerate(boxes) for box in group]
        extent = np.array([self.store.width, self.store.height] * 2)
        return Batch(
            fast=to_input(np.stack(images)),
            boxes=torch.tensor(np.array(flat, np.float32)),
            labels=torch.tensor([label for group in labels for label in group]),
            clips=torch.tensor(list(numbers)),
            crops=torch.tensor(np.array([[v.x, v.y, v.x + v.size, v.y + v.size] for v in views]) / extent).float(),
            flips=torch.tensor([v.flip for v in views]),
            indices=torch.tensor(np.stack(indices)[:, past:]),
        )

    def _sample(
        self, number: int, rng: np.random.Generator, past: int, size: int
    ) -> tuple[np.ndarray, aug.View, np.ndarray, list[np.ndarray], list[int]]:
        clip, o = self.clips[number], self.options
        keyframe = int(rng.integers(clip.num_frames))
        position = self.frames // 2 if rng.random() < o.centred else int(rng.integers(self.frames // 4, self.frames))
        indices = aug.window_indices(
            clip.num_frames, keyframe, past + self.frames, past + position, self.step * rng.uniform(*o.speed)
        )
        actor = self.store.scale_boxes(clip)[keyframe]
        view = aug.random_view(rng, self.store.width, self.store.height, actor, o.scale)
        images = view.images(self.store.clip(clip)[indices], size)
        images = aug.colour_jitter(rng, images, o.colour)
        if rng.random() < 0.5:
            images = aug.random_erase(rng, images, o.erase)
        boxes, labels = self._boxes(rng, clip, keyframe, view, size)
        return images, view, indices, boxes, labels

    def _boxes(
        self, rng: np.random.Generator, clip: JHMDBClip, keyframe: int, view: aug.View, size: int
    ) -> tuple[list[np.ndarray], list[int]]:
        o = self.options
        actor = view.boxes(self.store.scale_boxes(clip)[keyframe][None], size)[0]
        boxes, labels = [aug.jitter_box(rng, actor, o.box, size)], [clip.label]
        background = aug.background_box(rng, actor, size)
        if background is not None:
            boxes.append(background)
            labels.append(-1)
        if self.persons is None:
            return boxes, labels
        detected = self.persons[clip.video_id][keyframe].boxes
        overlap = iou(detected, clip.boxes[keyframe][None])[:, 0]
        if len(detected) and overlap.max() >= SAME:
            boxes.append(self._seen(view, clip, detected[[overlap.argmax()]], size)[0])
            labels.append(clip.label)
        others = self._seen(view, clip, detected[overlap < OTHER], size)
        others = others[(others[:, 2:] - others[:, :2]).min(1) > size / 16]
        for box in rng.permutation(others)[: o.bystanders]:
            boxes.append(box)
            labels.append(-1)
        return boxes, labels

    def _seen(self, view: aug.View, clip: JHMDBClip, boxes: np.ndarray, size: int) -> np.ndarray:
        """Boxes (N, 4) of the video's pixels as those of the view."""
        stored = boxes * np.tile([self.store.width / clip.width, self.store.height / clip.height], 2)
        return view.boxes(stored, size)


def evaluation_view(store: FrameStore, clip: JHMDBClip, window: Window, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The whole frame around the middle frame.

    Returns:
        Fast input (3, T, H, W) and the box (4,) in its pixels.
    """
    keyframe = clip.num_frames // 2
    indices = aug.window_indices(clip.num_frames, keyframe, window.frames, window.frames // 2, window.step)
    height, width = size
    images = aug.resize(store.clip(clip)[indices], width, height)
    box = clip.boxes[keyframe] * np.array([width / clip.width, height / clip.height] * 2)
    return to_input(images), torch.tensor(box, dtype=torch.float32)
