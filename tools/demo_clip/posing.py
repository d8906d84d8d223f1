"""From a few meaningful numbers (where the wrists and ankles are, how the trunk leans) to skinned vertices.

A pose lives in the body frame of ``bodies`` (x left, y backwards, z up, metres), so a person faces -y. Arms and legs
are two-link chains solved exactly for their end point, which is what keeps a planted foot planted.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import NamedTuple

import numpy as np

from demo_clip.bodies import Body

SIDES = ("L", "R")
_LIMBS = {"arm": ("upperarm01", "lowerarm01", "wrist"), "leg": ("upperleg01", "lowerleg01", "foot")}
_LINKS = {
    "arm": (("upperarm01", "upperarm02"), ("lowerarm01",)),
    "leg": (("upperleg01", "upperleg02"), ("lowerleg01", "lowerleg02")),
}


def _pair(*values: float) -> np.ndarray:
    return np.array([values, [-values[0], *values[1:]]], float)


@dataclass
class Pose:
    """One posture; every field is linear enough that two poses can be blended.

    Angles are degrees. Row 0 is the left side, row 1 the right.

    Attributes:
        pelvis: (3,) displacement of the pelvis from its rest position.
        turn: (3, 3) rows pelvis, chest, head: yaw (to the left), pitch (bending forward), roll (leaning left).
        wrists: (2, 3) wrist positions. elbows: (2, 3) direction that the elbow points to.
        fingers, palms: (2, 3) directions of the fingers and out of the palm. curl: (2,) bending of the fingers.
        shrug: (2,) raising of the shoulder girdle.
        ankles: (2, 3) ankle positions. knees: (2, 3) direction that the knee points to.
        feet: (2, 2) yaw outwards and pitch (toes down) of the foot; toes: (2,) pitch of the toes against the ground.
    """

    pelvis: np.ndarray
    wrists: np.ndarray
    ankles: np.ndarray
    turn: np.ndarray = field(default_factory=lambda: np.zeros((3, 3)))
    elbows: np.ndarray = field(default_factory=lambda: _pair(0.5, 1.0, -0.3))
    fingers: np.ndarray = field(default_factory=lambda: _pair(0.0, -0.15, -1.0))
    palms: np.ndarray = field(default_factory=lambda: _pair(-1.0, 0.15, 0.0))
    curl: np.ndarray = field(default_factory=lambda: np.full(2, 22.0))
    shrug: np.ndarray = field(default_factory=lambda: np.zeros(2))
    knees: np.ndarray = field(default_factory=lambda: _pair(0.12, -1.0, 0.0))
    feet: np.ndarray = field(default_factory=lambda: np.array([[8.0, 0.0], [8.0, 0.0]]))
    toes: np.ndarray = field(default_factory=lambda: np.zeros(2))


def blend(a: Pose, b: Pose, share: float) -> Pose:
    """The posture ``share`` of the way from ``a`` to ``b``."""
    return Pose(**{f.name: (1 - share) * getattr(a, f.name) + share * getattr(b, f.name) for f in fields(Pose)})


def rotation(axis: int, degrees: float) -> np.ndarray:
    """Rotation matrix (3, 3) about a coordinate axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(3)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix[i, i], matrix[i, j], matrix[j, i], matrix[j, j] = c, -s, s, c
    return matrix


def trunk_rotation(yaw_pitch_roll: np.ndarray) -> np.ndarray:
    """Rotation (3, 3) from yaw to the left, pitch forward and roll to the left, in degrees."""
    yaw, pitch, roll = yaw_pitch_roll
    return rotation(2, yaw) @ rotation(0, pitch) @ rotation(1, roll)


def solve_two_links(root: np.ndarray, target: np.ndarray, lengths: tuple[float, float], pole: np.ndarray) -> np.ndarray:
    """Middle joint (3,) of a chain from ``root`` to ``target`` that bends towards ``pole``; a far target is clamped."""
    a, b = lengths
    reach = target - root
    distance = np.linalg.norm(reach)
    along = reach / max(float(distance), 1e-9)
    distance = np.clip(distance, abs(a - b) + 1e-4, (a + b) * 0.999)
    cosine = (a * a + distance * distance - b * b) / (2 * a * distance)
    side = pole - (pole @ along) * along
    side /= max(float(np.linalg.norm(side)), 1e-9)
    return root + a * (cosine * along + np.sqrt(max(0.0, 1 - cosine * cosine)) * side)


class Trunk(NamedTuple):
    """Turns (3, 3) of chest and head, places of the shoulders (2, 3) and of the head's joint (3,)."""

    chest: np.ndarray
    shoulders: np.ndarray
    head: np.ndarray
    skull: np.ndarray


