"""The published augmentation of clips, boxes and pixels together: scale jitter, random crop, flip, colour.

Detection (Feichtenhofer et al., "SlowFast Networks", 2019, section 5.1) cuts a square of 224 pixels out of frames whose
shorter side is drawn between 256 and 320; classification (section 4.1) does the same, or cuts a part of any area and
shape (Szegedy et al., 2015), as later recipes do.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from sf_detect.data.augmentation import colour_jitter
from sf_detect.errors import ConfigError
from sf_detect.structures import UInt8Array

_TRIES = 10


@dataclass(frozen=True)
class Augmentation:
    """What may happen to a training clip.

    Attributes:
        crop: Side of the square that comes out, in pixels.
        scales: Shorter side that frames are resized to before the square is cut, smallest and largest, in pixels.
        area: Instead of `scales`, the share of the frame's area that is cut out, smallest and largest.
        aspect: With `area`, width / height of the part, smallest and largest.
        flip: Half of the clips are mirrored left to right.
        colour: Strength of changes of brightness, contrast, saturation and tint, 0 to 1.
    """

    crop: int = 224
    scales: tuple[float, float] = (256, 320)
    area: tuple[float, float] | None = None
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    flip: bool = True
    colour: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.crop <= self.scales[0] <= self.scales[1]:
            raise ConfigError(
                f"expected 0 < crop <= smallest <= largest scale, got crop {self.crop} and scales {self.scales}"
            )
        if self.area is not None and not 0 < self.area[0] <= self.area[1] <= 1:
            raise ConfigError(f"expected 0 < smallest <= largest area <= 1, got {self.area}")
        if not 0 < self.aspect[0] <= self.aspect[1]:
            raise ConfigError(f"expected 0 < smallest <= largest aspect, got {self.aspect}")
        if not 0 <= self.colour <= 1:
            raise ConfigError(f"expected a colour strength from 0 to 1, got {self.colour}")


#: x, y, width, height in pixels of the frames.
Part = tuple[int, int, int, int]


def augment(
    rng: np.random.Generator, frames: UInt8Array, boxes: npt.NDArray[np.float32], options: Augmentation
) -> tuple[UInt8Array, npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """One random view of a clip, alike in all of its frames.

    Args:
        rng: Draws everything.
        frames: (T, H, W, 3) uint8 RGB.
        boxes: (N, 4) float32 xyxy pixels of `frames`; (0, 4) for classification.
        options: See there.

    Returns:
        Frames (T, crop, crop, 3); the M boxes of which at least a pixel is seen, cut at the border, (M, 4) float32 in
        pixels of these frames; and which ones they are, (M,), for their labels.
    """
    height, width = frames.shape[1:3]
    part = random_part(rng, width, height, options)
    flip = bool(options.flip and rng.random() < 0.5)
    images = cut(frames, part, options.crop, flip)
    if options.colour:
        images = colour_jitter(rng, images, options.colour)
    moved = boxes_in(boxes, part, options.crop, flip)
    kept = np.flatnonzero((moved[:, 2:] - moved[:, :2]).min(1, initial=np.inf) >= 1)
    return images, moved[kept], kept


def random_part(rng: np.random.Generator, width: int, height: int, options: Augmentation) -> Part:
    """The part of frames of this size that is seen."""
    if options.area is not None:
        w, h = _any_shape(rng, width, height, options.area, options.aspect)
    else:
        # Cutting first and resizing after is the same view, for less work.
        side = options.crop * min(width, height) / rng.uniform(*options.scales)
        w = h = min(max(1, round(side)), width, height)
    return int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1)), w, h


def _any_shape(
    rng: np.random.Generator, width: int, height: int, area: tuple[float, float], aspect: tuple[float, float]
) -> tuple[int, int]:
    for _ in range(_TRIES):
        size = width * height * rng.uniform(*area)
        ratio = np.exp(rng.uniform(*np.log(aspect)))
        w, h = round(np.sqrt(size * ratio)), round(np.sqrt(size / ratio))
        if 0 < w <= width and 0 < h <= height:
            return w, h
    return min(width, height), min(width, height)


def cut(frames: UInt8Array, part: Part, output: int, flip: bool) -> UInt8Array:
    """A part of frames (T, H, W, 3), resized to (T, output, output, 3) and mirrored if wanted."""
    x, y, w, h = part
    how = cv2.INTER_AREA if min(w, h) > output else cv2.INTER_LINEAR
    result = np.empty((len(frames), output, output, 3), np.uint8)
    for target, frame in zip(result, frames, strict=True):
        resized = cv2.resize(frame[y : y + h, x : x + w], (output, output), interpolation=how)
        target[:] = resized[:, ::-1] if flip else resized
    return result


def boxes_in(boxes: npt.NDArray[np.float32], part: Part, output: int, flip: bool) -> npt.NDArray[np.float32]:
    """Boxes (N, 4) xyxy of frames as pixels of what `cut` makes of them, cut at its border."""
    x, y, w, h = part
    moved = (boxes.reshape(-1, 4) - np.array([x, y, x, y])) * (output / np.array([w, h, w, h]))
    if flip:
        moved = moved[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [output, 0, output, 0]
    return moved.clip(0, output).astype(np.float32)
