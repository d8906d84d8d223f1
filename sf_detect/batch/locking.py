"""One run at a time in the folder of an archive; parts of one job (`--shard`) may run side by side."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType

from sf_detect.errors import SinkError
from sf_detect.output_lock import OutputLock

_ATTEMPTS, _PAUSE_SECONDS = 5, 0.02
_WHOLE = "manifest.sqlite"


class FolderLock:
    """Held within the context; the system frees it when the process ends, whatever the reason.

    A run of the whole holds the lock of `manifest.sqlite`, one of a part that of its own manifest. Each takes its own
    lock and then looks whether the others are free, so that of two that start together at least one is refused.

    Args:
        folder: The archive; it exists.
        part: As of `ArchiveFolder`.

    Raises:
        SinkError: Another run is at it, or the folder can't be written.
    """

    def __init__(self, folder: Path, part: str) -> None:
        self._lock = _taken(folder, f"manifest{part}.sqlite")
        try:
            if part:
                _require_free(folder, _WHOLE)
            else:
                for other in folder.glob("manifest.*-of-*.sqlite"):
                    _require_free(folder, other.name)
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()


def _taken(folder: Path, name: str) -> OutputLock:
    try:
        return OutputLock(folder / name)
    except BlockingIOError as error:
        raise SinkError(
            f"another run of sf-detect annotates into {folder}. Wait for its end, or choose another --out-dir."
        ) from error
    except OSError as error:
        raise SinkError(f"{folder} can't be written: {error.strerror}. Choose another --out-dir.") from error


def _require_free(folder: Path, name: str) -> None:
    """Takes a lock and gives it back. Other parts that look at the same moment hold it for as short."""
    for attempt in range(_ATTEMPTS):
        try:
            _taken(folder, name).release()
            return
        except SinkError:
            if attempt == _ATTEMPTS - 1:
                raise
            time.sleep(_PAUSE_SECONDS)
