"""Motion capture seen from any side: the looks that a landmark network would give, with errors like its own.

Read are text files of the CMU motion capture database as Li et al. (Convolutional Sequence to Sequence Model for Human
Dynamics, CVPR 2018) publish them: a line a frame at 120 frames/s, the root's translation and 38 rotations as rotation
vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sf_detect.errors import DataError
from sf_detect.keypoints.features import features
from sf_detect.keypoints.looks import Window
from sf_detect.training.postures.examples import Examples, answers, change, collect, draw
from sf_detect.training.postures.looks import as_window

Floats = npt.NDArray[np.float64]

FRAMES_PER_SECOND = 120
_SPAN, _STEP = 126, 7  # frames of a window, and from one look that may be drawn to the next
_METRES = 0.0254 / 0.45  # of the database's unit of length

# The database's skeleton: each joint's parent, and where it lies from there while nothing is rotated (x to the person's
# left, y up, z forward), in its unit of length.
_PARENTS: tuple[int, ...] = (-1, 0, 1, 2, 3, 4, 5, 0, 7, 8, 9, 10, 11, 0, 13, 14, 15, 16, 17, 18)
_PARENTS += (15, 20, 21, 22, 23, 24, 25, 23, 27, 15, 29, 30, 31, 32, 33, 34, 32, 36)
_LEG = ((0, 0, 0), (1.63, -1.80, 0.62), (2.60, -7.13, 0), (2.48, -6.81, 0), (0.21, -0.59, 2.14), (0, 0, 1.11))
_SPINE: tuple[tuple[float, float, float], ...] = (
    (0, 0, 0),
    (0.02, 2.05, -0.14),
    (0.01, 2.06, -0.06),
    (0, 0, 0),
    (0.01, 1.57, 0.15),
    (0.03, 1.56, -0.10),
)
_SPINE += ((0.01, 1.63, -0.05),)
_ARM: tuple[tuple[float, float, float], ...] = (
    (0, 0, 0),
    (3.52, 0.83, -0.25),
    (4.95, 0, 0),
    (3.36, 0, 0),
    (0, 0, 0),
    (0.69, 0, 0),
    (0.56, 0, 0),
    (0, 0, 0),
)
_ARM += ((0.57, 0, 0.57),)
_MIRROR = np.array([-1, 1, 1])
_OFFSETS = np.concatenate(
    [np.zeros((1, 3)), _LEG, np.array(_LEG) * _MIRROR, _SPINE, _ARM, np.array(_ARM) * _MIRROR], axis=0
)
LEFT = {"hip": 2, "knee": 3, "ankle": 4, "toe": 6, "shoulder": 21, "elbow": 22, "wrist": 23, "finger": 26}
RIGHT = {"hip": 8, "knee": 9, "ankle": 10, "toe": 12, "shoulder": 30, "elbow": 31, "wrist": 32, "finger": 35}
HEAD = (18, 19)
# MediaPipe's landmarks, left side first
_PAIRS = {"shoulder": 11, "elbow": 13, "wrist": 15, "finger": 19, "hip": 23, "knee": 25, "ankle": 27, "toe": 31}


def read_motion(path: Path) -> Floats:
    """(T, 38, 3) positions of the joints, in metres, y up.

    Raises:
        DataError: The file is not of that kind.
    """
    try:
        if not path.stat().st_size:
            raise ValueError("it is empty")
        rows = np.loadtxt(path, delimiter=",", ndmin=2)
        if rows.shape[1] != 3 * (1 + len(_PARENTS)) or not np.isfinite(rows).all():
            raise ValueError(f"lines of {rows.shape[1]} numbers, expected {3 * (1 + len(_PARENTS))} finite ones")
    except (OSError, ValueError) as error:
        raise DataError(path, None, f"is no motion of the CMU database in Li et al.'s form: {error}") from error
    rotations = _rotation_matrices(rows[:, 3:].reshape(len(rows), -1, 3))
    places = np.zeros((len(rows), len(_PARENTS), 3))
    turned = np.zeros((len(rows), len(_PARENTS), 3, 3))
    for joint, parent in enumerate(_PARENTS):
        if parent < 0:
            places[:, joint], turned[:, joint] = rows[:, :3], rotations[:, joint]
        else:
            places[:, joint] = places[:, parent] + np.einsum("j,tjk->tk", _OFFSETS[joint], turned[:, parent])
            turned[:, joint] = rotations[:, joint] @ turned[:, parent]
    return places * _METRES


def _rotation_matrices(vectors: Floats) -> Floats:
    """Rodrigues' formula for row vectors, (..., 3) to (..., 3, 3)."""
    angle = np.linalg.norm(vectors, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(vectors / np.maximum(angle[..., 0], 1e-12), -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*x.shape, 3, 3)
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross))


