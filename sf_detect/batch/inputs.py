"""The videos that arguments name: files, folders, globs, lists of them, and addresses; one by one, in a fixed order."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from sf_detect.batch.content import is_video
from sf_detect.errors import ConfigError
from sf_detect.file_names import printable_name

STDIN = "-"
LIST_ENDINGS = frozenset({".txt", ".lst", ".list"})

_GLOB = re.compile(r"[*?\[]")
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
"""What an address begins with; a drive of Windows has one letter."""
_MAX_LINE = 32_768


@dataclass(frozen=True)
class Input:
    """A video to annotate.

    Attributes:
        source: Absolute path, or address.
        name: That it asks for in the archive: a relative path with "/", including the ending.
        size: Bytes; 0 where it can't be told.
        stamp: Changes when the video does: size and time of the last change, or a hash.
    """

    source: str
    name: str
    size: int
    stamp: str


Stamp = Callable[[str], tuple[int, str]]
"""Size and stamp of a file."""
Remote = Callable[[str], Iterable[Input]]
"""The videos at an address."""


def stamp_by_time(path: str) -> tuple[int, str]:
    """Size in bytes, and size and time of the last change as text; a file that is not there has neither."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return 0, ""
    return found.st_size, f"{found.st_size}:{found.st_mtime_ns}"


class Inputs:
    """Finds videos.

    Args:
        out_dir: The archive; what lies in it is no input.
        stamp: See `Stamp`.
        remote: Lists an address; None refuses addresses.
        lines: Of the standard input, for "-".

    Attributes:
        passed_over: Files in folders that are no videos.
        problems: Folders within folders that could not be read.
    """

    def __init__(
        self,
        out_dir: str | os.PathLike[str],
        stamp: Stamp = stamp_by_time,
        remote: Remote | None = None,
        lines: Iterable[str] = (),
    ) -> None:
        self._out, self._stamp, self._remote, self._lines = os.path.realpath(out_dir), stamp, remote, lines
        self.passed_over = 0
        self.problems: list[str] = []

    def of(self, arguments: Sequence[str]) -> Iterator[Input]:
        """The videos of all arguments. A video that several of them name comes several times.

        A file that is named is taken whatever it is; in folders, videos are found by ending and content. Hidden files
        and folders, and the archive itself, are passed over.

        Raises:
            ConfigError: There is no such file, or a list can't be read; says which.
        """
        folders = [argument for argument in arguments if _is_folder(argument)]
        files = [argument for argument in arguments if argument != STDIN and _is_plain(argument)]
        base = _common_folder(files)
        for argument in arguments:
            if argument == STDIN:
                yield from self._listed(self._lines, "the standard input")
            elif argument in folders:
                # Several folders keep their names, so that equal names in them differ.
                prefix = os.path.basename(os.path.abspath(argument)) if len(folders) > 1 else ""
                yield from self._folder(argument, prefix)
            elif ADDRESS.match(argument):
                yield from self._address(argument)
            elif argument in files:
                yield self._file(argument, os.path.relpath(os.path.abspath(argument), base))
            else:
                yield from self._other(argument)

    def _other(self, argument: str) -> Iterator[Input]:
        if os.path.isfile(argument):
            yield from self._list_file(argument)
        elif _GLOB.search(argument):
            yield from self._glob(argument)
        else:
            raise ConfigError(
                f"{printable_name(argument)}: no such file or folder. Expected videos, folders, globs such as "
                "'videos/**/*.mp4', lists (.txt) or - for a list on the standard input."
            )

    def _file(self, path: str, name: str) -> Input:
        source = os.path.abspath(path)
        return Input(source, archive_name(name), *self._stamp(source))

    def _folder(self, top: str, prefix: str) -> Iterator[Input]:
        for path in self._walk(os.path.abspath(top), frozenset()):
            yield self._file(path, os.path.join(prefix, os.path.relpath(path, top)))

    def _walk(self, folder: str, above: frozenset[tuple[int, int]]) -> Iterator[str]:
        try:
            found = os.stat(folder)
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            problem = f"folder {printable_name(folder)} can't be read: {error.strerror}. Check its permissions."
            if not above:
                raise ConfigError(problem) from error
            self.problems.append(problem)
            return
        place = (found.st_dev, found.st_ino)
        if place in above or os.path.realpath(folder) == self._out:  # a link that leads round in a circle
            return
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from self._walk(entry.path, above | {place})
            elif is_video(entry.path) and (entry.is_file() or entry.is_symlink()):
                yield entry.path  # a link to nothing fails by itself, and is told
            else:
                self.passed_over += 1

    def _glob(self, pattern: str) -> Iterator[Input]:
        base = _before_glob(pattern)
        none = True
        for path in sorted(glob.iglob(pattern, recursive=True)):
            none = False
            if os.path.isfile(path) and is_video(path):
                yield self._file(path, os.path.relpath(path, base))
            elif os.path.isfile(path):
                self.passed_over += 1
        if none:
            raise ConfigError(f"{printable_name(pattern)} matches nothing. Check the pattern, and quote it.")

    def _list_file(self, path: str) -> Iterator[Input]:
        try:
            with open(path, encoding="utf-8-sig", errors="surrogateescape", newline=None) as file:
                yield from self._listed(file, path)
        except OSError as error:
            raise ConfigError(f"list {printable_name(path)} can't be read: {error.strerror}.") from error

    def _listed(self, lines: Iterable[str], where: str) -> Iterator[Input]:
        for number, raw in enumerate(lines, 1):
            line = raw.rstrip("\r\n")
            if not line.strip():
                continue
            if len(line) > _MAX_LINE or "\0" in line:
                raise ConfigError(
                    f"{printable_name(where)}, line {number}: no path. Expected a path or address a line."
                )
            if ADDRESS.match(line):
                yield from self._address(line)
            elif os.path.isdir(line):
                for path in self._walk(os.path.abspath(line), frozenset()):
                    yield self._file(path, _from_here(path))
            else:
                yield self._file(line, _from_here(os.path.abspath(line)))

    def _address(self, address: str) -> Iterable[Input]:
        if self._remote is None:
            raise ConfigError(f"{address}: addresses are not read here. Give files or folders.")
        return self._remote(address)


