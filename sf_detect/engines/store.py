"""Where converted networks are kept from one start to the next.

An entry is a file of its own: a line of JSON that says what it is, of which bytes it consists and under which versions
it was made, then the bytes. It is read only if all of that is as expected and nobody else could have written it;
whatever else lies there is made anew. Nothing fails for the store's sake: without it networks are converted at every
start.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from sf_detect.atomic_file import create_beside
from sf_detect.engines.engine import Warn

_SCHEMA = "sf-detect-engine/1"
_MOST_BYTES = 2_000_000_000
_MOST_HEADER = 65_536
_PRIVATE = 0o600  # whatever the umask: what others may write is not trusted
_ROOT = 0  # who may write anything anyway
_KEPT = 8  # entries of one name: other weights, versions, settings

Facts = Mapping[str, str]
"""All that an entry depends on: hash of the weights, versions, settings."""


class EngineStore:
    """A folder of converted networks.

    Args:
        folder: Made when something is stored.
        warn: Receives what a user should know, such as a damaged entry.
    """

    def __init__(self, folder: Path, warn: Warn) -> None:
        self._folder, self._warn = folder, warn

    def load(self, name: str, facts: Facts) -> bytes | None:
        """The entry's bytes; None where there is none, or none to trust.

        Args:
            name: What it is, for people too; part of the file's name.
            facts: All that it depends on.
        """
        path = self._path(name, facts)
        try:
            with path.open("rb") as file:
                if (problem := _untrusted(file.fileno())) is None:
                    header, content = file.readline(_MOST_HEADER), file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            problem = error.strerror or str(error)
        if problem is None and not _matches(header, content, name, facts):
            problem = "it is damaged or not what its name says"
        if problem is not None:
            self._warn(f"the converted network {path} is not used: {problem}. It is made anew.")
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # what is used stays longest
        return content

    def save(self, name: str, facts: Facts, content: bytes) -> None:
        """Keeps an entry; readers see it when it is complete."""
        path = self._path(name, facts)
        temporary = None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            # Not locked: two processes that make the same entry make the same bytes, and either may win.
            handle, temporary = create_beside(path, mode=_PRIVATE)
            with os.fdopen(handle, "wb") as file:
                file.write(_header(content, name, facts))
                file.write(content)
            os.replace(temporary, path)
            self._prune(name)
        except OSError as error:
            self._warn(
                f"converted networks can't be kept in {self._folder}: {error.strerror or error}. The next start "
                "takes as long as this one; set SF_DETECT_CACHE to a folder that can be written."
            )
        finally:
            if temporary is not None:
                temporary.unlink(missing_ok=True)

    def _path(self, name: str, facts: Facts) -> Path:
        digest = hashlib.sha256(json.dumps([name, dict(facts)], sort_keys=True).encode()).hexdigest()
        return self._folder / f"{name}-{digest[:20]}.engine"

    def _prune(self, name: str) -> None:
        """Removes the entries of a name that were not used for longest."""
        known = sorted(self._folder.glob(f"{name}-*.engine"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in known[_KEPT:]:
            path.unlink(missing_ok=True)


def _header(content: bytes, name: str, facts: Facts) -> bytes:
    about = {
        "schema": _SCHEMA,
        "name": name,
        "facts": dict(facts),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    return json.dumps(about, sort_keys=True).encode() + b"\n"


def _matches(header: bytes, content: bytes, name: str, facts: Facts) -> bool:
    """Whether the header is exactly the one that this content would be stored with."""
    return header == _header(content, name, facts)


def _untrusted(descriptor: int) -> str | None:
    """Why an open file is not to be used; None where it is."""
    status = os.fstat(descriptor)
    if status.st_size > _MOST_BYTES:
        return f"it has {status.st_size} bytes, more than any network"
    if hasattr(os, "geteuid"):  # on Windows, the folder's permissions have to do
        if status.st_uid not in (os.geteuid(), _ROOT):
            return "it belongs to another user"
        if status.st_mode & 0o022:
            return "others may write to it"
    return None
