"""Every format that is read and written, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sf_detect.convert.archive_tables import write_archive
from sf_detect.convert.coco import write_coco
from sf_detect.convert.cvat import read_cvat, write_cvat
from sf_detect.convert.fiftyone import write_fiftyone
from sf_detect.convert.label_studio import read_label_studio, write_label_studio
from sf_detect.convert.own_results import JSON_LINES, read_archive, read_lines
from sf_detect.convert.supervision import write_supervision
from sf_detect.convert.training_csv import write_training
from sf_detect.convert.video_records import VideoRecords
from sf_detect.errors import ConfigError, DataError, SFDetectError, SinkError, UnknownNameError
from sf_detect.file_names import inner_path

READERS = ("jsonl", "archive", "cvat", "label-studio")
"""What is read."""


@dataclass(frozen=True)
class Reading:
    """What an input does not tell of itself.

    Attributes:
        fps: Frame rate of the videos; needed for CVAT.
        video: Name of the video, of one CVAT file.
        every: Seconds between two keyframes of annotations that have one on every frame.
    """

    fps: float | None = None
    video: str | None = None
    every: float = 0.5


@dataclass(frozen=True)
class Writer:
    """A format that is written.

    Attributes:
        what: In a few words.
        ending: Of the file; empty for a folder.
        write: `(videos, path, min_score) -> files`; `videos` gives them anew at each call.
    """

    what: str
    ending: str
    write: Callable[[Callable[[], Iterator[VideoRecords]], Path, float | None], list[Path]]


def _write_cvat_files(
    videos: Callable[[], Iterator[VideoRecords]], folder: Path, min_score: float | None
) -> list[Path]:
    written = []
    for video in videos():
        path = folder / f"{inner_path(video.video)}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        written.append(write_cvat(video, path, min_score))
    return written


WRITERS: Mapping[str, Writer] = {
    "archive": Writer("tables that `sf-detect query` asks", "", lambda v, p, s: write_archive(v(), p, s)),
    "coco": Writer("COCO json with videos and tracks", ".json", write_coco),
    "cvat": Writer("CVAT for video 1.1, an xml for each video", "", _write_cvat_files),
    "fiftyone": Writer("a FiftyOneVideoLabelsDataset", "", lambda v, p, s: write_fiftyone(v(), p, s)),
    "label-studio": Writer("Label Studio tasks", ".json", lambda v, p, s: write_label_studio(v(), p, s)),
    "supervision": Writer("csv of supervision's CSVSink", ".csv", lambda v, p, s: write_supervision(v(), p, s)),
    "training": Writer("csv to train on, and its labels", ".csv", lambda v, p, s: write_training(v(), p, s)),
}
"""What is written."""


def kind_of(path: Path) -> str:
    """Which of `READERS` an input is for: by ending, a folder by what is in it.

    Raises:
        DataError: It is not there.
        ConfigError: It is for none.
    """
    if not path.exists():
        raise DataError(path, None, "is not there. Expected a file or folder of results or annotations.")
    if path.is_dir():
        return "archive" if (path / "parquet").is_dir() else "jsonl"
    kinds = {".xml": "cvat", ".json": "label-studio", **dict.fromkeys(JSON_LINES, "jsonl")}
    if path.suffix.lower() not in kinds:
        raise ConfigError(f"{path} ends in {path.suffix or 'nothing'!r}; expected {', '.join(kinds)}, or a folder.")
    return kinds[path.suffix.lower()]


def convert(
    source: Path,
    to: str,
    out: Path,
    *,
    kind: str | None = None,
    min_score: float | None = None,
    how: Reading | None = None,
) -> list[Path]:
    """Reads results or annotations and writes them in another format.

    Args:
        source: A file or folder.
        to: One of `WRITERS`.
        out: A file with the format's ending, or a folder.
        kind: One of `READERS`; None: as `kind_of` finds.
        min_score: Score from which a label counts; None: its decision threshold.
        how: What the input does not tell.

    Returns:
        The files that were written.

    Raises:
        UnknownNameError: No such format.
        ConfigError: The output is of another ending, or something is not known that is needed.
        DataError: The input can't be read.
        SinkError: The output can't be written.
    """
    if to not in WRITERS:
        raise UnknownNameError("format", to, WRITERS)
    if kind is not None and kind not in READERS:
        raise UnknownNameError("kind of input", kind, READERS)
    if min_score is not None and not 0 <= min_score <= 1:
        raise ConfigError(f"--min-score is between 0 and 1, got {min_score}.")
    writer, how = WRITERS[to], how or Reading()
    if not 0 <= how.every < float("inf"):
        raise ConfigError(f"--every is a number of seconds from 0 up, got {how.every}.")
    if writer.ending and out.suffix.lower() != writer.ending:
        raise ConfigError(
            f"--out {out} ends in {out.suffix or 'nothing'!r}; {to} is a file that ends in {writer.ending}."
        )
    if not writer.ending and out.is_file():
        raise ConfigError(f"--out {out} is a file; {to} is a folder of files.")
    if out.exists() and out.resolve() == source.resolve():
        raise ConfigError(f"--out {out} is the input. Choose another place.")
    read = _reader(source, kind or kind_of(source), how)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        return writer.write(read, out, min_score)
    except SFDetectError:
        raise
    except OSError as error:
        raise SinkError.unwritable(error.filename or out, error) from error


def _reader(source: Path, kind: str, how: Reading) -> Callable[[], Iterator[VideoRecords]]:
    if kind == "cvat":
        return lambda: iter([read_cvat(source, how.fps, how.video, how.every)])
    if kind == "label-studio":
        return lambda: read_label_studio(source, how.fps, how.every)
    return lambda: read_archive(source) if kind == "archive" else read_lines(source)
