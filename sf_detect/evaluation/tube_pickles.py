"""Pickles of J-HMDB, UCF101-24 and MultiSports, as they are published.

    ACT pickle  The ground truth that circulates as `JHMDB-GT.pkl`, `UCF101v2-GT.pkl` and `multisports_GT.pkl`; counts
                frames from 1.
    pyannot     `pyannot.pkl`, the corrected annotations of UCF101-24; counts frames from 0.
    MultiSports detections  An (N, 8) array (boxes on frames), or lists of tubes by class (videos).

Pickles can run code when they are loaded; these are read by an unpickler that builds nothing but arrays, numbers, text
and containers.
"""

from __future__ import annotations

import codecs
import pickle
from collections import OrderedDict, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sf_detect.errors import DataError, UnknownNameError
from sf_detect.evaluation.mean_ap import FrameBoxes
from sf_detect.evaluation.tubes import Tube
from sf_detect.labels import LabelMap, label_set

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
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise DataError(
            path,
            None,
            "expected the keys labels, gttubes (video -> class -> list of (N, 5) arrays of frame, x1, y1, x2, y2) and "
            "test_videos, or, for pyannot.pkl, video -> annotations (list of label, sf, ef, boxes); "
            f"{type(error).__name__}: {error}",
        ) from error


def _from_act(data: Any) -> TubeAnnotations:
    tubes = [
        Tube(str(video), int(label), array[:, 0], array[:, 1:5])
        for video, by_label in data["gttubes"].items()
        for label, arrays in by_label.items()
        for array in arrays
    ]
    test_videos = tuple(tuple(str(video) for video in split) for split in data["test_videos"])
    return TubeAnnotations(LabelMap.of([str(name) for name in data["labels"]]), tuple(tubes), test_videos, 1)


def _from_pyannot(data: Any) -> TubeAnnotations:
    """Boxes there are x, y, width, height on the frames from `sf` up to, not including, `ef`."""
    tubes = []
    for video, annotated in data.items():
        for one in annotated["annotations"]:
            frames = np.arange(int(one["sf"]), int(one["ef"]))
            boxes = np.asarray(one["boxes"], np.float64)[: len(frames)]
            corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:4]], axis=1)
            tubes.append(Tube(str(video), int(one["label"]), frames, corners))
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
    except (TypeError, ValueError, IndexError, AttributeError) as error:
        raise DataError(
            path, None, f"expected an (N, 8) array, or class -> list of (video, score, array of frame and box); {error}"
        ) from error


def _frames(array: Any) -> FrameBoxes:
    if array.ndim != 2 or array.shape[1] != 8:
        raise ValueError(f"got an array of shape {array.shape}")
    array = np.asarray(array, np.float64)
    if not np.isfinite(array).all():
        raise ValueError(
            f"row {int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])} holds a number that is not finite"
        )
    whole = array[:, :3].astype(np.int64)
    if (whole != array[:, :3]).any():
        raise ValueError("video, frame and label are whole numbers, got fractions")
    return FrameBoxes(whole[:, 0], whole[:, 1], whole[:, 2], array[:, 4:8].astype(float), array[:, 3].astype(float))


def _tubes(data: Any) -> list[Tube]:
    return [
        Tube(str(video), int(label), tube[:, 0], tube[:, 1:5], float(score))
        for label, found in data.items()
        for video, score, tube in found
    ]
