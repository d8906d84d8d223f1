"""Where the files of an archive lie, and how they get there whole.

DIR/manifest.sqlite, manifest.csv, summary.json
DIR/jsonl/cam1/door.mp4.jsonl, DIR/video/cam1/door.mp4.mp4, ...: folder of the kind, name of the video, ending
DIR/.staging/RANDOM/...: files that are not complete
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from sf_detect.errors import UnknownNameError
from sf_detect.file_names import shortened
from sf_detect.joined_files import JoinedFiles, mark_of

KINDS: Mapping[str, tuple[str, str]] = {
    "jsonl": ("jsonl", ".jsonl"),
    "csv": ("csv", ".csv"),
    "events": ("events", ".csv"),
    "video": ("video", ".mp4"),
    "sheet": ("sheet", ".jpg"),
    "persons": ("parquet/persons", ".parquet"),
    "segments": ("parquet/segments", ".parquet"),
    "features": ("features", ".parquet"),
}
"""Folder and ending of each kind of file."""

FORMATS: Mapping[str, tuple[str, ...]] = {
    **{name: (name,) for name in ("jsonl", "csv", "events", "video", "sheet")},
    "parquet": ("persons", "segments"),
}
"""Kinds of files of each format that a user asks for."""

TABLES = frozenset({"persons", "segments", "features"})
"""Kinds whose files may be joined, see `sf_detect.joined_files`."""
OPTIONAL = frozenset({"features"})
"""Kinds of which a video may have no file: nobody was scored in it."""
_STAGING = ".staging"
_ATTEMPTS = 100
_ROOM = 40
"""Bytes that names of temporary files and locks need beside the name itself."""
_SHORT = (255 - _ROOM - 10) // 4
"""Names of so many characters, of at most 4 bytes each, need no shortening."""


def kinds_of(formats: Iterable[str]) -> tuple[str, ...]:
    """The kinds of files of formats, in the order of `KINDS`.

    Raises:
        UnknownNameError: No such format.
    """
    wanted = set[str]()
    for name in formats:
        if name not in FORMATS:
            raise UnknownNameError("format", name, FORMATS)
        wanted.update(FORMATS[name])
    return tuple(kind for kind in KINDS if kind in wanted)


class ArchiveFolder:
    """The folder of an archive.

    Args:
        path: It; made when first written to.
        part: Tells runs apart that share it, such as ".3-of-10"; empty where there is one.
    """

    def __init__(self, path: str | os.PathLike[str], part: str = "") -> None:
        self.path, self.part = Path(path), part
        self._root = os.fspath(self.path)
        self._joined: dict[str, JoinedFiles] = {}

    def place(self, kind: str, name: str) -> Path:
        """The file of a kind for the video `name`."""
        return Path(self._file(kind, name))

    def _file(self, kind: str, name: str) -> str:
        """As text, which is ten times as fast where 100,000 videos are looked at."""
        folder, ending = KINDS[kind]
        if len(name) <= _SHORT:
            return f"{self._root}/{folder}/{name}{ending}"
        *parents, last = PurePosixPath(name).parts
        return os.path.join(self._root, folder, *map(shortened, parents), shortened(last, ending, 255 - _ROOM))

    def complete(self, name: str, outputs: Mapping[str, int]) -> bool:
        """Whether all these files are there, with these sizes in bytes, or their rows in files of many videos.

        One of no bytes need not be there.
        """
        for kind, size in outputs.items():
            if not size and kind in OPTIONAL:
                continue
            if kind not in KINDS or self._size(kind, name) != size:
                return False
        return True

    def _size(self, kind: str, name: str) -> int | None:
        """Bytes of a file, also of one that was joined with others; None where it is not there."""
        path = self._file(kind, name)
        try:
            return os.stat(path).st_size
        except OSError:
            return self._joined_files(kind).size_of(self._relative(kind, path)) if kind in TABLES else None

    def _joined_files(self, kind: str) -> JoinedFiles:
        """What was joined; that changes between runs only."""
        if kind not in self._joined:
            self._joined[kind] = JoinedFiles.read(self.path / KINDS[kind][0])
        return self._joined[kind]

    def _relative(self, kind: str, path: str) -> str:
        return path[len(os.path.join(self._root, KINDS[kind][0], "")) :].replace(os.sep, "/")

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """A new folder beside the final files, gone with all it holds at the end."""
        folder = self._staging / secrets.token_hex(8)
        _make(folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            with contextlib.suppress(OSError):  # others are at work
                self._staging.rmdir()

    def clear_staging(self) -> None:
        """Removes what killed runs left; nobody writes now."""
        shutil.rmtree(self._staging, ignore_errors=True)

    def publish(self, name: str, staged: Mapping[str, Path]) -> dict[str, int]:
        """Gives complete files their places and removes those of other kinds, which belong to other settings.

        Returns:
            Bytes by kind; 0 for one of `OPTIONAL` that is not there.

        Raises:
            OSError: A file is not there, or can't be moved.
        """
        absent = {kind for kind, path in staged.items() if kind in OPTIONAL and not path.exists()}
        sizes = {kind: 0 if kind in absent else path.stat().st_size for kind, path in staged.items()}
        for kind in sizes.keys() - absent:
            target = self.place(kind, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(staged[kind], target)
        self.remove(name, [kind for kind in KINDS if kind not in staged or kind in absent])
        return sizes

    def remove(self, name: str, kinds: Iterable[str] = tuple(KINDS)) -> None:
        """Removes the files of a video, and lets rows in files of many videos count no more."""
        for kind in kinds:
            path = self._file(kind, name)
            if kind in TABLES and self._relative(kind, path) in self._joined_files(kind).by_path:
                mark = mark_of(Path(path))
                mark.parent.mkdir(parents=True, exist_ok=True)
                mark.touch()
            with contextlib.suppress(OSError):
                os.unlink(path)

    @property
    def _staging(self) -> Path:
        return self.path / (_STAGING + self.part)


def _make(folder: Path) -> None:
    """As `mkdir`, also where others remove its empty parent meanwhile."""
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(FileNotFoundError):
            folder.mkdir(parents=True)
            return
    folder.mkdir(parents=True)
