"""Walking and running along a curved path with feet that never slide.

Footprints are laid out first, on the ground. During stance the foot rolls over its heel, sole and ball; in swing the
ankle follows a cubic curve to the next print, with end velocities that match the rolling. The rest of the body follows
the phase.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from demo_clip.bodies import Body
from demo_clip.posing import Pose, rotation


@dataclass(frozen=True)
class Style:
    """A gait.

    Attributes:
        speed: m/s. period: seconds per two steps. duty: share of it that a foot is on the ground.
        pitch, toes: (phase, degrees) keys of the foot and the toes against the ground, toes down positive.
        roll_over: share of the period from strike to the hip passing over the print.
        width: metres from the path to a print. lift: metres added to the ankle's height in swing.
        bob: metres that the pelvis rises and falls, and the phase of its highest point.
        lean, arm, elbow: degrees: of the trunk forward; of the arm's swing; of the elbow's flexion and its swing.
        extension: how straight the leg may get while on the ground, 1 for fully.
    """

    speed: float
    period: float
    duty: float
    pitch: tuple[tuple[float, float], ...]
    toes: tuple[tuple[float, float], ...]
    roll_over: float
    width: float
    lift: float
    bob: tuple[float, float]
    lean: float
    arm: float
    elbow: tuple[float, float]
    extension: float = 0.985


WALK = Style(
    speed=1.02,
    period=1.14,
    duty=0.62,
    pitch=((0, -17), (0.09, 0), (0.36, 0), (0.5, 22), (0.62, 52), (0.72, 40), (0.86, 0), (0.94, -15)),
    toes=((0, -17), (0.09, 0), (0.55, 0), (0.66, 20), (0.75, 25), (0.86, 0), (0.94, -12)),
    roll_over=0.24,
    width=0.07,
    lift=0.02,
    bob=(0.013, 0.30),
    lean=3,
    arm=21,
    elbow=(16, 8),
    extension=1.006,
)
RUN = Style(
    speed=2.25,
    period=0.68,
    duty=0.36,
    pitch=((0, -6), (0.06, 0), (0.14, 4), (0.26, 35), (0.36, 62), (0.5, 75), (0.7, 30), (0.9, -4)),
    toes=((0, -6), (0.06, 0), (0.3, 0), (0.40, 30), (0.5, 50), (0.7, 20), (0.9, -4)),
    roll_over=0.15,
    width=0.045,
    lift=0.20,
    bob=(0.028, 0.43),
    lean=9,
    arm=42,
    elbow=(88, 14),
    extension=0.975,
)
# upright, with the legs nearly straight where they land and push off: a heel that rises late keeps the knee straight;
# in between, high knees
CHILD_RUN = replace(
    RUN,
    speed=2.05,
    period=0.73,
    duty=0.33,
    pitch=((0, -8), (0.06, 0), (0.15, 0), (0.24, 6), (0.33, 36), (0.48, 78), (0.7, 30), (0.9, -4)),
    toes=((0, -8), (0.06, 0), (0.24, 0), (0.33, 10), (0.45, 45), (0.7, 15), (0.9, -6)),
    roll_over=0.10,
    lift=0.24,
    bob=(0.024, 0.43),
    lean=6,
    arm=44,
    elbow=(92, 14),
    extension=0.99,
)


@dataclass(frozen=True)
class Path:
    """A path on the ground through waypoints, by arc length."""

    points: np.ndarray
    lengths: np.ndarray

    @staticmethod
    def through(corners: list[tuple[float, float]], radius: float) -> Path:
        """Straight lines between corners, with the corners rounded by circles of a radius in metres."""
        dense = [np.array(corners[0])]
        for before, corner, after in zip(corners, corners[1:], corners[2:], strict=False):
            a, b, c = (np.array(p) for p in (before, corner, after))
            u, v = (a - b) / np.linalg.norm(a - b), (c - b) / np.linalg.norm(c - b)
            half = np.arccos(np.clip(u @ v, -1, 1)) / 2
            centre = b + (u + v) / np.linalg.norm(u + v) * radius / np.sin(half)
            start, end = b + u * radius / np.tan(half), b + v * radius / np.tan(half)
            first, last = (np.arctan2(*(p - centre)[::-1]) for p in (start, end))
            swing = (last - first + np.pi) % (2 * np.pi) - np.pi
            dense += [centre + radius * np.array([np.cos(x), np.sin(x)]) for x in first + swing * np.linspace(0, 1, 24)]
        dense.append(np.array(corners[-1]))
        points = np.array(dense)
        return Path(points, np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))]))

    def at(self, distance: float) -> tuple[np.ndarray, float]:
        """Position (2,) and heading in radians; the ends go on straight."""
        a, b = self._point(distance - 0.15), self._point(distance + 0.15)
        return self._point(distance), float(np.arctan2(b[1] - a[1], b[0] - a[0]))

    def _point(self, distance: float) -> np.ndarray:
        first, last = (self.points[1] - self.points[0]), (self.points[-1] - self.points[-2])
        if distance < 0:
            return self.points[0] + distance * first / np.linalg.norm(first)
        if distance > self.lengths[-1]:
            return self.points[-1] + (distance - self.lengths[-1]) * last / np.linalg.norm(last)
        return np.array([np.interp(distance, self.lengths, self.points[:, k]) for k in range(2)])


class Gait:
    """A body that walks or runs along a path."""

    def __init__(self, body: Body, style: Style, path: Path, start: float) -> None:
        self.body, self.style, self.path, self.start = body, style, path, start
        self.ankle_height = body.joint("foot.L")[2]
        self.ball = abs(body.joint("toe3-1.L")[1] - body.joint("foot.L")[1])
        self.legs = [
            sum(
                np.linalg.norm(body.joint(f"{b}.{s}") - body.joint(f"{a}.{s}"))
                for a, b in (("upperleg01", "lowerleg01"), ("lowerleg01", "foot"))
            )
            for s in "LR"
        ]
        self.height = self._pelvis_height()

    def placement(self, t: float) -> tuple[np.ndarray, float]:
        """Ground position (2,) and heading in radians of the body frame at a time in seconds."""
        return self.path.at(self.start + self.style.speed * t)

    def pose(self, t: float) -> Pose:
        """The posture at a time in seconds."""
        style, phase = self.style, t / self.style.period
        feet = [self._foot(t, side) for side in range(2)]
        position, heading = self.placement(t)
        to_body = rotation(2, -np.degrees(heading) - 90)
        ankles = np.array([to_body @ (foot[0] - [*position, 0]) for foot in feet])
        yaws = [(np.degrees(foot[1] - heading) + 180) % 360 - 180 for foot in feet]
        wave = np.cos(2 * np.pi * phase)
        sway = 0.022 * np.cos(2 * np.pi * (phase - style.roll_over))
        pelvis = np.array([sway, 0, self.height + self._bob(phase)])
        listing = 3.0 * np.sin(2 * np.pi * phase)
        turn = np.array(
            [
                [-5 * wave, style.lean * 0.6, listing],
                [6 * wave, style.lean, -0.4 * listing],
                [1.0 * wave, style.lean * 0.3, 0],
            ]
        )
        pose = Pose(pelvis, np.zeros((2, 3)), ankles, turn)
        pose.feet = np.array([[yaw * sign + 5, foot[2]] for yaw, sign, foot in zip(yaws, (1, -1), feet, strict=True)])
        pose.toes = np.array([foot[3] for foot in feet])
        self._swing_arms(pose, wave)
        return pose

    def _swing_arms(self, pose: Pose, wave: float) -> None:
        body, (flexion, extra) = self.body, self.style.elbow
        pivot = body.joint("spine01")
        chest = rotation(2, pose.turn[1, 0]) @ rotation(0, pose.turn[1, 1])
        for s, side in enumerate("LR"):
            sign, forward = (1, -1)[s], (-wave, wave)[s]
            shoulder = pose.pelvis + pivot + chest @ (body.joint(f"upperarm01.{side}") - pivot)
            shoulder[1] -= np.sin(np.radians(pose.turn[1, 1])) * 0.35
            upper, lower = (
                np.linalg.norm(body.joint(f"{b}.{side}") - body.joint(f"{a}.{side}"))
                for a, b in (("upperarm01", "lowerarm01"), ("lowerarm01", "wrist"))
            )
            swing = self.style.arm * forward - (0.3 * flexion if flexion > 50 else 0)
            bend = swing + flexion + extra * forward
            out = rotation(1, -sign * 9)
            arm = out @ rotation(0, -swing) @ np.array([0, 0, -1.0])
            fore = rotation(1, -sign * 3) @ rotation(0, -bend) @ np.array([0, 0, -1.0])
            pose.wrists[s] = shoulder + upper * arm + lower * fore
            pose.fingers[s] = fore
            pose.palms[s] = (-sign, 0, 0)
            pose.elbows[s] = out @ rotation(0, -swing) @ np.array([sign * 0.1, 1.0, 0])
        if flexion > 50:
            pose.curl[:] = 38

    def _bob(self, phase: float) -> float:
        amplitude, top = self.style.bob
        return amplitude * np.cos(4 * np.pi * (phase - top))

    def _stance(self, phase: float) -> tuple[float, float]:
        """Ankle forward of the print and above the ground while the foot rolls."""
        pitch = np.radians(_cyclic(self.style.pitch, phase))
        pivot = self.ball if pitch > 0 else -0.045
        forward, up = -pivot, self.ankle_height - (0.03 if pitch > 0 else 0.0)
        c, s = np.cos(pitch), np.sin(pitch)
        return pivot + forward * c + up * s, -forward * s + up * c + (0.03 if pitch > 0 else 0.0)

    def _print(self, count: int, side: int) -> tuple[np.ndarray, float]:
        strike = (count - 0.5 * side) * self.style.period
        position, heading = self.path.at(
            self.start + self.style.speed * (strike + self.style.roll_over * self.style.period)
        )
        left = np.array([-np.sin(heading), np.cos(heading)])
        return position + (1, -1)[side] * self.style.width * left, heading

    def _planted(self, phase: float, count: int, side: int) -> np.ndarray:
        position, heading = self._print(count, side)
        forward, up = self._stance(phase)
        return np.array([position[0] + forward * np.cos(heading), position[1] + forward * np.sin(heading), up])

    def _foot(self, t: float, side: int) -> tuple[np.ndarray, float, float, float]:
        """Ankle (3,) in the world, heading, pitch and toe pitch."""
        style = self.style
        cycle = t / style.period + 0.5 * side
        count, phase = int(np.floor(cycle)), cycle % 1.0
        pitch, toes = _cyclic(style.pitch, phase), _cyclic(style.toes, phase)
        heading = self._print(count, side)[1]
        if phase <= style.duty:
            return self._planted(phase, count, side), heading, pitch, toes
        u, step = (phase - style.duty) / (1 - style.duty), 0.01
        a, b = self._planted(style.duty, count, side), self._planted(0.0, count + 1, side)
        va = (a - self._planted(style.duty - step, count, side)) / step * (1 - style.duty)
        vb = (self._planted(step, count + 1, side) - b) / step * (1 - style.duty)
        ankle = (
            (2 * u**3 - 3 * u**2 + 1) * a + (u**3 - 2 * u**2 + u) * va + (3 * u**2 - 2 * u**3) * b + (u**3 - u**2) * vb
        )
        ankle[2] += style.lift * np.sin(np.pi * u**0.8) ** 2
        turn = (self._print(count + 1, side)[1] - heading + np.pi) % (2 * np.pi) - np.pi
        return ankle, heading + turn * u * u * (3 - 2 * u), pitch, toes

    def _pelvis_height(self) -> float:
        """The highest pelvis, against the rest pose, with which a leg on the ground never over-stretches."""
        style, limit = self.style, np.inf
        hip = self.body.joint("upperleg01.L")
        for phase in np.linspace(0, style.duty, 60):
            forward, up = self._stance(phase)
            ahead = forward - style.speed * style.period * (phase - style.roll_over)
            reach = style.extension * self.legs[0]
            limit = min(limit, up + np.sqrt(reach**2 - ahead**2) - hip[2] - self._bob(phase))
        return float(limit)


def lean_into_bend(pose: Pose, body: Body, degrees: float) -> None:
    """Leans all above the feet to the left, in place, as runners do in a bend to the left."""
    lean, root = rotation(1, degrees), body.joint("root")
    pose.pelvis = lean @ (root + pose.pelvis) - root
    for directions in (pose.wrists, pose.elbows, pose.fingers, pose.palms):
        directions[:] = directions @ lean.T
    pose.turn[:, 2] += (degrees, degrees, 0.5 * degrees)


def _cyclic(keys: tuple[tuple[float, float], ...], phase: float) -> float:
    """Smooth periodic interpolation of (phase, value) keys (Catmull-Rom with limited slopes)."""
    times = np.array([k[0] for k in keys])
    values = np.array([k[1] for k in keys], float)
    times = np.concatenate([times[-2:] - 1, times, times[:2] + 1])
    values = np.concatenate([values[-2:], values, values[:2]])
    i = int(np.searchsorted(times, phase % 1.0, side="right")) - 1
    slopes = []
    for j in (i, i + 1):
        left, right = ((values[k + 1] - values[k]) / (times[k + 1] - times[k]) for k in (j - 1, j))
        slopes.append(0.0 if left * right <= 0 else 2 * left * right / (left + right))
    h = times[i + 1] - times[i]
    u = (phase % 1.0 - times[i]) / h
    return float(
        (2 * u**3 - 3 * u**2 + 1) * values[i]
        + (u**3 - 2 * u**2 + u) * h * slopes[0]
        + (3 * u**2 - 2 * u**3) * values[i + 1]
        + (u**3 - u**2) * h * slopes[1]
    )
