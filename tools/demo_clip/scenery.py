"""The place: a paved yard, grass, a painted brick wall with a hedge, trees and sky behind. All colours from noise."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from demo_clip.camera import Camera

WALL_Y, WALL_TOP, GRASS_Y, SKY_Y = 9.2, 2.15, 7.55, 14.0


@dataclass(frozen=True)
class Backdrop:
    """What the camera sees without people.

    Attributes:
        albedo: (H, W, 3) reflectance, or light for the sky.
        normals, points: (H, W, 3), of the surface.
        sky: (H, W) bool, the pixels that shine by themselves.
    """

    albedo: np.ndarray
    normals: np.ndarray
    points: np.ndarray
    sky: np.ndarray


def noise(points: np.ndarray, seed: int = 0) -> np.ndarray:
    """Smooth value noise in 0..1 at (..., D) points, D 2 or 3, one knot per unit."""
    flat = np.zeros((points[..., 0].size, 3), np.float32)
    flat[:, : points.shape[-1]] = points.reshape(-1, points.shape[-1])
    return _noise(flat, seed).reshape(points.shape[:-1])


@numba.njit(cache=True)
def _noise(points, seed):  # type: ignore[no-untyped-def]
    result = np.empty(len(points), np.float32)
    for n in range(len(points)):
        result[n] = knot_noise(points[n, 0], points[n, 1], points[n, 2], seed)
    return result


@numba.njit(cache=True)
def knot_noise(x, y, z, seed):  # type: ignore[no-untyped-def]
    """Value noise at one point, for compiled code."""
    i, j, k = int(np.floor(x)), int(np.floor(y)), int(np.floor(z))
    x, y, z = x - i, y - j, z - k
    x, y, z = x * x * (3 - 2 * x), y * y * (3 - 2 * y), z * z * (3 - 2 * z)
    total = 0.0
    for corner in range(8):
        a, b, c = corner & 1, (corner >> 1) & 1, (corner >> 2) & 1
        share = (x if a else 1 - x) * (y if b else 1 - y) * (z if c else 1 - z)
        if share > 0:
            total += share * _hash(i + a, j + b, k + c, seed)
    return total


@numba.njit(cache=True)
def _hash(i, j, k, seed):  # type: ignore[no-untyped-def]
    value = np.uint32(seed * 974711 + 12345)
    for part in (i * 73856093, j * 19349663, k * 83492791):
        value = np.uint32(np.uint32(value ^ np.uint32(part & 0xFFFFFFFF)) * np.uint32(2654435761))
        value = np.uint32(value ^ (value >> np.uint32(13)))
    value = np.uint32(value * np.uint32(1103515245) + np.uint32(12345))
    return np.uint32(value ^ (value >> np.uint32(16))) / 4294967296.0


def clouds(points: np.ndarray, octaves: int, seed: int = 0) -> np.ndarray:
    """Fractal noise, roughly 0..1."""
    layers = [noise(points * 2**k, seed + k) * 0.5 ** (k + 1) for k in range(octaves)]
    return np.sum(layers, axis=0) / (1 - 0.5**octaves)


def _each(index: np.ndarray, seed: int) -> np.ndarray:
    """One random number in 0..1 for every slab or brick with integer (N, 2) index."""
    return noise(index.astype(float), seed)


def backdrop(camera: Camera) -> Backdrop:
    """Paints the static scene, seen from a camera, nearest surface last."""
    rays = camera.rays()
    ground_depth = np.where(rays[..., 2] < -1e-4, -camera.eye / np.minimum(rays[..., 2], -1e-4), np.inf)
    depth = np.minimum(ground_depth, WALL_Y)
    points = rays * depth[..., None] + [0, 0, camera.eye]
    hedge = _hedge_height(points[..., 0] + 0.07 * (clouds(points[..., [0, 2]] * 6, 2, 43) - 0.5))
    on_wall = ground_depth > WALL_Y
    sky = on_wall & (points[..., 2] > np.maximum(WALL_TOP, hedge))
    normals = np.where(on_wall[..., None], [0.0, -1.0, 0.0], [0.0, 0.0, 1.0])
    albedo = np.zeros_like(points)
    ground, wall = ~on_wall, on_wall & ~sky
    albedo[ground] = _ground(points[ground][:, :2])
    albedo[wall] = _wall(points[wall][:, [0, 2]])
    leaves = wall & (points[..., 2] < hedge)
    albedo[leaves], normals[leaves] = _foliage(points[leaves][:, [0, 2]], 3)
    far = rays * SKY_Y + [0, 0, camera.eye]
    albedo[sky] = _sky(far[sky][:, [0, 2]])
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    return Backdrop(albedo, normals, points, sky)


def _hedge_height(x: np.ndarray) -> np.ndarray:
    flat = np.stack([x, np.zeros_like(x)], -1)
    tufts = 0.10 * clouds(flat * 5, 3, 40)
    return np.where(x < -0.9 + 0.15 * clouds(flat * 9, 2, 41), 1.05 + tufts, 0.28 * clouds(flat * 3.0, 3, 42) - 0.05)


def _ground(p: np.ndarray) -> np.ndarray:
    slab = p / np.array([0.6, 0.6])
    slab[:, 0] += 0.5 * (np.floor(slab[:, 1]) % 2)
    index, inside = np.floor(slab), slab % 1
    edge = np.minimum(np.minimum(inside, 1 - inside)[:, 0], np.minimum(inside, 1 - inside)[:, 1]) * 0.6
    tone = 0.27 + 0.06 * (_each(index, 5) - 0.5) + 0.05 * (clouds(p * 6, 4, 6) - 0.5)
    tone = tone + 0.06 * (noise(p * 70, 7) - 0.5) - 0.10 * clouds(p * 0.8, 3, 8) + 0.03
    colour = tone[:, None] * [1.04, 1.0, 0.92]
    # joints fade with distance as the pixel grows, instead of shimmering
    joint = np.clip(1 - edge / 0.010, 0, 1)[:, None] * np.clip(9.5 - p[:, 1:], 0, 3) / 3
    colour = colour * (1 - 0.55 * joint)
    border = GRASS_Y + 0.05 * (clouds(p[:, :1] * [[4, 0]], 3, 9) - 0.5)
    blades = clouds(p * [60, 25], 3, 10)
    grass = (0.5 + blades)[:, None] * [0.085, 0.15, 0.035] * (0.75 + 0.6 * clouds(p * 1.7, 3, 11))[:, None]
    return np.where((p[:, 1] > border)[:, None], grass, colour)


def _wall(p: np.ndarray) -> np.ndarray:
    brick = p / np.array([0.235, 0.075])
    brick[:, 0] += 0.5 * (np.floor(brick[:, 1]) % 2)
    index, inside = np.floor(brick), brick % 1
    edge = np.minimum(np.minimum(inside, 1 - inside)[:, 0] * 0.235, np.minimum(inside, 1 - inside)[:, 1] * 0.075)
    kind = _each(index, 20)
    tone = 0.78 + 0.4 * kind + 0.25 * (noise(p * 55, 21) - 0.5)
    paint = np.array([0.375, 0.335, 0.28]) + 0.02 * (_each(index, 22)[:, None] - 0.5)
    colour = (0.80 + 0.16 * tone)[:, None] * paint
    colour = np.where((edge < 0.0055)[:, None], colour * 0.86, colour)  # a painted wall: the bricks show only faintly
    colour *= (0.84 + 0.28 * clouds(p * [0.9, 1.6], 3, 23) - 0.16 * np.clip(0.5 - p[:, 1], 0, 1))[:, None]
    coping = p[:, 1] > WALL_TOP - 0.09
    stone = (0.30 + 0.05 * noise(p * 30, 24)) * np.where((p[:, 0] % 0.8) < 0.012, 0.55, 1.0)
    return np.where(coping[:, None], stone[:, None] * [1.0, 0.98, 0.93], colour)


def _foliage(p: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    lumps, leaves = clouds(p * 4.5, 2, seed + 30), clouds(p * 30, 3, seed + 33)
    light = np.clip(0.15 + 1.2 * lumps * leaves + 0.5 * (leaves - 0.5), 0.06, 1)
    tint = np.stack([0.9 + 0.5 * noise(p * 12, seed + 36), np.ones(len(p)), 0.7 + 0.3 * noise(p * 9, seed + 37)], 1)
    normals = np.stack([leaves - 0.5, -np.ones(len(p)) * 0.6, 0.3 + lumps], 1)
    return light[:, None] * tint * [0.075, 0.15, 0.035], normals


def _sky(p: np.ndarray) -> np.ndarray:
    up = np.clip((p[:, 1] - 2.0) / 4.0, 0, 1)[:, None]
    colour = (1 - up) * [0.68, 0.76, 0.84] + up * [0.33, 0.50, 0.78]
    cover = np.clip((clouds(p * [0.35, 0.9], 5, 50) - 0.48) * 3.2, 0, 1)[:, None]
    colour = colour * (1 - 0.8 * cover) + 0.8 * cover * [0.90, 0.90, 0.90]
    crown = 2.4 + 1.5 * clouds(p[:, :1] * [[0.55, 0]], 2, 51) + 0.5 * clouds(p * 2.2, 3, 52)
    leaves, _ = _foliage(p * 0.8, 60)
    edge = np.clip((crown - p[:, 1]) / 0.06, 0, 1)[:, None]
    return colour * (1 - edge) + edge * (leaves * 2.2 + [0.02, 0.025, 0.03])
