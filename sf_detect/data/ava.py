"""AVA (Gu et al., CVPR 2018), AVA-Kinetics (Li et al., 2020), and anyone's own data in AVA's csv format."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from sf_detect.data.ava_csv import Keyframe, Persons, read_boxes, read_excluded
from sf_detect.data.media import Media, assemble
from sf_detect.data.samples import ActionDataset, ClipSample
from sf_detect.errors import ConfigError, DataError
from sf_detect.labels import LabelMap, label_set, load_labels

VERSIONS = ("2.1", "2.2")
_AVA_IDS = label_set("ava80").ids
SPLITS = ("train", "val", "test")
_ADVICE = "fetch the annotations from the data set's page, or name the file with the option 'annotations'"


@dataclass
class AvaOptions:
    """AVA as published.

    Attributes:
        root: Folder of the data set.
        split: "train", "val" or "test".
        version: Of the annotations, "2.1" or "2.2".
        annotations: The csv; None takes `ava_SPLIT_vVERSION.csv` in `root/annotations` or `root`.
        media: Folder with a folder of frames or a video per film; None searches `root/frames` and `root/videos`.
        start_time: Time of the first frame of the files on AVA's clock: 900 for frames and videos cut to minutes 15 to
            30, 0 for whole films.
        fps: Rate of folders of frames.
        proposals: A csv of person boxes (`video,time,x1,y1,x2,y2,label,score`, label may be empty). They replace the
            annotated boxes in val and test, and join them in train.
        proposal_threshold: Proposals scored below it are left out.
        exclude: The csv of excluded timestamps; None takes the published name where it is there, "" excludes nothing.
        classes: "ava80", "ava60" (the classes that are scored) or a label map file.
        every: Only keyframes at whole multiples of so many seconds.
    """

    root: str
    split: str = "train"
    version: str = "2.2"
    annotations: str | None = None
    media: str | None = None
    start_time: float = 900.0
    fps: float = 30.0
    proposals: str | None = None
    proposal_threshold: float = 0.9
    exclude: str | None = None
    classes: str = "ava80"
    every: int = 1


@dataclass
class AvaKineticsOptions:
    """AVA-Kinetics: AVA's films and one keyframe of each of many Kinetics clips, in one csv or two.

    Attributes:
        root: Folder of the data set.
        split: "train", "val" or "test".
        annotations: The csv files; empty takes `ava_SPLIT_v2.2.csv` and `kinetics_SPLIT_v1.0.csv`,
            those that are there.
        ava_media: Folder of AVA's films or frames; None searches `root/frames` and `root/videos`.
        kinetics_media: Folder of Kinetics clips `ID_000012_000022.mp4`, whose name tells their place in the video, or
            whole videos `ID.mp4`; None searches `root/kinetics`.
        start_time: Of AVA's files, as in `AvaOptions`.
        fps: Rate of folders of frames.
        proposals, proposal_threshold, classes: As in `AvaOptions`.
        exclude: As in `AvaOptions`, for version 2.2.
    """

    root: str
    split: str = "train"
    annotations: list[str] = field(default_factory=list)
    ava_media: str | None = None
    kinetics_media: str | None = None
    start_time: float = 900.0
    fps: float = 30.0
    proposals: str | None = None
    proposal_threshold: float = 0.9
    exclude: str | None = None
    classes: str = "ava80"


@dataclass
class CustomOptions:
    """One's own data in AVA's format; docs/train_your_own.md makes such a folder step by step.

    Attributes:
        root: Folder with the following.
        split: Names the csv, `SPLIT.csv`: `video,time,x1,y1,x2,y2,action,person`, boxes as shares of the frame, time in
            seconds from the start of the video. The action is an id or a name of `labels`, or empty for a person who
            does none of them; more columns and a header are allowed.
        media: Folder of videos or folders of frames; None takes `root/videos` and `root/frames`.
        labels: The classes, a .csv, .txt or .pbtxt; None takes `root/labels.*`.
        multi_label: False where each person does exactly one action at a time.
        start_time: Time of the first frame of every video.
        fps: Rate of folders of frames.
    """

    root: str
    split: str = "train"
    media: str | None = None
    labels: str | None = None
    multi_label: bool = True
    start_time: float = 0.0
    fps: float = 30.0


@dataclass(frozen=True)
class _Place:
    path: Path
    start_time: float


def read_ava(options: AvaOptions) -> ActionDataset:
    """Keyframes with persons of AVA 2.1 or 2.2.

    Raises:
        ConfigError: No such version or split.
        DataError: A missing or malformed file; all films are missing.
    """
    _one_of("version", options.version, VERSIONS)
    _one_of("split", options.split, SPLITS)
    if options.every < 1:
        raise ConfigError(f"every is a positive number of seconds, got {options.every}")
    root, split, version = Path(options.root), options.split, options.version
    annotation = _file(root, options.annotations, f"ava_{split}_v{version}.csv")
    folders = [Path(options.media)] if options.media else [root / "frames", root / "videos"]
    media = Media(folders)
    labels = load_labels(options.classes)
    keyframes = _keyframes([annotation], labels, split, options.proposals, options.proposal_threshold)
    excluded = _excluded(root, split, version, options.exclude)
    wanted = [k for k in keyframes if k.key not in excluded and (options.every == 1 or k.time % options.every == 0)]

    def locate(keyframe: Keyframe) -> _Place | None:
        path = media.find(keyframe.video)
        return None if path is None else _Place(path, options.start_time)

    samples, missing = _samples(wanted, locate, options.fps)
    return assemble(f"AVA {version} {split}", "detection", samples, labels, True, missing, annotation, folders)


def read_ava_kinetics(options: AvaKineticsOptions) -> ActionDataset:
    """Keyframes with persons of AVA-Kinetics; times may be fractions of a second.

    Raises:
        ConfigError: No such split.
        DataError: A missing or malformed file; all videos are missing.
    """
    _one_of("split", options.split, SPLITS)
    root, split = Path(options.root), options.split
    published = [f"ava_{split}_v2.2.csv", f"kinetics_{split}_v1.0.csv"]
    files = [Path(name) for name in options.annotations] or [
        path for path in (_file(root, None, name) for name in published) if path.is_file()
    ]
    if not files:
        raise DataError(root, None, f"holds none of {', '.join(published)}; {_ADVICE}")
    ava_folders = [Path(options.ava_media)] if options.ava_media else [root / "frames", root / "videos"]
    kinetics_folders = [Path(options.kinetics_media)] if options.kinetics_media else [root / "kinetics"]
    ava, kinetics = Media(ava_folders), KineticsMedia(kinetics_folders)

    def locate(keyframe: Keyframe) -> _Place | None:
        path = ava.find(keyframe.video)
        return kinetics.at(keyframe) if path is None else _Place(path, options.start_time)

    labels = load_labels(options.classes)
    keyframes = _keyframes(files, labels, split, options.proposals, options.proposal_threshold)
    excluded = _excluded(root, split, "2.2", options.exclude)
    samples, missing = _samples([k for k in keyframes if k.key not in excluded], locate, options.fps)
    folders = [*ava_folders, *kinetics_folders]
    return assemble(f"AVA-Kinetics {split}", "detection", samples, labels, True, missing, files[0], folders)


def read_custom(options: CustomOptions) -> ActionDataset:
    """Keyframes with persons of a folder in AVA's format.

    Raises:
        DataError: A missing or malformed file, an unknown action; all videos are missing.
    """
    root = Path(options.root)
    annotation = root / f"{options.split}.csv"
    folders = [Path(options.media)] if options.media else [root / "videos", root / "frames"]
    media = Media(folders)
    labels = load_labels(options.labels or _labels_file(root))
    keyframes = read_boxes(annotation, labels, advice="see docs/train_your_own.md for how it is made")

    def locate(keyframe: Keyframe) -> _Place | None:
        path = media.find(keyframe.video)
        return None if path is None else _Place(path, options.start_time)

    samples, missing = _samples(keyframes, locate, options.fps)
    name = f"{root.resolve().name} {options.split}"
    return assemble(name, "detection", samples, labels, options.multi_label, missing, annotation, folders)


class KineticsMedia(Media):
    """Kinetics clips, which carry the seconds that they were cut from in their names."""

    def __init__(self, folders: list[Path]) -> None:
        super().__init__(folders)
        self._cuts: dict[str, list[tuple[float, float, Path]]] = {}
        for name in self.names():
            match = re.fullmatch(r"(.+)_(\d{6})_(\d{6})", name)
            path = self.find(name)
            if match and path is not None:
                self._cuts.setdefault(match[1], []).append((float(match[2]), float(match[3]), path))

    def at(self, keyframe: Keyframe) -> _Place | None:
        """The cut that holds the keyframe, or the whole video, or None."""
        for start, end, path in self._cuts.get(keyframe.video, ()):
            if start <= keyframe.time <= end:
                return _Place(path, start)
        whole = self.find(keyframe.video)
        return None if whole is None else _Place(whole, 0.0)


def _one_of(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{what} is one of {', '.join(known)}, got {value!r}")


def _file(root: Path, given: str | None, name: str) -> Path:
    """The file given, else `name` where it is usually kept."""
    if given:
        return Path(given)
    here = root / name
    return here if here.is_file() else root / "annotations" / name


def _labels_file(root: Path) -> Path:
    for suffix in (".csv", ".txt", ".pbtxt"):
        if (root / f"labels{suffix}").is_file():
            return root / f"labels{suffix}"
    raise DataError(root / "labels.csv", None, "does not exist; expected a list of the actions, one `id,name` a line")


def _excluded(root: Path, split: str, version: str, given: str | None) -> set[tuple[str, int]]:
    if given == "":
        return set()
    path = _file(root, given, f"ava_{split}_excluded_timestamps_v{version}.csv")
    return read_excluded(path) if given or path.is_file() else set()


def _keyframes(
    files: Iterable[Path], labels: LabelMap, split: str, proposals: str | None, threshold: float
) -> list[Keyframe]:
    """Annotated persons, proposals in their place (val, test), or both (train)."""
    found: list[Keyframe] = []
    if proposals is None or split == "train":
        for path in files:
            found += read_boxes(path, labels, advice=_ADVICE, droppable=_AVA_IDS)
    if proposals is None:
        return found
    proposed = read_boxes(Path(proposals), labels, "fetch or make it", threshold, droppable=_AVA_IDS)
    return _joined(found, proposed)


def _joined(annotated: list[Keyframe], proposed: list[Keyframe]) -> list[Keyframe]:
    extra = {keyframe.key: keyframe.persons for keyframe in proposed}
    if not annotated:
        return proposed
    return [
        Keyframe(k.video, k.time, Persons.join([k.persons, extra[k.key]])) if k.key in extra else k for k in annotated
    ]


def _samples(
    keyframes: Iterable[Keyframe], locate: Callable[[Keyframe], _Place | None], fps: float
) -> tuple[list[ClipSample], list[str]]:
    samples, missing = [], []
    rate = Fraction(fps).limit_denominator(1001)
    for keyframe in keyframes:
        place = locate(keyframe)
        if place is None:
            missing.append(keyframe.video)
            continue
        persons = keyframe.persons
        samples.append(
            ClipSample(
                keyframe.video,
                place.path,
                keyframe.time,
                boxes=np.asarray(persons.boxes, np.float32),
                labels=persons.labels,
                scores=persons.scores,
                fps=rate if place.path.is_dir() else None,
                start_time=place.start_time,
            )
        )
    return samples, missing
