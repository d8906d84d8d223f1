"""One HTTP download into one file: resumed where it broke off, tried again, checked for truncation and web pages.

A transfer that fails leaves what it got, with a note beside it that says which address and which version of the file
it came from. The next one asks the server for the rest of that same version, and starts over where the server has
another one or answers no ranges. What is continued is a plain file of this user's own; links are never followed. No
more is taken than the caller allows, whatever the server says about sizes. A redirect from https to http is refused:
it would give up what https was for.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urljoin

import requests
from requests import Response
from requests import exceptions as failures

from sf_detect.atomic_file import write_text
from sf_detect.errors import WeightsDownloadError
from sf_detect.redaction import encoded_url, redacted
from sf_detect.version import __version__

Report = Callable[[int, "int | None"], None]
"""Receives the bytes there are and, where the server told, all there will be."""

TRIES = 4
"""Failures in a row, without getting further, after which an address is given up."""

_OPEN = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)

_CONNECT_SECONDS, _READ_SECONDS = 10.0, 30.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_BLOCK = 1 << 16
_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_PAGES = (b"<!doctype", b"<html", b"<head", b"<?xml", b"<!--", b"version https://git-lfs")
_NO_FILES = {"text/html", "application/xhtml+xml", "application/json"}
_HEADERS = {
    "User-Agent": f"sf_detect/{__version__}",
    "Accept-Encoding": "identity",  # lengths and ranges must count the file's own bytes
}


class _InterruptedError(Exception):
    """A failure that another try may not meet."""

    def __init__(self, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.pause = pause


class _Session(requests.Session):
    def get_redirect_target(self, resp: Response) -> str | None:
        target = super().get_redirect_target(resp)
        if target is not None and resp.url.startswith("https:"):
            absolute = urljoin(resp.url, target)
            if not absolute.startswith("https:"):
                raise WeightsDownloadError(f"redirects to {absolute}, which is not https; refused")
        return target


def download(url: str, target: Path, report: Report, max_bytes: int) -> None:
    """Fetches a file, going on with what an earlier call left in `target`.

    Args:
        url: http or https.
        target: Where to write; a note is kept in `note_of(target)` until the file is complete.
        report: Called after every block.
        max_bytes: A longer file is refused, at once where the server tells its size.

    Raises:
        WeightsDownloadError: The address was given up; the message is only the reason.
        OSError: `target` cannot be written.
    """
    furthest, count = 0, 0
    with _Session() as session:
        session.max_redirects = 10
        session.headers.update(_HEADERS)
        while True:
            try:
                _attempt(session, url, target, report, max_bytes)
            except _InterruptedError as error:
                size = _size(target)
                count = 1 if size > furthest else count + 1
                furthest = max(furthest, size)
                if count >= TRIES:
                    raise WeightsDownloadError(f"{error} (tried {TRIES} times)") from error
                pause = _FIRST_PAUSE * 2 ** (count - 1) if error.pause is None else error.pause
                time.sleep(min(pause, _LONGEST_PAUSE))
            else:
                note_of(target).unlink(missing_ok=True)
                return


def note_of(target: Path) -> Path:
    """The file beside an incomplete download that says where it came from."""
    return target.with_name(target.name + ".json")


def discard(target: Path) -> None:
    """Removes an incomplete download and its note."""
    target.unlink(missing_ok=True)
    note_of(target).unlink(missing_ok=True)


def is_own(path: Path) -> bool:
    """Whether an incomplete download may be continued: a plain file of this user, under no other name."""
    try:
        found = path.lstat()
    except OSError:
        return False
    own = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
    return stat.S_ISREG(found.st_mode) and own and found.st_nlink == 1


def _attempt(session: requests.Session, url: str, target: Path, report: Report, max_bytes: int) -> None:
    start, note = _size(target), _read_note(target, url)
    if note is None or not start or start > max_bytes or not is_own(target):
        discard(target)
        start, note = 0, None
    elif start == note["total"]:
        return  # complete; only the renaming did not happen
    asked = {"Range": f"bytes={start}-", "If-Range": str(note["validator"])} if note else {}
    try:
        with session.get(
            encoded_url(url), headers=asked, stream=True, timeout=(_CONNECT_SECONDS, _READ_SECONDS)
        ) as response:
            _require_success(response, target)
            start = start if note and _continues(response, start, note, target) else 0
            total = _write_note(response, url, target, start, max_bytes)
            _receive(response, target, start, total, report, max_bytes)
    except (failures.SSLError, failures.InvalidProxyURL) as error:
        raise WeightsDownloadError(f"no secure connection: {_cause(error, url)}") from None
    except failures.Timeout as error:
        raise _InterruptedError(f"no answer in time: {_cause(error, url)}") from None
    except (failures.ConnectionError, failures.ChunkedEncodingError) as error:
        raise _InterruptedError(f"the connection failed: {_cause(error, url)}") from None
    except (failures.RequestException, UnicodeError) as error:  # malformed addresses, too many redirects
        raise WeightsDownloadError(f"cannot be asked for: {_cause(error, url)}") from None


def _require_success(response: Response, target: Path) -> None:
    code = response.status_code
    if code == 416:  # what is there does not belong to the file; without it, the next try asks for all
        discard(target)
        raise _InterruptedError("the server refused to continue the download", pause=0.0)
    if code in _TRY_AGAIN:
        wait = response.headers.get("Retry-After", "")
        raise _InterruptedError(
            f"the server answered {code} {response.reason}", float(wait) if wait.isdigit() else None
        )
    if code not in (200, 206):
        raise WeightsDownloadError(f"the server answered {code} {response.reason}")
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind in _NO_FILES:  # an error or log-in page under the status of a success
        raise WeightsDownloadError(f"the server sent {kind}, not weights")
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise WeightsDownloadError(f"the server sent the file encoded as {encoding}, which was not asked for")


def _continues(response: Response, start: int, note: dict[str, object], target: Path) -> bool:
    """Whether the answer goes on exactly where the earlier bytes end, in the same version of the file."""
    if response.status_code != 206:
        return False  # all of it, from the beginning
    tags = {response.headers.get("ETag"), response.headers.get("Last-Modified")} - {None}
    span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    if (
        span is None
        or [int(n) for n in span.groups()] != [start, note["total"]]
        or (tags and note["validator"] not in tags)
    ):
        discard(target)
        raise _InterruptedError("the server continued another file than was begun", pause=0.0)
    return True


def _total(response: Response, start: int) -> int | None:
    length = response.headers.get("Content-Length", "")
    return start + int(length) if length.isdigit() else None


def _write_note(response: Response, url: str, target: Path, start: int, max_bytes: int) -> int | None:
    """Notes what is being received, if it could be continued later; returns its full size where the server tells."""
    if response.status_code == 206 and not start:
        raise WeightsDownloadError("the server sent a part of the file where all of it was asked for")
    total = _total(response, start)
    if total is not None and total > max_bytes:
        discard(target)
        raise _too_long(f"has {total} bytes", max_bytes)
    tag = response.headers.get("ETag", "")
    validator = response.headers.get("Last-Modified") if not tag or tag.startswith("W/") else tag
    if validator and total is not None:
        # Not the address itself, which may hold a password.
        write_text(note_of(target), json.dumps({"url": _digest(url), "validator": validator, "total": total}))
    else:
        note_of(target).unlink(missing_ok=True)
    return total


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()


def _too_long(found: str, max_bytes: int) -> WeightsDownloadError:
    return WeightsDownloadError(
        f"the file {found}, expected at most {max_bytes}; it is not what was published under this name"
    )


def _read_note(target: Path, url: str) -> dict[str, object] | None:
    try:
        note = json.loads(note_of(target).read_text())
    except (OSError, ValueError):
        return None
    good = isinstance(note, dict) and note.get("url") == _digest(url) and {"validator", "total"} <= set(note)
    return note if good else None


def open_part(target: Path, start: int = 0) -> BinaryIO:
    """Opens an incomplete download behind its first `start` bytes, or a new one; follows no link."""
    if not start:
        target.unlink(missing_ok=True)
    handle = os.open(target, _OPEN | (0 if start else os.O_EXCL), 0o666)
    file = os.fdopen(handle, "wb")
    file.truncate(start)
    file.seek(start)
    return file


def _receive(response: Response, target: Path, start: int, total: int | None, report: Report, max_bytes: int) -> None:
    done = start
    with open_part(target, start) as file:
        for block in response.iter_content(_BLOCK):
            if done == 0 and block.lstrip()[:32].lower().startswith(_PAGES):
                discard(target)
                raise WeightsDownloadError("the server sent a web page or a pointer, not weights")
            if done + len(block) > max_bytes:
                discard(target)
                raise _too_long("goes on", max_bytes)
            file.write(block)
            done += len(block)
            report(done, total)
    if done == 0:
        discard(target)
        raise WeightsDownloadError("the server sent an empty file")
    if total is not None and done < total:
        raise _InterruptedError(f"the connection ended after {done} of {total} bytes")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _cause(error: BaseException, url: str) -> str:
    """The innermost reason, without the wrapping of the libraries in between, and without what the address holds.

    The error itself is not chained to ours: tracebacks would show the address with its password.
    """
    inner: object = error
    while isinstance(inner, BaseException):
        reason = getattr(inner, "reason", None) or next((a for a in inner.args if isinstance(a, BaseException)), None)
        if reason is None or reason is inner:
            break
        inner = reason
    return redacted(str(inner).split(">: ", 1)[-1], url) or type(inner).__name__
