"""The csv files of a custom data set, as far as a program can fill them: who is where. People fill in the actions.

video_id,timestamp,x1,y1,x2,y2,action,person
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sf_detect.atomic_file import write_text
from sf_detect.data.media import VIDEO_SUFFIXES
from sf_detect.data.tables import read_csv
from sf_detect.errors import DataError

HEADER = ("video_id", "timestamp", "x1", "y1", "x2", "y2", "action", "person")
FILES = ("train.csv", "val.csv")


@dataclass(frozen=True)
class OwnVideo:
    """A video below `root/videos`.

    Attributes:
        path: The file.
        action: The folder it lies in, which is what everyone in it is presumed to do; "" directly in `videos`.
        split: "train.csv" or "val.csv".
    """

    path: Path
    action: str
    split: str


def own_videos(root: Path, every: int) -> list[OwnVideo]:
    """All videos, sorted; each `every`-th of a folder is for validation, none where `every` is 0.

    Raises:
        DataError: There are none, or two have the same name.
    """
    folder = root / "videos"
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    if not paths:
        raise DataError(folder, None, "holds no video; expected some, each action's in a folder with its name")
    names: dict[str, Path] = {}
    videos = []
    counts: dict[str, int] = {}
    for path in paths:
        if path.stem in names:
            raise DataError(path, None, f"has the same name as {names[path.stem]}; the csv files need different ones")
        names[path.stem] = path
        action = "" if path.parent == folder else path.parent.name
        counts[action] = counts.get(action, 0) + 1
        videos.append(OwnVideo(path, action, FILES[bool(every and counts[action] % every == 0)]))
    return videos


def videos_listed(root: Path) -> set[str]:
    """Videos that have rows already.

    Raises:
        DataError: A file can't be read.
    """
    present = [root / name for name in FILES if (root / name).is_file()]
    return {row[0] for path in present for row in read_csv(path, "").rows}


def keyframe_times(duration: float, every: float) -> npt.NDArray[np.float64]:
    """Times (K,) to label in a video, about `every` seconds apart and away from its ends; one at least."""
    count = max(1, int(duration / every))
    return np.asarray((np.arange(count) + 0.5) * (duration / count), np.float64)


def rows_of(
    video: OwnVideo, time: float, boxes: npt.NDArray[np.float32], persons: Sequence[int], size: tuple[int, int]
) -> list[tuple[str, ...]]:
    """Rows of one keyframe.

    Args:
        video: Whose.
        time: Seconds.
        boxes: (N, 4) xyxy pixels.
        persons: Their numbers in this video.
        size: (height, width) of the frame.
    """
    shares = (boxes / np.array([size[1], size[0]] * 2)).clip(0, 1)
    return [
        (video.path.stem, f"{time:.3f}", *(f"{v:.4f}" for v in box), video.action, str(person))
        for box, person in zip(shares, persons, strict=True)
    ]


def append_rows(path: Path, rows: Iterable[tuple[str, ...]]) -> None:
    """Adds rows at the end of a file, which is whole at any time, and its header where it is new."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    old = path.read_text(encoding="utf-8-sig") if path.is_file() else ""
    if not old:
        writer.writerow(HEADER)
    elif not old.endswith("\n"):
        old += "\n"
    writer.writerows(rows)
    write_text(path, old + text.getvalue())


def write_labels(path: Path, names: Sequence[str]) -> None:
    """A list of classes with ids from 1; an existing file is left alone."""
    if path.exists():
        return
    write_text(path, "id,name\n" + "".join(f"{i},{name}\n" for i, name in enumerate(names, start=1)))
