"""Motion capture of single motions: BVH files and a table that says what is done in which part of each.

The table is `index.csv` with columns file, posture, action, start and end (seconds). A posture that is not known is
"unclear", an action that is not known is left empty; "none" is none of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sf_detect.errors import DataError
from sf_detect.keypoints.features import features
from sf_detect.keypoints.network import POSTURES
from sf_detect.training.postures.examples import NONE, Examples, change, collect, draw
from sf_detect.training.postures.mocap import HEAD, LEFT, RIGHT, as_landmarks, seen
from sf_detect.training.postures.tables import read_rows

Floats = npt.NDArray[np.float64]

LOOKS_PER_SECOND = 16.0
"""Kept of a motion, so that looks of any phase can be drawn."""
_SPAN = 1.1  # seconds of a window
_BEFORE = 0.35  # seconds of a labelled part that must have passed before somebody can be said to do it
_MOST_BYTES = 200_000_000
_NAMES: Mapping[str, tuple[str, ...]] = {  # of joints, by skeleton
    "hip": ("LeftUpLeg", "CC_Base_L_Thigh"),
    "knee": ("LeftLeg", "CC_Base_L_Calf"),
    "ankle": ("LeftFoot", "CC_Base_L_Foot"),
    "toe": ("LeftToeBase_end", "LeftToeBase", "CC_Base_L_ToeBase"),
    "shoulder": ("LeftArm", "CC_Base_L_Upperarm"),
    "elbow": ("LeftForeArm", "CC_Base_L_Forearm"),
    "wrist": ("LeftHand", "CC_Base_L_Hand"),
    "finger": ("LeftHand_end", "CC_Base_L_Mid3"),
}
_HEAD: tuple[tuple[str, ...], ...] = (("Head", "CC_Base_Head"), ("Head_end", "CC_Base_L_Eye"))


@dataclass(frozen=True)
class Motion:
    """A labelled part of a motion.

    Attributes:
        file: Relative to the table's folder.
        posture: One of `POSTURES`, "none", or "unclear".
        action: A name of J-HMDB as it is shown, "none", or "" where it is not known.
        start, end: Seconds.
    """

    file: str
    posture: str
    action: str
    start: float
    end: float


def read_index(path: Path) -> list[Motion]:
    """The labelled parts of a table.

    Raises:
        DataError: The file is missing, or a row is not of that kind.
    """
    return read_rows(path, _motion, "labelled motion", "expected a table of motions, or captures: null for none")


def _motion(row: Mapping[str, str]) -> Motion:
    motion = Motion(row["file"], row["posture"], row["action"], float(row["start"]), float(row["end"]))
    if motion.posture not in (*POSTURES, "none", "unclear") or not motion.start < motion.end:
        raise ValueError(f"posture {motion.posture!r} from {motion.start} to {motion.end} s")
    return motion


def read_bvh(path: Path) -> tuple[Floats, list[str], float]:
    """Positions of all joints of a motion, `LOOKS_PER_SECOND` or a little more of them.

    Returns:
        (T, J, 3) metres, y up, of a file in centimetres; the joints' names, ends of chains as `NAME_end`; the rate.

    Raises:
        DataError: The file is not of that kind.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it is longer than {_MOST_BYTES} bytes")
        header, _, motion = path.read_text(encoding="utf-8").partition("MOTION")
        names, parents, offsets, channels = _skeleton(header)
        lines = motion.strip().splitlines()
        rate = 1 / float(lines[1].split(":")[1])
        step = max(int(rate / LOOKS_PER_SECOND), 1)
        rows = np.array([line.split() for line in lines[2::step] if line.strip()], np.float64)
        if rows.shape[1] != sum(map(len, channels)) or not np.isfinite(rows).all():
            raise ValueError(f"lines of {rows.shape[1]} numbers, expected {sum(map(len, channels))} finite ones")
        return _forward(rows, parents, offsets, channels) / 100, names, rate / step
    except (OSError, ValueError, IndexError, ZeroDivisionError) as error:
        raise DataError(path, None, f"is no motion in BVH: {error}") from error


def _forward(rows: Floats, parents: list[int], offsets: list[Floats], channels: list[list[str]]) -> Floats:
    """(T, J, 3) places of the joints by forward kinematics."""
    places = np.zeros((len(rows), len(parents), 3))
    turned = np.tile(np.eye(3), (len(rows), len(parents), 1, 1))
    column = 0
    for joint, parent in enumerate(parents):
        place, rotation = np.tile(offsets[joint], (len(rows), 1)), np.tile(np.eye(3), (len(rows), 1, 1))
        if any(channel.endswith("position") for channel in channels[joint]):
            place = np.zeros_like(place)
        for channel in channels[joint]:
            axis, values, column = "XYZ".index(channel[0]), rows[:, column], column + 1
            if channel.endswith("position"):
                place[:, axis] = values
            else:
                rotation = rotation @ _about(axis, np.radians(values))
        if parent >= 0:
            place = places[:, parent] + np.einsum("tij,tj->ti", turned[:, parent], place)
            rotation = turned[:, parent] @ rotation
        places[:, joint], turned[:, joint] = place, rotation
    return places