def archive_name(path: str) -> str:
    """A relative path as the name of a video: "/" between folders, nothing that leads out of the archive."""
    parts = [part for part in PurePath(path).parts if part not in ("..", ".", os.sep, "/")]
    safe = [printable_name(part).replace("\\", "_") if os.name == "nt" else printable_name(part) for part in parts]
    return "/".join(part.replace(":", "_") if os.name == "nt" else part for part in safe) or "video"


def _is_folder(argument: str) -> bool:
    return argument != STDIN and not ADDRESS.match(argument) and os.path.isdir(argument)


def _is_plain(argument: str) -> bool:
    """Whether an argument is a video file, not a list of them."""
    if ADDRESS.match(argument) or os.path.splitext(argument)[1].lower() in LIST_ENDINGS:
        return False
    try:
        return not stat.S_ISDIR(os.stat(argument).st_mode)
    except (OSError, ValueError):
        return False


def _common_folder(files: Sequence[str]) -> str:
    folders = {os.path.dirname(os.path.abspath(file)) for file in files}
    try:
        return os.path.commonpath(folders) if folders else os.getcwd()
    except ValueError:  # drives of Windows
        return os.getcwd()


def _before_glob(pattern: str) -> str:
    """The folder of a pattern up to its first wildcard."""
    parts = Path(pattern).parts
    plain = next((i for i, part in enumerate(parts) if _GLOB.search(part)), len(parts))
    return os.path.join(*parts[:plain]) if plain else "."


def _from_here(path: str) -> str:
    """A path as seen from the current folder where it lies in it; else from the root."""
    here = os.getcwd()
    inside = os.path.normcase(path).startswith(os.path.normcase(here.rstrip(os.sep) + os.sep))
    return os.path.relpath(path, here) if inside else os.path.splitdrive(path)[1].lstrip("/\\")
