"""A text output that is whole lines at every moment."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import re
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, cast

from sf_detect.atomic_file import DISK_FULL, AtomicFile
from sf_detect.errors import SinkError

STDOUT = "-"

_STANDARD = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
_HANDLE = re.compile(r"(?:/dev/fd|/proc/(?:self|\d+)/fd)/(\d+)")


class TextOutput:
    """Writes lines to a file, a pipe or the standard output.

    A file is written as `PATH.RANDOM.part` (missing folders are created) and takes its name when it is closed, also
    where that happens early (Ctrl-C). Each line reaches the system in one unbuffered write, so after a crash or
    `kill -9` the `.part` file holds whole lines; after a failed write (disk full) the torn line is cut off, and `.part`
    keeps what came before.

    Args:
        path: The file; "-" for the standard output. Devices, pipes and open files by number (/dev/stdout, /dev/fd/3)
            are written directly. Of a symbolic link, the file it points to is replaced.
        what: What it is, for messages ("JSON Lines").

    Raises:
        SinkError: The output cannot be opened.
    """

    def __init__(self, path: Path | str, what: str) -> None:
        self.path, self.what, self.lines = path, what, 0
        self.closed = False
        self._end = 0
        self._output: AtomicFile | None = None
        try:
            self._file = self._open()
        except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
            raise SinkError(f"{what}: cannot write {str(path)!r}: {_reason(error, Path(path))}") from error

    def _open(self) -> BinaryIO:
        if self.path == STDOUT:
            return _open_stdout()
        path = Path(self.path)
        handle = open_handle(path)
        if handle is not None:
            return _open_stdout() if handle == 1 else cast(BinaryIO, open(os.dup(handle), "wb", buffering=0))
        if path.exists() and not path.is_dir() and not stat.S_ISREG(path.stat().st_mode):
            return cast(BinaryIO, open(path, "wb", buffering=0))
        path.parent.mkdir(parents=True, exist_ok=True)
        self._output = AtomicFile(path, hidden=False)
        return cast(BinaryIO, self._output.file)

    def write(self, text: str, lines: int = 1) -> None:
        """Writes `text`, whole lines that end in a newline.

        Raises:
            SinkError: The output is closed, or the write failed; the message says what was kept.
        """
        if self.closed:
            raise SinkError(f"{self.what}: {str(self.path)!r} is closed and takes no more results.")
        data = memoryview(text.encode(errors="backslashreplace"))
        total = len(data)
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            self._abandon()
            raise SinkError(
                f"{self.what}: writing {str(self.path)!r} failed: {_reason(error, Path(self.path))} {self._kept()}"
            ) from error
        self._end += total
        self.lines += lines

    def close(self) -> None:
        """Completes the output. Does nothing the second time, or after a failed write.

        Raises:
            SinkError: The file cannot be completed; the message says what was kept.
        """
        if self.closed:
            return
        self.closed = True
        try:
            if self._output is None:
                self._file.close()
            else:
                self._output.commit()
        except OSError as error:
            raise SinkError(
                f"{self.what}: completing {str(self.path)!r} failed: {_reason(error, Path(self.path))} {self._kept()}"
            ) from error

    def _abandon(self) -> None:
        self.closed = True
        with contextlib.suppress(OSError):
            if self._output is not None:
                self._file.truncate(self._end)
        with contextlib.suppress(OSError):
            self._file.close()
        if self._output is not None:
            self._output.leave()

    def _kept(self) -> str:
        where = f"kept in {str(self._output.part)!r}" if self._output is not None else "written before"
        return f"Complete lines {where}: {self.lines}."


def write_json(path: Path | str, content: Mapping[str, object], what: str) -> None:
    """Writes a JSON object as one line.

    Args:
        path: As of `TextOutput`.
        content: The object.
        what: Named in messages.

    Raises:
        SinkError: The file cannot be opened or written.
    """
    output = TextOutput(path, what)
    try:
        output.write(json.dumps(content) + "\n")
    finally:
        output.close()


class _Stream(io.RawIOBase):
    """The current `sys.stdout` where it is no file (notebooks, tests); closing it leaves it open."""

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        raw = bytes(cast(memoryview, data))
        sys.stdout.write(raw.decode())
        sys.stdout.flush()
        return len(raw)


def open_handle(path: Path) -> int | None:
    """Number of the open file that a name such as /dev/stdout stands for, also through symbolic links; else None."""
    for _ in range(40):
        name = os.path.normpath(path)
        if name in _STANDARD:
            return _STANDARD[name]
        if found := _HANDLE.fullmatch(name):
            return int(found[1])
        if not path.is_symlink():
            return None
        path = path.parent / os.readlink(path)
    return None


def _open_stdout() -> BinaryIO:
    try:
        sys.stdout.flush()
        # a handle of its own: nothing stays in Python's buffer to fail once more at exit when the reader is gone
        return cast(BinaryIO, open(os.dup(sys.stdout.fileno()), "wb", buffering=0))
    except io.UnsupportedOperation:
        return cast(BinaryIO, _Stream())


def _reason(error: OSError | ValueError, path: Path) -> str:
    if isinstance(error, ValueError):
        return f"{error}; choose another name."
    if isinstance(error, BrokenPipeError):
        return "the program that read it has ended."
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"the folder {str(path.parent)!r} cannot be made, because a file is in its place; choose another path."
    if error.errno in DISK_FULL:
        return "the disk is full; free some space or choose another disk."
    return f"{error.strerror or error}."
