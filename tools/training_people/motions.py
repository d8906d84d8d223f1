"""Movements of the whole body: walking, running, jumping, kicking, throwing, picking up, sitting down, pull-ups."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from demo_clip.gait import RUN, WALK, Gait, Path, Style
from demo_clip.motions import pull_up
from demo_clip.posing import Pose, blend

from training_people.bases import Base, bent, crouched, joined, standing, upright
from training_people.figure import SIGNS, Figure, Moment, Motion, towards
from training_people.gestures import Gesture, Random, ease, hang, on_hips
from training_people.view import Wobble


def keyed(times: np.ndarray, values: np.ndarray, t: float) -> np.ndarray:
    """Values (K, ...) at rest at each of K times, smooth in between."""
    i = min(max(int(np.searchsorted(times, t, side="right")) - 1, 0), len(times) - 2)
    u = ease((t - times[i]) / (times[i + 1] - times[i]))
    return np.asarray(values[i] + u * (values[i + 1] - values[i]))


def going(fig: Figure, rng: Random, running: bool, gesture: Gesture | None, seconds: float) -> Motion:
    """Walks or runs along a line or a wide bend, at (0, 0) half way through the clip."""
    style = _gait(fig, rng, running)
    length = style.speed * seconds
    bend = rng.normal(0, 0.12) * length
    path = Path.through([(-bend, length + 2), (bend * 0.3, 0.0), (-bend, -length - 2)], 8.0 + 2 * length)
    middle = float(path.lengths[-1]) / 2
    gait = Gait(fig.body, style, path, middle - style.speed * seconds / 2)
    label, late = ("run" if running else "walk"), rng.uniform(0, style.period)
    sway = rng.uniform(0.5, 1.6)

    def motion(t: float) -> Moment:
        pose = gait.pose(t + late)
        position, heading = gait.placement(t + late)
        pose.turn = pose.turn * [[sway, 1, sway], [sway, 1, sway], [1, 1, 1]] + fig.turns(t)
        actions = gesture(pose, t) if gesture else ()
        pose.wrists = pose.wrists + fig.hands(t)
        turn = (np.degrees(heading) + 90 + 180) % 360 - 180
        return Moment(pose, label, (label, *actions), np.asarray(position), turn)

    return motion


def _gait(fig: Figure, rng: Random, running: bool) -> Style:
    size = fig.leg / 0.85
    base, pace = (RUN, rng.uniform(0.75, 1.75)) if running else (WALK, rng.uniform(0.6, 1.45))
    duty = base.duty * (pace**-0.35 if running else pace**-0.06)
    return replace(
        base,
        speed=base.speed * pace * size**0.5,
        period=base.period * size**0.5 * pace ** (-0.2 if running else -0.4) * rng.uniform(0.93, 1.07),
        duty=duty,
        pitch=_stretched(base.pitch, base.duty, duty),
        toes=_stretched(base.toes, base.duty, duty),
        roll_over=base.roll_over * duty / base.duty * (rng.uniform(0.5, 0.9) if running else 1.0),
        width=base.width * rng.uniform(0.6, 1.7),
        lift=base.lift * size * (rng.uniform(0.6, 1.5) * pace**0.5 if running else rng.uniform(0.5, 2.5)),
        bob=(base.bob[0] * size * (rng.uniform(0.2, 0.8) if running else rng.uniform(0.6, 1.4)), base.bob[1]),
        lean=base.lean + rng.normal(0, 4),
        arm=base.arm * rng.uniform(0.5, 1.5),
        extension=rng.uniform(0.975, 0.995) if running else base.extension,
        elbow=(base.elbow[0] + rng.uniform(-10, 14) * (1.6 if running else 1), base.elbow[1] * rng.uniform(0.5, 1.8)),
    )


def _stretched(keys: tuple[tuple[float, float], ...], old: float, new: float) -> tuple[tuple[float, float], ...]:
    """Keys of a gait whose foot is on the ground for another share of the time."""
    return tuple((p * new / old if p <= old else 1 - (1 - p) * (1 - new) / (1 - old), value) for p, value in keys)


def jumping(fig: Figure, rng: Random, seconds: float) -> Motion:
    """Jumps again and again, jumping jacks among them, or once; on the spot or forward."""
    kind = rng.choice(["series", "jacks", "once"], p=[0.4, 0.3, 0.3])
    high = rng.uniform(0.05, 0.16) if kind == "jacks" else rng.uniform(0.08, 0.4)
    air = 2 * np.sqrt(2 * high / 9.81)
    ground = rng.uniform(0.22, 0.5) if kind != "once" else rng.uniform(0.6, 1.0)
    period, first = air + ground, rng.uniform(0, 1)
    begin = rng.uniform(0.2, max(seconds - period - 0.3, 0.3)) if kind == "once" else -first * period
    dip, forward = rng.uniform(0.06, 0.26), rng.uniform(0, 0.9) * (rng.random() < 0.35) * (kind != "jacks")
    narrow, wide = rng.uniform(0.05, 0.12), rng.uniform(0.22, 0.42)
    arms, rest = rng.uniform(0, 1) ** 0.7, hang(fig, rng)
    tuck = rng.uniform(0.0, 0.18)

    def motion(t: float) -> Moment:
        count = np.floor((t - begin) / period)
        if kind == "once":
            count = np.clip(count, 0, 0)
        local = (t - begin - count * period) / period
        share = np.clip(local * period / ground, 0, 1)  # of the time on the ground
        fly = np.clip((local * period - ground) / air, 0, 1)
        landed = local > 1
        height = 4 * high * fly * (1 - fly)
        sink = dip * np.sin(np.pi * share) ** 2 if not landed else dip * _once(t - begin - period)
        half = 0.12
        if kind == "jacks":
            half = narrow + (wide - narrow) * (0.5 - 0.5 * np.cos(np.pi * (count + ease(fly))))
        pose = upright(fig, half, 0.02 + sink * 0.9)
        pose.ankles[:, 2] += height + tuck * fig.leg * np.sin(np.pi * fly)
        pose.pelvis[2] += height
        pose.pelvis[1] += 0.35 * sink * fig.leg
        lean = 100 * sink
        pose.turn[:, 1] = [0.7 * lean, lean, 0.3 * lean]
        pose.feet[:, 1] = 45 * np.sin(np.pi * fly)
        pose.toes[:] = 20 * np.sin(np.pi * fly)
        pose.turn = pose.turn + fig.turns(t)
        if kind == "jacks":
            up = 10 + 150 * (0.5 - 0.5 * np.cos(np.pi * (count + ease(fly))))
            for s, sign in enumerate(SIGNS):
                fig.arm(pose, s, towards(float(up), 88, sign), towards(float(min(up + 10, 175)), 75, sign))
        elif arms < 0.25:
            rest(pose, t)
        else:
            swing = -40 * np.sin(np.pi * share) * (not landed) + 140 * arms * np.sin(np.pi * fly)
            for s, sign in enumerate(SIGNS):
                lower = towards(float(swing + 45), 10, sign)
                fig.arm(pose, s, towards(float(swing + 12), 20, sign), lower)
        gone = (count + fly if kind != "once" else fly) * forward
        begun = kind != "once" or (ground - 0.12 < t - begin < period + 0.2)
        standing_still = kind == "once" and (t - begin < ground - 0.25 or t - begin > period + 0.6)
        posture = "jump" if begun else "stand" if standing_still and sink < 0.05 else "unclear"
        return Moment(pose, posture, ("jump",) if begun else (), np.array([0.0, -gone]))

    return motion


def _once(t: float) -> float:
    """The knees give after a landing."""
    return float(np.sin(np.pi * np.clip(t / 0.5, 0, 1)) ** 2)


def kicking(fig: Figure, rng: Random) -> Motion:
    """Kicks a ball that lies in front."""
    side, begin, length = int(rng.integers(2)), rng.uniform(0.35, 0.8), rng.uniform(0.6, 1.1)
    base, arms = standing(fig, rng), (hang, on_hips)[int(rng.random() < 0.1)](fig, rng)
    back, far, high = rng.uniform(0.2, 0.5), rng.uniform(0.3, 0.65), rng.uniform(0.12, 0.55)
    speed, rise, lean = rng.uniform(3, 10), rng.uniform(0, 3), rng.uniform(0, 18)
    times = begin + length * np.array([0, 0.32, 0.5, 0.68, 1.0])
    swing = rng.uniform(15, 55)

    def motion(t: float) -> Moment:
        moment = base(t)
        pose, rest = moment.pose, moment.pose.ankles[side].copy()
        rest_y, z = rest[1], fig.ankle[2]
        path = np.array([[rest_y, z], [rest_y + back, z + 0.28], [rest_y - 0.25, z + 0.03], [0, 0], [rest_y, z]])
        path[3] = [rest_y - far, z + high]
        pose.ankles[side, 1:] = keyed(times, path, t)
        during = float(keyed(times, np.array([0, 0.7, 1.0, 1.0, 0]), t))
        pose.ankles[side, 0] *= 1 - 0.5 * during
        pose.feet[side, 1] = 40 * during
        pose.pelvis[0] -= SIGNS[side] * 0.05 * during
        pose.pelvis[2] -= 0.03 * during
        pose.turn[:2, 1] += float(keyed(times, np.array([0, 0.6, -0.5, -1.0, 0]), t)) * lean
        pose.turn[0, 0] += SIGNS[side] * float(keyed(times, np.array([0, 14, -8, -14, 0]), t))
        pose.turn = pose.turn + fig.turns(t)
        arms(pose, t)
        for s, sign in enumerate(SIGNS):
            level = 12 + during * swing
            ahead = float(keyed(times, np.array([0, 1, -1, -1, 0]), t)) * (1 if s == side else -1)
            if during > 0.05:
                fig.arm(pose, s, towards(level, 80 - 50 * ahead, sign), towards(level + 25, 50 - 50 * ahead, sign))
        flown = max(t - times[2], 0.0)
        place = np.array(
            [rest[0] * 0.5, rest_y - 0.30 - 0.13 - speed * flown, max(0.11 + rise * flown - 4 * flown**2, 0.11)]
        )
        doing = begin + 0.2 * length < t < begin + length + 0.15
        clear = t < begin + 0.1 * length or t > begin + 0.95 * length
        return replace(
            moment,
            posture="stand" if clear or high < 0.3 else "unclear",
            actions=_named("kick_ball", doing),
            ball=place,
        )

    return motion


def _named(action: str, doing: bool) -> tuple[str, ...]:
    return (action,) if doing else ()


def throwing(fig: Figure, rng: Random) -> Motion:
    """Throws a ball: over the arm, from below, or with both hands from the chest or over the head."""
    kind = rng.choice(["over", "under", "chest", "head"], p=[0.5, 0.2, 0.15, 0.15])
    side, begin, length = int(rng.integers(2)), rng.uniform(0.25, 0.8), rng.uniform(0.6, 1.2)
    base, rest = standing(fig, rng), hang(fig, rng)
    step, twist = rng.uniform(0, 0.45) * (rng.random() < 0.7), rng.uniform(10, 40)
    times = begin + length * np.array([0, 0.42, 0.62, 1.0, 1.5])
    upper = {  # up, out: at ease, drawn back, released, followed through, at ease
        "over": [[15, 50], [92, 115], [118, 25], [45, -15], [15, 50]],
        "under": [[15, 50], [55, 165], [60, 0], [95, 0], [15, 50]],
        "chest": [[25, 60], [40, 75], [80, 12], [75, 12], [15, 50]],
        "head": [[40, 50], [160, 40], [130, 15], [60, 12], [15, 50]],
    }[kind]
    lower = {
        "over": [[95, 0], [165, 170], [110, 5], [25, -25], [30, 20]],
        "under": [[60, 0], [35, 170], [75, 0], [115, 0], [30, 20]],
        "chest": [[110, -20], [115, -35], [88, 5], [82, 5], [30, 20]],
        "head": [[130, -10], [215, 0], [125, 5], [60, 5], [30, 20]],
    }[kind]
    spread = rng.normal(0, 7, (2, 5, 2)) * np.array([1, 1, 1, 1, 0.3])[:, None]
    uppers, lowers = np.array(upper) + spread[0], np.array(lower) + spread[1]
    lean, speed = rng.uniform(4, 22), rng.uniform(4, 12)
    both, free = kind in ("chest", "head"), rng.uniform(20, 80)
    held: list[np.ndarray] = []

    def posed(t: float) -> Moment:
        moment = base(t)
        pose, sign = moment.pose, SIGNS[side]
        ahead = step * ease((t - begin) / (0.6 * length))
        pose.ankles[1 - side, 1] -= ahead
        pose.ankles[1 - side, 2] += 0.10 * np.sin(np.pi * ease((t - begin) / (0.6 * length))) * (step > 0)
        pose.pelvis[1] -= 0.45 * ahead
        pose.pelvis[2] -= 0.25 * ahead * ahead / fig.leg
        turn = float(keyed(times, np.array([0, -1.0, 0.7, 0.9, 0]), t)) * twist * (0.15 if both else 1.0)
        pose.turn[:2, 0] += sign * turn * np.array([0.5, 1.0])
        pose.turn[1, 1] += float(keyed(times, np.array([0, -0.6, 0.5, 1.0, 0]), t)) * lean
        pose.turn = pose.turn + fig.turns(t)
        rest(pose, t)
        up, low = keyed(times, uppers, t), keyed(times, lowers, t)
        for s, own in enumerate(SIGNS):
            if both or s == side:
                fig.arm(pose, s, towards(up[0], up[1], own), towards(low[0], low[1], own))
                pose.curl[s] = 40
        if not both:
            level = 12 + free * float(keyed(times, np.array([0, 1.0, 0.4, 0.2, 0]), t))
            fig.arm(pose, 1 - side, towards(level, 40, -sign), towards(level + 25, 20, -sign))
        return moment

    def ball(moment: Moment) -> np.ndarray:
        wrists, fingers = moment.pose.wrists, moment.pose.fingers
        rows = [0, 1] if both else [side]
        units = fingers / np.linalg.norm(fingers, axis=1, keepdims=True)
        return np.asarray((wrists + 0.11 * units)[rows].mean(0))

    def motion(t: float) -> Moment:
        moment = posed(t)
        flown = t - times[2]
        if flown <= 0:
            place = ball(moment)
        else:
            if not held:
                held.append(ball(posed(float(times[2]))))
            place = held[0] + np.array([0, -speed * flown, 1.5 * flown - 4.9 * flown**2])
            place[2] = max(place[2], 0.06)
        doing = begin + 0.2 * length < t < begin + length + 0.2
        return replace(moment, actions=_named("throw", doing), ball=place)

    return motion


def picking(fig: Figure, rng: Random) -> Motion:
    """Picks something up from the ground, bending or squatting."""
    begin, down, hold, up = (
        rng.uniform(0.2, 0.6),
        rng.uniform(0.5, 0.95),
        rng.uniform(0.05, 0.35),
        rng.uniform(0.5, 0.95),
    )
    stand = joined(fig, standing(fig, rng), hang(fig, rng))
    low: Base = (bent, crouched)[int(rng.random() < 0.45)](fig, rng)
    sides, aside = [[0], [1], [0, 1]][rng.integers(3)], rng.uniform(-0.08, 0.08)
    rest, ahead, size = hang(fig, rng), rng.uniform(0.12, 0.3), rng.uniform(0.04, 0.13)

    def reaching(t: float) -> Moment:
        moment = low(t)
        pose = moment.pose
        if moment.posture == "bend":
            pose.turn[:2, 1] = np.maximum(pose.turn[:2, 1], [62, 92])
            pose.pelvis[2] -= 0.10 * fig.leg
        rest(pose, t)
        shoulders = fig.skeleton.trunk(pose).shoulders
        for s in sides:
            y = min(pose.ankles[:, 1].mean() - ahead, shoulders[s, 1])
            target = np.array([SIGNS[s] * (size + 0.03) * (len(sides) > 1) + aside, y, size + 0.06])
            fig.hand(
                pose, s, target, np.array([SIGNS[s], 0.5, 0.3]), np.array([0, -0.3, -1.0]), np.array([-SIGNS[s], 0, 0])
            )
        return moment

    def motion(t: float) -> Moment:
        end = begin + down + hold + up
        share = ease((t - begin) / down) - ease((t - begin - down - hold) / up)
        a, b = stand(t), reaching(t)
        pose = blend(a.pose, b.pose, share)
        pose.turn = pose.turn + fig.turns(t)
        late = t if t > begin + down else begin + down + 0.5 * hold
        holder = pose if t > begin + down + 0.5 * hold else reaching(late).pose
        place = holder.wrists[sides].mean(0) + np.array([0, -0.02, -0.09])
        posture = b.posture if share > 0.75 else "stand" if share < 0.2 else "unclear"
        return Moment(pose, posture, _named("pick", begin + 0.25 * down < t < end), ball=place)

    return motion


def changing(fig: Figure, rng: Random, stand: Motion, sit: Motion, up: bool, floor: bool) -> Motion:
    """Sits down, or stands up; once."""
    begin, length = rng.uniform(0.25, 0.7), rng.uniform(0.75, 1.5) * (1.25 if floor else 1.0)
    lean, action = rng.uniform(15, 42), "stand up" if up else "sit down"
    ease_out = rng.uniform(0.8, 1.25)

    def motion(t: float) -> Moment:
        share = ease((t - begin) / length) ** ease_out
        a, b = stand(t), sit(t)
        behind = np.array([0.0, (b.pose.ankles - a.pose.ankles)[:, 1].mean() - 0.02, 0.0])
        if floor:
            behind = behind * 0.3
        a.pose.pelvis, a.pose.ankles, a.pose.wrists = (
            a.pose.pelvis + behind,
            a.pose.ankles + behind,
            a.pose.wrists + behind,
        )
        low = 1 - share if up else share
        pose = blend(a.pose, b.pose, low)
        over = np.sin(np.pi * low)
        pose.turn[:, 1] += np.array([0.7, 1.0, 0.5]) * lean * over
        pose.pelvis[1] -= 0.10 * over * fig.leg
        pose.wrists[:, 1] -= 0.25 * over * fig.reach
        pose.wrists[:, 2] -= 0.10 * over * fig.reach
        posture = "sit" if low > 0.88 else "stand" if low < 0.15 else "unclear"
        doing = begin + 0.2 * length < t < begin + length + 0.1
        return Moment(pose, posture, _named(action, doing), grounded=floor)

    return motion


def pulling_up(fig: Figure, rng: Random, bar: float) -> Motion:
    """Pull-ups on a bar ``bar`` metres above the ground."""
    period, phase = rng.uniform(1.3, 3.2), rng.uniform(0, 3)
    width, legs, top = rng.uniform(1.1, 2.0), rng.uniform(0.7, 0.99), rng.uniform(0.7, 1.05)
    swing = Wobble(rng, (2,), 0.02, (0.2, 0.6))

    def motion(t: float) -> Moment:
        pose: Pose = pull_up(fig.body, t + phase, bar, period, width, legs, top)
        pose.pelvis[:2] += swing(t)
        pose.ankles[:, :2] += 2 * swing(t)
        pose.turn = pose.turn + 0.7 * fig.turns(t)
        return Moment(pose, "none", ("pullup",))

    return motion
