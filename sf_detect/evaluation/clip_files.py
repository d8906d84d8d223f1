"""Files of whole-clip metrics: Kinetics and Charades ground truth, and scores of views."""

from __future__ import annotations

import csv
import re
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sf_detect.errors import DataError

CHARADES_CLASSES = 157
"""Classes c000 to c156."""

_ACTION = re.compile(r"c(\d{3})(?: [\d.]+ [\d.]+)?")


def read_view_scores(path: str | Path) -> tuple[list[str], npt.NDArray[np.floating]]:
    """Reads scores of views, a row per view.

    Args:
        path: An `.npz` with `videos` (V,) text and `scores` (V, C) float, or text: in each line a video and its C
            scores, between spaces (as Charades takes results) or commas, without a header.

    Raises:
        DataError: Not readable, other arrays, or a malformed line; with its line.
    """
    videos, scores = _npz_scores(path) if Path(path).suffix == ".npz" else _text_scores(path)
    if not np.isfinite(scores).all():
        raise DataError(path, None, "scores are finite numbers")
    return videos, scores


def _npz_scores(path: str | Path) -> tuple[list[str], npt.NDArray[np.floating]]:
    try:
        with np.load(path, allow_pickle=False) as data:
            videos, scores = data["videos"], data["scores"]
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, EOFError, TypeError) as error:
        raise DataError(path, None, f"expected an .npz with the arrays 'videos' and 'scores'; {error}") from error
    if videos.ndim != 1 or scores.ndim != 2 or len(videos) != len(scores) or videos.dtype.kind != "U":
        got = f"{videos.dtype} {videos.shape} and {scores.dtype} {scores.shape}"
        raise DataError(path, None, f"videos are text (V,) and scores numbers (V, C), got {got}")
    if scores.dtype.kind not in "fiu":
        raise DataError(path, None, f"scores are finite numbers, got {scores.dtype}")
    return videos.tolist(), scores if scores.dtype.kind == "f" else scores.astype(np.float64)


def _text_scores(path: str | Path) -> tuple[list[str], npt.NDArray[np.floating]]:
    videos: list[str] = []
    rows: list[npt.NDArray[np.float64]] = []
    for number, line in enumerate(_lines(path), start=1):
        video, *values = (cell.strip() for cell in line.split(",")) if "," in line else line.split() or [""]
        try:
            rows.append(np.array([float(value) for value in values]))
        except ValueError as error:
            raise DataError(path, number, f"expected a video and its scores, without a header; {error}") from None
        if not values or len(rows[-1]) != len(rows[0]):
            expected = f"{len(rows[0])}, as in line 1" if rows[0].size else "at least 1"
            raise DataError(path, number, f"{len(values)} scores behind the video, expected {expected}")
        videos.append(video)
    return videos, np.array(rows) if rows else np.zeros((0, 0))


def _lines(path: str | Path) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(path, None, f"cannot be read as UTF-8 text: {error}") from error


def read_kinetics_csv(path: str | Path) -> dict[str, int]:
    """Reads `path label` or `path,label` rows without a header: class numbers by the stem of the file name.

    Raises:
        DataError: Not readable, malformed, or a video occurs twice; with its line.
    """
    labels: dict[str, int] = {}
    for number, line in enumerate(_lines(path), start=1):
        match = re.fullmatch(r"\s*(.+?)[ ,\t]+(\d+)\s*", line)
        if match is None:
            raise DataError(path, number, f"expected 'path label' with an integer label, got {line[:120]!r}")
        video = Path(match[1]).stem
        if video in labels:
            raise DataError(path, number, f"video {video!r} occurs a second time")
        labels[video] = int(match[2])
    if not labels:
        raise DataError(path, None, "is empty; expected rows of 'path label'")
    return labels


def read_charades_csv(path: str | Path) -> dict[str, list[int]]:
    """Reads Charades' own csv (columns `id` and `actions`): class numbers by video.

    Raises:
        DataError: Not readable, or a malformed row; with its line.
    """
    reader = csv.DictReader(_lines(path))
    if not {"id", "actions"} <= set(reader.fieldnames or ()):
        raise DataError(path, 1, f"expected the columns id and actions, got {reader.fieldnames}")
    labels: dict[str, list[int]] = {}
    for row in reader:
        numbers = set()
        for action in filter(None, (row["actions"] or "").split(";")):
            match = _ACTION.fullmatch(action)
            if match is None or int(match[1]) >= CHARADES_CLASSES:
                raise DataError(path, reader.line_num, f"expected actions such as 'c092 11.90 21.20', got {action!r}")
            numbers.add(int(match[1]))
        labels[row["id"]] = sorted(numbers)
    return labels
