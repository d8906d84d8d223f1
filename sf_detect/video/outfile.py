"""An output file that can still be completed when the disk fills up."""

from __future__ import annotations

import contextlib
import errno
import io
import os
from pathlib import Path

from sf_detect.atomic_file import DISK_FULL, AtomicFile, create_beside

_FULL = {*DISK_FULL, errno.EFBIG}


class ReservedFile:
    """A file under a temporary name, with disk space set aside for its ending.

    A video is playable only with its index, which is written last, when the disk may be full. So a second file holds
    space for it; when a write fails for lack of space the second file is deleted, the write is repeated, and `full`
    tells the owner to finish now. Has what FFmpeg needs of a file (`write`, `seek`, `tell`, `name`).

    Args:
        path: The final name; the temporary one is next to it, see `AtomicFile`.
        reserve: Bytes to set aside.
        hidden: Whether the temporary name starts with a dot.

    Raises:
        OSError: The folder cannot be written, or has no room for the reserve; another run writes the file.
    """

    def __init__(self, path: Path, reserve: int, hidden: bool = True) -> None:
        self.path = path
        self.full: OSError | None = None
        self._output = AtomicFile(path, hidden)
        self.name, self._file = str(self._output.part), self._output.file
        try:
            handle, self._reserve_path = create_beside(self._output.target, suffix=".reserve")
            self._reserve = io.FileIO(handle, "r+")
            self.reserve(reserve)
            if self.full:
                raise self.full
        except BaseException:
            self.discard()
            raise

    def reserve(self, size: int) -> None:
        """Sets aside `size` bytes in all; where there is no room, sets `full`."""
        if self.full:
            return
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._reserve.fileno(), 0, size)
            else:
                self._reserve.write(bytes(max(0, size - self._reserve.tell())))
        except OSError as error:
            if error.errno not in _FULL:
                return  # A file system that cannot set space aside is no reason to refuse.
            self.full = error
            self._free_reserve()

    def write(self, data: bytes) -> int:
        """Writes all of `data` and returns its length."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._write_some(rest) :]
            except OSError as error:
                if self.full or error.errno not in _FULL:
                    raise
                self.full = error
                self._free_reserve()
        return len(data)

    def _write_some(self, data: memoryview) -> int:
        return self._file.write(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves the position, as of any file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The position in bytes."""
        return self._file.tell()

    def seekable(self) -> bool:
        """True."""
        return True

    def keep(self) -> None:
        """Closes the file and gives it its final name."""
        self._output.commit()
        self._free_reserve()

    def discard(self) -> None:
        """Closes and deletes everything."""
        self._output.discard()
        self._free_reserve()

    def _free_reserve(self) -> None:
        reserve = getattr(self, "_reserve", None)
        if reserve is not None:
            reserve.close()
            with contextlib.suppress(OSError):
                self._reserve_path.unlink()
