"""Examples for the posture classifier: windows cut from tracks of looks, changed at random, and their targets."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sf_detect.boxes import iou
from sf_detect.data.jhmdb import JHMDBClip
from sf_detect.errors import DataError
from sf_detect.keypoints.features import ANKLES, BACKGROUND, MOVED, features
from sf_detect.keypoints.looks import SECONDS, Window
from sf_detect.keypoints.network import POSTURES
from sf_detect.training.postures.looks import as_window, part

JHMDB_POSTURES = Path(__file__).with_name("jhmdb_postures.csv")
"""Hand labels of J-HMDB's actors: postures at the start, the middle and the end of each clip."""
NONE = len(POSTURES)
"""Column of "none of the postures, or it cannot be told"."""
LETTERS: dict[str, tuple[int, ...]] = {
    **{letter: (POSTURES.index(name),) for letter, name in zip("SWRTBCLJ", POSTURES, strict=True)},
    "U": (NONE,),
    "N": (NONE,),
    # Seen to the waist, or in between: either answer is accepted.
    "s": (POSTURES.index("stand"), NONE),
    "t": (POSTURES.index("sit"), NONE),
    "w": (POSTURES.index("walk"), POSTURES.index("run")),
}
"""Which answers are right, by the letter in the label file: Stand, Walk, Run, siT, Bend, Crouch, Lie, Jump, None,
Unclear."""

ACTOR, BYSTANDER = 0.5, 0.25
"""A track is the actor's from this median IoU with the true box on, and somebody else's up to this greatest one."""
STILL_ANKLES, STILL_PLACE = 0.4, 0.2
"""Metres by which ankles move against each other, and heights a second by which somebody moves, that show no steps."""
LEGS_SEEN = 0.5
"""Median confidence of knees and ankles from which on legs are in view."""

# MediaPipe's landmarks with left and right exchanged
_MIRRORED = np.array([0, 4, 5, 6, 1, 2, 3, 8, 7, 10, 9, *(i + (1 if i % 2 else -1) for i in range(11, 33))])


@dataclass(frozen=True, eq=False)
class Examples:
    """N examples.

    Attributes:
        features: (N, GRID, D) float16.
        postures: (N, 9) float32, 1 for each answer that is accepted; all 0: unknown, not trained.
        actions: (N,) int64 column of the action; the number of actions for none of them; -1: unknown.
        weights: (N,) float32.
        groups: (N,) int64, which source or clip each is from.
    """

    features: npt.NDArray[np.float16]
    postures: npt.NDArray[np.float32]
    actions: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]
    groups: npt.NDArray[np.int64]

    def select(self, rows: npt.NDArray) -> Examples:
        """Some of them."""
        return Examples(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    @classmethod
    def join(cls, parts: Sequence[Examples]) -> Examples:
        """All of several."""
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in cls.__dataclass_fields__))


def read_jhmdb_postures(path: Path = JHMDB_POSTURES) -> dict[str, str]:
    """Three letters of `LETTERS` by video.

    Raises:
        DataError: A row is not of that kind.
    """
    found = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in (reader := csv.DictReader(file)):
            letters = row.get("postures") or ""
            if len(letters) != 3 or not set(letters) <= set(LETTERS):
                raise DataError(path, reader.line_num, f"expected three letters of {''.join(LETTERS)}, got {letters!r}")
            found[row["video_id"]] = letters
    return found


def answers(names: list[str]) -> npt.NDArray[np.float32]:
    """(9,) accepted postures; all 0 where nothing is known."""
    found = np.zeros(NONE + 1, np.float32)
    found[[NONE if name == "none" else POSTURES.index(name) for name in names]] = 1
    return found


def accepted(letters: str, share: float) -> npt.NDArray[np.float32]:
    """Postures accepted at a moment of a clip, (9,).

    Args:
        letters: Labels of its start, middle and end.
        share: Where in the clip, from 0 to 1. Between two moments with different labels both count, and none of them.
    """
    place = 2 * min(max(share, 0.0), 1.0)
    before, after = LETTERS[letters[int(place)]], LETTERS[letters[min(int(place) + 1, 2)]]
    near = abs(place - round(place)) < 0.25
    right = set(LETTERS[letters[round(place)]]) if near or before == after else {*before, *after, NONE}
    answers = np.zeros(NONE + 1, np.float32)
    answers[list(right)] = 1
    return answers


