"""Files that have their name only when they are complete: every output of this package is written through here.

The content goes to a new file with a name nobody can guess, in the folder of the final one, and is renamed at the end.
A symbolic link stays, and what it points to is replaced. A new file has the permissions that the umask gives, one that
replaces another takes over those. Two runs can't write one output at the same time: the second is refused.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from sf_detect.file_names import shortened
from sf_detect.output_lock import OutputLock

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Numbers of the errors of a disk, or a user's share of it, that is full."""
_MAX_LINKS = 40
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_PERMISSIONS = 0o777


class AtomicFile:
    """A binary file under a temporary name until `commit`.

    Args:
        path: The final name, in a folder that exists.
        hidden: Whether the temporary name starts with a dot. A visible one suits what is of use when the process is
            killed.

    Attributes:
        target: The final file: `path`, or what it points to.
        part: The temporary file.
        file: It, open for reading and writing, unbuffered.

    Raises:
        BlockingIOError: Another run writes this file.
        OSError: The file cannot be made; a folder, device or pipe has this name.
    """

    def __init__(self, path: str | os.PathLike[str], hidden: bool = True) -> None:
        self.target = followed(Path(path))
        mode = _mode_of_old(self.target)
        self._lock = OutputLock(self.target)
        try:
            handle, self.part = create_beside(self.target, hidden)
        except BaseException:
            self._lock.release()
            raise
        self.file = io.FileIO(handle, "r+")
        # A library that writes by name may put another file, with other permissions, in its place.
        self._mode = stat.S_IMODE(os.fstat(handle).st_mode) if mode is None else mode

    def commit(self) -> None:
        """Gives the file its name. After an `OSError` the temporary file is still there."""
        try:
            if not self.file.closed:
                os.fsync(self.file.fileno())
                self.file.close()
            with contextlib.suppress(OSError):  # file systems without permissions
                self.part.chmod(self._mode)
            os.replace(self.part, self.target)
        finally:
            self.leave()

    def discard(self) -> None:
        """Removes the temporary file; does nothing after `commit`."""
        self.leave()
        with contextlib.suppress(OSError):
            self.part.unlink()

    def leave(self) -> None:
        """Closes the temporary file and leaves it where it is."""
        with contextlib.suppress(OSError):
            self.file.close()
        self._lock.release()


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary file, empty and closed, that takes the name `path` when the block ends without an exception.

    For libraries that open files themselves. Raises what `AtomicFile` raises.
    """
    output = AtomicFile(path)
    try:
        output.file.close()
        yield output.part
        with output.part.open("rb+") as file:
            os.fsync(file.fileno())
        output.commit()
    finally:
        output.discard()


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike[str]) -> Iterator[io.BufferedRandom]:
    """An open binary file that takes the name `path` when the block ends without an exception.

    Raises what `AtomicFile` raises.
    """
    output = AtomicFile(path)
    try:
        with io.BufferedRandom(output.file) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        output.commit()
    finally:
        output.discard()


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes text as UTF-8, whole or not at all. Raises what `AtomicFile` raises."""
    with atomic_file(path) as file:
        file.write(text.encode())


def create_beside(path: Path, hidden: bool = True, suffix: str = ".part", mode: int = 0o666) -> tuple[int, Path]:
    """A new file in the folder of `path` under a name nobody can guess: its open handle and its path.

    Args:
        path: The final name.
        hidden: See `AtomicFile`.
        suffix: Of the temporary name.
        mode: Permissions, of which the umask takes some.
    """
    tail = f".{secrets.token_hex(8)}{suffix}"
    part = path.with_name(shortened(f".{path.name}" if hidden else path.name, tail))
    return os.open(part, _NEW, mode), part


def followed(path: Path) -> Path:
    """What symbolic links at `path` point to in the end, whether it exists or not.

    Raises:
        OSError: The links go round in a circle.
    """
    for _ in range(_MAX_LINKS):
        if not path.is_symlink():
            return path
        path = path.parent / os.readlink(path)
    raise OSError(errno.ELOOP, "its symbolic links go round in a circle", str(path))


def _mode_of_old(path: Path) -> int | None:
    """Permissions of the file that is replaced; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a directory; give the name of a file in it", str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is a device or a pipe, and a file is expected", str(path))
    return stat.S_IMODE(found.st_mode) & _PERMISSIONS
