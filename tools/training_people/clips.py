"""One clip: everything about it drawn from its number, its frames, and the truth of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from demo_clip.bodies import BodyFactory
from demo_clip.film import Film, Solid
from demo_clip.posing import rotation

from training_people.acts import SHARES, Act, make_act
from training_people.figure import Figure, Moment, turned
from training_people.people import cloth, random_body
from training_people.places import ball, furniture, moved, random_place
from training_people.view import Framing, Light, Rig, View

SIZES = ((320, 240), (352, 288), (400, 300), (426, 240), (480, 360), (480, 270), (360, 480), (270, 480))
CUTS = ("whole", "knees", "waist")
ENOUGH = 0.6
"""Share of a person's height and width in the picture from which on a frame is labelled."""


@dataclass(frozen=True)
class Truth:
    """Of one frame: box xyxy in pixels (None where nobody is seen), share of the person in it, and labels."""

    box: np.ndarray | None
    share: float
    posture: str
    actions: tuple[str, ...]


def kinds(count: int, seed: int) -> list[str]:
    """A kind for each of `count` clips, in shares of `SHARES` from the beginning on."""
    rng = np.random.default_rng([seed, 1])
    names, shares = list(SHARES), np.array(list(SHARES.values())) / sum(SHARES.values())
    debt, drawn = rng.uniform(0, 1, len(names)), []
    for _ in range(count):
        debt += shares
        drawn.append(names[int(np.argmax(debt))])
        debt[int(np.argmax(debt))] -= 1
    return drawn


@dataclass
class Grade:
    """What a cheap camera makes of the light: exposure, contrast, colour cast, blur, noise."""

    rng: np.random.Generator
    exposure: float = field(init=False)

    def __post_init__(self) -> None:
        rng = self.rng
        self.exposure, self.gamma = float(rng.uniform(0.8, 1.7)), float(rng.uniform(1.8, 2.5))
        self.cast = rng.normal(1, 0.06, 3)
        self.blur, self.noise = float(rng.choice([0.55, rng.uniform(0.55, 1.0)])), float(rng.uniform(0.5, 5.0))
        self.colour = float(rng.uniform(0.6, 1.2)) if rng.random() < 0.93 else 0.0

    def develop(self, light: np.ndarray) -> np.ndarray:
        """Linear light (H, W, 3) as an 8-bit picture."""
        linear = light.astype(np.float32) * (self.exposure * self.cast).astype(np.float32)
        grey = linear.mean(-1, keepdims=True)
        bright = (grey + self.colour * (linear - grey)).clip(0)
        tone = np.clip(bright * (1 + bright / 6.0) / (1 + 0.42 * bright), 0, 1) ** (1 / self.gamma)
        tone = cv2.GaussianBlur(tone, (5, 5), self.blur)
        grain = self.noise * self.rng.standard_normal((*tone.shape[:2], 1), np.float32)
        return np.asarray(np.clip(tone * 255 + grain + 0.5, 0, 255).astype(np.uint8))


class Graded(Film):
    """A film whose pictures a `Grade` develops."""

    oversampling = 1
    grade: Grade

    def _develop(self, light: np.ndarray, number: int) -> np.ndarray:
        return self.grade.develop(light)


