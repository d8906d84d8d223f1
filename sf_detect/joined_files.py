"""Which rows of a table of an archive lie in files of many videos, and which of these still count.

FOLDER/cam1/door.mp4.parquet        a file of one video
FOLDER/joined/rows-RANDOM.parquet   a file of many, if the index names it
FOLDER/joined/.index.json           the index: files of many videos, and what they took the place of
FOLDER/cam1/.door.mp4.parquet.gone  the video has no rows any more, whatever files of many videos hold

A file of one video goes before what files of many hold of it: annotating a video again, and joining files, each take
effect by one renaming. Whoever lists the files of single videos first and reads the index then finds every row once,
also while files are being joined.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import astuple, dataclass, field
from functools import cached_property
from pathlib import Path

from sf_detect.atomic_file import write_text
from sf_detect.errors import DataError

JOINED = "joined"
_INDEX, _GONE = ".index.json", ".gone"
_VERSION = 1


@dataclass(frozen=True)
class Joined:
    """A file of one video whose rows lie in a file of many.

    Attributes:
        path: That it had, relative to the folder of the table, with "/".
        size: Bytes that it had.
        video: As its rows name the video.
        rows: How many there are; rows of a video lie together, those of one after those of the other.
    """

    path: str
    size: int
    video: str
    rows: int


@dataclass(frozen=True)
class JoinedFiles:
    """The index of a table's folder.

    Attributes:
        folder: Of the table.
        files: What each file of many videos holds, by its name.
    """

    folder: Path
    files: dict[str, tuple[Joined, ...]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> JoinedFiles:
        """The index as it is now; empty where nothing was joined.

        Raises:
            DataError: It is damaged, or of a newer version.
        """
        path = folder / JOINED / _INDEX
        try:
            content = json.loads(path.read_bytes())
            if content["version"] > _VERSION:
                raise DataError(path, None, "is of a newer version of sf_detect. Update it: pip install -U sf_detect")
            files = {str(name): tuple(Joined(*entry) for entry in held) for name, held in content["files"].items()}
        except (FileNotFoundError, NotADirectoryError):
            return cls(folder)
        except (OSError, ValueError, TypeError, KeyError) as error:
            problem = f"can't be read ({error}). Restore it, or annotate the videos again with --redo."
            raise DataError(path, None, problem) from error
        return cls(folder, files)

    def write(self) -> None:
        """Makes this the index, whole or not at all; raises OSError."""
        files = {name: [list(astuple(one)) for one in held] for name, held in self.files.items()}
        write_text(self.folder / JOINED / _INDEX, json.dumps({"version": _VERSION, "files": files}) + "\n")

    @property
    def paths(self) -> list[Path]:
        """The files of many videos."""
        return [self.folder / JOINED / name for name in self.files]

    @cached_property
    def by_path(self) -> dict[str, Joined]:
        """What is held, by the path that it had."""
        return {one.path: one for held in self.files.values() for one in held}

    def hidden(self, paths: Iterable[str]) -> list[Joined]:
        """What is held and does not count, as files or marks of these relative paths are there."""
        return [self.by_path[path] for path in paths if path in self.by_path]

    def size_of(self, path: str) -> int | None:
        """Bytes of a file whose rows are held and count, though it is not there; None: they are not, or do not."""
        one = self.by_path.get(path)
        return None if one is None or mark_of(self.folder / path).exists() else one.size


def mark_of(path: Path) -> Path:
    """What says that a video has no rows, whatever files of many videos hold."""
    return path.with_name(f".{path.name}{_GONE}")


def walk(folder: Path, suffix: str) -> tuple[list[str], list[str]]:
    """Relative paths of a table's files of single videos, sorted, and those of which a mark says that they are gone."""
    found: list[str] = []
    gone: list[str] = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inside = os.path.relpath(place, folder).replace(os.sep, "/")
        prefix = "" if inside == "." else f"{inside}/"
        many = inside == JOINED
        for name in names:
            if name.startswith(".") and name.endswith(f"{suffix}{_GONE}"):
                gone.append(prefix + name[1 : -len(_GONE)])
            elif name.endswith(suffix) and not name.startswith(".") and not (many and holds_many(name, suffix)):
                found.append(prefix + name)
    return sorted(found), gone


def holds_many(name: str, suffix: str) -> bool:
    """Whether this is the name of a file of many videos."""
    digits = name.removeprefix("rows-").removesuffix(suffix)
    return name.startswith("rows-") and len(digits) == 16 and all(digit in "0123456789abcdef" for digit in digits)


def leftovers(index: JoinedFiles, suffix: str) -> Iterator[Path]:
    """What a joining that was interrupted left: complete files that the index does not name, and incomplete ones."""
    with suppress(OSError):
        for name in os.listdir(index.folder / JOINED):
            incomplete = name.startswith((".rows-", f".{_INDEX}")) and name.endswith((".part", ".lock"))
            if incomplete or (holds_many(name, suffix) and name not in index.files):
                yield index.folder / JOINED / name
