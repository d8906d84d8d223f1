"""Who is in the clip and what they do when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from demo_clip.bodies import SHOE, Body, BodyFactory, Look
from demo_clip.film import Solid
from demo_clip.gait import CHILD_RUN, WALK, Gait, Path, lean_into_bend
from demo_clip.motions import clap, pull_up, wave
from demo_clip.posing import Pose, Skeleton, blend, rotation

ACTIONS = ["walk", "pullup", "clap", "wave", "run"]
BAR = (1.42, 6.45, 2.28)  # middle of the bar, metres


@dataclass(frozen=True)
class Actor:
    """A person.

    ``act`` gives posture, ground position, heading (radians) and action at a time in seconds; ``stripes``: see Solid.
    """

    body: Body
    act: Callable[[float], tuple[Pose, np.ndarray, float, str]]
    stripes: float

    def at(self, t: float) -> tuple[Solid, str]:
        """The person as a mesh in the world, and the action."""
        pose, position, heading, action = self.act(t)
        vertices = Skeleton(self.body).skin(pose) @ rotation(2, np.degrees(heading) + 90).T
        vertices += [*position, 0.022]  # thickness of the soles
        body = self.body
        return Solid(
            vertices, body.triangles, body.keep, body.colours, body.materials, body.vertices, self.stripes
        ), action


def actors(factory: BodyFactory) -> list[Actor]:
    """The four people, in the order of their ids (from 1)."""
    return [_walker(factory), _athlete(factory), _greeter(factory), _runner(factory)]


def bar() -> Solid:
    """The pull-up bar: two posts and a rod."""
    x, y, z = BAR
    parts = [
        _rod((x - 0.62, y, 0), (x - 0.62, y, z + 0.07), 0.035),
        _rod((x + 0.62, y, 0), (x + 0.62, y, z + 0.07), 0.035),
        _rod((x - 0.66, y, z), (x + 0.66, y, z), 0.017),
    ]
    starts = np.cumsum([0, *(len(p[0]) for p in parts)])
    vertices = np.concatenate([p[0] for p in parts])
    triangles = np.concatenate([p[1] + start for p, start in zip(parts, starts, strict=False)])
    colours = np.concatenate(
        [
            np.tile(c, (len(p[0]), 1))
            for p, c in zip(parts, ([0.05, 0.12, 0.22], [0.05, 0.12, 0.22], [0.33, 0.34, 0.36]), strict=True)
        ]
    )
    return Solid(
        vertices, triangles, np.ones(len(vertices)), colours, np.full(len(vertices), SHOE), np.add(vertices, (0, 0, 1))
    )


def _rod(
    start: tuple[float, float, float], end: tuple[float, float, float], radius: float
) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.array(start, float), np.array(end, float)
    along = (b - a) / np.linalg.norm(b - a)
    u = np.cross(along, [0.0, 1.0, 0.1])
    u /= np.linalg.norm(u)
    angles = np.arange(14) * 2 * np.pi / 14
    ring = radius * (np.outer(np.cos(angles), u) + np.outer(np.sin(angles), np.cross(along, u)))
    i, j = np.arange(14), (np.arange(14) + 1) % 14
    sides = np.concatenate([np.stack([i, j, i + 14], 1), np.stack([j, j + 14, i + 14], 1)])
    caps = np.stack([np.full(12, 14), np.arange(15, 27), np.arange(16, 28)], 1)
    return np.concatenate([a + ring, b + ring]), np.concatenate([sides, caps])


def _walker(factory: BodyFactory) -> Actor:
    look = Look(
        skin=(0.50, 0.30, 0.21),
        hair=(0.055, 0.028, 0.014),
        shirt=(0.46, 0.04, 0.04),
        trousers=(0.025, 0.045, 0.10),
        shoes=(0.55, 0.55, 0.56),
        sleeve=1.9,
        hair_length=0.36,
        denim=True,
    )
    body = factory.make(look, gender=1.0, age=0.66, muscle=0.45, weight=0.42, height=0.5, proportions=0.7)
    path = Path.through([(-3.2, 5.30), (0.40, 5.30), (0.40, 6.62), (-4.0, 6.68)], 0.62)
    gait = Gait(body, WALK, path, start=2.55)

    def act(t: float) -> tuple[Pose, np.ndarray, float, str]:
        return gait.pose(t), *gait.placement(t), "walk"

    return Actor(body, act, 0.0)


def _athlete(factory: BodyFactory) -> Actor:
    look = Look(
        skin=(0.30, 0.165, 0.105),
        hair=(0.012, 0.010, 0.010),
        shirt=(0.62, 0.62, 0.60),
        trousers=(0.02, 0.022, 0.03),
        shoes=(0.08, 0.08, 0.09),
        sleeve=0.25,
        leg=0.75,
        hair_length=0.06,
    )
    body = factory.make(look, gender=0.0, age=0.66, muscle=0.78, weight=0.42, height=0.52, proportions=0.8)

    def act(t: float) -> tuple[Pose, np.ndarray, float, str]:
        return pull_up(body, t + 0.4, BAR[2]), np.array(BAR[:2]), np.radians(-90), "pullup"

    return Actor(body, act, 0.0)


def _greeter(factory: BodyFactory) -> Actor:
    look = Look(
        skin=(0.56, 0.37, 0.28),
        hair=(0.36, 0.35, 0.34),
        shirt=(0.045, 0.13, 0.26),
        trousers=(0.20, 0.17, 0.125),
        shoes=(0.07, 0.04, 0.025),
        sleeve=0.75,
        leg=2.02,
        hair_length=0.07,
    )
    body = factory.make(look, gender=0.0, age=0.9, muscle=0.45, weight=0.68, height=0.45, proportions=0.5)
    swap, length = 4.2, 0.5

    def act(t: float) -> tuple[Pose, np.ndarray, float, str]:
        u = float(np.clip((t - swap) / length, 0, 1))
        pose = blend(clap(body, t), wave(body, t), u * u * (3 - 2 * u))
        return pose, np.array([-1.22, 6.05]), np.radians(-82), "clap" if u < 0.5 else "wave"

    return Actor(body, act, 9.0)


def _runner(factory: BodyFactory) -> Actor:
    look = Look(
        skin=(0.52, 0.33, 0.25),
        hair=(0.16, 0.085, 0.03),
        shirt=(0.72, 0.42, 0.04),
        trousers=(0.05, 0.05, 0.055),
        shoes=(0.05, 0.22, 0.42),
        sleeve=0.55,
        leg=0.8,
        hair_length=0.09,
    )
    body = factory.make(look, gender=0.15, age=0.43, muscle=0.5, weight=0.45, height=0.5, proportions=0.7)
    # from near right round the bar to far right: in front of the athlete, then behind him
    path = Path.through([(4.0, 5.3), (-0.6, 5.3), (-0.6, 8.4), (4.0, 8.4)], 1.5)
    gait = Gait(body, CHILD_RUN, path, start=-7.09)

    def act(t: float) -> tuple[Pose, np.ndarray, float, str]:
        pose = gait.pose(t)
        before, after = (gait.placement(t + dt)[1] for dt in (-0.2, 0.2))
        turning = ((after - before + np.pi) % (2 * np.pi) - np.pi) / 0.4  # radians a second
        lean_into_bend(pose, body, 0.8 * float(np.degrees(np.arctan(turning * CHILD_RUN.speed / 9.81))))
        return pose, *gait.placement(t), "run"

    return Actor(body, act, 0.0)
