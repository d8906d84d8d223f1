"""About a second of body landmarks of one person as numbers for a small network: postures, gait, gestures.

Looks come when the detector looks, at irregular times; features lie on a fixed grid of `GRID` times before the newest
look, interpolated linearly between looks. Before the first look of a track the first one is repeated, and `known` says
so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from sf_detect.keypoints.looks import Window

Floats = npt.NDArray[np.float32]

GRID = (-1.0, -0.75, -0.5, -0.25, 0.0)
"""Times of the features in seconds, relative to the newest look."""
JOINTS = (0, 7, 8, 11, 12, 13, 14, 15, 16, 19, 20, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32)
"""MediaPipe's landmarks in use: nose, ears, shoulders, elbows, wrists, index fingers, hips, knees, ankles, feet."""
_FAR = 6.0  # in metres, boxes and heights alike: what is farther away is an error of the landmark network

_TRIPLES = {  # angle at the middle landmark
    "elbow": ((11, 13, 15), (12, 14, 16)),
    "shoulder": ((13, 11, 23), (14, 12, 24)),
    "hip": ((11, 23, 25), (12, 24, 26)),
    "knee": ((23, 25, 27), (24, 26, 28)),
}
_BONES = {  # direction, compared with the picture's vertical
    "trunk": ((23, 11), (24, 12)),
    "thigh": ((23, 25), (24, 26)),
    "shank": ((25, 27), (26, 28)),
    "upper arm": ((11, 13), (12, 14)),
    "forearm": ((13, 15), (14, 16)),
}


_SWINGS = ((27, 28), (25, 26), (15, 11), (16, 12), (27, 23), (28, 24), (0, 23))
"""Ends of limbs, and what they are seen from, whose movement over the window counts."""

_POSE = 6 * len(JOINTS) + 18 + 10 + 9 + 7 + 1
ANKLES = _POSE + 7 + 3 * len(_SWINGS)
"""Column of how far the ankles moved against each other within the window, in metres."""
MOVED = (ANKLES + len(_SWINGS) + 4, ANKLES + len(_SWINGS) + 6)
"""Columns of how far box and hips moved sideways, in heights a second; how far up or down follows each."""


COLUMNS = MOVED[1] + 6
"""Numbers at each time."""


def movement(found: Floats) -> float:
    """How fast somebody left their place, or came nearer, by `features`: heights a second, at least 0."""
    sideways = found[-1, MOVED[0] : MOVED[1] + 2].max()
    return float(max(sideways, abs(found[0, _POSE + 6])))


def features(window: Window) -> Floats:
    """The features of one person.

    Args:
        window: T >= 1 looks at the person, oldest first; see `Window`. Any finite numbers are allowed.

    Returns:
        (len(GRID), D) float32, finite: positions, angles and motion at each time of the grid.
    """
    height = _heights(window)
    looks = np.concatenate([_pose(window, height), _motion(window, height)], axis=1)
    looks = np.nan_to_num(looks, nan=0.0, posinf=_FAR, neginf=-_FAR).clip(-_FAR, _FAR)
    ages = np.asarray(window.times, np.float64) - float(window.times[-1])
    grid = np.array(GRID)
    on_grid = np.stack([np.interp(grid, ages, column) for column in looks.T], axis=1)
    known = (grid >= ages[0] - 0.13).astype(np.float64)[:, None]
    nearest = np.abs(grid[:, None] - ages[None]).min(axis=1)[:, None]
    extent = np.repeat(_extent(window, height)[None], len(grid), axis=0)
    return np.concatenate([on_grid, extent, nearest.clip(0, 1), known], axis=1).astype(np.float32)


