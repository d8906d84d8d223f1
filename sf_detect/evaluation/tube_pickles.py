"""Pickles of J-HMDB, UCF101-24 and MultiSports, as they are published.

    ACT pickle  The ground truth that circulates as `JHMDB-GT.pkl`, `UCF101v2-GT.pkl` and `multisports_GT.pkl`; counts
                frames from 1.
    pyannot     `pyannot.pkl`, the corrected annotations of UCF101-24; counts frames from 0.
    MultiSports detections  An (N, 8) array (boxes on frames), or lists of tubes by class (videos).

Pickles can run code when they are loaded; these are read by `sf_detect.pickles`, which builds nothing but arrays,
numbers, text and containers.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sf_detect import pickles
from sf_detect.errors import DataError, UnknownNameError
from sf_detect.evaluation.mean_ap import FrameBoxes
from sf_detect.evaluation.tubes import Tube
from sf_detect.labels import LabelMap, label_set

_LARGEST_NUMBER = 1 << 40
_WRONG = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)


def _read_pickle(path: Path) -> Any:
    if path.exists() and not path.is_file():
        raise DataError(path, None, "is no file; give the pickle itself")
    try:
        return pickles.read(path.read_bytes())
    except pickles.RefusedNameError as error:
        problem = f"cannot be read as a pickle of arrays: it wants to call {error.name}, which is refused"
        raise DataError(path, None, problem) from error
    except (pickle.UnpicklingError, OSError) as error:
        raise DataError(path, None, f"cannot be read as a pickle of arrays: {error}") from error


def _numbers(value: object) -> npt.NDArray[np.float64]:
    """Finite numbers that can be frames, coordinates or scores."""
    array = pickles.array_of(value)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"an array of {array.dtype} where numbers are expected")
    array = array.astype(np.float64)
    usable = np.abs(array) < _LARGEST_NUMBER  # false for nan
    if not usable.all():
        row = f"row {int(np.argwhere(~usable)[0][0])} holds a" if array.ndim else "a"
        raise ValueError(f"{row} number that is not finite, or too large")
    return array


def _whole(value: object) -> int:
    number = _numbers(value)
    if number.size != 1 or number.item() != int(number.item()):
        raise ValueError(f"expected a whole number, got {str(value)[:40]}")
    return int(number.item())


def _name(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if not isinstance(value, (str, int, np.integer)):
        raise ValueError(f"{type(value).__name__} where a name is expected")
    return str(value)


def _boxes(value: object, columns: int) -> npt.NDArray[np.float64]:
    array = _numbers(value)
    if array.ndim != 2 or array.shape[1] < columns:
        raise ValueError(f"an array of shape {array.shape} where (N, {columns}) is expected")
    return array


@dataclass(frozen=True)
class TubeAnnotations:
    """Ground truth of a data set.

    Attributes:
        labels: The classes.
        tubes: Ground truth of all videos.
        test_videos: Names of the test videos of every split; empty where the file has no splits.
        first_frame: Number of a video's first frame.
    """

    labels: LabelMap
    tubes: tuple[Tube, ...]
    test_videos: tuple[tuple[str, ...], ...] = ()
    first_frame: int = 0

    def test_split(self, number: int) -> tuple[Tube, ...]:
        """Tubes of the test videos of a split, numbered from 1.

        Raises:
            UnknownNameError: There is no such split.
        """
        wanted = set(self.videos_of_split(number))
        return tuple(tube for tube in self.tubes if tube.video in wanted)

    def videos_of_split(self, number: int) -> tuple[str, ...]:
        """Names of the test videos of a split, numbered from 1.

        Raises:
            UnknownNameError: There is no such split.
        """
        if not 1 <= number <= len(self.test_videos):
            raise UnknownNameError("split", str(number), [str(i + 1) for i in range(len(self.test_videos))])
        return self.test_videos[number - 1]


def read_annotation_pickle(path: str | Path) -> TubeAnnotations:
    """Reads ground truth in the layout of ACT, or the `pyannot.pkl` of UCF101-24.

    Raises:
        DataError: Not readable, or of another layout.
    """
    path = Path(path)
    data = _read_pickle(path)
    try:
        return _from_act(data) if "gttubes" in data else _from_pyannot(data)
    except _WRONG as error:
        raise DataError(
            path,
            None,
            "expected the keys labels, gttubes (video -> class -> list of (N, 5) arrays of frame, x1, y1, x2, y2) and "
            "test_videos, or, for pyannot.pkl, video -> annotations (list of label, sf, ef, boxes); "
            f"{type(error).__name__}: {error}",
        ) from error


def _from_act(data: Any) -> TubeAnnotations:
    tubes = [
        Tube(_name(video), _whole(label), array[:, 0].astype(np.int64), array[:, 1:5])
        for video, by_label in data["gttubes"].items()
        for label, arrays in by_label.items()
        for array in (_boxes(one, 5) for one in arrays)
    ]
    test_videos = tuple(tuple(_name(video) for video in split) for split in data["test_videos"])
    return TubeAnnotations(LabelMap.of([_name(name) for name in data["labels"]]), tuple(tubes), test_videos, 1)


def _from_pyannot(data: Any) -> TubeAnnotations:
    """Boxes there are x, y, width, height on the frames from `sf` up to, not including, `ef`."""
    tubes = []
    for video, annotated in data.items():
        for one in annotated["annotations"]:
            first, last = _whole(one["sf"]), _whole(one["ef"])
            boxes = _boxes(one["boxes"], 4)[: max(0, last - first)]
            if len(boxes) < last - first:
                raise ValueError(f"{len(boxes)} boxes for frames {first} to {last}")
            corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:4]], axis=1)
            tubes.append(Tube(_name(video), _whole(one["label"]), first + np.arange(len(boxes)), corners))
    if not tubes:
        raise ValueError("no annotations in it")
    return TubeAnnotations(label_set("ucf24"), tuple(tubes))


def read_detection_pickle(path: str | Path) -> FrameBoxes | list[Tube]:
    """Reads detections of MultiSports: boxes on frames or tubes, whichever the file holds.

    Boxes are an (N, 8) array of video, frame, label, score, x1, y1, x2, y2, where the video is a place in the list of
    test videos; tubes are class -> list of (video, score, (N, 5+) array of frame and box).

    Raises:
        DataError: Not readable, or of another layout.
    """
    path = Path(path)
    data = _read_pickle(path)
    try:
        return _frames(data) if isinstance(data, np.ndarray) else _tubes(data)
    except _WRONG as error:
        raise DataError(
            path, None, f"expected an (N, 8) array, or class -> list of (video, score, array of frame and box); {error}"
        ) from error


def _frames(data: Any) -> FrameBoxes:
    array = _boxes(data, 8)
    if array.shape[1] != 8:
        raise ValueError(f"got an array of shape {array.shape}")
    whole = array[:, :3].astype(np.int64)
    if (whole != array[:, :3]).any():
        raise ValueError("video, frame and label are whole numbers, got fractions")
    return FrameBoxes(whole[:, 0], whole[:, 1], whole[:, 2], array[:, 4:8], array[:, 3])


def _tubes(data: Any) -> list[Tube]:
    return [
        Tube(_name(video), _whole(label), array[:, 0].astype(np.int64), array[:, 1:5], _numbers(score).item())
        for label, found in data.items()
        for video, score, array in ((video, score, _boxes(tube, 5)) for video, score, tube in found)
    ]
