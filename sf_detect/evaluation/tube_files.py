"""Annotation and detection files of J-HMDB, UCF101-24 and MultiSports.

Three layouts are read:

    frame csv   A header and a row per box: `video,frame,x1,y1,x2,y2,label[,score][,track]`; `video_id` and `action` are
                accepted for `video` and `label`, a label is a name or an id.
    ACT pickle  The ground truth that circulates as `JHMDB-GT.pkl`, `UCF101v2-GT.pkl` and `multisports_GT.pkl`.
    MultiSports detections  Pickles of an (N, 8) array (frames) or of lists of tubes by class (videos).

Pickles can run code when they are loaded; these are read by an unpickler that builds nothing but arrays, numbers, text
and containers.
"""

from __future__ import annotations

import codecs
import csv
import pickle
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sf_detect.errors import DataError, UnknownNameError
from sf_detect.evaluation.linking import Scored
from sf_detect.evaluation.mean_ap import FrameBoxes
from sf_detect.evaluation.tubes import Tube
from sf_detect.labels import LabelMap

# What a pickle may name, by its last part: NumPy moved these between modules.
_HARMLESS: dict[str, Any] = {
    "_reconstruct": np.zeros(0).__reduce__()[0],
    "scalar": np.float64(0).__reduce__()[0],
    "_frombuffer": np.zeros(1).__reduce_ex__(5)[0],
    "dtype": np.dtype,
    "ndarray": np.ndarray,
    "OrderedDict": OrderedDict,
    "defaultdict": defaultdict,
    "list": list,
    "dict": dict,
    "set": set,
    "encode": codecs.encode,
}
_HARMLESS_MODULES = ("numpy", "collections", "builtins", "__builtin__", "_codecs")


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] not in _HARMLESS_MODULES or name not in _HARMLESS:
            raise pickle.UnpicklingError(f"it wants to call {module}.{name}, which is refused")
        return _HARMLESS[name]