def as_landmarks(joints: Floats) -> Floats:
    """(T, 33, 3) in MediaPipe's order from (T, 38, 3) joints; those that nobody uses lie at the nose."""
    head = joints[:, HEAD].mean(axis=1)
    left = _unit(joints[:, LEFT["shoulder"]] - joints[:, RIGHT["shoulder"]])
    up = _unit(joints[:, HEAD[1]] - joints[:, HEAD[0]])
    forward = np.cross(left, up)
    found = np.repeat((head + 0.11 * forward)[:, None], 33, axis=1)
    found[:, 7], found[:, 8] = head + 0.07 * left, head - 0.07 * left
    for name, index in _PAIRS.items():
        found[:, index], found[:, index + 1] = joints[:, LEFT[name]], joints[:, RIGHT[name]]
    for side, (ankle, toe) in enumerate(((27, 31), (28, 32))):
        shank = _unit(found[:, ankle] - found[:, ankle - 2])
        found[:, 29 + side] = found[:, ankle] + 0.05 * shank - 0.25 * (found[:, toe] - found[:, ankle])
    for finger in (17, 21):
        found[:, finger : finger + 2] = found[:, 19:21]
    return found


def _unit(vectors: Floats) -> Floats:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def seen(landmarks: Floats, times: Floats, rng: np.random.Generator) -> Window:
    """The looks at a moving person from a random place.

    Args:
        landmarks: (T, 33, 3) metres, y up.
        times: (T,) seconds.
        rng: Decides the camera and the network's errors.
    """
    yaw, pitch = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(-5, 35))
    turned = landmarks @ _about_y(yaw) * np.array([1, -1, -1])  # x right, y down, z away
    cosine, sine = np.cos(pitch), np.sin(pitch)
    turned = turned @ np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    hips = turned[:, 23:25].mean(axis=1, keepdims=True)
    metres = (turned - hips) * np.array([1, 1, rng.uniform(0.6, 1.1)])
    steady, shaking = rng.normal(0, 0.02, (1, 33, 3)), rng.normal(0, rng.uniform(0.01, 0.045), (len(times), 33, 3))
    metres = metres + (steady + shaking) * np.array([1, 1, 2.5])
    tracked = rng.choice([0.0, 0.0, rng.uniform()])  # how far the camera follows the person
    pixels_a_metre = rng.uniform(30, 300) / 1.7
    path = hips[:, :, :2] - tracked * (hips[:, :, :2] - hips[-1:, :, :2])
    points = (metres[..., :2] + path - hips[-1, :, :2]) * pixels_a_metre
    background = -tracked * (hips[:, 0, :2] - hips[-1, 0, :2]) * pixels_a_metre
    farther = (metres[..., 2] > 0.05) * rng.uniform(0, 0.5, (1, 33))
    confidence = (rng.uniform(0.85, 1.0, (len(times), 33)) - farther).clip(0.05, 1)
    return _in_a_picture(points, confidence, metres, times, background, rng)


def _about_y(angle: float) -> Floats:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, 0, -sine], [0, 1, 0], [sine, 0, cosine]])


