"""Motions on the spot: standing, clapping, waving, pull-ups. Every one is a function from seconds to a posture."""

from __future__ import annotations

import numpy as np

from demo_clip.bodies import Body
from demo_clip.posing import Pose


def leg_length(body: Body) -> float:
    """Hip to ankle along the bones, metres."""
    hip, knee, ankle = (body.joint(f"{b}.L") for b in ("upperleg01", "lowerleg01", "foot"))
    return float(np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee))


def arm_length(body: Body) -> float:
    """Shoulder to wrist along the bones, metres."""
    shoulder, elbow, wrist = (body.joint(f"{b}.L") for b in ("upperarm01", "lowerarm01", "wrist"))
    return float(np.linalg.norm(elbow - shoulder) + np.linalg.norm(wrist - elbow))


def stand(body: Body, t: float) -> Pose:
    """Stands at ease: breathing, weight shifting slowly from foot to foot, arms hanging."""
    shift = np.sin(2 * np.pi * t / 5.3 + 0.6)
    ankle, hip = body.joint("foot.L"), body.joint("upperleg01.L")
    half = 0.12
    drop = ankle[2] + np.sqrt((0.988 * leg_length(body)) ** 2 - 0.05**2) - hip[2]
    breath = np.sin(2 * np.pi * t / 3.1)
    pelvis = np.array([0.018 * shift, 0.0, drop - 0.004 * shift * shift])
    ankles = np.array([[half, ankle[1] - 0.01, ankle[2]], [-half, ankle[1] + 0.01, ankle[2]]])
    turn = np.array(
        [
            [1.5 * shift, 0, -1.5 * shift],
            [0.5 * shift, 1.5 + 0.6 * breath, 0.8 * shift],
            [4 * np.sin(2 * np.pi * t / 4.1), 3 + 1.5 * np.sin(2 * np.pi * t / 2.7), 0.5 * shift],
        ]
    )
    wrists = np.zeros((2, 3))
    for s, side in enumerate("LR"):
        shoulder = body.joint(f"upperarm01.{side}") + pelvis
        out = (1, -1)[s]
        wrists[s] = shoulder + 0.965 * arm_length(body) * np.array([0.17 * out, -0.13, -0.976])
    return Pose(pelvis, wrists, ankles, turn)


def clap(body: Body, t: float, rate: float = 1.5) -> Pose:
    """Applauds slowly in front of the chest, ``rate`` times a second, elbows out and hands well ahead."""
    pose = stand(body, t)
    # apart and together, with a rest in contact
    swing = (0.5 - 0.5 * np.cos(2 * np.pi * rate * t)) ** 2.4
    chest = body.joint("spine01") + pose.pelvis
    reach = 0.7 * arm_length(body)
    for s, sign in enumerate((1, -1)):
        pose.wrists[s] = chest + np.array(
            [sign * (0.025 + 0.18 * swing), -reach + 0.04 * swing, 0.04 + (0.03, 0.0)[s] + 0.02 * swing]
        )
        pose.fingers[s] = (-sign * (0.16 - 0.06 * swing), -0.85, 0.55)
        pose.palms[s] = (-sign, -0.25 * swing, 0.1)
        pose.elbows[s] = (sign * 1.0, 0.35, -0.75)
        pose.curl[s] = 6
    pose.turn[1] += (0, 1.5 * (1 - swing), 0)
    pose.turn[2] += (0, 2.0 * (1 - swing), 0)
    return pose


