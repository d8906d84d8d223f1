"""Reads labels.csv and clips.csv, and checks every cell; the classes and what a model's label means as one of them."""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sf_detect.errors import ConfigError, DataError

HERE = Path(__file__).resolve().parent
POSTURES = ("stand", "walk", "run", "sit", "bend", "crouch", "lie", "jump")
NO_POSTURE = ("none", "unclear")
VISIBILITIES = ("clear", "partly", "small")
SPLITS = ("choose", "measure", "fresh", "unseen", "held")
# J-HMDB's; its `sit` and `stand` under the names of what they mean.
ACTIONS = (
    *("brush_hair", "catch", "clap", "climb_stairs", "golf", "jump", "kick_ball", "pick", "pour", "pullup", "push"),
    *("run", "shoot_ball", "shoot_bow", "shoot_gun", "swing_baseball", "throw", "walk", "wave"),
    *("sit down", "stand up"),
)
_AVA_POSTURES = {
    "stand": "stand",
    "walk": "walk",
    "run/jog": "run",
    "sit": "sit",
    "bend/bow (at the waist)": "bend",
    "crouch/kneel": "crouch",
    "lie/sleep": "lie",
    "jump/leap": "jump",
}
_LABEL_COLUMNS = ("clip", "time", "x1", "y1", "x2", "y2", "posture", "actions", "visibility", "split")
_CLIP_COLUMNS = (
    *("clip", "file", "source", "path", "commit", "licence", "sha256"),
    *("bytes", "width", "height", "fps", "seconds", "split", "notes"),
)


@dataclass(frozen=True)
class Window:
    """One labelled person at one time.

    Attributes:
        clip: Name of the clip in clips.csv.
        time: Seconds, presentation time of the frame.
        box: xyxy, pixels of the source frame.
        posture: One of `POSTURES`, "none" (none of them fits) or "unclear" (cannot be told from the picture).
        actions: What the person does of `ACTIONS`.
        visibility: One of `VISIBILITIES`.
        split: One of `SPLITS`.
    """

    clip: str
    time: float
    box: tuple[float, float, float, float]
    posture: str
    actions: tuple[str, ...]
    visibility: str
    split: str

    @property
    def truth(self) -> frozenset[str]:
        """Everything that is true of the person."""
        return frozenset((self.posture, *self.actions)) - set(NO_POSTURE)


@dataclass(frozen=True)
class ClipFile:
    """One clip: its name, the name of its file and the hash of its bytes."""

    clip: str
    file: str
    sha256: str
    split: str


def read_windows(path: Path, clips: Sequence[ClipFile]) -> list[Window]:
    """All labelled persons, in the file's order.

    Raises:
        DataError: The file cannot be read, a cell is not of its kind, or a row names an unknown clip or other split.
    """
    splits = {c.clip: c.split for c in clips}
    return [_window(path, line, row, splits) for line, row in _rows(path, _LABEL_COLUMNS)]


def read_clips(path: Path) -> list[ClipFile]:
    """All clips, in the file's order.

    Raises:
        DataError: The file cannot be read, a clip stands there twice, or a hash or split is none.
    """
    clips: dict[str, ClipFile] = {}
    for line, row in _rows(path, _CLIP_COLUMNS):
        if row["clip"] in clips:
            raise DataError(path, line, f"clip {row['clip']!r} stands there twice. Expected one row a clip.")
        if len(row["sha256"]) != 64 or set(row["sha256"]) - set("0123456789abcdef"):
            raise DataError(path, line, f"sha256 is 64 hexadecimal digits, got {row['sha256']!r}.")
        if Path(row["file"]).name != row["file"] or not row["file"]:
            raise DataError(path, line, f"file is a name without a folder, got {row['file']!r}.")
        _one_of(path, line, "split", row["split"], SPLITS)
        clips[row["clip"]] = ClipFile(row["clip"], row["file"], row["sha256"], row["split"])
    return list(clips.values())


def find_clip(clip: ClipFile, folder: Path) -> Path | None:
    """The clip's file in a folder, None where it is not there.

    Raises:
        DataError: A file of that name holds other bytes.
    """
    path = folder / clip.file
    if not path.is_file():
        return None
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != clip.sha256:
        raise DataError(
            path,
            None,
            f"holds other bytes than the labelled clip (sha256 {found[:12]}..., expected {clip.sha256[:12]}...). "
            "Fetch it again from the commit in clips.csv, or move it away to leave the clip out.",
        )
    return path


def meaning(label: str, label_set: Sequence[str]) -> str | None:
    """A model's label as one of `POSTURES` or `ACTIONS`; None where the yardstick has no such class.

    J-HMDB's `sit` and `stand` mean sitting down and standing up; AVA's names stand for the postures.

    Args:
        label: The label.
        label_set: All action labels of the model it came from.
    """
    if "brush_hair" in label_set and "sit down" not in label_set and label in ("sit", "stand"):
        return {"sit": "sit down", "stand": "stand up"}[label]
    label = _AVA_POSTURES.get(label, label)
    return label if label in POSTURES or label in ACTIONS else None


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with open(path, encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != tuple(columns):
                raise DataError(path, 1, f"expected the columns {','.join(columns)}, got {reader.fieldnames}.")
            for row in reader:
                if None in row or None in row.values():
                    raise DataError(path, reader.line_num, f"expected {len(columns)} cells. Quote cells with commas.")
                yield reader.line_num, row
    except OSError as error:
        raise DataError(path, None, f"cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise DataError(path, None, "is not text in UTF-8.") from error


def _window(path: Path, line: int, row: dict[str, str], splits: dict[str, str]) -> Window:
    _one_of(path, line, "clip", row["clip"], sorted(splits))
    _one_of(path, line, "split", row["split"], (splits[row["clip"]],))
    _one_of(path, line, "posture", row["posture"], (*POSTURES, *NO_POSTURE))
    _one_of(path, line, "visibility", row["visibility"], VISIBILITIES)
    actions = tuple(a for a in row["actions"].split(";") if a)
    for action in actions:
        _one_of(path, line, "action", action, ACTIONS)
    try:
        time, *box = (float(row[c]) for c in ("time", "x1", "y1", "x2", "y2"))
    except ValueError as error:
        raise DataError(path, line, f"time and box are numbers: {error}.") from error
    if not (all(map(math.isfinite, (time, *box))) and time >= 0 and box[0] < box[2] and box[1] < box[3]):
        raise DataError(path, line, f"expected time >= 0, x1 < x2 and y1 < y2, got {time}, {box}.")
    x1, y1, x2, y2 = box
    return Window(row["clip"], time, (x1, y1, x2, y2), row["posture"], actions, row["visibility"], splits[row["clip"]])


def _one_of(path: Path, line: int, column: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise DataError(path, line, f"{column} is one of {', '.join(allowed)}; got {value!r}.")


def check_split(split: str) -> tuple[str, ...]:
    """The splits that an option names.

    Raises:
        ConfigError: It names none.
    """
    if split != "all" and split not in SPLITS:
        raise ConfigError(f"the split is choose, measure, fresh, unseen, held or all, got {split!r}.")
    return SPLITS if split == "all" else (split,)
