"""A text output that is whole lines at every moment."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, cast

from sf_detect.errors import SinkError

STDOUT = "-"


class TextOutput:
    """Writes lines to a file, a pipe or the standard output.

    A file is written as `PATH.part` (missing folders are created) and takes its name when it is closed, also where
    that happens early (Ctrl-C). Each line reaches the system in one unbuffered write, so after a crash or `kill -9`
    the `.part` file holds whole lines; after a failed write (disk full) the torn line is cut off, and `.part` keeps
    what came before.

    Args:
        path: The file; "-" for the standard output. Devices and pipes are written directly.
        what: What it is, for messages ("JSON Lines").

    Raises:
        SinkError: The output cannot be opened.
    """

    def __init__(self, path: Path | str, what: str) -> None:
        self.path, self.what, self.lines = path, what, 0
        self.closed = False
        self._end = 0
        self._part: Path | None = None
        try:
            self._file = self._open()
        except OSError as error:
            raise SinkError(f"{what}: cannot write {str(path)!r}: {_reason(error, Path(path))}") from error

    def _open(self) -> BinaryIO:
        if self.path == STDOUT:
            return _open_stdout()
        path = Path(self.path)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a directory; give the name of a file in it")
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            return cast(BinaryIO, open(path, "wb", buffering=0))
        path.parent.mkdir(parents=True, exist_ok=True)
        self._part = path.with_name(path.name + ".part")
        return cast(BinaryIO, open(self._part, "wb", buffering=0))

    def write(self, text: str, lines: int = 1) -> None:
        """Writes `text`, whole lines that end in a newline.

        Raises:
            SinkError: The output is closed, or the write failed; the message says what was kept.
        """
        if self.closed:
            raise SinkError(f"{self.what}: {str(self.path)!r} is closed and takes no more results.")
        data = memoryview(text.encode())
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
            if self._part is None:
                self._file.close()
                return
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self._part, self.path)
        except OSError as error:
            raise SinkError(
                f"{self.what}: completing {str(self.path)!r} failed: {_reason(error, Path(self.path))} {self._kept()}"
            ) from error

    def _abandon(self) -> None:
        self.closed = True
        with contextlib.suppress(OSError):
            if self._part is not None:
                self._file.truncate(self._end)
        with contextlib.suppress(OSError):
            self._file.close()

    def _kept(self) -> str:
        where = f"kept in {str(self._part)!r}" if self._part is not None else "written before"
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


def _open_stdout() -> BinaryIO:
    try:
        sys.stdout.flush()
        # a handle of its own: nothing stays in Python's buffer to fail once more at exit when the reader is gone
        return cast(BinaryIO, open(os.dup(sys.stdout.fileno()), "wb", buffering=0))
    except io.UnsupportedOperation:
        return cast(BinaryIO, _Stream())


def _reason(error: OSError, path: Path) -> str:
    if isinstance(error, BrokenPipeError):
        return "the program that read it has ended."
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"the folder {str(path.parent)!r} cannot be made, because a file is in its place; choose another path."
    if error.errno == errno.ENOSPC:
        return "the disk is full; free some space or choose another disk."
    return f"{error.strerror or error}."
