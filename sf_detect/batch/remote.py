"""Videos at addresses of object stores and web servers, read through fsspec: listed, and fetched one by one.

Credentials come from where each store's own tools take them (environment, files), or stand in an http address; they are
kept in memory only. The manifest knows an address without them.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from sf_detect.batch.content import VIDEO_ENDINGS
from sf_detect.batch.inputs import ADDRESS, Input, archive_name
from sf_detect.batch.jobs import Job, Report
from sf_detect.errors import ConfigError, MissingExtraError, SourceOpenError
from sf_detect.redaction import MASK, public_url, redacted

_BLOCK = 4 << 20
_MOST_BYTES = 1 << 40
"""Of a file whose size its server does not tell."""
_SILENT_SECONDS = 60
_STAMPS = ("ETag", "etag", "generation", "LastModified", "last_modified", "updated", "mtime")
_WEB = ("http://", "https://")


class RemoteInputs:
    """Lists addresses, and knows those whose credentials no file may hold.

    Attributes:
        passed_over: Files in remote folders that are no videos, by their endings.
    """

    def __init__(self) -> None:
        self._full: dict[str, str] = {}
        self.passed_over = 0

    def list(self, address: str) -> Iterator[Input]:
        """The video at an address; those below it where it is a folder, or that match it where it is a glob.

        Raises:
            ConfigError: It holds a password in a place where none belongs, or a folder can't be listed.
            MissingExtraError: What reads such addresses is not installed.
        """
        files, path = open_store(address)
        if address.lower().startswith(_WEB):  # servers have no folders, and ? is part of the address
            yield self._input(address, address, _facts(files, path))
            return
        try:
            if any(sign in path for sign in "*?["):
                found, base = files.glob(path, detail=True), _before_glob(path)
            elif files.isdir(path):
                found, base = files.find(path, detail=True), path
            else:
                yield self._input(address, address, _facts(files, path))
                return
        except Exception as error:
            raise ConfigError(
                f"{address} can't be listed: {redacted(str(error))}. Check it, and the access."
            ) from error
        for place in sorted(found):
            if PurePosixPath(place).suffix.lower() in VIDEO_ENDINGS:
                name = PurePosixPath(place).relative_to(base)
                yield self._input(files.unstrip_protocol(place), str(name), found[place])
            elif found[place].get("type") != "directory":
                self.passed_over += 1

    def resolved(self, jobs: Iterable[Job]) -> Iterator[Job]:
        """Jobs with the addresses as they were given."""
        for job in jobs:
            yield Job(job.name, self._full.get(job.source, job.source), job.size, job.attempt)

    def _input(self, address: str, name: str, facts: dict[str, Any]) -> Input:
        key = address
        if address.lower().startswith(_WEB):
            key = public_url(address)
            if key != address and self._full.setdefault(key, address) != address:
                raise ConfigError(
                    f"two addresses are {key} without user name, password and query, so that the archive can't tell "
                    "them apart. Give their videos different paths, or fetch them first."
                )
        size = int(facts.get("size") or 0)
        stamp = next((str(facts[part]) for part in _STAMPS if facts.get(part)), "")
        asked = archive_name(_path_of(name) if ADDRESS.match(name) else name)
        return Input(key, asked, size, f"{size}:{stamp}" if facts else "")


@contextlib.contextmanager
def fetched(source: str, folder: Path, report: Report) -> Iterator[tuple[str, str]]:
    """A local file with the video at `source`, and the source without credentials.

    A path is its own file. What is at an address is copied into `folder`, never more of it than its server says.

    Raises:
        SourceOpenError: It can't be fetched.
        OSError: The folder can't be written.
    """
    if not ADDRESS.match(source):
        yield source, source
        return
    files, path = open_store(source)
    target = folder / f"source{PurePosixPath(_path_of(source)).suffix[:10]}"
    try:
        _copy(files, path, target, lambda: report(0.0, None))
        yield os.fspath(target), public_url(source) if source.lower().startswith(_WEB) else source
    finally:
        target.unlink(missing_ok=True)


def open_store(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it.

    Raises:
        ConfigError: No such kind of address, or one with a password that is not of the web.
        MissingExtraError: What reads it is not installed.
    """
    try:
        import fsspec
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise MissingExtraError("fsspec", "remote", "reading addresses") from error
    scheme = address.partition("://")[0].lower()
    if scheme not in ("http", "https") and "@" in address.partition("://")[2].partition("/")[0]:
        raise ConfigError(
            f"{public_url(address)}: credentials do not belong in a {scheme} address. Give them as the store's own "
            "tools take them, such as AWS_ACCESS_KEY_ID in the environment."
        )
    options = _web_options() if scheme in ("http", "https") else {}
    try:
        return url_to_fs(address, **options)
    except ImportError as error:
        raise MissingExtraError(
            str(error).split()[1] if "nstall" in str(error) else scheme, "remote", address
        ) from error
    except ValueError as error:
        known = ", ".join(sorted({"s3", "gs", "http", "https", "file"} & set(fsspec.available_protocols())))
        raise ConfigError(f"{address}: such addresses are not known. Expected a path, or one of {known}.") from error


def _web_options() -> dict[str, Any]:
    try:
        import aiohttp
    except ImportError as error:
        raise MissingExtraError("aiohttp", "remote", "reading http addresses") from error
    # By default a download of more than five minutes would be cut off.
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_SILENT_SECONDS, sock_read=_SILENT_SECONDS)
    return {"client_kwargs": {"timeout": timeout}}


def _facts(files: Any, path: str) -> dict[str, Any]:
    """What the store knows of a file; nothing where it can't be asked, which is told when it is fetched."""
    try:
        return dict(files.info(path))
    except Exception:
        return {}


def _copy(files: Any, path: str, target: Path, tick: Callable[[], None]) -> None:
    copied, most = 0, int(_facts(files, path).get("size") or _MOST_BYTES)
    with target.open("wb") as output:
        for block in _blocks(files, path):
            copied += len(block)
            if copied > most:
                raise SourceOpenError(f"{public_url(path)} is longer than the {most} bytes that its server told.")
            output.write(block)
            tick()
    if most != _MOST_BYTES and copied < most:
        raise SourceOpenError(f"{public_url(path)} broke off after {copied} of {most} bytes. Try again.")


def _blocks(files: Any, path: str) -> Iterator[bytes]:
    try:
        with files.open(path, "rb", block_size=_BLOCK, cache_type="none") as file:
            while block := file.read(_BLOCK):
                yield block
    except Exception as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"{type(error).__name__}: {error}"
        raise SourceOpenError(
            f"{public_url(path)} can't be fetched ({redacted(reason, path)}). Check the address and the access."
        ) from None  # other libraries' errors show addresses with their passwords


def _path_of(address: str) -> str:
    """Host and path of an address."""
    if address.lower().startswith(_WEB):
        address = re.split(r"[?#;]", public_url(address))[0].replace(f"{MASK}@", "")
    return address.partition("://")[2]


def _before_glob(path: str) -> str:
    """The folder of a pattern up to its first wildcard."""
    plain = []
    for part in path.split("/")[:-1]:
        if any(sign in part for sign in "*?["):
            break
        plain.append(part)
    return "/".join(plain)