class Skeleton:
    """Poses one body."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self._toes = [label for label in body.labels if label.startswith("toe")]

    def skin(self, pose: Pose) -> np.ndarray:
        """Vertices (V, 3) of the body in a pose, in the body frame."""
        turns, heads = self.bones(pose)
        body = self.body
        transforms = np.concatenate([turns, (heads - np.einsum("bij,bj->bi", turns, body.joints))[:, :, None]], 2)
        mixed = (body.weights @ transforms.reshape(len(turns), 12).astype(np.float32)).reshape(-1, 3, 4)
        return np.einsum("vij,vj->vi", mixed[:, :, :3], body.vertices) + mixed[:, :, 3]

    def bones(self, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
        """Rotations (B, 3, 3) from the rest pose and positions (B, 3) of all bones."""
        set_turns = self._trunk(pose)
        _, heads = self._forward(set_turns, pose.pelvis)
        for side in range(2):
            self._arm(set_turns, heads, pose, side)
            self._leg(set_turns, heads, pose, side)
        return self._forward(set_turns, pose.pelvis)

    def trunk(self, pose: Pose) -> Trunk:
        """Where the arms and the head of a pose begin."""
        set_turns = self._trunk(pose)
        _, heads = self._forward(set_turns, pose.pelvis)
        index = self.body.index
        shoulders = heads[[index[f"upperarm01.{side}"] for side in SIDES]]
        return Trunk(set_turns["spine01"], shoulders, set_turns["head"], heads[index["head"]])

    def _forward(self, set_turns: dict[str, np.ndarray], pelvis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        body = self.body
        turns = np.zeros((len(body.labels), 3, 3))
        heads = np.zeros((len(body.labels), 3))
        for b, (label, parent) in enumerate(zip(body.labels, body.parents, strict=True)):
            if parent < 0:
                turns[b], heads[b] = set_turns[label], body.joints[b] + pelvis
                continue
            turns[b] = set_turns.get(label, turns[parent])
            heads[b] = heads[parent] + turns[parent] @ (body.joints[b] - body.joints[parent])
        return turns, heads

    def _trunk(self, pose: Pose) -> dict[str, np.ndarray]:
        pelvis, chest, head = pose.turn
        set_turns = {"root": trunk_rotation(pelvis)}
        for label, share in (
            ("spine05", 0.1),
            ("spine04", 0.35),
            ("spine03", 0.6),
            ("spine02", 0.85),
            ("spine01", 1.0),
        ):
            set_turns[label] = trunk_rotation((1 - share) * pelvis + share * chest)
        for label, share in (("neck01", 0.25), ("neck02", 0.5), ("neck03", 0.75), ("head", 1.0)):
            set_turns[label] = trunk_rotation((1 - share) * chest + share * head)
        for s, side in enumerate(SIDES):
            raised = set_turns["spine01"] @ rotation(1, (1, -1)[s] * -pose.shrug[s])
            set_turns[f"clavicle.{side}"] = set_turns[f"shoulder01.{side}"] = raised
        return set_turns

    def _limb(
        self,
        set_turns: dict[str, np.ndarray],
        root: np.ndarray,
        target: np.ndarray,
        pole: np.ndarray,
        kind: str,
        side: str,
        rest_pole: np.ndarray,
    ) -> np.ndarray:
        """Sets the upper and lower link of a limb; returns the direction of the hinge."""
        a, b, c = (self.body.joint(f"{label}.{side}") for label in _LIMBS[kind])
        lengths = (float(np.linalg.norm(b - a)), float(np.linalg.norm(c - b)))
        middle = solve_two_links(root, target, lengths, pole)
        rest_hinge, hinge = np.cross(c - a, rest_pole), np.cross(target - root, pole)
        rest_dirs, new_dirs = (b - a, c - b), (middle - root, target - middle)
        for labels, rest, new in zip(_LINKS[kind], rest_dirs, new_dirs, strict=True):
            turn = _frame(new, hinge) @ _frame(rest, rest_hinge).T
            for label in labels:
                set_turns[f"{label}.{side}"] = turn
        return hinge

    def _arm(self, set_turns: dict[str, np.ndarray], heads: np.ndarray, pose: Pose, s: int) -> None:
        side, index = SIDES[s], self.body.index
        shoulder = heads[index[f"upperarm01.{side}"]]
        sign = (1, -1)[s]
        self._limb(set_turns, shoulder, pose.wrists[s], pose.elbows[s], "arm", side, np.array([sign * 0.6, 1.0, 0.1]))
        base, knuckle = self.body.joint(f"wrist.{side}"), self.body.joint(f"finger3-1.{side}")
        across = self.body.joint(f"finger2-1.{side}") - self.body.joint(f"finger5-1.{side}")
        rest_palm = np.cross(knuckle - base, across) * sign
        hand = _frame(pose.fingers[s], pose.palms[s]) @ _frame(knuckle - base, rest_palm).T
        set_turns[f"wrist.{side}"] = hand
        set_turns[f"lowerarm02.{side}"] = _half_way(set_turns[f"lowerarm01.{side}"], hand)
        hinge = np.cross(pose.fingers[s], pose.palms[s])
        # the rest pose spreads the fingers; bring them together before bending them
        for finger, gather in zip("2345", (7, 0, -7, -15), strict=True):
            together = _about(pose.palms[s], sign * gather) @ hand
            for link in "123":
                set_turns[f"finger{finger}-{link}.{side}"] = _about(hinge, pose.curl[s] * int(link) * 0.9) @ together

    def _leg(self, set_turns: dict[str, np.ndarray], heads: np.ndarray, pose: Pose, s: int) -> None:
        side, index = SIDES[s], self.body.index
        hip = heads[index[f"upperleg01.{side}"]]
        self._limb(set_turns, hip, pose.ankles[s], pose.knees[s], "leg", side, np.array([0.0, -1.0, 0.0]))
        yaw, pitch = pose.feet[s]
        flat = rotation(2, (1, -1)[s] * yaw)
        set_turns[f"foot.{side}"] = flat @ rotation(0, pitch)
        for label in self._toes:
            if label.endswith(side):
                set_turns[label] = flat @ rotation(0, pose.toes[s])


def _frame(direction: np.ndarray, second: np.ndarray) -> np.ndarray:
    x = direction / np.linalg.norm(direction)
    y = second - (second @ x) * x
    y = y / max(float(np.linalg.norm(y)), 1e-9)
    return np.stack([x, y, np.cross(x, y)], 1)


def _about(axis: np.ndarray, degrees: float) -> np.ndarray:
    """Rotation matrix (3, 3) about any axis (Rodrigues)."""
    x, y, z = axis / max(float(np.linalg.norm(axis)), 1e-9)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def _half_way(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The rotation half way between two: their mean, projected back on the rotations."""
    u, _, vt = np.linalg.svd(a + b)
    return u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
