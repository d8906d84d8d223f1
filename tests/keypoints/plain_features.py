"""The features of `sf_detect.keypoints.features`, one number at a time: what its array form has to agree with."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from sf_detect.keypoints.features import GRID, JOINTS
from sf_detect.keypoints.looks import Window

FAR = 6.0
ANGLES = [
    (11, 13, 15),
    (12, 14, 16),
    (13, 11, 23),
    (14, 12, 24),
    (11, 23, 25),
    (12, 24, 26),
    (23, 25, 27),
    (24, 26, 28),
]
BONES = [(23, 11), (24, 12), (23, 25), (24, 26), (25, 27), (26, 28), (11, 13), (12, 14), (13, 15), (14, 16)]
APART = [(15, 16), (27, 28), (25, 26), (15, 0), (16, 0)]
SWINGS = [(27, 28), (25, 26), (15, 11), (16, 12), (27, 23), (28, 24), (0, 23)]


def plain_features(window: Window) -> np.ndarray:
    """See `features.features`."""
    count = len(window.times)
    heights = [_height(box) for box in window.boxes.astype(float)]
    scale = float(np.median(heights))
    looks = [[*_pose(window, t), *_motion(window, t, heights, scale)] for t in range(count)]
    ages = [float(time - window.times[-1]) for time in window.times]
    extent = _extent(window, scale, max(-ages[0], 0.2))
    rows = []
    for time in GRID:
        on_grid = [_at(time, ages, [_bound(look[column]) for look in looks]) for column in range(len(looks[0]))]
        nearest, known = min(1.0, *(abs(time - age) for age in ages), 1.0), float(time >= ages[0] - 0.13)
        rows.append([*on_grid, *(_bound(value) for value in extent), nearest, known])
    return np.array(rows, np.float32)


def _at(time, ages, values):
    if time <= ages[0]:
        return values[0]
    for (before, value), (after, following) in pairwise(zip(ages, values, strict=True)):
        if before <= time < after:
            return value + (time - before) / (after - before) * (following - value)
    return values[-1]


def _bound(value, most=FAR):
    return min(max(float(value), -most), most)


def _height(box):
    return max(box[2] - box[0], box[3] - box[1], 1.0)


def _unit(vector):
    return np.asarray(vector) / max(math.sqrt(sum(value * value for value in vector)), 1e-6)


def _metres(window, t):
    return np.clip(window.metres[t].astype(float), -FAR, FAR)


def _cosines(m):
    at_joints = [float(_unit(m[a] - m[b]) @ _unit(m[c] - m[b])) for a, b, c in ANGLES]
    return [*at_joints, *(_unit(m[b] - m[a])[1] for a, b in BONES)]


def _pose(window, t):
    m, p, box = _metres(window, t), window.points[t].astype(float), window.boxes[t].astype(float)
    height, (x1, y1, x2, y2) = _height(box), box
    placed = [((p[j, 0] - (x1 + x2) / 2) / height, (p[j, 1] - (y1 + y2) / 2) / height) for j in JOINTS]
    level = {
        name: (m[i, 1] + m[i + 1, 1]) / 2 for name, i in (("shoulder", 11), ("hip", 23), ("knee", 25), ("ankle", 27))
    }
    drops = [level["ankle"] - level["hip"], level["knee"] - level["hip"], level["hip"] - level["shoulder"]]
    tall = max(m[j, 1] for j in JOINTS) - min(m[j, 1] for j in JOINTS)
    width, tallness = max(x2 - x1, 1.0), max(y2 - y1, 1.0)
    image_height, image_width = window.image_size
    gaps = [x1, y1, image_width - x2, image_height - y2]
    return [
        *(m[j, axis] for j in JOINTS for axis in range(3)),
        *(_bound(value, 3) for place in placed for value in place),
        *(p[j, 2] for j in JOINTS),
        *_cosines(m),
        *(_unit(p[b, :2] - p[a, :2])[1] for a, b in BONES),
        *drops,
        tall,
        *(math.dist(m[a], m[b]) for a, b in APART),
        math.log(width / tallness),
        tallness / image_height,
        width / image_width,
        *(min(max(gap / height, 0), 0.3) / 0.3 for gap in gaps),
        window.presence[t],
    ]


def _places(window, t):
    """Middle of the box, of the hips, and the nose."""
    p, (x1, y1, x2, y2) = window.points[t].astype(float), window.boxes[t].astype(float)
    return np.array([(x1 + x2) / 2, (y1 + y2) / 2, *(p[23, :2] + p[24, :2]) / 2, *p[0, :2]])


def _motion(window, t, heights, scale):
    moved = (_places(window, t) - _places(window, -1)) / scale
    known = float(window.camera[t, 2] == window.camera[-1, 2])
    background = known * (window.camera[t, :2] - window.camera[-1, :2]) / scale
    values = *moved, math.log(heights[t] / heights[-1]), *(known * (moved[2:4] - background)), *background, known
    return [_bound(value, 3) for value in values]


def _extent(window, scale, seconds):
    count = len(window.times)
    bodies = [_metres(window, t) for t in range(count)]
    swings = [np.ptp([m[a] - m[b] for m in bodies], axis=0) for a, b in SWINGS]
    angles = np.array([_cosines(m) for m in bodies])
    moved = np.abs(_places(window, -1) - _places(window, 0))[:4] / scale / seconds
    same = float(count > 1 and len(set(window.camera[:, 2])) == 1)
    placed = [_places(window, t)[2:4] - window.camera[t, :2] for t in (0, -1)]
    against = same * np.abs(placed[1] - placed[0]) / scale / seconds
    heave = np.ptp([_places(window, t)[3] for t in range(count)]) / scale
    return [
        *np.concatenate(swings),
        *(math.sqrt(float(swing @ swing)) for swing in swings),
        *(np.ptp(angles[:, column]) for column in (6, 7, 4, 5)),
        *moved,
        *against,
        same,
        heave,
        seconds,
    ]