def _skeleton(header: str) -> tuple[list[str], list[int], list[Floats], list[list[str]]]:
    """Names, parents, offsets and channels of the joints, in the order of the motion's numbers."""
    names, parents, offsets, channels = list[str](), list[int](), list[Floats](), list[list[str]]()
    above: list[int] = []
    for words in filter(None, map(str.split, header.splitlines())):
        if words[0] in ("ROOT", "JOINT", "End"):
            parents.append(above[-1] if above else -1)
            names.append(f"{names[parents[-1]]}_end" if words[0] == "End" else words[1])
            channels.append([])
            offsets.append(np.zeros(3))
        elif words[0] == "{":
            above.append(len(names) - 1)
        elif words[0] == "}":
            above.pop()
        elif words[0] == "OFFSET":
            offsets[-1] = np.array(words[1:4], np.float64)
        elif words[0] == "CHANNELS":
            channels[-1] = words[2:]
    return names, parents, offsets, channels


def _about(axis: int, angles: Floats) -> Floats:
    """(T, 3, 3) rotations of column vectors about x, y or z."""
    cosine, sine = np.cos(angles), np.sin(angles)
    found = np.zeros((len(angles), 3, 3))
    found[:, axis, axis] = 1
    first, second = (axis + 1) % 3, (axis + 2) % 3
    found[:, first, first] = found[:, second, second] = cosine
    found[:, first, second], found[:, second, first] = -sine, sine
    return found


def motion_landmarks(path: Path) -> tuple[Floats, float]:
    """(T, 33, 3) landmarks of a motion in metres, y up, and how many a second.

    Raises:
        DataError: The file is not of that kind, or its skeleton has none of the names known for a joint.
    """
    places, names, rate = read_bvh(path)
    index = {name: number for number, name in enumerate(names)}

    def joint(options: Sequence[str]) -> Floats:
        known = next((option for option in options if option in index), None)
        if known is None:
            raise DataError(path, None, f"has no joint named {' or '.join(options)}")
        return np.asarray(places[:, index[known]])

    joints = np.zeros((len(places), 1 + max(*LEFT.values(), *RIGHT.values(), *HEAD), 3))
    for name, options in _NAMES.items():
        joints[:, LEFT[name]] = joint(options)
        joints[:, RIGHT[name]] = joint([o.replace("Left", "Right").replace("_L_", "_R_") for o in options])
    for number, options in zip(HEAD, _HEAD, strict=True):
        joints[:, number] = joint(options)
    return as_landmarks(joints), rate


def capture_examples(folder: Path, actions: Sequence[str], each: int, rng: np.random.Generator) -> Examples:
    """Examples of the labelled motions of a folder, seen from any side; the group is the number of the file.

    Args:
        folder: Holds `index.csv` and the files that it names.
        actions: Names of the actions, as they are shown.
        each: Examples a labelled part.
        rng: Decides what is drawn.

    Raises:
        DataError: The table or a file cannot be read.
    """
    rows: list[tuple[npt.NDArray, npt.NDArray, int, float, int]] = []
    known: dict[str, tuple[Floats, float]] = {}
    for motion in read_index(folder / "index.csv"):
        if motion.file not in known:
            known[motion.file] = motion_landmarks(folder / motion.file)
        landmarks, rate = known[motion.file]
        first, last = round(motion.start * rate), min(round(motion.end * rate), len(landmarks) - 1)
        first = min(first + round(_BEFORE * rate), last)
        if last < 1:
            continue
        answers = np.zeros(NONE + 1, np.float32)
        if motion.posture != "unclear":
            answers[NONE if motion.posture == "none" else POSTURES.index(motion.posture)] = 1
        action = len(actions) if motion.action == "none" else (actions.index(motion.action) if motion.action else -1)
        for end in rng.integers(first, last + 1, each):
            part = landmarks[max(end - round(_SPAN * rate), 0) : end + 1]
            window = seen(part, np.arange(len(part)) / rate, rng)
            example = features(change(draw(window, len(window) - 1, rng), rng))
            rows.append((example, answers, action, 1.0, len(known)))
    return collect(rows)
