"""Random places: ground, wall and sky painted once as pictures, then seen from any camera; boxes as furniture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from demo_clip.bodies import CLOTH, DENIM, SHOE
from demo_clip.camera import Camera
from demo_clip.film import Solid
from demo_clip.posing import rotation
from demo_clip.scenery import Backdrop

from training_people.people import cloth
from training_people.view import View

Texture = tuple[np.ndarray, np.ndarray]
"""A repeated picture (S, S, 3), and the same with a quarter of the pixels a side, for the distance."""
_SIDE, _METRE = 1024, 90.0  # pixels of a painted picture, and of a metre in it


def random_place(rng: np.random.Generator, room_behind: float) -> Place:
    """A room, or a place outdoors; the wall is at least ``room_behind`` metres behind the people."""
    indoors = rng.random() < 0.5
    wall = room_behind + (rng.uniform(0.3, 3.0) if indoors else rng.uniform(0.5, 15.0))
    top = 50.0 if indoors else float(rng.choice([rng.uniform(0.8, 2.5), rng.uniform(3.0, 9.0)]))
    sky = np.array([[0.7, 0.75, 0.8], [0.3, 0.5, 0.8], [0.8, 0.8, 0.8], [0.9, 0.7, 0.5]])[rng.integers(4)]
    ground, front, above = _surface(rng, True), _surface(rng, False), _painted(rng, sky, 5, 0.3, 256)
    return Place(_texture(ground), _texture(front), _texture(above), wall, top)


def _texture(picture: np.ndarray) -> Texture:
    return picture, cv2.resize(picture, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)


@dataclass(frozen=True)
class Place:
    """Ground (z = 0) and a wall (y = ``wall``, up to ``top``), and the sky."""

    ground: Texture
    front: Texture
    sky: Texture
    wall: float
    top: float

    def seen(self, place: np.ndarray) -> Callable[[Camera], Backdrop]:
        """A function that paints the place as cameras at ``place`` (2,) see it, relative to them."""

        def paint(camera: Camera) -> Backdrop:
            assert isinstance(camera, View)
            rays = camera.rays().astype(np.float32)
            down = np.where(rays[..., 2] < -1e-3, -camera.eye / np.minimum(rays[..., 2], -1e-3), 1e4)
            ahead = np.where(rays[..., 1] > 1e-3, (self.wall - place[1]) / np.maximum(rays[..., 1], 1e-3), 1e4)
            depth = np.minimum(np.minimum(down, ahead), 60.0).astype(np.float32)
            points = rays * depth[..., None] + np.array([0, 0, camera.eye], np.float32)
            on_wall = ahead < down
            sky = on_wall & (points[..., 2] > self.top)
            here = place.astype(np.float32)
            flat = points[..., :2] + here
            upright = np.stack([points[..., 0] + here[0], points[..., 2]], -1)
            albedo = np.where(on_wall[..., None], _seen(self.front, upright, depth), _seen(self.ground, flat, depth))
            far = rays / np.maximum(np.abs(rays[..., 1:2]), 0.2)
            albedo = np.where(sky[..., None], _seen(self.sky, far[..., [0, 2]] * 3, depth * 0), albedo)
            ahead_of, upward = np.array([[0, -1, 0], [0, 0, 1]], np.float32)
            return Backdrop(albedo, np.where(on_wall[..., None], ahead_of, upward), points, sky)

        return paint


def _seen(texture: Texture, where: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Colours (H, W, 3) of a repeated picture at places in metres, blurred in the distance."""
    picture, small = texture
    side = len(picture)
    spots = np.mod(where * np.float32(_METRE * side / _SIDE), np.float32(side))
    near = cv2.remap(picture, spots[..., 0], spots[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    if depth.max() <= 4:
        return np.asarray(near)
    far = cv2.remap(small, spots[..., 0] / 4, spots[..., 1] / 4, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    share = np.clip((depth - 4) / 10, 0, 1)[..., None]
    return np.asarray(near + share * (far - near))


def _clouds(rng: np.random.Generator, octaves: int, side: int = _SIDE) -> np.ndarray:
    """Fractal noise (side, side), roughly 0..1."""
    total = np.zeros((side, side), np.float32)
    for k in range(octaves):
        knots = rng.random((2 ** (k + 2), 2 ** (k + 2))).astype(np.float32)
        total += cv2.resize(knots, (side, side), interpolation=cv2.INTER_CUBIC) * 0.5 ** (k + 1)
    return total / (1 - 0.5**octaves)


def _painted(
    rng: np.random.Generator, colour: np.ndarray, octaves: int, strength: float, side: int = _SIDE
) -> np.ndarray:
    shade = 1 + strength * (_clouds(rng, octaves, side)[..., None] - 0.5) * rng.uniform(0.7, 1.3, 3)
    return (np.asarray(colour) * shade).clip(0.005, 0.95).astype(np.float32)


def _surface(rng: np.random.Generator, ground: bool) -> np.ndarray:
    """A painted picture of plaster, bricks, tiles, planks, grass, asphalt; walls with windows, posters, doors."""
    base = np.array(cloth(rng)) * 0.7 + rng.uniform(0.05, 0.25)
    picture = _painted(rng, base, int(rng.integers(3, 9)), float(rng.choice([0.1, 0.5, 1.2])))
    if rng.random() < 0.65:
        picture *= _pattern(rng)[..., None]
    if ground and rng.random() < 0.3:
        blades = _clouds(rng, 8)[..., None]
        picture = (blades * np.array([0.10, 0.17, 0.05]) * rng.uniform(0.6, 2.2)).astype(np.float32)
    for _ in range(int(rng.integers(0, 3 if ground else 14))):
        _hang(rng, picture)
    grain = rng.normal(1, rng.uniform(0.0, 0.12), (_SIDE, _SIDE, 1))
    return (picture * grain).clip(0.004, 0.95).astype(np.float32)


def _pattern(rng: np.random.Generator) -> np.ndarray:
    """Joints and tones of a grid of bricks, tiles or planks, (S, S) around 1."""
    wide, high = (int(s) for s in rng.choice([8, 16, 32, 64, 128, 256, 1024], 2))
    rows, columns = np.mgrid[:_SIDE, :_SIDE]
    columns = columns + (rows // high % 2) * (wide // 2) * int(rng.random() < 0.5)
    tones = 1 + rng.uniform(0, 0.5) * (rng.random((_SIDE // 8, _SIDE // 8)) - 0.5)
    tone = tones[rows // high % (_SIDE // 8), columns // wide % (_SIDE // 8)]
    joint = ((columns % wide < 2) & (wide < 1024)) | ((rows % high < 2) & (high < 1024))
    return np.where(joint, rng.uniform(0.4, 1.3), tone).astype(np.float32)


def _hang(rng: np.random.Generator, picture: np.ndarray) -> None:
    """Paints a rectangle: a window, a poster, a door, a sign, a rug."""
    width, height = (int(s) for s in rng.uniform(15, 220, 2))
    x, y = int(rng.integers(0, _SIDE - width)), int(rng.integers(0, min(_SIDE - height, 330)))
    paper = np.array(cloth(rng)) * (1 + rng.uniform(0, 1) * (_clouds(rng, 5, 256)[:height, :width, None] - 0.5))
    inner: np.ndarray = cv2.resize(paper.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        edge = int(rng.integers(2, 8))
        cv2.rectangle(inner, (0, 0), (width - 1, height - 1), cloth(rng), edge)
    if rng.random() < 0.3:
        inner[height // 2 - 2 : height // 2 + 2], inner[:, width // 2 - 2 : width // 2 + 2] = 0.3, 0.3
    picture[y : y + height, x : x + width] = inner


def cuboid(
    rng: np.random.Generator, centre: tuple[float, float, float], size: tuple[float, float, float], turn: float = 0.0
) -> Solid:
    """A box of one random colour; ``turn`` in degrees about the vertical."""
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / 2
    faces = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
    corners = np.concatenate([signs[list(face)] for face in faces]) * size
    vertices = corners @ rotation(2, turn).T + centre
    quads = np.arange(24).reshape(6, 4)
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    return _solid(rng, vertices, triangles, corners)


def ball(rng: np.random.Generator, centre: np.ndarray, radius: float, colour: tuple[float, float, float]) -> Solid:
    """A ball."""
    theta, phi = np.meshgrid(np.linspace(0, np.pi, 9), np.linspace(0, 2 * np.pi, 17), indexing="ij")
    unit = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], -1).reshape(-1, 3)
    index = np.arange(9 * 17).reshape(9, 17)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    triangles = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    solid = _solid(rng, centre + radius * unit, triangles, radius * unit)
    solid.colours[:] = colour
    return solid


def _solid(rng: np.random.Generator, vertices: np.ndarray, triangles: np.ndarray, rest: np.ndarray) -> Solid:
    count = len(vertices)
    colours = np.tile(cloth(rng), (count, 1)).astype(float)
    materials = np.full(count, rng.choice([SHOE, CLOTH, DENIM]))
    return Solid(vertices, triangles, np.ones(count), colours, materials, np.add(rest, (0, 0, 1.0)))


def furniture(rng: np.random.Generator, nearest: float, farthest: float) -> list[Solid]:
    """Cupboards, tables, cars as boxes somewhere behind and beside the people, who are around (0, 0)."""
    things = []
    for _ in range(int(rng.integers(0, 6))):
        size = rng.uniform(0.2, 1.4, 3) * (1, 1, 0.9)
        y = rng.uniform(nearest, max(farthest, nearest + 0.1))
        things.append(cuboid(rng, (rng.uniform(-4, 4), y + size[1], size[2] / 2), tuple(size), rng.uniform(-30, 30)))
    return things


def moved(solid: Solid, shift: np.ndarray) -> Solid:
    """The solid displaced by (2,) on the ground."""
    return Solid(
        *(solid.vertices - [*shift, 0.0], solid.triangles, solid.keep, solid.colours, solid.materials, solid.rest),
        stripes=solid.stripes,
    )
