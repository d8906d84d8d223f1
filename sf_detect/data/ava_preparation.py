"""From films to what AVA is trained on: minutes 15 to 30 as small videos, as frames, or both."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from sf_detect.data.decoding import frame_times, iterate_frames, probe
from sf_detect.data.media import VIDEO_SUFFIXES
from sf_detect.data.samples import ClipSample
from sf_detect.data.tables import read_csv
from sf_detect.errors import DataError, SFDetectError, SinkError
from sf_detect.structures import UInt8Array, VideoInfo
from sf_detect.video.writer import VideoWriter

FPS = 30
#: Seconds of the film that are labelled, with what a clip around the last keyframe needs.
START, END = 900.0, 1801.0
#: Of a film that ends earlier the last keyframes can't be used.
LAST_KEYFRAME = 1798.0
_JPEG_QUALITY = 95
_CRF = 20
# A grid time whose nearest frame is further away lies behind the film's real end or in a hole of it.
_TIME_TOLERANCE_S = 0.5


@dataclass(frozen=True)
class Preparation:
    """What to make.

    Attributes:
        root: Folder of the data set; `videos` and `frames` in it are filled.
        videos: Write `videos/ID.mp4`.
        frames: Write `frames/ID/ID_000001.jpg`, ...
        short_side: Of both, in pixels.
        source_start: Time of the first frame of the sources on AVA's clock: 0 for whole films, 900 for cuts.
        start, end: Seconds to cut out, on AVA's clock.
    """

    root: Path
    videos: bool = True
    frames: bool = False
    short_side: int = 256
    source_start: float = 0.0
    start: float = START
    end: float = END

    def targets(self, name: str) -> list[Path]:
        """What is made of a film."""
        video = [self.root / "videos" / f"{name}.mp4"] if self.videos else []
        return video + ([self.root / "frames" / name] if self.frames else [])


@dataclass(frozen=True)
class Outcome:
    """What became of one film.

    Attributes:
        name: The film.
        state: "done" (made now), "there" (made before), "short" (there, but the film ends before the last keyframe),
            "missing" (not made, no source) or "failed".
        detail: For people.
    """

    name: str
    state: str
    detail: str = ""

    @property
    def is_good(self) -> bool:
        """Whether all of the film can be used."""
        return self.state in ("done", "there")


def read_names(paths: Iterable[Path]) -> list[str]:
    """Films named by the first column of csv files, or by lists of files (`ID.mkv`), sorted.

    Raises:
        DataError: Missing or unreadable.
    """
    names = set()
    for path in paths:
        for cell in read_csv(path, "fetch it from the data set's page").column(0):
            names.add(Path(cell).stem if Path(cell).suffix.lower() in VIDEO_SUFFIXES else cell)
    return sorted(names)


def check_film(name: str, wanted: Preparation, made: bool = False) -> Outcome:
    """Whether everything of a film is there, opens and is long enough."""
    end = np.inf
    for target in wanted.targets(name):
        if not target.exists():
            return Outcome(name, "missing", f"no {target}")
        sample = ClipSample(name, target, fps=Fraction(FPS) if target.is_dir() else None)
        try:
            seconds = probe(sample).duration or 0.0
            next(iterate_frames(sample, np.array([seconds])))
        except DataError as error:
            return Outcome(name, "failed", str(error))
        end = min(end, wanted.start + seconds)
    if end < min(LAST_KEYFRAME, wanted.end - 1):
        return Outcome(name, "short", f"ends at {end:.1f} s; keyframes behind that have no frames")
    return Outcome(name, "done" if made else "there")


def prepare_film(name: str, source: Path | None, wanted: Preparation) -> Outcome:
    """Makes what is not there yet; each target appears only when it is complete, so a broken run goes on where it was.

    Never raises for a bad film: the outcome says what is wrong with it.
    """
    targets = [target for target in wanted.targets(name) if not target.exists()]
    if not targets:
        return check_film(name, wanted)
    if source is None:
        return Outcome(name, "missing", "no such film among the sources")
    try:
        for target in targets:
            _make(name, source, target, wanted)
    except (SFDetectError, OSError) as error:
        return Outcome(name, "failed", str(error))
    return check_film(name, wanted, made=True)


def _make(name: str, source: Path, target: Path, wanted: Preparation) -> None:
    sample = ClipSample(name, source, start_time=wanted.source_start)
    info = probe(sample)
    seconds = info.duration or float(frame_times(source)[-1])
    last = min(wanted.end, wanted.source_start + seconds)
    times = wanted.start + np.arange(round((last - wanted.start) * FPS)) / FPS
    if not len(times):
        raise DataError(source, None, f"ends at {last:.1f} s, before the labelled part begins ({wanted.start:g} s)")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".part-{target.name}")
    output = _Frames(part, name) if target.parent.name == "frames" else _Video(part)
    try:
        for place, (found, image) in enumerate(iterate_frames(sample, times, wanted.short_side)):
            if abs(found - times[place]) > _TIME_TOLERANCE_S:
                break
            output.write(image, place)
        output.close()
        if not output.count:
            raise DataError(source, None, f"has no frame that decodes at {wanted.start:g} s; fetch it again")
        part.replace(target)
    finally:
        output.discard()


class _Video:
    """Frames as H.264 with a key picture every second, for quick entry anywhere."""

    def __init__(self, path: Path) -> None:
        self.path, self.count = path, 0
        self._writer: VideoWriter | None = None

    def write(self, image: UInt8Array, place: int) -> None:
        if self._writer is None:
            info = VideoInfo(image.shape[1], image.shape[0], Fraction(FPS))
            self._writer = VideoWriter(self.path, info, crf=_CRF, key_interval=FPS)
        self._writer.write(image, place / FPS)
        self.count += 1

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def discard(self) -> None:
        self.close()
        self.path.unlink(missing_ok=True)


class _Frames:
    """Frames as images, numbered from 1."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name, self.count = path, name, 0
        shutil.rmtree(path, ignore_errors=True)  # of a run that was interrupted
        path.mkdir()

    def write(self, image: UInt8Array, place: int) -> None:
        file = self.path / f"{self.name}_{place + 1:06d}.jpg"
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        if not cv2.imwrite(str(file), bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]):
            raise SinkError(f"{file} can't be written. Expected a writable folder with free space; check the disk.")
        self.count += 1

    def close(self) -> None:
        pass

    def discard(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def in_words(outcomes: Iterable[Outcome]) -> str:
    """Counts by state, and every film that can't be used whole, with the reason."""
    found = list(outcomes)
    states = {state: sum(o.state == state for o in found) for state in ("done", "there", "short", "missing", "failed")}
    lines = [f"{len(found)} films: " + ", ".join(f"{count} {state}" for state, count in states.items() if count)]
    lines += [f"  {o.state:<8}{o.name}  {o.detail}" for o in found if not o.is_good]
    return "\n".join(lines)
