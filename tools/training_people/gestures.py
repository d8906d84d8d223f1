"""What arms do: functions that set the arms of a pose at a time and name the action, made at random for one person."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from demo_clip.posing import Pose

from training_people.figure import SIGNS, Figure, towards
from training_people.view import Wobble

Gesture = Callable[[Pose, float], tuple[str, ...]]
Random = np.random.Generator


def hang(fig: Figure, rng: Random) -> Gesture:
    """Arms hang at ease, or are a little bent; sometimes the hands are behind the back or before the belly."""
    kind = rng.choice(["hang", "front", "back"], p=[0.75, 0.15, 0.1])
    ups, outs, bends = rng.uniform(2, 14, 2), rng.uniform(40, 100, 2), rng.uniform(4, 30, 2)

    def apply(pose: Pose, t: float) -> tuple[str, ...]:
        for s, sign in enumerate(SIGNS):
            if kind == "hang":
                lower = towards(float(ups[s] + bends[s]), 25, sign)
                fig.arm(pose, s, towards(float(ups[s]), float(outs[s]), sign), lower)
                continue
            ahead = -0.20 if kind == "front" else 0.16
            target = pose.pelvis + fig.body.joint("root") * [0, 0, 1] + [0.03 * sign, ahead, 0.02 * (1 + s)]
            elbow = np.array([sign, 0.6, -0.2])
            fig.hand(pose, s, target, elbow, np.array([-0.6 * sign, 0.0, -0.8]), np.array([0, -ahead, 0.1]))
        return ()

    return apply


def on_thighs(fig: Figure, rng: Random) -> Gesture:
    """Hands rest on the thighs or in the lap of somebody who sits or kneels."""
    along, inward = rng.uniform(0.25, 0.75, 2), rng.uniform(0.2, 1.0)

    def apply(pose: Pose, t: float) -> tuple[str, ...]:
        for s, sign in enumerate(SIGNS):
            hip = fig.body.joint(f"upperleg01.{'LR'[s]}") + pose.pelvis
            knee = hip + np.array([0.0, -fig.thigh, 0.05])
            above = 0.06 + 0.02 * fig.stature
            target = hip + along[s] * (knee - hip) + np.array([-sign * 0.06 * inward, 0.0, above])
            fingers = np.array([-0.35 * sign * inward, -0.9, -0.25])
            fig.hand(pose, s, target, np.array([sign, 0.7, -0.5]), fingers, np.array([0, 0, -1.0]))
        return ()

    return apply


def clap(fig: Figure, rng: Random) -> Gesture:
    """Claps: before chest, face, belly or overhead, wide or small, 1.3 to 4 times a second; or one hand is still."""
    rate, wide = rng.uniform(1.3, 4.0), rng.uniform(0.06, 0.36)
    wide *= min(1.0, 2.4 / rate)
    height = rng.choice([rng.uniform(-0.10, 0.12), rng.uniform(-0.25, -0.1), rng.uniform(0.12, 0.3)], p=[0.6, 0.2, 0.2])
    overhead = rng.random() < 0.1
    ahead = rng.uniform(0.42, 0.75) * fig.reach
    tall, sharp = rng.uniform(-0.6, 1.0), rng.uniform(0.6, 1.6)
    still = rng.choice([-1, 0, 1], p=[0.7, 0.15, 0.15])  # the side whose hand hardly moves, -1 for none
    phase, jitter, flare = rng.random(), Wobble(rng, (2,), 0.06, (0.3, 1.2)), rng.uniform(0.3, 1.1)
    tilt, drop = rng.uniform(0, 0.12) * (still >= 0), rng.uniform(0, 0.05)

    def apply(pose: Pose, t: float) -> tuple[str, ...]:
        late = jitter(t)
        swing = (0.5 - 0.5 * np.cos(2 * np.pi * (rate * t + phase + late[0]))) ** sharp
        trunk = fig.skeleton.trunk(pose)
        middle = trunk.shoulders.mean(0)
        for s, sign in enumerate(SIGNS):
            moves = 1.0 if still < 0 else (0.25, 1.75)[int(s != still)]
            apart = 0.035 + wide * swing * moves * (1 + 0.4 * late[1])
            local = np.array([sign * apart, -ahead, -0.16 + height + tilt * swing * sign - drop * swing])
            if overhead:
                local = np.array([sign * (apart + 0.02), -0.12, fig.reach * 0.80])
            target = middle + trunk.chest @ local
            fingers = np.array([-sign * 0.14 * (1 - 0.6 * swing), -1.0, tall]) if not overhead else _up(sign)
            elbow = trunk.chest @ np.array([sign * flare, 0.3, -0.75]) if not overhead else np.array([sign, -0.4, 0.2])
            palm = trunk.chest @ np.array([-sign, -0.25 * swing, 0.5 * tilt * sign])
            fig.hand(pose, s, target, elbow, trunk.chest @ fingers, palm)
            if overhead:
                pose.shrug[s] = 20
            pose.curl[s] = 8
        pose.turn[2, 1] += 2.0 * (1 - swing)
        return ("clap",)

    return apply


def _up(sign: int) -> np.ndarray:
    return np.array([-0.1 * sign, -0.1, 1.0])


def wave(fig: Figure, rng: Random) -> Gesture:
    """Waves with one hand or both, the elbow low, level or high, from the elbow, the shoulder or the wrist."""
    sides = [[0], [1], [0, 1]][rng.choice(3, p=[0.38, 0.42, 0.2])]
    rate = rng.uniform(0.6, 3.0)
    level = rng.choice(["low", "level", "high"], p=[0.4, 0.4, 0.2])
    up = {"low": rng.uniform(12, 50), "level": rng.uniform(60, 105), "high": rng.uniform(120, 160)}[level]
    out = rng.uniform(40, 95) if level != "low" else rng.uniform(25, 90)
    swing = rng.uniform(14, 62) * min(1.0, 1.5 / rate)
    wrist_only = rng.random() < 0.15
    whole_arm = rng.random() < (0.5 if level == "high" else 0.12)
    lean, ahead = rng.uniform(-8, 28), rng.uniform(0.0, 0.5)
    phase, late, other = rng.random(), rng.uniform(0.2, 1.2), 0.5 * (rng.random() < 0.4)
    jitter, rest = Wobble(rng, (2,), 0.05, (0.3, 1.0)), hang(fig, rng)
    lift, palm_side = rng.uniform(0, 8), rng.uniform(-0.4, 0.4)

    def apply(pose: Pose, t: float) -> tuple[str, ...]:
        rest(pose, t)
        for s in sides:
            sign, turn = SIGNS[s], 2 * np.pi * (rate * t + phase + jitter(t)[0] + other * s)
            amount = swing * (1 + jitter(t)[1])
            angle = lean + (0.35 if wrist_only else 1.0) * amount * np.sin(turn)
            follow = angle + (1.6 if wrist_only else 0.7) * amount * np.sin(turn - late)
            raised = up + (0.8 * amount * np.sin(turn + 0.4) if whole_arm else lift * np.sin(turn))
            if whole_arm:
                angle = 0.5 * angle
            lower, hand = _raised(angle, ahead, sign), _raised(follow, ahead * 0.6, sign)
            palm = np.array([palm_side * sign, -1.0, 0.15])
            fig.arm(pose, s, towards(float(raised), float(out), sign), lower, palm, hand)
            pose.curl[s] = 8
        return ("wave",)

    return apply


def _raised(angle: float, ahead: float, sign: int) -> np.ndarray:
    a = np.radians(angle)
    way = np.array([sign * np.sin(a), -ahead, np.cos(a)])
    return np.asarray(way / np.linalg.norm(way))


def talk(fig: Figure, rng: Random) -> Gesture:
    """Gestures of somebody who talks: forearms level, hands going up and down and apart, irregularly."""
    ups, outs = rng.uniform(8, 30, 2), rng.uniform(20, 80, 2)
    move = Wobble(rng, (2, 3), rng.uniform(7, 20), (0.3, 1.6))
    bend, inward = rng.uniform(60, 115, 2), rng.uniform(-35, 25, 2)
    idle = rng.random() < 0.35
    rest = hang(fig, rng)

    def apply(pose: Pose, t: float) -> tuple[str, ...]:
        rest(pose, t)
        for s, sign in enumerate(SIGNS):
            if idle and s == 0:
                continue
            d = move(t)[s]
            lower = towards(float(bend[s] + d[0]), float(inward[s] + d[1]), sign)
            fig.arm(
                pose, s, towards(float(ups[s] + 0.4 * d[2]), float(outs[s]), sign), lower, np.array([-sign, 0, 0.8])
            )
        return ()

    return apply


def crossed(fig: Figure, rng: Random) -> Gesture:
    """Arms crossed before the chest."""
    lower_side, height = int(rng.integers(2)), rng.uniform(-0.27, -0.20)

    def apply(pose: Pose, t: float) -> tuple[str, ...]:
        trunk = fig.skeleton.trunk(pose)
        middle = trunk.shoulders.mean(0)
        for s, sign in enumerate(SIGNS):
            under = s == lower_side
            scale = fig.stature / 1.7
            local = np.array([-sign * 0.07, -0.19 - 0.045 * (not under), height + 0.05 * (not under)]) * scale
            fingers = trunk.chest @ np.array([-sign, 0.1, 0.15])
            elbow = trunk.chest @ np.array([sign, -0.1, -0.9])
            fig.hand(pose, s, middle + trunk.chest @ local, elbow, fingers, trunk.chest @ np.array([0, 1.0, 0]))
        return ()

    return apply


def on_hips(fig: Figure, rng: Random) -> Gesture:
    """One hand or both on the hips."""
    sides = [[0], [1], [0, 1]][rng.choice(3, p=[0.15, 0.15, 0.7])]
    rest = hang(fig, rng)

    def apply(pose: Pose, t: float) -> tuple[str, ...]:
        rest(pose, t)
        for s in sides:
            sign, scale = SIGNS[s], fig.stature / 1.7
            target = fig.body.joint(f"upperleg01.{'LR'[s]}") + pose.pelvis + np.array([sign * 0.10, 0.0, 0.13]) * scale
            elbow, palm = np.array([sign, 0.35, 0.0]), np.array([-sign, 0.2, 0.0])
            fig.hand(pose, s, target, elbow, np.array([-0.3 * sign, -0.8, -0.5]), palm)
        return ()

    return apply


def phone(fig: Figure, rng: Random) -> Gesture:
    """A hand at the ear, or before the chest looking at it; it stays there."""
    side, reading = int(rng.integers(2)), rng.random() < 0.35
    rest = hang(fig, rng)

    def apply(pose: Pose, t: float) -> tuple[str, ...]:
        rest(pose, t)
        sign, scale = SIGNS[side], fig.stature / 1.7
        if reading:
            pose.turn[2, 1] += 18
        trunk = fig.skeleton.trunk(pose)
        target = trunk.skull + trunk.head @ (np.array([sign * 0.115, -0.035, 0.03]) * scale)
        fingers, elbow = np.array([-0.15 * sign, 0.25, 1.0]), np.array([sign * 0.6, -0.5, -1.0])
        if reading:
            target = trunk.shoulders.mean(0) + trunk.chest @ (np.array([sign * 0.05, -0.32, -0.10]) * scale)
            fingers, elbow = np.array([-0.3 * sign, -0.5, 0.8]), np.array([sign * 0.7, 0.2, -1.0])
        fig.hand(pose, side, target, elbow, fingers, np.array([-sign, 0.2, 0.2]))
        pose.curl[side] = 45
        return ()

    return apply


def raise_hand(fig: Figure, rng: Random) -> Gesture:
    """A hand (or both) goes up once and stays, or goes down again."""
    sides = [[0], [1], [0, 1]][rng.choice(3, p=[0.35, 0.4, 0.25])]
    begin, slow, stay = rng.uniform(-1.2, 0.6), rng.uniform(0.5, 1.1), rng.uniform(0.6, 3.0)
    up, bend = rng.uniform(70, 170), rng.uniform(0, 40)
    out, rest = rng.uniform(20, 80), hang(fig, rng)

    def apply(pose: Pose, t: float) -> tuple[str, ...]:
        rest(pose, t)
        share = ease((t - begin) / slow) - ease((t - begin - slow - stay) / slow)
        for s in sides:
            level = 8 + share * (up - 8)
            lower = towards(float(min(level + bend + share * 20, 178)), float(out * (1 - 0.4 * share)), SIGNS[s])
            fig.arm(pose, s, towards(float(level), float(out), SIGNS[s]), lower, np.array([0, -1.0, 0.1]))
        return ()

    return apply


def stretch(fig: Figure, rng: Random) -> Gesture:
    """Both arms stretched overhead or sideways, slowly."""
    up, out = rng.uniform(85, 172), rng.uniform(40, 90)
    rate, phase = rng.uniform(0.15, 0.4), rng.random()
    bend = rng.uniform(0, 35)

    def apply(pose: Pose, t: float) -> tuple[str, ...]:
        share = ease(0.5 + 0.7 * np.sin(2 * np.pi * (rate * t + phase)))
        for s, sign in enumerate(SIGNS):
            level = 20 + share * (up - 20)
            lower = towards(float(min(level + bend * share, 178)), float(out * (1 - 0.5 * share)), sign)
            fig.arm(pose, s, towards(float(level), float(out), sign), lower, np.array([0, -1.0, 0.1]))
        return ()

    return apply


def exercise(fig: Figure, rng: Random) -> Gesture:
    """Arms go up and down, in circles, or curl, again and again."""
    kind = rng.choice(["sideways", "ahead", "press", "curl", "circles", "twist"])
    rate, phase = rng.uniform(0.4, 1.3), rng.random()
    other = 0.5 * (rng.random() < 0.35)
    low, high = rng.uniform(5, 30), rng.uniform(85, 165)

    def apply(pose: Pose, t: float) -> tuple[str, ...]:
        for s, sign in enumerate(SIGNS):
            turn = 2 * np.pi * (rate * t + phase + other * s)
            share = float(0.5 - 0.5 * np.cos(turn))
            level = low + share * (high - low)
            upper, lower = towards(level, 85, sign), towards(level + 8, 70, sign)
            if kind == "ahead":
                upper, lower = towards(level, 8, sign), towards(min(level + 8, 178), 5, sign)
            elif kind == "press":
                upper, lower = towards(60 + 100 * share, 80, sign), towards(172, 60 * (1 - share), sign)
            elif kind == "curl":
                upper, lower = towards(8, 50, sign), towards(20 + 120 * share, 5, sign)
            elif kind == "circles":
                upper = towards(90 + 25 * float(np.sin(turn)), 80 + 25 * float(np.cos(turn)), sign)
                lower = towards(92 + 25 * float(np.sin(turn)), 72 + 25 * float(np.cos(turn)), sign)
            elif kind == "twist":
                upper, lower = towards(75, 75, sign), towards(85, -40, sign)
            fig.arm(pose, s, upper, lower)
            pose.curl[s] = 50
        if kind == "twist":
            pose.turn[1, 0] += 40 * np.sin(2 * np.pi * (rate * t + phase))
        return ()

    return apply


QUIET = {"hang": hang, "talk": talk, "crossed": crossed, "hips": on_hips, "phone": phone, "raise": raise_hand}
QUIET |= {"stretch": stretch, "exercise": exercise}
"""Gestures that are none of J-HMDB's actions."""


def ease(u: float) -> float:
    """From 0 to 1 while ``u`` goes from 0 to 1, at rest at both ends (minimum jerk)."""
    u = min(max(float(u), 0.0), 1.0)
    return u**3 * (10 - 15 * u + 6 * u * u)
