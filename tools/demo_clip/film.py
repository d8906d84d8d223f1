"""Shading: people and props over the backdrop, lit by a sun with shadows and by the sky."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from demo_clip import shading
from demo_clip.bodies import vertex_normals
from demo_clip.camera import Camera, Sun
from demo_clip.rasterise import Coverage, rasterise
from demo_clip.scenery import Backdrop, backdrop

OVERSAMPLING = 2


@dataclass(frozen=True)
class Solid:
    """A mesh in the world. ``rest``: (V, 3) coordinates that its texture sticks to; ``stripes``: bands per metre."""

    vertices: np.ndarray
    triangles: np.ndarray
    keep: np.ndarray
    colours: np.ndarray
    materials: np.ndarray
    rest: np.ndarray
    stripes: float = 0.0


@dataclass(frozen=True)
class Shot:
    """A frame and its truth.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        whole: per solid, xyxy box in pixels of all of it that lies in the frame; None where there is nothing.
        visible: the same of the part that no other solid hides.
        share: per solid, visible pixels / all its pixels in the frame.
    """

    image: np.ndarray
    whole: list[np.ndarray | None]
    visible: list[np.ndarray | None]
    share: list[float]


class Film:
    """Renders solids in front of a static scene; ``paint`` makes it for a camera."""

    oversampling = OVERSAMPLING

    def __init__(self, camera: Camera, sun: Sun, seed: int, paint: Callable[[Camera], Backdrop] = backdrop) -> None:
        self.camera, self.sun = camera.scaled(self.oversampling), sun
        self.size = (self.camera.height, self.camera.width)
        self.scene = paint(self.camera)
        self.rays = self.camera.rays().astype(np.float32)
        self.seed = seed
        scene, outdoors = self.scene, ~self.scene.sky[..., None]
        facing = np.clip(scene.normals @ sun.towards, 0, 1)[..., None]
        self._sunlit = (scene.albedo * facing * shading.SUN_LIGHT * outdoors).astype(np.float32)
        self._skylit = (scene.albedo * shading.sky_light(scene.normals) * outdoors).astype(np.float32)
        self._glow = (scene.albedo * ~outdoors).astype(np.float32)
        self.rough = cv2.resize(self.scene.points, (camera.width, camera.height), interpolation=cv2.INTER_AREA)
        self.rough = self.rough.astype(np.float32)
        self._rough_sunwards = sun.project(self.rough.reshape(-1, 3))

    def shoot(self, solids: list[Solid], number: int) -> Shot:
        """Renders frame ``number``; the number only seeds the sensor noise."""
        self._cast_shadows(solids)
        layers = [rasterise(self.camera.project(s.vertices), s.triangles, s.keep, self.size) for s in solids]
        drawn, nearest = layers[0].nearness.copy(), np.where(layers[0].triangle >= 0, 0, -1)
        for k, layer in enumerate(layers[1:], 1):
            nearer = layer.nearness > drawn
            drawn[nearer], nearest[nearer] = layer.nearness[nearer], k
        light, occlusion = self._lit_scene(solids), _crevices(drawn)
        visible = [nearest == k for k in range(len(solids))]
        for solid, layer, mask in zip(solids, layers, visible, strict=True):
            if mask.any():
                self._shade(solid, layer, mask, occlusion, light)
        covered = [layer.triangle >= 0 for layer in layers]
        share = [float(v.sum() / max(c.sum(), 1)) for v, c in zip(visible, covered, strict=True)]
        whole, shown = ([self._box(mask) for mask in masks] for masks in (covered, visible))
        return Shot(self._develop(light, number), whole, shown, share)

    def _cast_shadows(self, solids: list[Solid]) -> None:
        starts = np.cumsum([0, *(len(s.vertices) for s in solids)])
        triangles = np.concatenate([s.triangles + start for s, start in zip(solids, starts, strict=False)])
        self.sun.cast(np.concatenate([s.vertices for s in solids]), triangles, np.concatenate([s.keep for s in solids]))

    def _lit_scene(self, solids: list[Solid]) -> np.ndarray:
        rough = self.rough
        sunny = self.sun.lit_at(self._rough_sunwards, 0.035).reshape(rough.shape[:2])
        open_sky = np.ones(rough.shape[:2], np.float32)
        # feet and bodies keep the light of the sky off the ground near them
        blobs = [(foot, 0.13, 0.55 * np.exp(-foot[2] / 0.06)) for solid in solids for foot in _feet(solid)]
        blobs += [(solid.vertices[::7].mean(0), 0.4, 0.22) for solid in solids]
        for centre, radius, strength in blobs:
            squared = (rough[..., 0] - np.float32(centre[0])) ** 2 + (rough[..., 1] - np.float32(centre[1])) ** 2
            near = squared < (2.5 * radius) ** 2
            open_sky[near] *= 1 - strength * np.exp(-squared[near] / radius**2)
        size = (self.size[1], self.size[0])
        sunny, open_sky = (
            cv2.resize(m.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)[..., None] for m in (sunny, open_sky)
        )
        return self._sunlit * sunny + self._skylit * open_sky + self._glow

    def _shade(self, solid: Solid, layer: Coverage, mask: np.ndarray, occlusion: np.ndarray, image: np.ndarray) -> None:
        """Lights the pixels of one solid into the image."""
        pixels = np.argwhere(mask).astype(np.int32)
        triangles, sun = solid.triangles.astype(np.int32), self.sun.towards.astype(np.float32)
        materials = solid.materials.astype(np.int32)
        normals = vertex_normals(solid.vertices, solid.triangles)
        vertices = tuple(field.astype(np.float32) for field in (normals, solid.colours, solid.rest))
        colour, normal, point = (np.empty((len(pixels), 3), np.float32) for _ in range(3))
        gloss, stripe_base = np.empty(len(pixels), np.float32), 0.55 * solid.rest[:, 2].max()
        buffers = (layer.nearness, layer.triangle, layer.weights)
        shading.surface(
            *(pixels, self.rays, buffers, triangles, vertices, materials, solid.stripes, stripe_base, sun),
            *(self.camera.eye, (colour, normal, point, gloss)),
        )
        sunny = self.sun.lit(point, 0.012)
        shading.light(pixels, layer.triangle, triangles, materials, sun, sunny, occlusion, colour, normal, gloss, image)

    def _box(self, mask: np.ndarray) -> np.ndarray | None:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if len(rows) == 0:
            return None
        return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]) / self.oversampling

    def _develop(self, light: np.ndarray, number: int) -> np.ndarray:
        """Linear light at twice the size to a noisy 8-bit picture."""
        size = (self.size[1] // self.oversampling, self.size[0] // self.oversampling)
        linear = cv2.resize(light.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        bright = linear * 0.92
        tone = np.clip(bright * (1 + bright / 6.0) / (1 + 0.42 * bright), 0, 1) ** (1 / 2.2)
        tone = cv2.GaussianBlur(tone, (3, 3), 0.45)
        grain = np.random.default_rng([self.seed, number]).normal(0, 1.0, (*tone.shape[:2], 3))
        return np.clip(tone * 255 + grain * 1.3 + 0.5, 0, 255).astype(np.uint8)


def _crevices(nearness: np.ndarray) -> np.ndarray:
    """Screen-space occlusion (H, W): darker where close neighbours stand in front."""
    height, width = nearness.shape
    small = cv2.resize(nearness, (width // 2, height // 2), interpolation=cv2.INTER_NEAREST)
    depth = np.where(np.isfinite(small), 1 / np.maximum(small, 1e-3), 50.0).astype(np.float32)
    hidden = np.zeros_like(depth)
    for radius in (3, 7):
        for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1), (-0.7, -0.7), (0.7, 0.7), (-0.7, 0.7), (0.7, -0.7)):
            other = np.roll(depth, (round(dy * radius), round(dx * radius)), (0, 1))
            gap = depth - other
            hidden += np.clip(gap / 0.05, 0, 1) * np.clip((0.35 - gap) / 0.15, 0, 1)
    occlusion = 1 - 0.38 * cv2.GaussianBlur(hidden / 16, (5, 5), 1.2)
    return cv2.resize(occlusion, (width, height), interpolation=cv2.INTER_LINEAR)


def _feet(solid: Solid) -> list[np.ndarray]:
    """Centres (x, y, lowest z) of what is near the ground: two feet, split along their widest direction."""
    points = solid.vertices[(solid.keep >= 0) & (solid.vertices[:, 2] < 0.14)]
    if len(points) < 20:
        return []
    flat = points[:, :2] - points[:, :2].mean(0)
    side = flat @ np.linalg.eigh(flat.T @ flat)[1][:, 1] > 0
    return [np.array([*half[:, :2].mean(0), half[:, 2].min()]) for half in (points[side], points[~side]) if len(half)]