def _in_a_picture(
    points: Floats, confidence: Floats, metres: Floats, times: Floats, background: Floats, rng: np.random.Generator
) -> Window:
    lowest, highest = points.min(axis=1), points.max(axis=1)
    margin = (highest - lowest).max(axis=1, keepdims=True) * rng.uniform(0.04, 0.1)
    boxes = np.concatenate([lowest - margin, highest + margin], axis=1)
    room = (boxes[:, 2:] - boxes[:, :2]).max() * rng.uniform(0.3, 4)
    shift = room - boxes[:, :2].min(axis=0)
    size = np.ceil(boxes[:, 2:].max(axis=0) + shift + room).astype(int)
    points, boxes = points + shift, boxes + np.tile(shift, 2)
    seen_points = np.concatenate([points, confidence[..., None]], axis=2)
    camera = np.concatenate([background, np.zeros((len(times), 1))], axis=1)
    presence = rng.uniform(0.8, 1, len(times))
    return as_window(times, seen_points, metres, presence, boxes, (int(size[1]), int(size[0])), camera)


def walking(landmarks: Floats) -> list[str]:
    """Postures accepted of the end of a motion that was recorded as walking."""
    return _by_speed(landmarks, "walk", 0.35)


def running(landmarks: Floats) -> list[str]:
    """The same of running."""
    return _by_speed(landmarks, "run", 1.4)


def standing(landmarks: Floats) -> list[str]:
    """The same of motions on the spot."""
    return ["stand"] if _speed(landmarks) < 0.3 else ["stand", "walk", "none"]


def jumping(landmarks: Floats) -> list[str]:
    """The same of jumping: in the air, or else what the speed says."""
    lowest_foot = landmarks[:, 27:33, 1].min(axis=1)
    if lowest_foot[len(lowest_foot) // 2 :].max() > 0.09 + lowest_foot.min():
        return ["jump"]
    return ["stand"] if _speed(landmarks) < 0.15 and np.ptp(landmarks[:, 23, 1]) < 0.1 else []


MOTIONS: dict[str, Callable[[Floats], list[str]]] = {
    "walking": walking,
    "running": running,
    "washwindow": standing,
    "basketball_signal": standing,
    "directing_traffic": standing,
    "jumping": jumping,
}
"""How windows are labelled, by what the name of a file begins with."""


def _speed(landmarks: Floats) -> float:
    """Metres a second over the ground."""
    hips = landmarks[:, 23:25].mean(axis=1)
    return float(np.linalg.norm((hips[-1] - hips[0])[[0, 2]])) / (len(hips) / FRAMES_PER_SECOND)


def _by_speed(landmarks: Floats, name: str, least: float) -> list[str]:
    speed = _speed(landmarks)
    return [name] if speed > least else (["stand"] if speed < 0.05 else [])


def motion_examples(folder: Path, each: int, rng: np.random.Generator) -> Examples:
    """Examples of all motions in a folder whose names begin with one of `MOTIONS`; their actions are unknown.

    Args:
        folder: Holds files KIND_NUMBER.txt, or test_KIND_NUMBER.txt and train_KIND_NUMBER.txt.
        each: Examples a file.
        rng: Decides what is drawn.

    Raises:
        DataError: No motion is there.
    """
    rows: list[tuple[npt.NDArray, npt.NDArray, int, float, int]] = []
    for number, path in enumerate(sorted(folder.glob("*.txt"))):
        name = path.stem.removeprefix("train_").removeprefix("test_")
        label = next((MOTIONS[kind] for kind in MOTIONS if name.startswith(kind)), None)
        if label is None:
            continue
        landmarks = as_landmarks(read_motion(path))
        for end in rng.integers(min(60, len(landmarks) - 1), len(landmarks), each):
            clip = landmarks[max(end - _SPAN, 0) : end + 1]
            if names := label(clip):
                looks = np.arange(len(clip) - 1, -1, -_STEP)[::-1]
                window = seen(clip[looks], looks / FRAMES_PER_SECOND, rng)
                example = features(change(draw(window, len(window) - 1, rng), rng))
                rows.append((example, answers(names), -1, 1.0, number))
    if not rows:
        raise DataError(folder, None, f"holds no motion of {', '.join(MOTIONS)}; motions: null trains without")
    return collect(rows)
