"""J-HMDB (Jhuang et al., ICCV 2013): short clips of 21 actions with the actor's box in every frame."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import av
import cv2
import numpy as np

from sf_detect.data.decoding import frame_times
from sf_detect.data.media import assemble
from sf_detect.data.samples import ActionDataset, ClipSample
from sf_detect.errors import ConfigError, DataError, UnknownNameError
from sf_detect.labels import LabelMap

KEYFRAMES = ("middle", "every")


@dataclass(frozen=True)
class JHMDBClip:
    """One annotated clip.

    Attributes:
        path: the video file.
        label: 0-based class, in the order of the numbers in `videos.csv` (0 to 20, alphabetic order of the actions).
        split: "train" or "test" in each of the three official splits.
        source: the film or upload the clip was cut from; clips of one source belong on one side of a validation split.
        boxes: (frames, 4) float32 xyxy in pixels of the video, one actor per frame.
    """

    video_id: str
    action: str
    label: int
    path: Path
    split: tuple[str, str, str]
    source: str
    width: int
    height: int
    num_frames: int
    boxes: np.ndarray


@dataclass
class JHMDBOptions:
    """J-HMDB as samples.

    Attributes:
        root: Folder with `videos.csv`, `boxes.csv` and `videos/`.
        number: Official split 1, 2 or 3.
        split: "train" or "test".
        keyframes: "middle" takes the middle frame of each clip, "every" each annotated frame.
        stride: With "every", only each so many-th frame.
    """

    root: str
    number: int = 1
    split: str = "train"
    keyframes: str = "middle"
    stride: int = 1


# HMDB51 names end in: action words, body visible, camera motion, number of people, viewpoint, quality, running number
_NAME_TAIL = re.compile(r"_[a-z]_[a-z]{2}_np\d+_[a-z]{2}_[a-z]+_\d+$")


class JHMDB:
    """The clips listed in `root/videos.csv` with the boxes of `root/boxes.csv`.

    Args:
        root: folder with `videos.csv`, `boxes.csv` and `videos/ACTION/VIDEO_ID.mp4`.

    Raises:
        DataError: a file is missing, or a row is malformed.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        boxes = self._read_boxes(self.root / "boxes.csv")
        clips = [self._clip(line, row, boxes) for line, row in _rows(self.root / "videos.csv")]
        actions = sorted({(clip.label, clip.action) for clip in clips})
        columns = {action: column for column, action in enumerate(actions)}
        self.labels = [name for _, name in actions]
        self.clips = [replace(clip, label=columns[clip.label, clip.action]) for clip in clips]

    def split(self, number: int, side: str) -> list[JHMDBClip]:
        """Clips of one side ("train" or "test") of official split 1, 2 or 3."""
        if number not in (1, 2, 3) or side not in ("train", "test"):
            raise DataError(
                self.root, None, f"J-HMDB has splits 1, 2, 3 with sides 'train' and 'test'; got {number!r}, {side!r}"
            )
        return [clip for clip in self.clips if clip.split[number - 1] == side]

    @staticmethod
    def _read_boxes(path: Path) -> dict[str, dict[int, list[float]]]:
        boxes: dict[str, dict[int, list[float]]] = {}
        for line, row in _rows(path):
            try:
                box = [float(row[key]) for key in ("x1", "y1", "x2", "y2")]
                boxes.setdefault(row["video_id"], {})[int(row["frame"])] = box
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(path, line, f"expected video_id,frame,x1,y1,x2,y2,action; {error!r}") from error
        return boxes

    def _clip(self, line: int, row: dict[str, str], boxes: dict[str, dict[int, list[float]]]) -> JHMDBClip:
        path = self.root / "videos.csv"
        try:
            frames = min(int(row["frames"]), int(row["decoded_frames"]))
            known = boxes[row["video_id"]]
            nearest = [min(known, key=lambda other: abs(other - frame)) for frame in range(frames)]
            return JHMDBClip(
                video_id=row["video_id"],
                action=row["action"],
                label=int(row["label"]),
                path=self.root / "videos" / row["action"] / f"{row['video_id']}.mp4",
                split=(row["split1"], row["split2"], row["split3"]),
                source=_NAME_TAIL.sub("", row["source_name"]),
                width=int(row["width"]),
                height=int(row["height"]),
                num_frames=frames,
                boxes=np.array([known[frame] for frame in nearest], np.float32),
            )
        except KeyError as error:
            raise DataError(path, line, f"no column, or no box in boxes.csv, called {error}") from error
        except (TypeError, ValueError) as error:
            raise DataError(path, line, f"{error}; expected numbers in label, frames, width, height") from error


