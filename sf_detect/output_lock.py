"""One writer of an output at a time, on this machine."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from sf_detect.file_names import shortened

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF}
_IN_USE = {errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK}
_ATTEMPTS = 100


class OutputLock:
    """Held from construction to `release`; the system frees it when the process ends, whatever the reason.

    The lock is on a file `.NAME.lock` beside the output, which is removed at the end; one that a killed process left
    is taken over. Where the file system has no locks, nothing is held back.

    Args:
        path: The output; its folder exists.

    Raises:
        BlockingIOError: Somebody else writes the output.
        OSError: The folder can't be written.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.with_name(shortened(f".{path.name}", ".lock"))
        self._handle: int | None = None
        for _ in range(_ATTEMPTS):
            handle = os.open(self._file, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
            if self._taken(handle, path):
                return

    def _taken(self, handle: int, path: Path) -> bool:
        """Locks an open file; False where its last owner removed it meanwhile."""
        try:
            _lock(handle)
            if os.path.samestat(os.fstat(handle), os.stat(self._file, follow_symlinks=False)):
                self._handle = handle
                return True
        except FileNotFoundError:
            pass
        except OSError as error:
            os.close(handle)
            if error.errno in _IN_USE:
                text = "another run is writing it; wait for that to end or choose another path"
                raise BlockingIOError(errno.EWOULDBLOCK, text, str(path)) from None
            if error.errno not in _NO_LOCKS:
                raise
            self._remove()
            return True
        os.close(handle)
        return False

    def release(self) -> None:
        """Lets others write. Idempotent."""
        if self._handle is None:
            return
        handle, self._handle = self._handle, None
        if os.name == "nt":  # an open file can't be removed there
            os.close(handle)
            self._remove()
        else:
            self._remove()
            _unlock(handle)
            os.close(handle)

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            if self._file.stat().st_size == 0:  # ours; a user's own file of this name is not
                self._file.unlink()


if os.name == "nt":
    import msvcrt

    def _lock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]

    def _unlock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined,unused-ignore]

else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(handle: int) -> None:
        # Processes forked meanwhile share the lock and may live longer.
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_UN)
