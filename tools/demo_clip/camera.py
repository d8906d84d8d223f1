"""A pinhole camera and a sun. World frame: x right, y away from the camera, z up, metres."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from demo_clip.rasterise import rasterise


@dataclass(frozen=True)
class Camera:
    """A level-held camera at x = y = 0; ``horizon`` is the image row at eye height (vertical shift, no tilt)."""

    width: int
    height: int
    focal: float
    eye: float
    horizon: float

    def scaled(self, factor: int) -> Camera:
        """The same view with ``factor`` times the pixels on each side."""
        return Camera(self.width * factor, self.height * factor, self.focal * factor, self.eye, self.horizon * factor)

    def project(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) world points to image x, y in pixels and nearness 1 / depth."""
        near = 1.0 / np.maximum(points[:, 1], 0.1)
        x = self.width / 2 + self.focal * points[:, 0] * near
        return np.stack([x, self.horizon - self.focal * (points[:, 2] - self.eye) * near, near], 1)

    def rays(self) -> np.ndarray:
        """(H, W, 3) direction through each pixel centre, scaled to advance one metre in y."""
        x = (np.arange(self.width) + 0.5 - self.width / 2) / self.focal
        z = (self.horizon - np.arange(self.height) - 0.5) / self.focal
        rays = np.ones((self.height, self.width, 3))
        rays[..., 0], rays[..., 2] = x[None], z[:, None]
        return rays


class Sun:
    """Direct light with a shadow map."""

    size, span, bias = 1500, 9.0, 0.018

    def __init__(self, towards: tuple[float, float, float], centre: tuple[float, float, float]) -> None:
        self.towards = np.array(towards) / np.linalg.norm(towards)
        right = np.cross([0, 0, 1], self.towards)
        right /= np.linalg.norm(right)
        self.axes = np.stack([right, np.cross(self.towards, right), self.towards])
        self.centre = np.array(centre)
        self._map = np.zeros((0, 0), np.float32)

    def cast(self, vertices: np.ndarray, triangles: np.ndarray, keep: np.ndarray) -> None:
        """Draws the depth map of everything that throws a shadow."""
        self._map = rasterise(self.project(vertices), triangles, keep, (self.size, self.size), False).nearness

    def lit(self, points: np.ndarray, softness: float) -> np.ndarray:
        """Share of the sun seen from (N, 3) points, averaged over a ring of ``softness`` metres."""
        return self.lit_at(self.project(points.astype(np.float32)), softness)

    def lit_at(self, image: np.ndarray, softness: float) -> np.ndarray:
        """`lit` for points that were projected already."""
        ring = [
            (0.0, 0.0),
            *(
                (r * np.cos(a), r * np.sin(a))
                for r, a0 in ((0.5, 0.4), (1.0, 0.0))
                for a in a0 + np.arange(6) * np.pi / 3
            ),
        ]
        taps = np.array(ring, np.float32) * (softness * self.size / self.span)
        return _lit(image, self._map, taps, self.bias)

    def project(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) world points to the pixels of the shadow map and nearness to the sun."""
        local = (points - self.centre.astype(points.dtype)) @ self.axes.T.astype(points.dtype)
        local[:, :2] = local[:, :2] * (self.size / self.span) + self.size / 2
        return local


@numba.njit(cache=True)
def _lit(image, depth_map, taps, bias):  # type: ignore[no-untyped-def]
    last, share = len(depth_map) - 1, np.empty(len(image), np.float32)
    for n in range(len(image)):
        seen = 0
        for k in range(len(taps)):
            x = min(max(int(image[n, 0] + taps[k, 0]), 0), last)
            y = min(max(int(image[n, 1] + taps[k, 1]), 0), last)
            seen += depth_map[y, x] <= image[n, 2] + bias
        share[n] = seen / len(taps)
    return share
