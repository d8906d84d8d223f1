"""A body with the measures that motions need, and what it does at a moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from demo_clip.bodies import Body
from demo_clip.film import Solid
from demo_clip.posing import Pose, Skeleton, rotation

from training_people.view import Wobble

_LIMBS = ("upperarm", "lowerarm", "wrist", "finger", "metacarpal", "upperleg", "lowerleg", "foot", "toe")
SIGNS = (1, -1)  # of the left and the right side along x


@dataclass
class Moment:
    """What somebody does at a time.

    Attributes:
        pose: In the body frame.
        posture: The label, "unclear" in between two.
        actions: Names of J-HMDB.
        place: (2,) on the ground. heading: degrees to the left of the clip's own direction.
        tip: (3, 3) rotation of the whole body, for those who lie.
        grounded: The lowest point (of the trunk, of those who lie) is on the ground; or the pose's height holds.
        lift: Metres above the ground.
        ball: Where a ball is, (3,) in the body frame.
    """

    pose: Pose
    posture: str
    actions: tuple[str, ...] = ()
    place: np.ndarray = field(default_factory=lambda: np.zeros(2))
    heading: float = 0.0
    tip: np.ndarray | None = None
    grounded: bool = False
    lift: float = 0.0
    ball: np.ndarray | None = None


Motion = Callable[[float], Moment]


def towards(up: float, out: float, sign: int) -> np.ndarray:
    """Unit vector in the chest's frame, degrees: ``up`` 0 down, 90 level, 180 up; ``out`` 0 ahead, 90 sideways."""
    a, b = np.radians(up), np.radians(out)
    return np.array([sign * np.sin(a) * np.sin(b), -np.sin(a) * np.cos(b), -np.cos(a)])


class Figure:
    """One person: measures of the body in metres, and small unsteadiness of their own."""

    def __init__(self, body: Body, rng: np.random.Generator, stripes: float) -> None:
        self.body, self.skeleton, self.stripes = body, Skeleton(body), stripes
        hip, knee, ankle = (body.joint(f"{b}.L") for b in ("upperleg01", "lowerleg01", "foot"))
        shoulder, elbow, wrist = (body.joint(f"{b}.L") for b in ("upperarm01", "lowerarm01", "wrist"))
        self.hip, self.ankle = hip, ankle
        self.thigh, self.shank = float(np.linalg.norm(knee - hip)), float(np.linalg.norm(ankle - knee))
        self.upper, self.lower = float(np.linalg.norm(elbow - shoulder)), float(np.linalg.norm(wrist - elbow))
        self.leg, self.reach = self.thigh + self.shank, self.upper + self.lower
        self.stature = float(body.vertices[body.keep >= 0][:, 2].max())
        limbs = [k for k, name in enumerate(body.labels) if name.startswith(_LIMBS)]
        self.trunk = (body.keep >= 0) & (body.weights[:, limbs].sum(1) < 0.3)
        self.turns = Wobble(rng, (3, 3), 1.6, (0.1, 0.9))
        self.hands = Wobble(rng, (2, 3), 0.008, (0.2, 1.5))
        self.sway = Wobble(rng, (3,), 0.006, (0.15, 0.6))

    def shape(self, moment: Moment) -> tuple[np.ndarray, float]:
        """Vertices (V, 3) before heading and place, and the height by which they were raised."""
        vertices = self.skeleton.skin(moment.pose)
        if moment.tip is not None:
            vertices = vertices @ moment.tip.T
        raised = moment.lift + 0.02
        if moment.grounded:
            lying = moment.tip is not None  # on the trunk; an arm or a foot may sink into the ground a little
            raised = moment.lift - float(vertices[self.trunk if lying else self.body.keep >= 0][:, 2].min())
        vertices[:, 2] += raised
        return vertices, raised

    def solid(self, moment: Moment, heading: float) -> Solid:
        """The person as a mesh in the world; ``heading`` in degrees is that of the clip."""
        vertices, _ = self.shape(moment)
        vertices = vertices @ rotation(2, heading + moment.heading).T + [*turned(moment.place, heading), 0]
        body = self.body
        return Solid(vertices, body.triangles, body.keep, body.colours, body.materials, body.vertices, self.stripes)

    def unsteady(self, pose: Pose, t: float, feet: bool = True) -> Pose:
        """Adds small smooth noise to trunk and hands; the pelvis too where the ``feet`` are kept by the legs."""
        pose.turn = pose.turn + self.turns(t)
        pose.wrists = pose.wrists + self.hands(t)
        if feet:
            pose.pelvis = pose.pelvis + self.sway(t)
        return pose

    def arm(
        self,
        pose: Pose,
        side: int,
        upper: np.ndarray,
        lower: np.ndarray,
        palm: np.ndarray | None = None,
        hand: np.ndarray | None = None,
    ) -> None:
        """Sets an arm by the directions of its two parts, palm and fingers in the chest's frame."""
        sign = SIGNS[side]
        raised = np.degrees(np.arccos(np.clip(-upper[2], -1, 1)))
        pose.shrug[side] = 0.25 * max(raised - 60, 0)
        trunk = self.skeleton.trunk(pose)
        u, f = trunk.chest @ upper, trunk.chest @ lower
        pose.wrists[side] = trunk.shoulders[side] + self.upper * u + self.lower * f
        pose.elbows[side] = u - f + 0.05 * np.array([0.5 * sign, 1.0, -0.3])
        pose.fingers[side] = trunk.chest @ (lower if hand is None else hand)
        pose.palms[side] = trunk.chest @ (np.array([-sign, 0.15, 0.05]) if palm is None else palm)

    def hand(
        self, pose: Pose, side: int, target: np.ndarray, elbow: np.ndarray, fingers: np.ndarray, palm: np.ndarray
    ) -> None:
        """Puts a wrist to a place of the body frame; directions in the body frame, too."""
        pose.shrug[side] = 0.0
        shoulder = self.skeleton.trunk(pose).shoulders[side]
        away = target - shoulder
        far = float(np.linalg.norm(away))
        pose.wrists[side] = shoulder + away * min(1.0, 0.985 * self.reach / max(far, 1e-6))
        pose.elbows[side], pose.fingers[side], pose.palms[side] = elbow, fingers, palm


def turned(place: np.ndarray, heading: float) -> np.ndarray:
    """(2,) rotated to the left by degrees."""
    return np.asarray(rotation(2, heading)[:2, :2] @ place)