def wave(body: Body, t: float, rate: float = 1.2) -> Pose:
    """Waves with the raised right hand, the forearm swinging ``rate`` times a second."""
    pose = stand(body, t)
    angle = np.radians(2 + 45 * np.sin(2 * np.pi * rate * t))
    lag = np.radians(2 + 52 * np.sin(2 * np.pi * rate * t - 0.7))
    shoulder = body.joint("upperarm01.R") + pose.pelvis + [0, 0, 0.02]
    shoulder_, elbow_, wrist_ = (body.joint(f"{b}.R") for b in ("upperarm01", "lowerarm01", "wrist"))
    upper, lower = np.linalg.norm(elbow_ - shoulder_), np.linalg.norm(wrist_ - elbow_)
    arm = np.array([-0.80, -0.38, 0.04 + 0.04 * np.sin(2 * np.pi * rate * t)])
    elbow = shoulder + upper * arm / np.linalg.norm(arm)
    pose.wrists[1] = elbow + lower * np.array([-np.sin(angle), -0.18, np.cos(angle)])
    pose.fingers[1] = (-np.sin(lag), -0.08, np.cos(lag))
    pose.palms[1] = (0.0, -1.0, -0.1)
    pose.elbows[1] = (-0.9, 0.2, -0.7)
    pose.curl[1] = 5
    pose.shrug[1] = 14
    pose.turn[1] += (0, 0, 2.5)
    pose.turn[2] += (0, 0, 3.0)
    return pose


def pull_up(
    body: Body, t: float, bar: float, period: float = 2.4, width: float = 1.42, legs: float = 0.93, top: float = 1.0
) -> Pose:
    """Pull-ups on a bar ``bar`` metres above the ground, one every ``period`` seconds, legs hanging.

    ``width``: between the hands, in shoulder widths. ``legs``: how straight they are. ``top``: share of the way up.
    """
    cycle = (t / period) % 1.0
    # a brisk pull, a short hold, a slower way down, a short hang
    keys = [0.0, 0.08, 0.42, 0.50, 0.92, 1.0]
    rise = top * _ease(cycle, keys, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0])
    lagged = _ease((cycle - 0.06) % 1.0, keys, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0])
    shoulder, head = body.joint("upperarm01.L"), body.joint("head")
    grip = width * shoulder[0]
    reach = np.sqrt((0.97 * arm_length(body)) ** 2 - (grip - shoulder[0]) ** 2)
    low = bar - 0.075 - reach - shoulder[2] - 0.10
    high = bar + 0.03 - head[2]
    swing = np.sin(2 * np.pi * cycle + 0.5)
    pelvis = np.array(
        [0.006 * np.sin(2 * np.pi * t / 3.7), 0.05 + 0.05 * rise + 0.012 * swing, low + (high - low) * rise]
    )
    hip, length = body.joint("upperleg01.L"), leg_length(body)
    bend = legs - 0.05 * lagged
    ankles = np.array(
        [
            [sign * 0.07, 0.10 + 0.10 * lagged - 0.03 * swing + (0.03, 0)[s], hip[2] + pelvis[2] - bend * length]
            for s, sign in enumerate((1, -1))
        ]
    )
    turn = np.array([[0, -4 - 6 * rise, 0], [0, -6 - 10 * rise, 0], [2 * np.sin(t), -12 - 10 * rise, 0]])
    wrists = np.array([[sign * grip, -0.035 + 0.03, bar - 0.075] for sign in (1, -1)])
    pose = Pose(pelvis, wrists, ankles, turn)
    for s, sign in enumerate((1, -1)):
        pose.fingers[s] = (-sign * 0.05, -0.15, 1.0)
        pose.palms[s] = (0.0, -1.0, 0.0)
        pose.elbows[s] = (sign * 1.0, -0.25 + 0.6 * rise, -0.55)
        pose.shrug[s] = 26 - 20 * rise
        pose.feet[s] = (4, 38)
        pose.toes[s] = 42
    pose.curl[:] = 62
    return pose


def _ease(x: float, keys: list[float], values: list[float]) -> float:
    """Piecewise smooth interpolation that rests at every key (minimum-jerk segments)."""
    i = min(max(int(np.searchsorted(keys, x, side="right")) - 1, 0), len(keys) - 2)
    u = (x - keys[i]) / (keys[i + 1] - keys[i])
    return values[i] + (values[i + 1] - values[i]) * u**3 * (10 - 15 * u + 6 * u * u)