def _extent(window: Window, height: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(4 * len(_SWINGS) + 10,) how far things moved within the window, and how long that was: gait and gestures."""
    metres = np.asarray(window.metres, np.float64).clip(-_FAR, _FAR)
    swings = [np.ptp(metres[:, a] - metres[:, b], axis=0) for a, b in _SWINGS]
    bent = np.ptp(_angles(metres), axis=0)[[6, 7, 4, 5]]  # knees, hips
    boxes, points = np.asarray(window.boxes, np.float64), np.asarray(window.points, np.float64)
    scale, seconds = np.median(height), max(float(window.times[-1] - window.times[0]), 0.2)
    centre, hips = (boxes[:, :2] + boxes[:, 2:]) / 2, points[:, 23:25, :2].mean(axis=1)
    moved = [(place[-1] - place[0]) / scale / seconds for place in (centre, hips)]
    heave = np.ptp(hips[:, 1]) / scale
    total = [float(np.linalg.norm(swing)) for swing in swings]
    values = np.concatenate([*swings, total, bent, *np.abs(moved), [heave, seconds]])
    return np.asarray(np.nan_to_num(values, nan=0.0, posinf=_FAR, neginf=-_FAR).clip(-_FAR, _FAR))


def _heights(window: Window) -> npt.NDArray[np.float64]:
    """(T,) longer side of each box in pixels, at least 1."""
    sides = np.asarray(window.boxes, np.float64)[:, 2:] - np.asarray(window.boxes, np.float64)[:, :2]
    return np.maximum(sides.max(axis=1), 1.0)


def _pose(window: Window, height: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(T, P): what one look alone shows."""
    metres = np.asarray(window.metres, np.float64).clip(-_FAR, _FAR)
    points, boxes = np.asarray(window.points, np.float64), np.asarray(window.boxes, np.float64)
    centre = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
    placed = (points[:, JOINTS, :2] - centre) / height[:, None, None]
    rows = len(metres)
    return np.concatenate(
        [
            metres[:, JOINTS].reshape(rows, -1),
            placed.clip(-3, 3).reshape(rows, -1),
            points[:, JOINTS, 2],
            _angles(metres),
            _flat_angles(points[:, :, :2]),
            _levels(metres),
            _framing(boxes, window.image_size, height),
            np.asarray(window.presence, np.float64)[:, None],
        ],
        axis=1,
    )


def _unit(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-6)


def _angles(metres: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(T, 18) cosines: at joints, and of bones with the downward vertical."""
    at_joints = [
        (_unit(metres[:, a] - metres[:, b]) * _unit(metres[:, c] - metres[:, b])).sum(-1)
        for pair in _TRIPLES.values()
        for a, b, c in pair
    ]
    down = [_unit(metres[:, b] - metres[:, a])[:, 1] for pair in _BONES.values() for a, b in pair]
    return np.stack(at_joints + down, axis=1)


def _flat_angles(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(T, 10) the same of bones in the picture, where the depth, the least certain of the three, plays no part."""
    return np.stack([_unit(points[:, b] - points[:, a])[:, 1] for pair in _BONES.values() for a, b in pair], axis=1)


def _levels(metres: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(T, 9) distances that postures and gestures differ by, in metres."""
    shoulders, hips = (metres[:, 11] + metres[:, 12]) / 2, (metres[:, 23] + metres[:, 24]) / 2
    knees, ankles = (metres[:, 25] + metres[:, 26]) / 2, (metres[:, 27] + metres[:, 28]) / 2
    between = [(15, 16), (27, 28), (25, 26), (15, 0), (16, 0)]
    apart = [np.linalg.norm(metres[:, a] - metres[:, b], axis=1) for a, b in between]
    drops = [ankles[:, 1] - hips[:, 1], knees[:, 1] - hips[:, 1], hips[:, 1] - shoulders[:, 1]]
    return np.stack([*drops, np.ptp(metres[:, JOINTS, 1], axis=1), *apart], axis=1)


def _framing(
    boxes: npt.NDArray[np.float64], image_size: tuple[int, int], height: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """(T, 7) shape of the box, its size in the picture, and how near each edge is to the picture's."""
    image_height, image_width = (max(float(side), 1.0) for side in image_size)
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)
    shape = np.log(sides[:, 0] / sides[:, 1])
    gaps = np.stack([boxes[:, 0], boxes[:, 1], image_width - boxes[:, 2], image_height - boxes[:, 3]], axis=1)
    near = (gaps / height[:, None]).clip(0, 0.3) / 0.3
    return np.column_stack([shape, sides[:, 1] / image_height, sides[:, 0] / image_width, near])


def _motion(window: Window, height: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(T, 7) where box, hips and head were, relative to the newest look, in heights of the median box."""
    boxes, points = np.asarray(window.boxes, np.float64), np.asarray(window.points, np.float64)
    scale = np.median(height)
    centre, hips = (boxes[:, :2] + boxes[:, 2:]) / 2, points[:, 23:25, :2].mean(axis=1)
    moved = [(place - place[-1]) / scale for place in (centre, hips, points[:, 0, :2])]
    return np.column_stack([*moved, np.log(height / height[-1])]).clip(-3, 3)
