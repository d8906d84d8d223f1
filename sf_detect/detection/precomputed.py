"""`precomputed`: persons from an AVA proposal file, looked up by video and time instead of detected.

Rows are `video_id,timestamp,x1,y1,x2,y2[,action][,score]`, coordinates as fractions of the frame, seconds with any
number of decimals, no header: the form of AVA's annotations and of the published proposal files. Rows that repeat a
box for several actions are one person.
"""

from __future__ import annotations

import csv
import math
from bisect import bisect_left
from pathlib import Path, PurePath

import numpy as np

from sf_detect.detection.selection import Selection
from sf_detect.errors import ConfigError, DataError
from sf_detect.structures import Detections

DEFAULT_SELECTION = Selection(score_threshold=0.0, nms_iou=1.0)
"""Everything the file holds: it was chosen by whoever wrote it."""

_STRAY = 0.01

_Box = tuple[float, float, float, float]


class PrecomputedDetector:
    """Looks persons up by time; a `TimedDetector`.

    Args:
        path: The csv file.
        tolerance: Seconds between the time asked for and a time in the file for it still to count. AVA has a row
            per second, so half a second always finds the nearest annotated frame.
        selection: Which persons to keep; None takes all.

    Raises:
        ConfigError: `tolerance` is negative.
        DataError: The file cannot be read or a row is malformed; carries the file and the line.
    """

    def __init__(self, path: str | Path, tolerance: float = 0.5, selection: Selection | None = None) -> None:
        if not tolerance >= 0:
            raise ConfigError(f"the time tolerance of precomputed boxes is {tolerance}, expected 0 or more seconds.")
        self.path, self.tolerance = Path(path), tolerance
        self.selection = selection or DEFAULT_SELECTION
        self._persons = _read(self.path)
        self._times = {video: sorted(times) for video, times in self._persons.items()}

    @property
    def videos(self) -> list[str]:
        """The videos the file has boxes for."""
        return sorted(self._times)

    def at(self, video: str, pts: float, image_size: tuple[int, int]) -> Detections:
        """The persons nearest in time.

        Args:
            video: The video's id in the file, as a rule its file name without extension; with folders and extension,
                as videos of an archive are called, it is found too.
            pts: Seconds.
            image_size: (height, width) of the frame the boxes are scaled to.

        Returns:
            Best score first; none where the file has no row within the tolerance.

        Raises:
            DataError: The file has no row for this video at all.
        """
        path = PurePath(video)
        video = next((name for name in (video, path.name, path.stem) if name in self._times), video)
        if video not in self._times:
            shown = ", ".join(self.videos[:5]) + (", ..." if len(self.videos) > 5 else "")
            raise DataError(self.path, None, f"no boxes for the video {video!r}; the file has: {shown or 'no rows'}.")
        times = self._times[video]
        i = bisect_left(times, pts)
        nearest = min(times[max(i - 1, 0) : i + 1], key=lambda time: abs(time - pts))
        if abs(nearest - pts) > self.tolerance:
            return self.selection(np.zeros((0, 4)), np.zeros(0), image_size)
        persons = self._persons[video][nearest]
        height, width = image_size
        boxes = np.array(list(persons), np.float64).reshape(-1, 4) * [width, height, width, height]
        return self.selection(boxes, np.array(list(persons.values())), image_size)


def _read(path: Path) -> dict[str, dict[float, dict[_Box, float]]]:
    """video -> time -> box as fractions -> best score."""
    persons: dict[str, dict[float, dict[_Box, float]]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for line, row in enumerate(csv.reader(file), start=1):
                if not row:
                    continue
                video, time, box, score = _parse(path, line, row)
                at_time = persons.setdefault(video, {}).setdefault(time, {})
                if box is not None:
                    at_time[box] = max(score, at_time.get(box, 0.0))
    except OSError as error:
        raise DataError(path, None, f"cannot be read: {error.strerror}. Expected an AVA proposal csv.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(path, None, f"is not a csv file: {error}. Expected an AVA proposal csv.") from error
    return persons


def _parse(path: Path, line: int, row: list[str]) -> tuple[str, float, _Box | None, float]:
    """One row; the box is None where the row only says that the frame was looked at."""
    expected = "expected video_id,timestamp,x1,y1,x2,y2[,action][,score]"
    if len(row) == 2 or (len(row) > 5 and not any(field.strip() for field in row[2:6])):
        return row[0].strip(), _number(path, line, "timestamp", row[1]), None, 0.0
    if not 6 <= len(row) <= 8:
        raise DataError(path, line, f"{len(row)} fields, {expected}.")
    names = ("timestamp", "x1", "y1", "x2", "y2")
    time, x1, y1, x2, y2 = (_number(path, line, name, text) for name, text in zip(names, row[1:6], strict=True))
    # Published files stray over the border by rounding, and hold a few boxes without area; those are dropped later.
    if not (-_STRAY <= x1 <= x2 <= 1 + _STRAY and -_STRAY <= y1 <= y2 <= 1 + _STRAY):
        problem = f"box {x1}, {y1}, {x2}, {y2}; expected fractions of the frame with 0 <= x1 < x2 <= 1 and likewise y."
        raise DataError(path, line, problem)
    # With seven fields the last is the action id of an annotation; only the eighth is a score.
    score = _number(path, line, "score", row[7]) if len(row) == 8 and row[7].strip() else 1.0
    if not 0 <= score <= 1:
        raise DataError(path, line, f"score {score}, expected a number from 0 to 1 (or cut off AVA's entity ids).")
    return row[0].strip(), time, (x1, y1, x2, y2), score


def _number(path: Path, line: int, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(path, line, f"{name} is {text!r}, expected a number.")
    return value
