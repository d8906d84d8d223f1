"""Augmentation that keeps boxes and pixels together, the same for every frame of a clip."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class View:
    """Where a training view lies in its clip.

    Attributes:
        x, y, size: the square crop, in pixels of the stored frames.
        flip: mirrored left to right.
    """

    x: float
    y: float
    size: float
    flip: bool

    def boxes(self, boxes: np.ndarray, output: int) -> np.ndarray:
        """Boxes (N, 4) of the stored frames as xyxy pixels of the output, cut at its border."""
        scaled = (boxes - [self.x, self.y, self.x, self.y]) * (output / self.size)
        if self.flip:
            scaled = scaled[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [output, 0, output, 0]
        return scaled.clip(0, output).astype(np.float32)

    def images(self, frames: np.ndarray, output: int) -> np.ndarray:
        """The crop of frames (T, H, W, 3) resampled to (T, output, output, 3); outside the frame is black."""
        scale = output / self.size
        matrix = np.array([[scale, 0, -self.x * scale], [0, scale, -self.y * scale]])
        matrix[:, 2] += 0.5 * scale - 0.5  # pixel centres
        if self.flip:
            matrix[0] *= -1
            matrix[0, 2] += output - 1
        return np.stack([cv2.warpAffine(frame, matrix, (output, output)) for frame in frames])


def resize(frames: np.ndarray, width: int, height: int) -> np.ndarray:
    """Frames (T, H, W, 3) as (T, height, width, 3), every pixel averaged over the area it covers."""
    return np.stack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames])


def random_view(
    rng: np.random.Generator, width: int, height: int, box: np.ndarray, scale: tuple[float, float], flip: bool = True
) -> View:
    """A square crop whose side is `scale` times the short side and that holds most of the box.

    Args:
        width, height: of the stored frames, in pixels.
        box: (4,) xyxy that the crop keeps, as far as it is large enough.
        scale: smallest and largest side, as a share of the short side; above 1 the border is black.
    """
    size = min(width, height) * rng.uniform(*scale)

    def start(length: int, low: float, high: float) -> float:
        inside = min(0.0, length - size), max(0.0, length - size)
        first = max(inside[0], min(high - size, inside[1]))
        last = min(inside[1], max(low, inside[0]))
        return float(rng.uniform(min(first, last), max(first, last)))

    return View(start(width, box[0], box[2]), start(height, box[1], box[3]), size, bool(flip and rng.random() < 0.5))


def colour_jitter(rng: np.random.Generator, images: np.ndarray, strength: float) -> np.ndarray:
    """Changes brightness, contrast, saturation and tint of (T, H, W, 3) uint8, alike in every frame."""
    grey = np.full((3, 3), 1 / 3)
    saturation = 0.0 if rng.random() < 0.1 * strength else 1 + strength * rng.uniform(-0.6, 0.6)
    gain = (1 + strength * rng.uniform(-0.4, 0.4)) * (1 + strength * rng.uniform(-0.1, 0.1, (3, 1)))
    matrix = gain * (saturation * np.eye(3) + (1 - saturation) * grey)
    offset = strength * rng.uniform(-30, 30) + 128 * (1 - gain.mean())
    transform = np.hstack([matrix, np.full((3, 1), offset)])
    tall = images.reshape(-1, images.shape[2], 3)
    return cv2.transform(tall, transform).reshape(images.shape)


def random_erase(rng: np.random.Generator, images: np.ndarray, share: float) -> np.ndarray:
    """Greys out one rectangle of up to `share` of the area, at the same place in every frame; in place."""
    height, width = images.shape[1:3]
    area = share * rng.random() * height * width
    ratio = np.exp(rng.uniform(-1, 1))
    h, w = int(min(height, np.sqrt(area * ratio))), int(min(width, np.sqrt(area / ratio)))
    y, x = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
    images[:, y : y + h, x : x + w] = 128
    return images


def background_box(rng: np.random.Generator, actor: np.ndarray, size: int, tries: int = 10) -> np.ndarray | None:
    """A box (4,) in a size x size view that overlaps the actor's by less than a tenth of its own area, or None."""
    for _ in range(tries):
        w, h = rng.uniform(0.15, 0.5, 2) * size
        x, y = rng.uniform(0, size - w), rng.uniform(0, size - h)
        across = max(0.0, min(actor[2], x + w) - max(actor[0], x))
        down = max(0.0, min(actor[3], y + h) - max(actor[1], y))
        if across * down < 0.1 * w * h:
            return np.array([x, y, x + w, y + h], np.float32)
    return None


def jitter_box(rng: np.random.Generator, box: np.ndarray, amount: float, size: int) -> np.ndarray:
    """Moves each edge of a box (4,) by up to `amount` of its width or height, as detectors do."""
    extent = np.tile(box[2:] - box[:2], 2)
    return (box + rng.uniform(-amount, amount, 4) * extent).clip(0, size).astype(np.float32)


def window_indices(num_frames: int, keyframe: int, count: int, position: int, speed: float = 1.0) -> np.ndarray:
    """Frame indices (count,) of a window in which the keyframe is number `position`; clamped to the clip."""
    steps = (np.arange(count) - position) * speed
    return np.clip(np.rint(keyframe + steps), 0, num_frames - 1).astype(np.int64)