def draw(window: Window, newest: int, rng: np.random.Generator) -> Window:
    """Looks up to look number `newest`, as a run would have them: 0.2 to 0.3 s apart, or 0.3 to 0.6; some missing."""
    step = rng.uniform(0.3, 0.6) if rng.random() < 0.35 else rng.uniform(0.2, 0.3)
    times, rows = window.times, [newest]
    wanted = times[newest] - step * np.arange(1, int(SECONDS / step) + 1) + rng.normal(0, 0.015, int(SECONDS / step))
    for time in wanted[wanted >= times[0] - 0.03]:
        nearest = int(np.abs(times - time).argmin())
        if nearest < rows[-1] and rng.random() > 0.08:
            rows.append(nearest)
    return part(window, rows[::-1])


def change(window: Window, rng: np.random.Generator) -> Window:
    """The same person differently: mirrored, tilted, turned, farther off, noisier, slower, under a moving camera."""
    points, metres, boxes = window.points.copy(), window.metres.copy(), window.boxes.copy()
    camera = window.camera.copy()
    side = float(np.median((boxes[:, 2:] - boxes[:, :2]).max(axis=1)))
    width = window.image_size[1]
    if rng.random() < 0.5:
        points, metres = points[:, _MIRRORED], metres[:, _MIRRORED]
        points[..., 0], metres[..., 0] = width - points[..., 0], -metres[..., 0]
        boxes = boxes[:, [2, 1, 0, 3]] * np.array([-1, 1, -1, 1]) + np.array([width, 0, width, 0])
        camera[:, 0] *= -1
    centre = (boxes[-1, :2] + boxes[-1, 2:]) / 2
    tilt, turn = _rotation(rng.normal(0, np.radians(4))), _rotation(rng.normal(0, np.radians(12)))
    points[..., :2] = (points[..., :2] - centre) @ tilt + centre
    metres[..., :2] = metres[..., :2] @ tilt
    metres[..., [0, 2]] = metres[..., [0, 2]] @ turn
    metres = metres * rng.uniform(0.9, 1.1) + rng.normal(0, 0.012, metres.shape)
    points[..., :2] += rng.normal(0, 0.008 * side, points[..., :2].shape)
    points[..., 2] = points[..., 2].clip(0, 1) ** rng.uniform(0.7, 1.4)
    boxes = boxes + side * (rng.normal(0, 0.02, (1, 4)) + rng.normal(0, 0.01, boxes.shape))
    times = window.times
    camera[:, :2] += rng.normal(0, 0.004 * side, (len(camera), 2))
    if rng.random() < 0.15:  # nothing is known of it
        camera[:, 2] = np.arange(len(camera))
    if rng.random() < 0.35:
        drift = (times - times[-1])[:, None] * rng.normal(0, 0.35, 2) * side
        points[..., :2] += drift[:, None]
        camera[:, :2] += drift
        boxes = boxes + np.concatenate([drift, drift], axis=1)
    times = times * rng.uniform(0.85, 1.18)
    return as_window(times, points, metres, window.presence, boxes, window.image_size, camera)


def _rotation(angle: float) -> npt.NDArray[np.float64]:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, sine], [-sine, cosine]])


def jhmdb_examples(
    clips: Sequence[JHMDBClip],
    looks: Mapping[str, Window],
    labels: Mapping[str, str],
    each: int,
    rng: np.random.Generator,
    waist: bool = False,
) -> Examples:
    """Examples of the actors of J-HMDB; the group of each is the number of its clip.

    Args:
        clips: The clips.
        looks: At their actors, by video; clips without are passed over.
        labels: Hand labels of posture, by video.
        each: Examples a clip.
        rng: Decides what is drawn.
        waist: The looks end at the waist: nobody's posture can be told for certain.
    """
    rows = []
    for number, clip in enumerate(clips):
        if (window := looks.get(clip.video_id)) is None:
            continue
        for _ in range(each):
            newest = int(rng.integers(min(2, len(window) - 1) if rng.random() < 0.8 else 0, len(window)))
            right = accepted(labels[clip.video_id], window.times[newest] * 25 / max(clip.num_frames - 1, 1))
            if waist:
                right[NONE] = 1
            rows.append((features(change(draw(window, newest, rng), rng)), right, clip.label, 1.0, number))
    return collect(rows)


