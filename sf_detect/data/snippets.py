"""Snippets for temporal segment networks: where they lie, what each modality shows, how they are cropped.

Wang et al., "Temporal Segment Networks", ECCV 2016, sections 3.1 and 3.2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.video.optical_flow import optical_flow, scaled, warped_flow

#: Consecutive frames that a snippet is made of: five flows or differences need six.
FRAMES: Mapping[str, int] = {"rgb": 1, "rgb_difference": 6, "flow": 6, "warped_flow": 6}
#: Share of the short side that is looked at in testing, 224 pixels of 256.
_TEST_SHARE = 224 / 256
#: Side lengths that scale jittering draws width and height from, for frames with a short side of 256.
SCALES = (256, 224, 192, 168)


def segment_starts(
    num_frames: int, segments: int, length: int, rng: np.random.Generator | None = None
) -> npt.NDArray[np.int64]:
    """First frames of the snippets of K equal segments.

    Args:
        num_frames: Frames of the video.
        segments: K.
        length: Frames of a snippet; it stays inside the video where the video is long enough.
        rng: Draws a place in each segment (training); None takes the middle (testing).

    Returns:
        (K,) int64, not decreasing. Videos with fewer places than segments repeat some.

    Raises:
        ConfigError: A count is not positive.
    """
    if min(num_frames, segments, length) < 1:
        raise ConfigError(
            f"frames, segments and snippet length are positive, got {num_frames}, {segments} and {length}"
        )
    places = max(num_frames - length + 1, 1)
    share = 0.5 if rng is None else rng.random(segments)
    starts = ((np.arange(segments) + share) * places / segments).astype(np.int64)
    return np.minimum(starts, places - 1)


def snippet(frames: npt.NDArray[np.uint8], modality: str) -> npt.NDArray[np.float32]:
    """What a network of this modality sees of some consecutive frames.

    Args:
        frames: (L, H, W, 3) uint8 RGB, L as in `FRAMES`.
        modality: A key of `FRAMES`.

    Returns:
        (H, W, channels) float32: 3 for RGB in [0, 1]; 15 differences in [-1, 1]; 10 flow components in [-1, 1],
        x and y of each flow in turn.

    Raises:
        UnknownNameError: No such modality.
        ConfigError: Another number of frames.
    """
    if modality not in FRAMES:
        raise UnknownNameError("modality", modality, FRAMES)
    if frames.ndim != 4 or len(frames) != FRAMES[modality]:
        raise ConfigError(f"a {modality} snippet is made of {FRAMES[modality]} frames (H, W, 3), got {frames.shape}")
    if modality == "rgb":
        return frames[0].astype(np.float32) / 255
    if modality == "rgb_difference":
        differences = np.diff(frames.astype(np.float32) / 255, axis=0)
        return np.concatenate(list(differences), -1)
    flow: Callable[..., npt.NDArray[np.float32]] = optical_flow if modality == "flow" else warped_flow
    flows = [flow(a, b) for a, b in pairwise(frames)]
    return scaled(np.concatenate(flows, -1))


def segment_clip(
    frames: npt.NDArray[np.uint8],
    modality: str,
    segments: int,
    *,
    rng: np.random.Generator | None = None,
    output: int = 224,
) -> npt.NDArray[np.float32]:
    """The snippets of a video as the input of a temporal segment network.

    Training draws a place in each segment, one corner crop with jittered scale for all of them, and a mirror image
    every other time; testing takes the middle of each segment and the centre.

    Args:
        frames: (N, H, W, 3) uint8 RGB, the whole video. One that is shorter than a snippet stands still at its end.
        modality: A key of `FRAMES`.
        segments: K.
        rng: For training; None for testing.
        output: Side of the network's input in pixels.

    Returns:
        (channels, K, output, output) float32, see `snippet`. RGB is not normalised yet.

    Raises:
        UnknownNameError: No such modality.
        ConfigError: No frames, or no segments.
    """
    if modality not in FRAMES:
        raise UnknownNameError("modality", modality, FRAMES)
    length = FRAMES[modality]
    starts = segment_starts(len(frames), segments, length, rng)
    size = (frames.shape[1], frames.shape[2])
    crop = _centre_crop(size) if rng is None else corner_crop(size, rng)
    mirror = rng is not None and rng.random() < 0.5
    views = []
    for start in starts:
        index = np.minimum(np.arange(start, start + length), len(frames) - 1)
        view = cropped(snippet(frames[index], modality), crop, output)
        views.append(flipped(view, modality) if mirror else view)
    return np.stack(views).transpose(3, 0, 1, 2)


def _centre_crop(size: tuple[int, int]) -> tuple[int, int, int, int]:
    height, width = size
    side = max(1, round(min(size) * _TEST_SHARE))
    return (width - side) // 2, (height - side) // 2, side, side


def corner_crop(
    size: tuple[int, int], rng: np.random.Generator, scales: tuple[int, ...] = SCALES, short_side: int = 256
) -> tuple[int, int, int, int]:
    """Corner cropping with scale jittering.

    Width and height are drawn from the scales, at most one step apart; the place is a corner or the centre, so that
    the border of the frame is seen as often as its middle.

    Args:
        size: (H, W) of the frames; the scales are stated for a short side of `short_side`.
        rng: Draws scale and place.
        scales: Descending.
        short_side: See `size`.

    Returns:
        (x, y, width, height) in pixels.
    """
    height, width = size
    ratio = min(height, width) / short_side
    sides = [max(1, min(round(s * ratio), height, width)) for s in scales]
    pairs = [(a, b) for i, a in enumerate(sides) for j, b in enumerate(sides) if abs(i - j) <= 1]
    w, h = pairs[rng.integers(len(pairs))]
    right, bottom = width - w, height - h
    places = [(0, 0), (right, 0), (0, bottom), (right, bottom), (right // 2, bottom // 2)]
    x, y = places[rng.integers(len(places))]
    return x, y, w, h


def cropped(
    image: npt.NDArray[np.float32], crop: tuple[int, int, int, int], output: int = 224
) -> npt.NDArray[np.float32]:
    """The crop (x, y, width, height) of an image (H, W, channels), resized to (output, output, channels)."""
    x, y, w, h = crop
    part = image[y : y + h, x : x + w]
    # OpenCV resizes at most four channels at once.
    groups = [part[..., i : i + 4] for i in range(0, part.shape[2], 4)]
    resized = [cv2.resize(g, (output, output), interpolation=cv2.INTER_LINEAR) for g in groups]
    return np.concatenate([np.asarray(r, np.float32).reshape(output, output, -1) for r in resized], -1)


def flipped(image: npt.NDArray[np.float32], modality: str) -> npt.NDArray[np.float32]:
    """The mirror image of a snippet (H, W, channels); horizontal flow changes its sign."""
    mirrored = image[:, ::-1].copy()
    if modality in ("flow", "warped_flow"):
        mirrored[..., ::2] *= -1
    return mirrored