class Clip:
    """A clip, drawn at random from ``seed`` and ``number``; each number is another person.

    Attributes:
        kind: A key of `SHARES`. seconds: Length. size: (width, height). cut: One of `CUTS`.
    """

    def __init__(self, factory: BodyFactory, kind: str, seed: int, number: int, rate: float) -> None:
        self.kind, self.rate = kind, rate
        rng = self.rng = np.random.default_rng([seed, 2, number])
        self.seconds = float(rng.uniform(2.0, 2.6))
        stripes = float(rng.choice([0.0, rng.uniform(5, 14)], p=[0.75, 0.25]))
        self.figure = Figure(random_body(factory, rng), rng, stripes)
        self.act: Act = make_act(kind, self.figure, rng, self.seconds)
        self.heading = self._heading()
        self.cut = str(rng.choice(CUTS, p=[0.62, 0.1, 0.28])) if self.act.waist else "whole"
        self.size = SIZES[rng.choice(len(SIZES), p=[0.2, 0.1, 0.15, 0.1, 0.2, 0.1, 0.1, 0.05])]
        self.rig = self._rig()
        self.place = random_place(rng, 2.0 + 2.0 * self.act.moves)
        self.things = [] if rng.random() < 0.3 else furniture(rng, 0.9 + 1.2 * self.act.moves, self.place.wall - 0.5)
        strength = float(rng.choice([rng.uniform(0.1, 0.5), rng.uniform(0.6, 1.2)]))
        self.light = Light((rng.uniform(-0.9, 0.9), rng.uniform(-0.9, 0.4), rng.uniform(0.5, 1.2)), strength)
        self.grade = Grade(rng)
        self.grade.exposure *= float(np.clip(0.9 / (0.35 + strength), 0.7, 1.7))
        self.colour, self.blurred = cloth(rng), rng.random() < 0.08
        turn = rotation(2, self.heading).T
        self.props = [replace(p, vertices=p.vertices @ turn) for p in self.act.props]

    def times(self) -> np.ndarray:
        """(T,) seconds of the frames."""
        return np.arange(int(self.seconds * self.rate) + 1) / self.rate

    def frames(self) -> Iterator[tuple[np.ndarray, Truth]]:
        """Pictures (H, W, 3) uint8 and their truth."""
        still = None
        for t in self.times():
            view, place = self.rig.at(t)
            if still is None or self.rig.kind != "static":
                seen_at = self._where(self.seconds / 2 if self.rig.kind == "static" else t) - place
                self.light.centre = np.array([*seen_at, 0.8])
                still = Graded(view, self.light, 0, self.place.seen(place))
                still.grade = self.grade
            moment = self.act.motion(t)
            solids = self._solids(moment, place)
            shot = still.shoot(solids, 0)
            image = shot.image
            if self.blurred:  # a slow shutter: the mean of two moments
                later = self._solids(self.act.motion(t + 0.02), place)
                image = cv2.addWeighted(image, 0.5, still.shoot(later, 0).image, 0.5, 0)
            posture = "unclear" if self.cut == "waist" and moment.posture in ("stand", "sit") else moment.posture
            yield image, Truth(shot.whole[0], _share(solids[0], view), posture, moment.actions)

    def _solids(self, moment: Moment, place: np.ndarray) -> list[Solid]:
        solids = [self.figure.solid(moment, self.heading), *self.props, *self.things]
        if moment.ball is not None:
            centre = rotation(2, self.heading + moment.heading) @ moment.ball
            centre += [*turned(moment.place, self.heading), 0.0]
            solids.append(ball(self.rng, centre, self.act.ball, self.colour))
        return [moved(solid, place) for solid in solids]

    def _heading(self) -> float:
        rng, facing = self.rng, self.act.facing
        if facing < 180:
            return float(np.clip(rng.normal(0, 0.42 * facing), -facing, facing))
        if self.act.moves:  # across more often than away
            return float(rng.choice([-90, 90, 0, 180], p=[0.32, 0.32, 0.2, 0.16]) + rng.normal(0, 22))
        return float(rng.uniform(-180, 180))

    def _where(self, t: float) -> np.ndarray:
        return turned(self.act.motion(t).place, self.heading)

    def _rig(self) -> Rig:
        """A camera that sees enough of the person for most of the clip."""
        rng = self.rng
        moments = np.linspace(0, self.seconds, 5)
        some = [(t, self.figure.solid(self.act.motion(t), self.heading)) for t in moments]
        for attempt in range(40):
            options, shares = ("static", "hand", "drift"), [0.45, 0.4, 0.15]
            if self.act.moves:
                options, shares = ("static", "hand", "pan", "along"), [0.25, 0.1, 0.3, 0.35]  # type: ignore[assignment]
            kind = "pan" if attempt > 25 and self.act.moves else str(rng.choice(options, p=shares))
            rig = Rig(self._framing(), kind, self._where, rng, self.seconds)
            wanted = {"whole": 0.93, "knees": 0.6, "waist": 0.3}[self.cut]
            seen = np.array([self._seen(rig, t, solid) for t, solid in some])
            if (seen > wanted).mean() > (0.6 if self.act.moves else 0.99):
                break
        return rig

    def _framing(self) -> Framing:
        rng, (width, height), stature = self.rng, self.size, self.figure.stature
        focal = max(width, height) * rng.uniform(0.8, 2.0)
        vertices, _ = self.figure.shape(self.act.motion(self.seconds / 2))
        low, top = 0.0, float(vertices[:, 2].max())
        tall = rng.uniform(max(0.3, 80 / height), min(0.9, 300 / height)) * height
        metre = tall / (max(top, 0.55 * stature) + self.act.high)
        if self.cut != "whole":
            low = float(self.figure.hip[2] + vertices[:, 2].min()) if top > 0.85 * stature else 0.35 * top
            low = low * rng.uniform(0.85, 1.1) if self.cut == "waist" else 0.35 * low
            metre = height * rng.uniform(0.6, 0.95) / (top + 0.6 * self.act.high - low)
        metre = min(metre, focal / 1.3)
        high = height / metre
        aim = (
            low + high / 2
            if self.cut != "whole"
            else top / 2 + rng.uniform(-0.5, 0.5) * max(high - top - self.act.high, 0)
        )
        eye = rng.uniform(0.5, 2.0) if rng.random() < 0.7 else rng.uniform(2.0, 4.5)
        if self.cut != "whole":
            eye = aim + rng.normal(0, 0.2)
        eye = float(np.clip(eye, 0.3, aim + 0.65 * focal / metre))
        aside = rng.uniform(-0.3, 0.3) * width / metre * (0.5 if self.cut != "whole" else 1)
        return Framing(width, height, focal, metre, eye, float(aim), float(aside))

    def _seen(self, rig: Rig, t: float, solid: Solid) -> float:
        view, place = rig.at(t)
        return _share(moved(solid, place), view)


def _share(solid: Solid, view: View) -> float:
    """The share of a solid, relative to the camera, that lies in the picture."""
    x, y, near = view.project(solid.vertices[solid.keep >= 0][::13]).T
    inside = (x > 0) & (x < view.width) & (y > 0) & (y < view.height) & (near < 1.5)
    return float(inside.mean())
