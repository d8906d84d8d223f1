"""Published weights by address, through the weights cache.

Addresses are tried in order: the mirrors of `$SF_DETECT_MIRROR`, then the published ones. A mirror is an address or
a folder that stands for the host: with `https://mirror.example/weights`, `https://host/zoo/a.pkl` is looked for at
`https://mirror.example/weights/zoo/a.pkl`; several are separated by spaces.

Where the SHA-256 is published, it decides. Where not, that of the first download is recorded beside the file, and
whatever arrives under the same name later must have it.

No file is taken that is longer than `MAX_BYTES`, or than the caller allows.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from sf_detect.atomic_file import write_text
from sf_detect.errors import WeightsDownloadError, WeightsError, WeightsHashError
from sf_detect.redaction import public_url, redacted
from sf_detect.weights.cache import CACHE_VARIABLE, Notify, cache_directory, find, print_to_terminal, sha256_of

if TYPE_CHECKING:
    from sf_detect.weights.transfer import Report

Check = Callable[[Path], None]
"""Looks at a complete file under a temporary name."""

MIRROR_VARIABLE = "SF_DETECT_MIRROR"

MAX_BYTES = 4 << 30
"""Longest download, unless the entry says otherwise: the largest published weights have 0.5 GB."""

_WAIT_SECONDS = 3600.0
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PART = re.compile(r"[0-9a-f]{16}\.part")


def fetch_url(
    urls: Sequence[str],
    name: str,
    sha256: str | None = None,
    notify: Notify = print_to_terminal,
    check: Check | None = None,
    max_bytes: int = MAX_BYTES,
) -> Path:
    """The cached file of this name; fetched from the first address that has it where it is absent or damaged.

    Args:
        urls: Addresses (http, https, file) or paths of local files, best first.
        name: File name in the cache.
        sha256: Hexadecimal SHA-256 of the file; None takes the one recorded at the first use.
        notify: Receives notices and progress; on a terminal, the default draws a bar instead of the latter.
        check: Called with what was fetched before it is stored where no hash is known; raises a `WeightsError` if it
            is of no use.
        max_bytes: A longer file is refused.

    Raises:
        WeightsHashError: What was fetched is not the published or the recorded file; nothing is stored.
        WeightsDownloadError: No address has it; the error says why, for each.
        WeightsError: The cache cannot be used.
    """
    folder = cache_directory()
    if (path := _cached(folder / name, sha256, notify)) is not None:
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _one_at_a_time(folder / f".{name}.lock", notify):
            # Another process may have fetched it meanwhile.
            return _cached(folder / name, sha256, notify) or _fetch(
                urls, folder / name, sha256, notify, check, max_bytes
            )
    except OSError as error:
        raise WeightsError(
            f"the weights cache {folder} cannot be used: {error.strerror or error}. Expected a folder that can be "
            f"written and has room; set {CACHE_VARIABLE} to one."
        ) from error


def is_cached(name: str) -> bool:
    """Whether the cache has a complete file of this name; its bytes are not looked at."""
    return (cache_directory() / name).is_file()


def record_of(path: Path) -> Path:
    """The file beside cached weights that holds their SHA-256, as `sha256sum` writes it."""
    return path.with_name(f"{path.name}.sha256")


def _recorded(path: Path) -> str | None:
    try:
        found = _DIGEST.match(record_of(path).read_text(encoding="ascii", errors="replace"))
    except OSError:
        return None
    return found[0] if found else None


def _record(path: Path, sha256: str) -> None:
    write_text(record_of(path), f"{sha256}  {path.name}\n")


def _cached(path: Path, sha256: str | None, notify: Notify) -> Path | None:
    expected = sha256 or _recorded(path)
    if expected is not None:
        return find(path.name, expected, notify)
    if not path.is_file():
        return None
    _record(path, sha256_of(path))  # somebody put it there: from here on it must not change
    return path


@contextmanager
def _one_at_a_time(lock: Path, notify: Notify) -> Iterator[None]:
    """Holds other processes back: two may not write the same incomplete file."""
    from filelock import FileLock, Timeout

    waiting = FileLock(lock)
    try:
        try:
            waiting.acquire(timeout=0)
        except Timeout:
            notify("another process is fetching the same weights; waiting for it")
            waiting.acquire(timeout=_WAIT_SECONDS)
    except Timeout as error:
        raise WeightsDownloadError(
            f"another process has been fetching the same weights for {_WAIT_SECONDS / 60:.0f} minutes. Wait for it or "
            f"end it, and try again; if there is none, delete {lock}."
        ) from error
    try:
        yield
    finally:
        waiting.release()


def _fetch(
    urls: Sequence[str], path: Path, sha256: str | None, notify: Notify, check: Check | None, max_bytes: int
) -> Path:
    reasons: list[str] = []
    altered = False
    for url in _sources(urls):
        try:
            return _fetch_one(url, path, sha256, notify, check, max_bytes)
        except WeightsError as error:
            altered = altered or isinstance(error, WeightsHashError)
            reasons.append(f"{public_url(url)}: {redacted(str(error), url)}")
            notify(f"cannot use {reasons[-1]}")
    kind = WeightsHashError if altered else WeightsDownloadError
    raise kind(
        f"the weights {path.name} cannot be fetched. {'; '.join(reasons) or 'No address is known'}. Connect to the "
        f"network and try again (a broken download is continued), set {MIRROR_VARIABLE} to a mirror or a folder that "
        f"has them, or fetch the file elsewhere and give its path (--weights FILE) or copy it to {path}."
    )


def _sources(urls: Sequence[str]) -> list[str]:
    """The addresses to try, mirrors first, without duplicates."""
    mirrors = os.environ.get(MIRROR_VARIABLE, "").split()
    mirrored = [f"{m.rstrip('/')}{urlsplit(url).path}" for m in mirrors for url in urls if _is_remote(url)]
    return list(dict.fromkeys([*mirrored, *urls]))


def _is_remote(url: str) -> bool:
    return url.lower().startswith(("http://", "https://"))


def _fetch_one(url: str, path: Path, sha256: str | None, notify: Notify, check: Check | None, max_bytes: int) -> Path:
    from sf_detect.weights import transfer

    partial = _partial(path)
    for _ in range(2):
        continued = partial.exists()
        if _is_remote(url):
            with _progress(url, path.name, notify) as report:
                transfer.download(url, partial, report, max_bytes)
        else:
            _copy(url, partial, max_bytes)
        try:
            return _store(partial, path, sha256, check)
        except WeightsError:
            transfer.discard(partial)
            if not continued:  # the two halves of a continued one may not belong together: once more, in one piece
                raise
    raise AssertionError("unreachable: the second try starts without a partial file")


def _partial(path: Path) -> Path:
    """An incomplete download of an earlier call that may be continued, else a name nobody can guess."""
    from sf_detect.weights import transfer

    found = [part for part in path.parent.iterdir() if _PART.fullmatch(part.name.removeprefix(f".{path.name}."))]
    parts = [part for part in found if part.name.startswith(f".{path.name}.")]
    own = sorted((part for part in parts if transfer.is_own(part)), key=lambda part: part.stat().st_mtime)
    for old in own[:-1]:
        transfer.discard(old)
    return own[-1] if own else path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")


def _store(partial: Path, path: Path, sha256: str | None, check: Check | None) -> Path:
    got, recorded = sha256_of(partial), _recorded(path)
    expected = sha256 or recorded or got
    if got != expected:
        known = "published" if sha256 else f"recorded at the first use, in {record_of(path)}"
        accept = (
            "" if sha256 else " If its publisher has replaced the file and you trust the new one, delete the record."
        )
        raise WeightsHashError(
            f"SHA-256 is {got}, expected {expected} ({known}). The file is another one, so it is not used.{accept}"
        )
    if check is not None and not (sha256 or recorded):
        check(partial)
    os.replace(partial, path)
    if sha256 is None and recorded is None:
        _record(path, got)
    return path


def _copy(url: str, target: Path, max_bytes: int) -> None:
    from sf_detect.weights import transfer

    parts = urlsplit(url)
    if parts.scheme == "file":
        source = Path(url2pathname(parts.path))
    elif "://" in url:
        raise WeightsDownloadError(f"cannot fetch by {parts.scheme!r}; expected http, https, file or a path")
    else:
        source = Path(url).expanduser()
    try:
        if not source.is_file():
            raise WeightsDownloadError("no such file")
        if source.stat().st_size > max_bytes:
            raise WeightsDownloadError(f"the file has {source.stat().st_size} bytes, expected at most {max_bytes}")
        opened = source.open("rb")
    except OSError as error:
        raise WeightsDownloadError(f"cannot be read: {error.strerror or error}") from error
    transfer.discard(target)
    with opened, transfer.open_part(target) as file:
        shutil.copyfileobj(opened, file, 1 << 20)


@contextmanager
def _progress(url: str, name: str, notify: Notify) -> Iterator[Report]:
    """A bar where somebody watches, a notice at each quarter for a `notify` of the caller's own."""
    notify(f"fetching {name} from {public_url(url)}")
    if notify is print_to_terminal and sys.stderr is not None and sys.stderr.isatty():
        with _bar(name) as report:
            yield report
        return
    told = 0

    def report_quarters(done: int, total: int | None) -> None:
        nonlocal told
        if total and 4 * done // total > told:
            told = 4 * done // total
            notify(f"fetching {name}: {25 * told} % of {total / 1e6:.1f} MB")

    yield report_quarters


@contextmanager
def _bar(name: str) -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(name, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