def track_examples(
    clips: Sequence[JHMDBClip],
    looks: Mapping[str, Mapping[int, Window]],
    labels: Mapping[str, str],
    each: int,
    rng: np.random.Generator,
) -> tuple[Examples, Examples]:
    """Examples of persons as the default detector and the tracker follow them: the actors, and the bystanders.

    A bystander does none of the actions; its posture is unknown. The group is the number of the clip.

    Args:
        clips: The clips.
        looks: At tracked persons, by video and track.
        labels: Hand labels of the actors' posture, by video.
        each: Examples a track.
        rng: Decides what is drawn.
    """
    actors, bystanders = [], []
    none_of_them = 1 + max(clip.label for clip in clips)
    for number, clip in enumerate(clips):
        for window in looks[clip.video_id].values():
            frames = np.round(window.times * 25).astype(int)
            overlap = np.diag(iou(window.boxes, clip.boxes[frames]))
            for newest in rng.integers(0, len(window), each):
                seen = features(change(draw(window, int(newest), rng), rng))
                if np.median(overlap) >= ACTOR:
                    right = accepted(labels[clip.video_id], frames[newest] / max(clip.num_frames - 1, 1))
                    actors.append((seen, right, clip.label, 1.0, number))
                elif overlap.max() <= BYSTANDER:
                    bystanders.append((seen, np.zeros(NONE + 1), none_of_them, 1.0, number))
    return collect(actors), collect(bystanders)


def lying_examples(
    clips: Sequence[JHMDBClip],
    looks: Mapping[str, Window],
    labels: Mapping[str, str],
    each: int,
    rng: np.random.Generator,
) -> Examples:
    """People who stand, with their legs in view, turned in the picture as if they lay; their action is unknown.

    Args:
        clips: The clips; J-HMDB has next to nobody who lies.
        looks: At their actors, by video.
        labels: Hand labels of posture, by video.
        each: Examples a clip.
        rng: Decides what is drawn.
    """
    rows, answers = [], np.eye(NONE + 1)[POSTURES.index("lie")]
    for number, window in _with_legs_in_view(clips, looks, labels, ("SSS", "SBB", "SBS")):
        for newest in rng.integers(0, len(window), each):
            angle = np.radians(rng.uniform(60, 115)) * rng.choice([-1, 1])
            turned = turn(draw(window, int(newest), rng), angle)
            rows.append((features(change(turned, rng)), answers, -1, 1.0, number))
    return collect(rows)


def hopping_examples(
    clips: Sequence[JHMDBClip],
    looks: Mapping[str, Window],
    labels: Mapping[str, str],
    each: int,
    rng: np.random.Generator,
) -> Examples:
    """People who stand, with their legs in view, moved up and down as if they jumped on the spot; action unknown.

    Args:
        clips: The clips; those who jump in J-HMDB jump far, once.
        looks: At their actors, by video.
        labels: Hand labels of posture, by video.
        each: Examples a clip.
        rng: Decides what is drawn.
    """
    rows, answers = [], np.eye(NONE + 1)[POSTURES.index("jump")]
    for number, window in _with_legs_in_view(clips, looks, labels, ("SSS",)):
        for newest in rng.integers(min(8, len(window) - 1), len(window), each):
            hopping = hop(draw(window, int(newest), rng), rng)
            if len(hopping) >= 3:
                rows.append((features(change(hopping, rng)), answers, -1, 1.0, number))
    return collect(rows)


def _with_legs_in_view(
    clips: Sequence[JHMDBClip], looks: Mapping[str, Window], labels: Mapping[str, str], wanted: Collection[str]
) -> Iterator[tuple[int, Window]]:
    """Number of each clip with one of the hand labels `wanted`, and the looks at its actor."""
    for number, clip in enumerate(clips):
        window = looks.get(clip.video_id)
        if window is None or labels[clip.video_id] not in wanted:
            continue
        if np.median(window.points[:, 25:29, 2]) >= LEGS_SEEN:
            yield number, window


def freeze(window: Window, rng: np.random.Generator) -> Window:
    """One look at a person, again and again for about a second: whoever was walking stands, and trembles a little."""
    count, chosen = int(rng.integers(3, 6)), int(rng.integers(len(window)))
    held = part(window, [chosen] * count)
    side = float((held.boxes[0, 2:] - held.boxes[0, :2]).max())
    unsure = 1 + 2 * (1 - held.points[..., 2:])
    points = held.points.copy()
    points[..., :2] += rng.uniform(0.002, 0.01) * side * unsure * rng.normal(size=points[..., :2].shape)
    points[..., :2] += rng.normal(0, 0.004 * side, (count, 1, 2)).cumsum(axis=0)
    metres = held.metres + rng.uniform(0.003, 0.035) * unsure * rng.normal(size=held.metres.shape)
    boxes = held.boxes + rng.normal(0, rng.uniform(0.003, 0.02) * side, held.boxes.shape)
    still = np.zeros((count, 3))
    times = np.arange(count) * rng.uniform(0.2, 0.3)
    return as_window(times, points, metres, held.presence, boxes, held.image_size, still)