def _read_pickle(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            return _PlainUnpickler(file, encoding="latin1").load()
    except Exception as error:  # a pickle can fail in any way
        raise DataError(path, None, f"cannot be read as a pickle of arrays: {error}") from error


@dataclass(frozen=True)
class TubeAnnotations:
    """Ground truth of a data set.

    Attributes:
        labels: The classes.
        tubes: Ground truth of all videos.
        test_videos: Names of the test videos of every split; empty where the file has no splits.
    """

    labels: LabelMap
    tubes: tuple[Tube, ...]
    test_videos: tuple[tuple[str, ...], ...] = ()

    def test_split(self, number: int) -> tuple[Tube, ...]:
        """Tubes of the test videos of a split, numbered from 1.

        Raises:
            UnknownNameError: There is no such split.
        """
        if not 1 <= number <= len(self.test_videos):
            raise UnknownNameError("split", str(number), [str(i + 1) for i in range(len(self.test_videos))])
        wanted = set(self.test_videos[number - 1])
        return tuple(tube for tube in self.tubes if tube.video in wanted)


def read_act_pickle(path: str | Path) -> TubeAnnotations:
    """Reads ground truth in the layout of ACT (J-HMDB, UCF101-24, MultiSports).

    Raises:
        DataError: Not readable, or of another layout.
    """
    path = Path(path)
    data = _read_pickle(path)
    try:
        labels = LabelMap.of([str(name) for name in data["labels"]])
        tubes = [
            Tube(str(video), int(label), array[:, 0], array[:, 1:5])
            for video, by_label in data["gttubes"].items()
            for label, arrays in by_label.items()
            for array in arrays
        ]
        test_videos = tuple(tuple(str(video) for video in split) for split in data["test_videos"])
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise DataError(
            path,
            None,
            "expected the keys labels, gttubes (video -> class -> list of (N, 5) arrays of frame, x1, y1, x2, y2) and "
            f"test_videos; {type(error).__name__}: {error}",
        ) from error
    return TubeAnnotations(labels, tuple(tubes), test_videos)


def read_multisports_frames(path: str | Path) -> FrameBoxes:
    """Reads frame detections of MultiSports: an (N, 8) array of video, frame, label, score, x1, y1, x2, y2.

    Video numbers are places in the list of test videos.

    Raises:
        DataError: Not readable, or of another shape.
    """
    path = Path(path)
    array = _read_pickle(path)
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.shape[1] != 8:
        raise DataError(path, None, f"expected an (N, 8) array, got {getattr(array, 'shape', type(array).__name__)}")
    whole = array[:, :3].astype(np.int64)
    return FrameBoxes(whole[:, 0], whole[:, 1], whole[:, 2], array[:, 4:8].astype(float), array[:, 3].astype(float))


def read_multisports_tubes(path: str | Path) -> list[Tube]:
    """Reads video detections of MultiSports: class -> list of (video, score, (N, 5+) array of frame and box).

    Raises:
        DataError: Not readable, or of another layout.
    """
    path = Path(path)
    data = _read_pickle(path)
    try:
        return [
            Tube(str(video), int(label), tube[:, 0], tube[:, 1:5], float(score))
            for label, found in data.items()
            for video, score, tube in found
        ]
    except (TypeError, ValueError, IndexError, AttributeError) as error:
        raise DataError(path, None, f"expected class -> list of (video, score, array); {error}") from error


_ALIASES = {"video_id": "video", "action": "label", "class": "label", "track_id": "track"}
_NEEDED = ("video", "frame", "x1", "y1", "x2", "y2", "label")


@dataclass(frozen=True, eq=False)
class FrameCsv:
    """A frame csv.

    Attributes:
        path: The file.
        videos: Names, by the video numbers of `boxes`.
        boxes: The rows.
        tracks: (N,) names of persons within a video; "" where the file has no such column.
    """

    path: Path
    videos: tuple[str, ...]
    boxes: FrameBoxes
    tracks: tuple[str, ...]

    def numbered_as(self, videos: Sequence[str]) -> FrameBoxes:
        """The boxes with video numbers of another list of names; those of other videos get numbers behind it."""
        place = {video: i for i, video in enumerate(videos)}
        numbers = np.array([place.setdefault(video, len(place)) for video in self.videos] or [0], np.int64)
        b = self.boxes
        return FrameBoxes(numbers[b.videos], b.frames, b.labels, b.boxes, b.scores)

    def tubes(self) -> list[Tube]:
        """A tube per video, class and track: ground truth, or detections that carry tracks.

        Raises:
            DataError: Two boxes of one class and track share a frame.
        """
        rows: dict[tuple[int, int, str], list[int]] = {}
        b = self.boxes
        for i, key in enumerate(zip(b.videos.tolist(), b.labels.tolist(), self.tracks, strict=True)):
            rows.setdefault(key, []).append(i)
        tubes = []
        for (video, label, _), places in rows.items():
            index = np.array(places)[np.argsort(b.frames[places], kind="stable")]
            if np.any(np.diff(b.frames[index]) == 0):
                where = f"video {self.videos[video]!r} has two boxes of one class on one frame"
                raise DataError(self.path, None, f"{where}; a column 'track' must tell them apart")
            score = float(b.scores[index].mean())
            tubes.append(Tube(self.videos[video], label, b.frames[index], b.boxes[index], score))
        return tubes

    def by_frame(self) -> dict[tuple[str, int], dict[int, Scored]]:
        """Boxes and scores by video and class, then by frame: what the linking functions take."""
        result: dict[tuple[str, int], dict[int, Scored]] = {}
        b = self.boxes
        order = np.lexsort((b.frames, b.labels, b.videos))
        keys = np.stack([b.videos, b.labels, b.frames], axis=1)[order]
        changes = np.flatnonzero((keys[1:] != keys[:-1]).any(axis=1)) + 1
        for part in np.split(order, changes) if len(order) else []:
            video, label, frame = self.videos[b.videos[part[0]]], int(b.labels[part[0]]), int(b.frames[part[0]])
            result.setdefault((video, label), {})[frame] = (b.boxes[part], b.scores[part])
        return result


def read_frame_csv(path: str | Path, labels: LabelMap) -> FrameCsv:
    """Reads a csv of boxes on single frames, with a header.

    Raises:
        DataError: Not readable, a column is missing, a malformed row, or an unknown label; with its line.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(path, None, f"cannot be read as UTF-8 text: {error}") from error
    reader = csv.reader(lines)
    columns = _columns(path, next(reader, []))
    columns_of_label = {**{str(i): c for c, i in enumerate(labels.ids)}, **{name: c for c, name in enumerate(labels)}}
    videos: dict[str, int] = {}
    rows, tracks = [], []
    for row in reader:
        rows.append(_frame_row(path, reader.line_num, row, columns, columns_of_label, videos))
        tracks.append(row[columns["track"]] if "track" in columns else "")
    table = np.array(rows, np.float64).reshape(-1, 8)
    whole = table[:, :3].astype(np.int64)
    boxes = FrameBoxes(whole[:, 0], whole[:, 1], whole[:, 2], table[:, 3:7], table[:, 7])
    return FrameCsv(path, tuple(videos), boxes, tuple(tracks))


def _columns(path: Path, header: Iterable[str]) -> dict[str, int]:
    columns = {_ALIASES.get(name.strip(), name.strip()): i for i, name in enumerate(header)}
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        raise DataError(
            path,
            1,
            f"the header lacks {', '.join(missing)}; expected {','.join(_NEEDED)}[,score][,track], got {columns}",
        )
    return columns


def _frame_row(
    path: Path,
    line: int,
    row: Sequence[str],
    columns: Mapping[str, int],
    columns_of_label: Mapping[str, int],
    videos: dict[str, int],
) -> list[float]:
    """Video, frame, label, box and score of one row, as numbers."""
    if len(row) != len(columns):
        raise DataError(path, line, f"{len(row)} columns, the header has {len(columns)}")
    label = row[columns["label"]].strip()
    if label not in columns_of_label:
        raise DataError(path, line, str(UnknownNameError("label", label, columns_of_label)))
    numbers: list[float] = []
    for name in ("frame", "x1", "y1", "x2", "y2", "score"):
        text = row[columns[name]] if name in columns else "1"
        try:
            number = float(int(text) if name == "frame" else text)
        except ValueError:
            number = float("nan")
        if not np.isfinite(number):
            kind = "an integer" if name == "frame" else "a finite number"
            raise DataError(path, line, f"{name} is {kind}, got {text!r}")
        numbers.append(number)
    video = videos.setdefault(row[columns["video"]], len(videos))
    return [video, numbers[0], columns_of_label[label], *numbers[1:]]
