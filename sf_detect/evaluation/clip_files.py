"""Files of whole-clip metrics: Kinetics and Charades ground truth, and scores of views."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sf_detect.errors import ConfigError, DataError, UnknownNameError
from sf_detect.evaluation.npz_files import read_npz
from sf_detect.evaluation.text_lines import read_lines
from sf_detect.evaluation.video_names import file_stem
from sf_detect.labels import LabelMap, label_set

CHARADES_CLASSES = 157
"""Classes c000 to c156."""

_PUBLISHED_COLUMNS = ("label", "youtube_id", "time_start", "time_end")
_ACTION = re.compile(r"c(\d{3})(?: [\d.]+ [\d.]+)?")


def read_view_scores(path: str | Path) -> tuple[list[str], npt.NDArray[np.floating]]:
    """Reads scores of views, a row per view.

    Args:
        path: An `.npz` with `videos` (V,) text and `scores` (V, C) float, or text: in each line a video and its C
            scores, between spaces (as Charades takes results) or commas, without a header. The folders of a path may
            hold spaces.

    Raises:
        DataError: Not readable, other arrays, or a malformed line; with its line.
    """
    videos, scores = _npz_scores(path) if Path(path).suffix == ".npz" else _text_scores(path)
    if not np.isfinite(scores).all():
        raise DataError(path, None, "scores are finite numbers")
    return videos, scores


def _npz_scores(path: str | Path) -> tuple[list[str], npt.NDArray[np.floating]]:
    try:
        videos, scores = read_npz(Path(path), ("videos", "scores"))
    except ValueError as error:
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
    for number, line in enumerate(read_lines(path), start=1):
        video, *values = _cells(line)
        try:
            rows.append(np.array([float(value) for value in values]))
        except ValueError as error:
            raise DataError(path, number, f"expected a video and its scores, without a header; {error}") from None
        if not values or len(rows[-1]) != len(rows[0]):
            expected = f"{len(rows[0])}, as in line 1" if rows[0].size else "at least 1"
            raise DataError(path, number, f"{len(values)} scores behind the video, expected {expected}")
        videos.append(video)
    return videos, np.array(rows) if rows else np.zeros((0, 0))


def _cells(line: str) -> list[str]:
    if "," in line:
        return [cell.strip() for cell in line.split(",")]
    cells = line.split()
    last = max((i for i, cell in enumerate(cells) if "/" in cell or "\\" in cell), default=0)
    return [" ".join(cells[: last + 1]), *cells[last + 1 :]]


@dataclass(frozen=True)
class KineticsTruth:
    """Classes of clips.

    Attributes:
        labels: Class numbers, from 0 as such lists count, by the file name without folder and ending;
            `ID_000010_000020` where the list is a published one.
        published: Whether it is: such lists name clips that can't be fetched any more.
        path: The list.
    """

    labels: dict[str, int]
    published: bool
    path: Path

    def named_as(self, videos: Collection[str]) -> dict[str, int]:
        """The labels; of a published list by `ID` alone where `videos`, which may be paths, are named so.

        Raises:
            DataError: They are, and an `ID` has several clips in the list.
        """
        if not self.published or not self.labels.keys().isdisjoint(map(file_stem, videos)):
            return self.labels
        labels: dict[str, int] = {}
        clips: dict[str, str] = {}
        for name, label in self.labels.items():
            video = name.rsplit("_", 2)[0]
            labels[video] = label
            if clips.setdefault(video, name) != name and video in set(map(file_stem, videos)):
                problem = f"{clips[video]!r} and {name!r} are both clips of {video!r}"
                raise DataError(self.path, None, f"{problem}; name scores by the whole names of the clips")
        return labels


def read_kinetics_csv(path: str | Path, labels: LabelMap | None = None) -> KineticsTruth:
    """Reads classes: `path label` or `path,label` rows without a header, or a published list.

    Args:
        path: The file; a published one has the columns `label,youtube_id,time_start,time_end`.
        labels: The class names of a published list, in the order of the scores; None takes Kinetics-400's or -600's
            where all of the list's are among them.

    Raises:
        DataError: Not readable, malformed, an unknown class, or a video occurs twice; with its line.
        ConfigError: The names of a published list are not those of a known label set.
    """
    lines = read_lines(path)
    published = bool(lines) and set(_PUBLISHED_COLUMNS) <= {name.strip() for name in lines[0].split(",")}
    rows = _published_rows(path, lines, labels) if published else _listed_rows(path, lines)
    numbers: dict[str, int] = {}
    for line, video, label in rows:
        if video in numbers:
            raise DataError(path, line, f"video {video!r} occurs a second time")
        numbers[video] = label
    if not numbers:
        raise DataError(path, None, "is empty; expected rows of 'path label'")
    return KineticsTruth(numbers, published, Path(path))


def _listed_rows(path: str | Path, lines: list[str]) -> Iterator[tuple[int, str, int]]:
    for number, line in enumerate(lines, start=1):
        match = re.fullmatch(r"\s*(.+?)[ ,\t]+(\d+)\s*", line)
        if match is None:
            raise DataError(path, number, f"expected 'path label' with an integer label, got {line[:120]!r}")
        yield number, file_stem(match[1]), int(match[2])


def _published_rows(path: str | Path, lines: list[str], labels: LabelMap | None) -> Iterator[tuple[int, str, int]]:
    reader = csv.DictReader(lines, skipinitialspace=True)
    rows = [(reader.line_num, row) for row in reader]
    if labels is None:
        labels = _fitting_labels(path, {row["label"] or "" for _, row in rows})
    columns = {name: column for column, name in enumerate(labels)}
    for line, row in rows:
        if row["label"] not in columns:
            raise DataError(path, line, str(UnknownNameError("label", row["label"] or "", columns)))
        try:
            start, end = (round(float(row[side])) for side in ("time_start", "time_end"))
        except (TypeError, ValueError):
            raise DataError(path, line, f"time_start and time_end are seconds, got {list(row.values())}") from None
        yield line, f"{row['youtube_id']}_{start:06d}_{end:06d}", columns[row["label"]]


def _fitting_labels(path: str | Path, names: set[str]) -> LabelMap:
    for known in map(label_set, ("kinetics400", "kinetics600")):
        if names <= set(known.names):
            return known
    odd = min(names - set(label_set("kinetics600").names))
    raise ConfigError(
        f"{path} has the label {odd!r}, which is neither Kinetics-400's nor -600's; name the file with --label-map"
    )


def read_charades_csv(path: str | Path) -> dict[str, list[int]]:
    """Reads Charades' own csv (columns `id` and `actions`): class numbers by video.

    Raises:
        DataError: Not readable, or a malformed row; with its line.
    """
    reader = csv.DictReader(read_lines(path))
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
