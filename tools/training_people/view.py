"""Cameras that are tilted, turned, held by hand, panning or moving along, and the light of a place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from demo_clip.camera import Camera, Sun
from demo_clip.posing import rotation

Floats = np.ndarray


@dataclass(frozen=True)
class View(Camera):
    """A camera at x = y = 0 that looks along y, turned (degrees): ``yaw`` to the left, ``pitch`` down, ``roll``."""

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0

    def scaled(self, factor: int) -> View:
        """The same view with ``factor`` times the pixels on each side."""
        return replace(
            self,
            width=self.width * factor,
            height=self.height * factor,
            focal=self.focal * factor,
            horizon=self.horizon * factor,
        )

    def project(self, points: Floats) -> Floats:
        """(N, 3) world points to image x, y in pixels and nearness 1 / depth."""
        local = (points - [0, 0, self.eye]) @ self._turn()
        near = 1.0 / np.maximum(local[:, 1], 0.1)
        x = self.width / 2 + self.focal * local[:, 0] * near
        return np.stack([x, self.horizon - self.focal * local[:, 2] * near, near], 1)

    def rays(self) -> Floats:
        """(H, W, 3) direction through each pixel centre, scaled to advance one metre along the optical axis."""
        return super().rays() @ self._turn().T

    def _turn(self) -> Floats:
        return rotation(2, self.yaw) @ rotation(0, -self.pitch) @ rotation(1, self.roll)


class Light(Sun):
    """A sun or lamp of any strength, 1 for a clear day."""

    def __init__(self, towards: tuple[float, float, float], strength: float) -> None:
        super().__init__(towards, (0.0, 0.0, 0.8))
        self.strength = strength

    def lit_at(self, image: Floats, softness: float) -> Floats:
        """Share of a clear day's sun at projected points."""
        return (self.strength * super().lit_at(image, softness)).astype(np.float32)


class Wobble:
    """Smooth noise of any shape: a few sine waves of random phase."""

    def __init__(
        self, rng: np.random.Generator, shape: tuple[int, ...], size: float, rates: tuple[float, float]
    ) -> None:
        self.rates = rng.uniform(*rates, (3, *shape))
        self.phases = rng.uniform(0, 2 * np.pi, (3, *shape))
        self.sizes = size * rng.normal(0, 0.7, (3, *shape))

    def __call__(self, t: float) -> Floats:
        """The noise at a time in seconds."""
        return np.asarray((self.sizes * np.sin(2 * np.pi * self.rates * t + self.phases)).sum(0))


@dataclass(frozen=True)
class Framing:
    """How large and where a person is in the picture.

    Attributes:
        width, height: of the picture. focal: pixels. metre: pixels of a metre at the person.
        eye: metres above the ground. aim: height in metres of the picture's centre line at the person.
        aside: metres by which the person is beside the middle.
    """

    width: int
    height: int
    focal: float
    metre: float
    eye: float
    aim: float
    aside: float

    @property
    def distance(self) -> float:
        """Metres from the camera to the person."""
        return self.focal / self.metre


RIGS = ("static", "hand", "drift", "pan", "along")


class Rig:
    """A camera over time.

    Args:
        framing: At the start, or on average.
        kind: One of `RIGS`: still; held by hand; turning slowly; turning after the person; moving along with them.
        where: Position (2,) of the person at a time, around (0, 0).
        rng: Decides the unsteadiness.
        seconds: Length of the clip.
    """

    def __init__(
        self, framing: Framing, kind: str, where: Callable[[float], Floats], rng: np.random.Generator, seconds: float
    ) -> None:
        self.framing, self.kind, self.where, self.seconds = framing, kind, where, seconds
        unsteady = {"static": 0.0, "hand": rng.uniform(0.2, 0.8), "along": rng.uniform(0, 0.6)}
        self.shake = Wobble(rng, (3,), unsteady.get(kind, rng.uniform(0, 0.3)), (0.3, 2.0))
        self.late, self.roll = rng.uniform(0, 0.25), rng.normal(0, 1.2)
        self.rate = rng.uniform(-8, 8) if kind == "drift" else 0.0
        self.behind = np.array([0.0, -framing.distance])

    def at(self, t: float) -> tuple[View, Floats]:
        """The view and the camera's place (2,) on the ground."""
        framing, place, target = self.framing, self.behind, self.where(self.seconds / 2)
        if self.kind == "along":
            target = self.where(t)
            place = place + target
        elif self.kind == "pan":
            target = self.where(max(t - self.late, 0.0))
        ahead = target - np.array([framing.aside, 0.0]) - place
        away = float(np.hypot(*ahead))
        shake = self.shake(t)
        yaw = -np.degrees(np.arctan2(ahead[0], ahead[1])) + self.rate * (t - self.seconds / 2) + shake[0]
        pitch = np.degrees(np.arctan2(framing.eye - framing.aim, away)) + shake[1]
        half = framing.height / 2
        view = View(framing.width, framing.height, framing.focal, framing.eye, half, yaw, pitch, self.roll + shake[2])
        return view, place
