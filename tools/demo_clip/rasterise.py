"""Triangle rasterisation with a depth buffer, compiled by numba.

Pixels are addressed by their centres. Depth is given as a "nearness" that grows towards the viewer: ``1 / z`` for a
perspective camera (linear in the image, so it also drives perspective-correct interpolation), minus distance for a sun.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np


@dataclass(frozen=True)
class Coverage:
    """What each pixel shows.

    Attributes:
        nearness: (H, W) float32; ``-inf`` where nothing was drawn.
        triangle: (H, W) int32 index of the visible triangle, -1 where none.
        weights: (H, W, 3) float32 barycentric weights of its three vertices.
    """

    nearness: np.ndarray
    triangle: np.ndarray
    weights: np.ndarray


def rasterise(
    points: np.ndarray, triangles: np.ndarray, keep: np.ndarray, size: tuple[int, int], perspective: bool = True
) -> Coverage:
    """Draws triangles into a depth buffer.

    Args:
        points: (N, 3) image x, y in pixels and nearness.
        triangles: (F, 3) vertex indices; both windings are drawn.
        keep: (N,) a field interpolated over each triangle; the part below zero is cut away (hems, hairlines).
        size: (height, width) of the buffers.
        perspective: whether nearness is ``1 / z``, which makes the weights perspective-correct.

    Returns:
        The visible triangle and its weights at every pixel.
    """
    height, width = size
    nearness = np.full((height, width), -np.inf, np.float32)
    triangle = np.full((height, width), -1, np.int32)
    weights = np.zeros((height, width, 3), np.float32)
    _draw(
        points.astype(np.float32),
        triangles.astype(np.int32),
        keep.astype(np.float32),
        perspective,
        nearness,
        triangle,
        weights,
    )
    return Coverage(nearness, triangle, weights)


@numba.njit(cache=True)
def _draw(points, triangles, keep, perspective, nearness, triangle, weights):  # type: ignore[no-untyped-def]
    height, width = nearness.shape
    for f in range(triangles.shape[0]):
        a, b, c = triangles[f]
        if keep[a] < 0 and keep[b] < 0 and keep[c] < 0:
            continue
        ax, ay, bx, by, cx, cy = points[a, 0], points[a, 1], points[b, 0], points[b, 1], points[c, 0], points[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < 1e-9:
            continue
        x0 = max(int(np.ceil(min(ax, bx, cx) - 0.5)), 0)
        x1 = min(int(np.floor(max(ax, bx, cx) - 0.5)), width - 1)
        y0 = max(int(np.ceil(min(ay, by, cy) - 0.5)), 0)
        y1 = min(int(np.floor(max(ay, by, cy) - 0.5)), height - 1)
        for y in range(y0, y1 + 1):
            py = y + 0.5
            for x in range(x0, x1 + 1):
                px = x + 0.5
                wa = ((bx - px) * (cy - py) - (by - py) * (cx - px)) / area
                wb = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) / area
                wc = 1.0 - wa - wb
                if wa < 0 or wb < 0 or wc < 0:
                    continue
                near = wa * points[a, 2] + wb * points[b, 2] + wc * points[c, 2]
                if near <= nearness[y, x]:
                    continue
                if perspective:
                    wa, wb, wc = wa * points[a, 2] / near, wb * points[b, 2] / near, wc * points[c, 2] / near
                if wa * keep[a] + wb * keep[b] + wc * keep[c] < 0:
                    continue
                nearness[y, x] = near
                triangle[y, x] = f
                weights[y, x, 0] = wa
                weights[y, x, 1] = wb
                weights[y, x, 2] = wc
