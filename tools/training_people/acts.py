"""Kinds of clips: what a person does, with what beside them, and from where they may be filmed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from demo_clip.film import Solid

from training_people.bases import (
    Base,
    bent,
    crouched,
    idle_arms,
    joined,
    knelt,
    lying,
    on_the_floor,
    on_thighs,
    seated,
    standing,
)
from training_people.figure import Figure, Motion
from training_people.gestures import QUIET, Gesture, Random, clap, hang, wave
from training_people.motions import changing, going, jumping, kicking, picking, pulling_up, throwing
from training_people.places import cuboid

GestureOf = Callable[[Figure, Random], Gesture]

SHARES = {
    "clap": 48, "wave": 64, "run": 56, "walk": 52, "jump": 24, "sit": 24, "lie": 26, "bend": 16, "crouch": 12,
    "kneel": 10, "sit down": 16, "stand up": 16, "pick": 18, "throw": 18, "kick": 16, "pullup": 16, "hang": 14,
    "talk": 16, "crossed": 10, "hips": 8, "phone": 12, "raise": 12, "stretch": 10, "exercise": 14,
}  # fmt: skip
"""How often each kind is drawn. The last eight are people who stand and do none of the actions."""


@dataclass
class Act:
    """A motion and what belongs to it.

    Attributes:
        motion: The person over time.
        facing: Degrees by which the person may be turned away from the camera.
        moves: They leave their place.
        waist: The picture may end at the waist.
        props: Solids in the person's own frame.
        ball: Radius of a ball, 0 for none.
        high: Metres above the head that should be seen.
    """

    motion: Motion
    facing: float = 180.0
    moves: bool = False
    waist: bool = False
    props: list[Solid] = field(default_factory=list)
    ball: float = 0.0
    high: float = 0.0


def make_act(kind: str, fig: Figure, rng: Random, seconds: float) -> Act:
    """An act of a kind of `SHARES`, at random."""
    if kind in ("clap", "wave"):
        return _gesturing(fig, rng, clap, 90.0) if kind == "clap" else _gesturing(fig, rng, wave, 65.0)
    if kind in QUIET:
        return _gesturing(fig, rng, QUIET[kind], facing=180.0)
    if kind in ("run", "walk"):
        gesture: Gesture | None = None
        if rng.random() < (0.05 if kind == "run" else 0.25):
            gesture = (QUIET["phone"], QUIET["talk"], QUIET["crossed"], wave, hang)[rng.integers(5)](fig, rng)
        return Act(going(fig, rng, kind == "run", gesture, seconds), moves=True)
    simple = {"bend": bent, "crouch": crouched, "kneel": knelt, "lie": lying}
    if kind in simple:
        posture = "crouch" if kind == "kneel" else kind
        gesture = idle_arms(fig, rng, posture)
        if kind == "kneel":
            gesture = (on_thighs, QUIET["talk"], hang)[rng.integers(3)](fig, rng)
        return Act(joined(fig, simple[kind](fig, rng), gesture))
    if kind == "sit":
        base, props = _seat(fig, rng)
        return Act(joined(fig, base, _seated_arms(fig, rng)), props=props, waist=True)
    if kind in ("sit down", "stand up"):
        return _changing(fig, rng, kind == "stand up")
    if kind == "pullup":
        bar = float(fig.stature * 1.25 + rng.uniform(0.1, 0.4))
        return Act(pulling_up(fig, rng, bar), props=_bar(rng, bar), high=0.3)
    if kind == "jump":
        return Act(jumping(fig, rng, seconds), high=0.25)
    whole = {"kick": (kicking, 0.11), "throw": (throwing, rng.uniform(0.035, 0.12)), "pick": (picking, 0.07)}
    motion, radius = whole[kind]
    return Act(motion(fig, rng), ball=float(radius), high=0.15 if kind == "throw" else 0.0)


def _gesturing(fig: Figure, rng: Random, gesture: GestureOf, facing: float) -> Act:
    arms = gesture(fig, rng)
    props: list[Solid] = []
    base: Base = standing(fig, rng)
    if rng.random() < 0.14:
        base, props = _seat(fig, rng)
    return Act(joined(fig, base, arms), facing, waist=True, props=props, high=0.2)


def _seated_arms(fig: Figure, rng: Random) -> Gesture:
    kinds = [on_thighs, QUIET["talk"], QUIET["phone"], QUIET["crossed"], QUIET["raise"]]
    return kinds[rng.choice(5, p=[0.45, 0.25, 0.12, 0.1, 0.08])](fig, rng)


def _seat(fig: Figure, rng: Random, floor: float = 0.25) -> tuple[Base, list[Solid]]:
    """Sitting on the floor or on a chair, a stool, a bench or a sofa, and that."""
    if rng.random() < floor:
        return on_the_floor(fig, rng), []
    base = seated(fig, rng, fig.shank + fig.ankle[2] + rng.uniform(-0.04, 0.10))
    vertices, _ = fig.shape(joined(fig, base, on_thighs(fig, rng))(0.0))
    near = (np.hypot(vertices[:, 0], vertices[:, 1] - fig.hip[1]) < 0.2) & (fig.body.keep >= 0)
    top = float(vertices[near][:, 2].min()) + 0.015
    return base, _chair(rng, top, fig.hip[1])


def _chair(rng: Random, top: float, y: float) -> list[Solid]:
    wide, deep = rng.choice([rng.uniform(0.36, 0.5), rng.uniform(0.9, 1.8)], p=[0.7, 0.3]), rng.uniform(0.36, 0.48)
    thick = rng.choice([0.05, top])
    x, y = rng.normal(0, 0.15) * (wide > 0.6), y + 0.02
    parts = [cuboid(rng, (x, y, top - thick / 2), (wide, deep, thick))]
    if thick < top:
        for sx in (-1, 1):
            for sy in (-1, 1):
                place = (x + sx * (wide / 2 - 0.03), y + sy * (deep / 2 - 0.03), (top - thick) / 2)
                parts.append(cuboid(rng, place, (0.04, 0.04, top - thick)))
    if rng.random() < 0.6:
        high = rng.uniform(0.3, 0.55)
        parts.append(cuboid(rng, (x, y + deep / 2 + 0.03, top + high / 2), (wide, 0.05, high)))
    for part in parts[1:]:
        part.colours[:] = parts[0].colours[0]
    return parts


def _changing(fig: Figure, rng: Random, up: bool) -> Act:
    base, props = _seat(fig, rng, floor=0.2)
    stand = joined(fig, standing(fig, rng), hang(fig, rng))
    sit = joined(fig, base, on_thighs(fig, rng))
    return Act(changing(fig, rng, stand, sit, up, floor=not props), props=props)


def _bar(rng: Random, bar: float) -> list[Solid]:
    half = rng.uniform(0.6, 1.0)
    parts = [cuboid(rng, (0, 0, bar), (2 * half + 0.1, 0.035, 0.035))]
    if rng.random() < 0.8:
        parts += [cuboid(rng, (sign * half, 0, (bar + 0.05) / 2), (0.07, 0.07, bar + 0.05)) for sign in (-1, 1)]
    return parts
