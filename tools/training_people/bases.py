"""How people hold themselves: standing, sitting, kneeling, lying and so on, made at random for one person."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from demo_clip.posing import Pose, rotation

from training_people.figure import SIGNS, Figure, Moment, Motion, towards
from training_people.gestures import Gesture, Random, hang, on_thighs, talk
from training_people.view import Wobble

Base = Callable[[float], Moment]


def upright(fig: Figure, half: float, drop: float = 0.012, stagger: float = 0.0) -> Pose:
    """Stands with the feet ``half`` metres to each side, the hips ``drop`` (a share of the legs) sunk."""
    reach = (1 - drop) * fig.leg
    sideways = half - fig.hip[0]
    height = fig.ankle[2] + np.sqrt(max(reach**2 - sideways**2 - stagger**2, 0.01)) - fig.hip[2]
    ankles = np.array([[sign * half, fig.ankle[1] + sign * stagger, fig.ankle[2]] for sign in SIGNS])
    return Pose(np.array([0.0, 0.0, height]), np.zeros((2, 3)), ankles)


def standing(fig: Figure, rng: Random) -> Base:
    """Stands; breathes, shifts the weight, looks about, sometimes sways more or steps a little."""
    half, stagger = rng.uniform(0.06, 0.22), rng.normal(0, 0.06)
    shift = Wobble(rng, (2,), rng.choice([0.01, 0.03], p=[0.7, 0.3]), (0.1, 0.5))
    look = Wobble(rng, (3,), rng.choice([3.0, 14.0], p=[0.6, 0.4]), (0.1, 0.6)) if rng.random() < 0.9 else None
    lean, outward = rng.normal(2, 3), rng.uniform(2, 22, 2)

    def base(t: float) -> Moment:
        pose = upright(fig, half, 0.014 + abs(float(shift(t)[0])) * 0.3, stagger)
        pose.pelvis[:2] += shift(t)
        pose.turn[:, 1] += lean
        pose.turn[1, 2] += 60 * shift(t)[0]
        pose.feet[:, 0] = outward
        if look is not None:
            pose.turn[2] += look(t) * [1.0, 0.4, 0.2]
        return Moment(pose, "stand")

    return base


def seated(fig: Figure, rng: Random, height: float) -> Base:
    """Sits with the hips ``height`` metres high; feet on the ground as far as the legs reach."""
    lean = rng.uniform(-18, 14)
    ahead, half = rng.uniform(0.85, 1.15), rng.uniform(0.05, 0.20)
    crossed = rng.random() < 0.15
    look = Wobble(rng, (3,), 8.0, (0.1, 0.6))

    def base(t: float) -> Moment:
        pelvis = np.array([0.0, 0.0, height - fig.hip[2]])
        ankles = np.array([[sign * half, fig.hip[1] - ahead * fig.thigh, fig.ankle[2]] for sign in SIGNS])
        if crossed:
            ankles[0] = [-0.10, fig.hip[1] - fig.thigh - 0.12, fig.ankle[2] + 0.25 * fig.shank]
        pose = Pose(pelvis, np.zeros((2, 3)), ankles)
        pose.turn[0, 1] = 0.6 * lean - 6
        pose.turn[1, 1] = lean
        pose.turn[2] = [0, 0.4 * lean + 4, 0] + look(t) * [1.0, 0.6, 0.2]
        pose.knees = np.array([[0.25 * sign, -1.0, 0.8] for sign in SIGNS])
        return Moment(pose, "sit")

    return base


def on_the_floor(fig: Figure, rng: Random) -> Base:
    """Sits on the floor: legs crossed, stretched out, or knees drawn up."""
    kind = rng.choice(["crossed", "stretched", "drawn"])
    lean, half = rng.uniform(-14, 22), rng.uniform(0.08, 0.25)
    look = Wobble(rng, (3,), 8.0, (0.1, 0.6))

    def base(t: float) -> Moment:
        pelvis = np.array([0.0, 0.0, 0.10 - fig.hip[2]])
        ahead = {"crossed": 0.45, "stretched": 0.97, "drawn": 0.55}[kind] * fig.leg
        ankles = np.array([[sign * half, fig.hip[1] - ahead, fig.ankle[2]] for sign in SIGNS])
        pose = Pose(pelvis, np.zeros((2, 3)), ankles)
        pose.knees = np.array([[0.15 * sign, -0.3, 1.0] for sign in SIGNS])
        if kind == "crossed":
            ankles[:] = [[-sign * 0.11, fig.hip[1] - 0.34 * fig.leg - 0.04 * s, 0.06] for s, sign in enumerate(SIGNS)]
            pose.knees = np.array([[1.0 * sign, -0.4, 0.25] for sign in SIGNS])
        if kind == "stretched":
            pose.feet[:, 1] = -60
            pose.toes[:] = -60
        pose.turn[0, 1], pose.turn[1, 1] = 0.5 * lean - 8, lean
        pose.turn[2] = [0, 0.3 * lean, 0] + look(t) * [1.0, 0.6, 0.2]
        return Moment(pose, "sit", grounded=True)

    return base


def bent(fig: Figure, rng: Random) -> Base:
    """Leans forward from the hips by 45 to 110 degrees, knees straight or a little bent, at work with the hands."""
    lean, drop, half = rng.uniform(45, 105), rng.uniform(0.015, 0.10), rng.uniform(0.07, 0.22)
    round_back, head = rng.uniform(0.45, 0.85), rng.uniform(-40, 0)
    move = Wobble(rng, (3,), rng.choice([0.5, 3.0]), (0.2, 0.8))

    def base(t: float) -> Moment:
        pose = upright(fig, half, drop)
        pitch = lean + move(t)[0]
        pose.turn = np.array([[0, round_back * pitch, 0], [move(t)[1], pitch, 0], [move(t)[2], pitch + head, 0]])
        back = 0.16 * np.sin(np.radians(pitch)) * fig.leg
        pose.pelvis[1] += back
        pose.pelvis[2] -= 0.5 * back * back / fig.leg + 0.01
        return Moment(pose, "bend")

    return base


def crouched(fig: Figure, rng: Random) -> Base:
    """Squats with the thighs level or lower, on the soles or on the toes."""
    deep, half, lean = rng.uniform(0.26, 0.48), rng.uniform(0.09, 0.22), rng.uniform(10, 50)
    toes, wide = rng.random() < 0.4, rng.uniform(0.2, 0.9)
    move = Wobble(rng, (3,), 2.0, (0.2, 0.8))

    def base(t: float) -> Moment:
        heel = 0.08 if toes else 0.0
        pose = upright(fig, half)
        pose.ankles[:, 2] += heel
        pose.ankles[:, 1] += 0.4 * heel
        pose.pelvis = np.array([0.0, 0.20 * fig.leg, fig.ankle[2] + heel + deep * fig.leg - fig.hip[2]])
        pose.pelvis[1] -= 0.15 * toes * fig.leg
        pose.turn = np.array([[0, 0.6 * lean, 0], [move(t)[1], lean + move(t)[0], 0], [3 * move(t)[2], 0.4 * lean, 0]])
        pose.knees = np.array([[wide * sign, -1.0, 0.4] for sign in SIGNS])
        pose.feet = np.array([[10 + 25 * wide, 38.0 * toes]] * 2)
        return Moment(pose, "crouch")

    return base


def knelt(fig: Figure, rng: Random) -> Base:
    """Kneels on one knee or both, upright or sitting on the heels."""
    one, side = rng.random() < 0.5, int(rng.integers(2))
    sink = 0.0 if one else rng.choice([0.0, rng.uniform(0.55, 0.75)])
    lean, half = rng.uniform(-3, 35), rng.uniform(0.07, 0.14)
    move = Wobble(rng, (3,), 2.0, (0.2, 0.8))

    def base(t: float) -> Moment:
        height = 0.06 + fig.thigh * (1 - sink) * 0.985
        pose = Pose(np.array([0.0, 0.0, height - fig.hip[2]]), np.zeros((2, 3)), np.zeros((2, 3)))
        ahead = np.sqrt(max(fig.thigh**2 - (height - 0.06) ** 2, 0.0))
        pose.feet[:, 1] = 75
        pose.toes[:] = 20 if one else 85
        for s, sign in enumerate(SIGNS):
            pose.ankles[s] = [sign * half, fig.hip[1] - ahead + 0.98 * fig.shank, 0.09]
            pose.knees[s] = [0.1 * sign, -1.0, -0.6]
        if one:
            pose.ankles[side] = [SIGNS[side] * half, fig.hip[1] - 0.95 * fig.thigh, fig.ankle[2]]
            pose.knees[side] = [0.15 * SIGNS[side], -0.6, 1.0]
            pose.feet[side], pose.toes[side] = (8, 0), 0
        pose.turn = np.array([[0, 0.3 * lean, 0], [move(t)[1], lean + move(t)[0], 0], [3 * move(t)[2], lean * 0.6, 0]])
        return Moment(pose, "crouch", grounded=True)

    return base


def lying(fig: Figure, rng: Random) -> Base:
    """Lies on the back, the belly or a side, legs stretched or drawn up."""
    kind = rng.choice(["back", "belly", "side"], p=[0.5, 0.2, 0.3])
    drawn, half = rng.choice([0.0, rng.uniform(0.1, 0.45)]), rng.uniform(0.06, 0.22)
    drawn, half = drawn * (kind != "belly"), 0.075 if kind == "side" else half
    one = rng.random() < 0.4
    roll = rng.normal(0, 3) + {"back": -90, "belly": 90, "side": 0}[kind]
    side, move = int(rng.choice([-1, 1])), Wobble(rng, (3,), rng.choice([1.0, 5.0]), (0.1, 0.7))
    arms = lying_arms(fig, rng, str(kind))
    tip = rotation(0, roll) if kind != "side" else rotation(1, 90 * side) @ rotation(2, rng.normal(0, 15))

    def base(t: float) -> Moment:
        shift = move(t)
        pose = upright(fig, half, 0.01)
        for s, sign in enumerate(SIGNS):
            up = (drawn if s == 0 or not one else 0.0) * fig.leg * (1 + 0.03 * shift[0])
            forward = {"back": 0.04, "belly": -0.02, "side": 0.35 * up}[kind]
            pose.ankles[s] += [0, -forward, up]
            if kind == "side":
                pose.ankles[s, 1] += 0.10 * s * (drawn > 0)
            pose.knees[s] = [0.3 * sign, -1.0 if kind != "belly" else -0.2, 0.0]
        pose.feet[:, 1] = pose.toes[:] = 78 if kind == "belly" else 45
        pose.turn[1, 2] += 0.5 * shift[1]
        pose.turn[2] += [3 * shift[2] + (60 if kind == "belly" else 0) * side, 8.0 * (kind == "back"), 0]
        arms(pose, t)
        return Moment(pose, "lie", tip=tip, grounded=True)

    return base


def lying_arms(fig: Figure, rng: Random, kind: str) -> Gesture:
    """Arms of somebody who lies: at the sides, spread, on the belly, at the head; in front on a side."""
    ups, outs = rng.choice([rng.uniform(5, 40), rng.uniform(60, 165)], 2), rng.uniform(60, 90, 2)
    bends, inward = rng.uniform(0, 60, 2), rng.uniform(-25, 15, 2)
    belly, move = rng.random(2) < 0.35 * (kind == "back"), Wobble(rng, (2,), 3.0, (0.1, 0.6))
    ahead = -0.25 if kind == "back" else 0.03

    def apply(pose: Pose, t: float) -> tuple[str, ...]:
        for s, sign in enumerate(SIGNS):
            up = float(ups[s] + move(t)[s])
            upper = towards_level(up, float(outs[s]), sign, ahead)
            lower = towards_level(up + float(bends[s]), float(outs[s]), sign, ahead)
            if kind == "side":
                upper, lower = (towards(a, float(inward[s]), sign) for a in (up, min(up + float(bends[s]), 175)))
            elif belly[s]:
                upper = towards_level(12.0, float(outs[s]), sign, ahead)
                lower = np.array([-0.80 * sign, -0.48, -0.37])
            fig.arm(pose, s, upper, lower)
        return ()

    return apply


def towards_level(up: float, out: float, sign: int, ahead: float) -> np.ndarray:
    """Like `towards`, kept near the plane of the back."""
    a, b = np.radians(min(up, 178.0)), np.radians(out)
    way = np.array([sign * np.sin(a), -0.25 * np.sin(a) * np.cos(b), -np.cos(a)])
    return np.asarray(way / np.linalg.norm(way))


def working_arms(fig: Figure, rng: Random) -> Gesture:
    """Hands at work below, on the knees, or hanging from the shoulders of somebody who bends or crouches."""
    kind = rng.choice(["work", "knees", "hang"], p=[0.6, 0.25, 0.15])
    move = Wobble(rng, (2, 3), rng.choice([0.01, 0.05]), (0.3, 1.5))
    far, wide, low = rng.uniform(0.25, 0.9), rng.uniform(0.05, 0.2), rng.uniform(0.0, 0.6)

    def apply(pose: Pose, t: float) -> tuple[str, ...]:
        trunk = fig.skeleton.trunk(pose)
        for s, sign in enumerate(SIGNS):
            hip = fig.body.joint(f"upperleg01.{'LR'[s]}") + pose.pelvis
            target = trunk.shoulders[s] + [0, -0.1 * far * fig.reach, -fig.reach * 0.92]
            if kind == "work":
                target = np.array([sign * wide, min(trunk.shoulders[s, 1], hip[1]) - 0.5 * far * fig.reach, low])
            elif kind == "knees":
                target = (hip + pose.ankles[s]) / 2 + [0, -0.15, 0.09]
            target = target + move(t)[s]
            fig.hand(pose, s, target, np.array([sign, 0.4, 0.3]), np.array([0, -0.4, -1.0]), np.array([-sign, 0.3, 0]))
        return ()

    return apply


def joined(fig: Figure, base: Base, gesture: Gesture) -> Motion:
    """What `base` does with the legs and `gesture` with the arms."""

    def motion(t: float) -> Moment:
        moment = base(t)
        pose = moment.pose
        pose.turn = pose.turn + fig.turns(t)
        moment.actions = gesture(pose, t)
        pose.wrists = pose.wrists + fig.hands(t)
        return moment

    return motion


def idle_arms(fig: Figure, rng: Random, posture: str) -> Gesture:
    """Arms that suit a posture and do nothing much."""
    if posture == "lie":  # has its arms already
        return lambda pose, t: ()
    if posture in ("bend", "crouch"):
        return working_arms(fig, rng)
    if posture == "sit":
        return (on_thighs, on_thighs, talk)[rng.integers(3)](fig, rng)
    return hang(fig, rng)
