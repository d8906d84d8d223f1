"""About a second of body landmarks of one person as numbers for a small network: postures, gait, gestures.

Looks come when the detector looks, at irregular times; features lie on a fixed grid of `GRID` times before the newest
look, interpolated linearly between looks. Before the first look of a track the first one is repeated, and `known` says
so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from sf_detect.keypoints.looks import Window

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

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
_MOTION = 12
ANKLES = _POSE + _MOTION + 3 * len(_SWINGS)
"""Column of how far the ankles moved against each other within the window, in metres."""
MOVED = (ANKLES + len(_SWINGS) + 4, ANKLES + len(_SWINGS) + 6)
"""Columns of how far box and hips moved sideways, in heights a second; how far up or down follows each."""


BACKGROUND = MOVED[1] + 2
"""Column of how far the hips moved sideways against the background, in heights a second; how far up or down, and
whether that is known, follow."""
VERTICAL = MOVED[1] + 5
"""Column of the vertical range of the hips within the window, in heights."""
COLUMNS = VERTICAL + 4
"""Numbers at each time."""

_GRID = np.array(GRID)
_APART = ((15, 16), (27, 28), (25, 26), (15, 0), (16, 0))
"""Landmarks whose distance counts."""
_JOINT_ANGLES = sum(len(pair) for pair in _TRIPLES.values())
_BONE_STARTS, _BONE_ENDS = np.array([bone for pair in _BONES.values() for bone in pair]).T
# All differences of landmarks in metres at once, most of the time of so small arrays being that of calls: the two legs
# of each angle, the bones, distances, swings.
_STARTS, _ENDS = np.array(
    [(b, a) for pair in _TRIPLES.values() for a, b, _ in pair]
    + [(b, c) for pair in _TRIPLES.values() for _, b, c in pair]
    + [bone for pair in _BONES.values() for bone in pair]
    + [(b, a) for a, b in (*_APART, *_SWINGS)]
).T


def movement(found: Floats) -> float:
    """How fast somebody left their place, or came nearer, by `features`: heights a second, at least 0."""
    moved = slice(MOVED[0], MOVED[1] + 2)
    if found[-1, BACKGROUND + 2]:
        moved = slice(BACKGROUND, BACKGROUND + 2)
    sideways = found[-1, moved].max()
    return float(max(sideways, abs(found[0, _POSE + 6])))


def steps(found: Floats) -> float:
    """How far the ankles moved against each other within the window, by `features`: in metres, at least 0."""
    return float(found[-1, ANKLES])


def vertical_range(found: Floats) -> float:
    """How far the hips went up and down within the window, by `features`: in heights, at least 0."""
    return float(found[-1, VERTICAL])


def features(window: Window) -> Floats:
    """The features of one person.

    Args:
        window: T >= 1 looks at the person, oldest first; see `Window`. Any finite numbers are allowed.

    Returns:
        (len(GRID), D) float32, finite: positions, angles and motion at each time of the grid.
    """
    seen = _Seen.of(window)
    looks = _bounded(np.concatenate([_pose(window, seen), _motion(seen)], axis=1))
    ages = np.asarray(window.times, np.float64) - float(window.times[-1])
    known, nearest = ages[0] - 0.13 <= _GRID, np.abs(_GRID[:, None] - ages).min(axis=1)
    count = looks.shape[1]
    found = np.empty((len(GRID), COLUMNS), np.float32)
    found[:, :count] = _on_grid(looks, ages)
    found[:, count:-2] = _bounded(_extent(seen, max(float(-ages[0]), 0.2)))
    found[:, -2], found[:, -1] = np.minimum(nearest, 1), known
    return found


class _Seen(NamedTuple):
    """What several groups of features are made of.

    Attributes:
        metres: (T, 33, 3) as in the window, bounded.
        points: (T, 33, 3) as in the window.
        boxes: (T, 4) as in the window.
        height: (T,) longer side of each box in pixels, at least 1.
        scale: Their median.
        centre: (T, 2) of the boxes.
        hips: (T, 2) middle of the hips in pixels.
        placed: (T, 2) of the hips against the background, which is where it is at the newest look.
        known: (T,) whether that is known.
        ways: (T, W, 3) from `_STARTS` to `_ENDS` in metres.
        angles: (T, 18) cosines: at joints, and of bones with the downward vertical.
    """

    metres: Doubles
    points: Doubles
    boxes: Doubles
    height: Doubles
    scale: float
    centre: Doubles
    hips: Doubles
    placed: Doubles
    known: npt.NDArray[np.bool_]
    ways: Doubles
    angles: Doubles

    @classmethod
    def of(cls, window: Window) -> _Seen:
        metres = np.asarray(window.metres, np.float64).clip(-_FAR, _FAR)
        points, boxes = np.asarray(window.points, np.float64), np.asarray(window.boxes, np.float64)
        height = np.maximum((boxes[:, 2:] - boxes[:, :2]).max(axis=1), 1.0)
        centre, hips = (boxes[:, :2] + boxes[:, 2:]) / 2, (points[:, 23, :2] + points[:, 24, :2]) / 2
        ways = metres[:, _ENDS] - metres[:, _STARTS]
        units = _unit(ways[:, : 2 * _JOINT_ANGLES + len(_BONE_ENDS)])
        at_joints = (units[:, :_JOINT_ANGLES] * units[:, _JOINT_ANGLES : 2 * _JOINT_ANGLES]).sum(-1)
        angles = np.concatenate([at_joints, units[:, 2 * _JOINT_ANGLES :, 1]], axis=1)
        known = window.camera[:, 2] == window.camera[-1, 2]
        placed = hips - np.where(known[:, None], window.camera[:, :2] - window.camera[-1, :2], 0)
        return cls(metres, points, boxes, height, _median(height), centre, hips, placed, known, ways, angles)


def _on_grid(looks: Doubles, ages: Doubles) -> Doubles:
    """(len(GRID), P) the looks (T, P) between their ages (T,), linear; before the first and at the last as they are."""
    later = np.searchsorted(ages, _GRID, "right")
    left, right = np.maximum(later - 1, 0), np.minimum(later, len(ages) - 1)
    gap = ages[right] - ages[left]
    share = np.where(gap > 0, (_GRID - ages[left]) / np.where(gap > 0, gap, 1), 0)[:, None]
    return np.asarray(looks[left] + share * (looks[right] - looks[left]))


def _bounded(values: Doubles) -> Doubles:
    return np.where(np.isnan(values), 0.0, values).clip(-_FAR, _FAR)


def _median(values: Doubles) -> float:
    """As `np.median`, which takes ten times as long for a few numbers."""
    ascending = np.sort(values)
    return float(ascending[(len(values) - 1) // 2] + ascending[len(values) // 2]) / 2


def _unit(vectors: Doubles) -> Doubles:
    return np.asarray(vectors / np.maximum(_length(vectors), 1e-6)[..., None])


def _length(vectors: Doubles) -> Doubles:
    return np.asarray(np.sqrt((vectors * vectors).sum(-1)))


def _range(values: Doubles) -> Doubles:
    """How far each column moved."""
    return np.asarray(values.max(axis=0) - values.min(axis=0))


def _extent(seen: _Seen, seconds: float) -> Doubles:
    """(4 * len(_SWINGS) + 13,) how far things moved within the window, and how long that was: gait and gestures."""
    swings = _range(seen.ways[:, -len(_SWINGS) :])
    bent = _range(seen.angles[:, [6, 7, 4, 5]])  # knees, hips
    moved = [np.abs(place[-1] - place[0]) / seen.scale / seconds for place in (seen.centre, seen.hips)]
    same = bool(seen.known.all()) and len(seen.known) > 1
    moved.append(np.abs(seen.placed[-1] - seen.placed[0]) / seen.scale / seconds * same)
    heave = _range(seen.hips[:, 1]) / seen.scale
    return np.concatenate([swings.ravel(), _length(swings), bent, *moved, [same, heave, seconds]])


def _pose(window: Window, seen: _Seen) -> Doubles:
    """(T, P): what one look alone shows."""
    rows = len(seen.metres)
    joints, placed = seen.metres[:, JOINTS], seen.points[:, JOINTS]
    flat = _unit(seen.points[:, _BONE_ENDS, :2] - seen.points[:, _BONE_STARTS, :2])
    return np.concatenate(
        [
            joints.reshape(rows, -1),
            ((placed[..., :2] - seen.centre[:, None]) / seen.height[:, None, None]).clip(-3, 3).reshape(rows, -1),
            placed[..., 2],
            seen.angles,
            flat[
                ..., 1
            ],  # the same of bones in the picture, where the depth, the least certain of the three, plays no part
            _levels(seen, joints),
            _framing(seen, window.image_size),
            np.asarray(window.presence, np.float64)[:, None],
        ],
        axis=1,
    )


def _levels(seen: _Seen, joints: Doubles) -> Doubles:
    """(T, 9) distances that postures and gestures differ by, in metres."""
    levels = (seen.metres[:, (11, 23, 25, 27), 1] + seen.metres[:, (12, 24, 26, 28), 1]) / 2
    drops = levels[:, (3, 2, 1)] - levels[:, (1, 1, 0)]  # ankles and knees below hips, hips below shoulders
    tall = joints[..., 1].max(axis=1) - joints[..., 1].min(axis=1)
    apart = _length(seen.ways[:, -len(_SWINGS) - len(_APART) : -len(_SWINGS)])
    return np.concatenate([drops, tall[:, None], apart], axis=1)


def _framing(seen: _Seen, image_size: tuple[int, int]) -> Doubles:
    """(T, 7) shape of the box, its size in the picture, and how near each edge is to the picture's."""
    image_height, image_width = (max(float(side), 1.0) for side in image_size)
    boxes, found = seen.boxes, np.empty((len(seen.boxes), 7))
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)
    found[:, 0] = np.log(sides[:, 0] / sides[:, 1])
    found[:, 1], found[:, 2] = sides[:, 1] / image_height, sides[:, 0] / image_width
    found[:, 3:5], found[:, 5:] = boxes[:, :2], (image_width, image_height) - boxes[:, 2:]
    found[:, 3:] = (found[:, 3:] / seen.height[:, None]).clip(0, 0.3) / 0.3
    return found


def _motion(seen: _Seen) -> Doubles:
    """(T, 12) where box, hips and head were, relative to the newest look, in heights of the median box.

    Behind these the hips against the background, the background itself, and whether that is known.
    """
    places = np.concatenate([seen.centre, seen.hips, seen.points[:, 0, :2]], axis=1)
    grown = np.log(seen.height / seen.height[-1])[:, None]
    known = seen.known[:, None]
    against = [known * (seen.placed - seen.placed[-1]) / seen.scale, known * (seen.hips - seen.placed) / seen.scale]
    return np.concatenate([(places - places[-1]) / seen.scale, grown, *against, known], axis=1).clip(-3, 3)
