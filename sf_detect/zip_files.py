"""Zip archives from outside: what they claim is compared with their size before it is read."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FREE_BYTES, _LARGEST_RATIO = 64_000_000, 10


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """An archive whose members together are not much larger than the file.

    Raises:
        zipfile.BadZipFile: It is damaged, holds two members of one name, or unpacks to more than ten times its size.
        OSError: It cannot be read.
    """
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        claimed = sum(info.file_size for info in members)
        if claimed > _FREE_BYTES + _LARGEST_RATIO * size:
            raise zipfile.BadZipFile(f"its members claim {claimed} bytes, the file has {size}")
        if len({info.filename for info in members}) < len(members):
            raise zipfile.BadZipFile("it holds two members of one name")
        yield archive


def member_named(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """A member of an archive.

    Raises:
        zipfile.BadZipFile: There is none of this name.
    """
    try:
        info = archive.getinfo(name)
    except KeyError as error:
        raise zipfile.BadZipFile(f"it lacks its member {name}") from error
    if getattr(info, "CRC", None) == 0 and info.file_size:
        del info.CRC  # torch can leave checksums out: there is nothing to compare then
    return info


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """The bytes of a member.

    Raises:
        zipfile.BadZipFile: There is none of this name, or it is damaged.
    """
    return archive.read(member_named(archive, name))