def frozen_examples(windows: Sequence[Window], each: int, rng: np.random.Generator) -> Examples:
    """People who walk or run, frozen: they stand, since whatever they look like, they do not move.

    Args:
        windows: Of people who do nothing but walk or run.
        each: Examples a window; its number is their group.
        rng: Decides what is drawn.
    """
    answers = np.eye(NONE + 1)[POSTURES.index("stand")]
    return collect(
        [
            (features(change(freeze(window, rng), rng)), answers, -1, 1.0, number)
            for number, window in enumerate(windows)
            for _ in range(each)
        ]
    )


def forgive_stillness(examples: Examples) -> Examples:
    """Where one look, or too little movement, does not tell whether somebody stands or walks, either is accepted."""
    last = examples.features[:, -1].astype(np.float32)
    once = examples.features[:, :, -1].astype(np.float32).sum(axis=1) <= 1
    known = last[:, BACKGROUND + 2] > 0
    moved = np.where(known, last[:, BACKGROUND], last[:, list(MOVED)].max(axis=1))
    still = (last[:, ANKLES] < STILL_ANKLES) & (moved < STILL_PLACE)
    stand, walk, run = (POSTURES.index(name) for name in ("stand", "walk", "run"))
    moving = examples.postures[:, [walk, run]].any(axis=1)
    rows = np.flatnonzero((once & (moving | (examples.postures[:, stand] > 0))) | (still & moving))
    postures = examples.postures.copy()
    postures[rows[:, None], [[stand, walk]]] = 1
    return replace(examples, postures=postures)


def hop(window: Window, rng: np.random.Generator) -> Window:
    """The same person jumping on the spot, 0.8 to 2.6 times a second, by 0.1 to 0.4 of its height."""
    height = float(np.median((window.boxes[:, 2:] - window.boxes[:, :2]).max(axis=1)))
    highest, phase = rng.uniform(0.1, 0.4) * height, rng.uniform(0, np.pi)
    lift = highest * np.abs(np.sin(np.pi * rng.uniform(0.8, 2.6) * window.times + phase))
    points, metres, boxes = window.points.copy(), window.metres.copy(), window.boxes.copy()
    points[..., 1] -= lift[:, None]
    boxes[:, 1::2] -= lift[:, None]
    landing = rng.uniform(0, 0.25) * (1 - lift / highest)[:, None]  # knees give in at the ground
    metres[:, 25:27, 2] -= landing
    metres[:, 27:33, 1] -= 0.3 * landing
    return as_window(window.times, points, metres, window.presence, boxes, window.image_size, window.camera)


def turn(window: Window, angle: float) -> Window:
    """The same person turned about the box's centre, in a box around the landmarks."""
    rotation, points, metres = _rotation(angle), window.points.copy(), window.metres.copy()
    centre = ((window.boxes[:, :2] + window.boxes[:, 2:]) / 2)[:, None]
    points[..., :2] = (points[..., :2] - centre) @ rotation + centre
    metres[..., :2] = metres[..., :2] @ rotation
    margin = 0.05 * (window.boxes[:, 2:] - window.boxes[:, :2]).max(axis=1, keepdims=True)
    boxes = np.concatenate([points[..., :2].min(axis=1) - margin, points[..., :2].max(axis=1) + margin], axis=1)
    return as_window(window.times, points, metres, window.presence, boxes, window.image_size, window.camera)


def weighted(parts: Sequence[tuple[float, Examples]]) -> Examples:
    """All of several, drawn as often together as their shares say."""
    return Examples.join(
        [replace(part, weights=(share * part.weights / part.weights.sum()).astype(np.float32)) for share, part in parts]
    )


def collect(rows: Sequence[tuple[npt.NDArray, npt.NDArray, int, float, int]]) -> Examples:
    """Examples of rows of features, postures, action, weight and group."""
    if not rows:
        no = np.zeros(0)
        return Examples(
            np.zeros((0, 0, 0), np.float16),
            np.zeros((0, NONE + 1), np.float32),
            no.astype(np.int64),
            no.astype(np.float32),
            no.astype(np.int64),
        )
    columns = list(zip(*rows, strict=True))
    return Examples(
        np.stack(columns[0]).astype(np.float16),
        np.stack(columns[1]).astype(np.float32),
        np.array(columns[2], np.int64),
        np.array(columns[3], np.float32),
        np.array(columns[4], np.int64),
    )


def causal_windows(window: Window, step: int, newest: Sequence[int]) -> Iterator[npt.NDArray[np.float32]]:
    """Features of unchanged windows that end with each of `newest`, `step` looks apart, as a run has them."""
    for last in newest:
        rows = np.arange(last, -1, -step)[::-1]
        yield features(part(window, rows[window.times[rows] >= window.times[last] - SECONDS]))
