"""A classifier for tests, whose answer hangs on one thing: how high the hips lie over the knees."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from sf_detect.keypoints.appearance import AppearanceHead
from sf_detect.keypoints.efficientnet_lite import FEATURES
from sf_detect.keypoints.features import features
from sf_detect.keypoints.looks import Window
from sf_detect.keypoints.network import Sizes
from sf_detect.keypoints.postures import NAMES
from sf_detect.labels import label_set
from sf_detect.structures import Detections, Keypoints

ACTIONS = label_set("jhmdb21").names
THRESHOLDS = (0.5, 0.4, 0.6, 0.5, 0.5, 0.5, 0.5, 0.6)


def window_of(standing: bool, times: int = 3) -> Window:
    """The same look at somebody who stands or sits, a few times."""
    points, metres = np.full((33, 3), 0.9, np.float32), np.zeros((33, 3), np.float32)
    metres[11:23, 1] = -0.5
    metres[25:, 1] = (0.45 if standing else 0.0) + np.array([0, 0, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4], np.float32)
    metres[25:27, 2] = 0.0 if standing else -0.45
    points[:, 0], points[:, 1] = 200 + 100 * metres[:, 0], 200 + 100 * metres[:, 1]
    return Window(
        np.arange(times) * 0.25,
        np.tile(points, (times, 1, 1)),
        np.tile(metres, (times, 1, 1)),
        np.full(times, 0.99, np.float32),
        np.tile(np.array([150, 100, 250, 300], np.float32), (times, 1)),
        (480, 640),
    )


def persons_of(window: Window, track: int) -> Detections:
    """The person of a window at its newest look."""
    keypoints = Keypoints(window.points[-1:], window.metres[-1:], window.presence[-1:])
    return Detections(window.boxes[-1:], np.array([0.9]), np.array([track]), keypoints)


def write_posture_file(
    path: Path,
    fusion: Mapping[str, object] | None = None,
    weight: float = 12.0,
    pictures: Mapping[str, np.ndarray] | None = None,
    **metadata: str | None,
) -> Path:
    """A file of the format; stands where the knees are far below the hips, sits where they are not.

    Args:
        path: Where.
        fusion: Of the metadata.
        weight: How sure it is.
        pictures: Arrays of what scores persons' pictures, see `sitting_pictures`.
        metadata: Other values; None leaves one out.
    """
    stands, sits = features(window_of(True)), features(window_of(False))
    sizes = Sizes(1, stands.shape[1], 2, len(ACTIONS))
    arrays = {name: np.zeros(shape, np.float32) for name, shape in sizes.shapes().items()}
    arrays["std"][:] = 1
    arrays["mean"][0] = (stands[-1] + sits[-1]) / 2
    way = stands[-1] - sits[-1]
    arrays["embed.weight"][0] = np.stack([way, -way]) / np.linalg.norm(way)
    arrays["mix.weight"][0, :, :2] = np.eye(2)
    arrays["head.weight"][0, [NAMES.index("stand"), NAMES.index("sit")]] = weight * np.eye(2)
    labels = [
        *({"name": n, "group": "posture", "threshold": t} for n, t in zip(NAMES, THRESHOLDS, strict=True)),
        {"name": "none", "group": "posture"},
        *({"name": name, "group": "action"} for name in ACTIONS),
        {"name": "none", "group": "action"},
    ]
    stated = {
        "format": "sf-detect-posture/1",
        "labels": json.dumps(labels),
        "network": json.dumps(vars(sizes)),
        "fusion": json.dumps(fusion or {}),
        **metadata,
    }
    save_file({**arrays, **(pictures or {})}, path, {key: text for key, text in stated.items() if text is not None})
    return path


def sitting_pictures() -> dict[str, np.ndarray]:
    """Arrays of a file that takes pictures of everybody for sitting, more so the larger the first feature."""
    weight, bias = np.zeros((len(NAMES) + 1, FEATURES), np.float32), np.zeros(len(NAMES) + 1, np.float32)
    weight[NAMES.index("sit"), 0], bias[NAMES.index("sit")] = 1, 2
    return AppearanceHead.product(weight, bias, 0.75).arrays()
