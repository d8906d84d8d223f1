"""UCF101-24: the 24 classes of UCF101 with boxes (Soomro et al., 2012), as THUMOS chose them; corrected annotation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import numpy.typing as npt

from sf_detect import pickles
from sf_detect.data.decoding import frame_times
from sf_detect.data.media import Media, assemble
from sf_detect.data.samples import ActionDataset, ClipSample
from sf_detect.data.tables import read_text
from sf_detect.errors import ConfigError, DataError, UnknownNameError
from sf_detect.labels import label_set

KEYFRAMES = ("middle", "every")
SPLITS = ("train", "test")
#: (width, height) of every UCF101 video.
SIZE = (320, 240)
_MAX_FRAMES = 1_000_000


@dataclass
class UCF24Options:
    """UCF101-24.

    Attributes:
        root: Folder of the data set.
        number: Split 1, 2 or 3; the corrected annotation is usually used with 1.
        split: "train" or "test".
        annotations: The corrected annotation, a pickle; None takes `root/pyannot.pkl`.
        split_file: List of the videos of the split; None takes `trainlist01.txt` (or test, 02, 03) in `root` or
            `root/splitfiles`.
        media: Folder of the videos or of folders of frames; None searches all of `root`.
        keyframes: "middle" takes the middle frame of each annotated tube, "every" each annotated frame.
        stride: With "every", only each so many-th frame.
        fps: Rate of folders of frames.
    """

    root: str
    number: int = 1
    split: str = "train"
    annotations: str | None = None
    split_file: str | None = None
    media: str | None = None
    keyframes: str = "middle"
    stride: int = 1
    fps: float = 25.0


@dataclass(frozen=True, eq=False)
class _Tube:
    label: int
    first: int  # frame, from 0
    boxes: npt.NDArray[np.float32]  # (frames, 4) xyxy, shares


def read_ucf24(options: UCF24Options) -> ActionDataset:
    """Keyframes with the actors of one side of a split; persons who act at the same frame are together.

    Raises:
        ConfigError: No such split or kind of keyframes.
        DataError: A missing or malformed file; all videos are missing.
    """
    _check(options)
    root = Path(options.root)
    annotation = Path(options.annotations) if options.annotations else root / "pyannot.pkl"
    labels = label_set("ucf24")
    tubes = _read_tubes(annotation, len(labels))
    folders = [Path(options.media) if options.media else root]
    media = Media(folders)
    samples, missing = [], []
    for video in _videos(root, options):
        if video not in tubes:
            continue  # another of the 101 classes, or nobody annotated
        path = media.find(video)
        if path is None:
            missing.append(video)
        else:
            samples += list(_samples(video, path, tubes[video], options))
    name = f"UCF101-24 split {options.number} {options.split}"
    return assemble(name, "detection", samples, labels, False, missing, annotation, folders)


def _check(options: UCF24Options) -> None:
    if options.keyframes not in KEYFRAMES:
        raise UnknownNameError("kind of keyframes", options.keyframes, KEYFRAMES)
    if options.split not in SPLITS or options.number not in (1, 2, 3):
        raise ConfigError(
            f"UCF101-24 has splits 1, 2, 3 with sides 'train' and 'test'; got {options.number}, {options.split!r}"
        )
    if options.stride < 1:
        raise ConfigError(f"stride is a positive number of frames, got {options.stride}")


def _videos(root: Path, options: UCF24Options) -> list[str]:
    """Names `CLASS/VIDEO` of the split's list, whose lines may end in `.avi` and a class number."""
    name = f"{options.split}list{options.number:02d}.txt"
    here = root / name if (root / name).is_file() else root / "splitfiles" / name
    path = Path(options.split_file) if options.split_file else here
    text = read_text(path, "fetch the split lists of UCF101, or name the file with the option 'split_file'")
    return [line.split()[0].removesuffix(".avi") for line in text.splitlines() if line.strip()]


def _read_tubes(path: Path, num_classes: int) -> Mapping[str, list[_Tube]]:
    """Tubes by video of the corrected annotation: video -> {"annotations": [{label, sf, ef, boxes xywh}, ...]}."""
    try:
        content = pickles.read(path.read_bytes())
    except FileNotFoundError as error:
        problem = "does not exist; fetch the corrected UCF101-24 annotation, or name it with the option 'annotations'"
        raise DataError(path, None, problem) from error
    except (UnpicklingError, OSError) as error:
        raise DataError(path, None, f"cannot be read: {error}") from error
    video = None
    try:
        found = {}
        for video, entry in content.items():
            found[str(video)] = [_tube(tube, num_classes) for tube in entry["annotations"]]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        where = "" if video is None else f" at video {video!r}"
        raise DataError(
            path,
            None,
            "expected video -> annotations, each with label (0-23), sf, ef (frames) and boxes (ef - sf, 4) x, y, "
            f"width, height; {type(error).__name__}{where}: {error}",
        ) from error
    return found


def _tube(entry: Mapping[str, Any], num_classes: int) -> _Tube:
    label, first, last = int(entry["label"]), int(entry["sf"]), int(entry["ef"])
    boxes = pickles.array_of(entry["boxes"]).astype(np.float32).reshape(-1, 4)[: last - first]
    if not 0 <= label < num_classes or not 0 <= first < _MAX_FRAMES or not len(boxes) or not np.isfinite(boxes).all():
        raise ValueError(f"label {label}, frames {first} to {last} with {len(boxes)} boxes")
    boxes[:, 2:] += boxes[:, :2]
    return _Tube(label, first, (boxes / np.array([*SIZE, *SIZE], np.float32)).clip(0, 1))


def _samples(video: str, path: Path, tubes: list[_Tube], options: UCF24Options) -> Iterator[ClipSample]:
    wanted = {
        tube.first + place
        for tube in tubes
        for place in (range(len(tube.boxes)) if options.keyframes == "every" else [len(tube.boxes) // 2])
    }
    persons: dict[int, list[_Tube]] = defaultdict(list)
    for tube in tubes:
        for frame in wanted & set(range(tube.first, tube.first + len(tube.boxes))):
            persons[frame].append(tube)
    folder = path.is_dir()
    times = np.arange(max(wanted, default=0) + 1) / options.fps if folder else frame_times(path)
    frames = sorted(frame for frame in wanted if frame < len(times))
    for frame in frames[:: options.stride] if options.keyframes == "every" else frames:
        yield ClipSample(
            video,
            path,
            float(times[frame]),
            boxes=np.stack([tube.boxes[frame - tube.first] for tube in persons[frame]]),
            labels=tuple((tube.label,) for tube in persons[frame]),
            fps=Fraction(options.fps).limit_denominator(1001) if folder else None,
        )