def read_jhmdb(options: JHMDBOptions) -> ActionDataset:
    """Keyframes with the actor of one side of a split.

    Raises:
        ConfigError: No such kind of keyframes.
        DataError: No such split, a missing or malformed file; all videos are missing.
    """
    if options.keyframes not in KEYFRAMES:
        raise UnknownNameError("kind of keyframes", options.keyframes, KEYFRAMES)
    if options.stride < 1:
        raise ConfigError(f"stride is a positive number of frames, got {options.stride}")
    data = JHMDB(options.root)
    clips = data.split(options.number, options.split)
    samples = [sample for clip in clips if clip.path.is_file() for sample in _samples(clip, options)]
    missing = [clip.video_id for clip in clips if not clip.path.is_file()]
    name = f"J-HMDB split {options.number} {options.split}"
    labels = LabelMap.of(data.labels)
    dataset = assemble(
        name, "detection", samples, labels, False, missing, data.root / "videos.csv", [data.root / "videos"]
    )
    return replace(dataset, sources={clip.video_id: f"{clip.action}/{clip.source}" for clip in clips})


def _samples(clip: JHMDBClip, options: JHMDBOptions) -> Iterator[ClipSample]:
    size = np.array([clip.width, clip.height, clip.width, clip.height], np.float32)
    every = range(0, clip.num_frames, options.stride)
    times = frame_times(clip.path)  # the files drop repeated frames of a 30 fps recording
    if len(times) < clip.num_frames:
        problem = f"holds {len(times)} frames, its annotation {clip.num_frames}; fetch it again"
        raise DataError(clip.path, None, problem)
    for frame in every if options.keyframes == "every" else [clip.num_frames // 2]:
        box = (clip.boxes[frame] / size).clip(0, 1)
        yield ClipSample(clip.video_id, clip.path, float(times[frame]), boxes=box, labels=((clip.label,),))


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    if not path.is_file():
        raise DataError(path, None, "does not exist; point the data root at the folder with videos.csv and boxes.csv")
    with path.open(newline="") as stream:
        reader = csv.DictReader(stream)
        for row in reader:
            yield reader.line_num, row


def read_frames(clip: JHMDBClip, width: int, height: int) -> np.ndarray:
    """Decodes a clip into (num_frames, height, width, 3) RGB uint8.

    Raises:
        DataError: the file is missing or holds fewer frames than annotated.
    """
    frames: list[np.ndarray] = []
    try:
        with av.open(str(clip.path)) as container:
            for frame in container.decode(video=0):
                image = frame.to_ndarray(format="rgb24")
                frames.append(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))
    except (av.FFmpegError, OSError) as error:
        raise DataError(clip.path, None, f"cannot be decoded ({error}); fetch the data set again") from error
    if len(frames) < clip.num_frames:
        raise DataError(
            clip.path, None, f"holds {len(frames)} frames, its annotation {clip.num_frames}; fetch it again"
        )
    return np.stack(frames[: clip.num_frames])


def grouped_folds(clips: list[JHMDBClip], count: int) -> np.ndarray:
    """Fold number 0 to count - 1 of each clip; clips of one source and action share a fold, sizes are balanced."""
    groups: dict[str, list[int]] = {}
    for index, clip in enumerate(clips):
        groups.setdefault(f"{clip.action}/{clip.source}", []).append(index)
    folds = np.zeros(len(clips), np.int64)
    filled = {action: [0] * count for action in {clip.action for clip in clips}}
    for key, members in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        sizes = filled[key.split("/", 1)[0]]
        fold = int(np.argmin(sizes))
        sizes[fold] += len(members)
        folds[members] = fold
    return folds
