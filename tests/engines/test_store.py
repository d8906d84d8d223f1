"""What is kept from one start to the next is used only if it is what it should be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sf_detect.engines import EngineStore, store

FACTS = {"weights": "abc", "version": "1"}
CONTENT = bytes(range(256)) * 40


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def kept(tmp_path: Path, warnings: list[str]) -> EngineStore:
    made = EngineStore(tmp_path / "engines", warnings.append)
    made.save("net", FACTS, CONTENT)
    return made


def entry(tmp_path: Path) -> Path:
    (path,) = (tmp_path / "engines").iterdir()
    return path


def test_what_was_saved_is_loaded(kept: EngineStore, warnings: list[str]) -> None:
    assert kept.load("net", FACTS) == CONTENT
    assert not warnings


def test_nothing_is_there_for_other_facts_or_names(kept: EngineStore, warnings: list[str]) -> None:
    assert kept.load("net", {**FACTS, "version": "2"}) is None
    assert kept.load("net", {"weights": "abc"}) is None
    assert kept.load("other", FACTS) is None
    assert not warnings


@pytest.mark.parametrize("place", [0, 5, 60, 200, -CONTENT.__len__() + 10, -1])
def test_a_flipped_byte_is_noticed(kept: EngineStore, warnings: list[str], tmp_path: Path, place: int) -> None:
    path = entry(tmp_path)
    damaged = bytearray(path.read_bytes())
    damaged[place] ^= 1
    path.write_bytes(damaged)
    assert kept.load("net", FACTS) is None
    assert "is damaged or not what its name says. It is made anew." in warnings[0]
    kept.save("net", FACTS, CONTENT)
    assert kept.load("net", FACTS) == CONTENT


@pytest.mark.parametrize(
    "change", [lambda b: b"", lambda b: b[:-1], lambda b: b + b"x", lambda b: b"{}\n" + b, lambda b: b"\xff" * 99]
)
def test_another_file_is_noticed(kept: EngineStore, warnings: list[str], tmp_path: Path, change) -> None:
    path = entry(tmp_path)
    path.write_bytes(change(path.read_bytes()))
    assert kept.load("net", FACTS) is None
    assert len(warnings) == 1


def test_an_entry_of_other_facts_under_this_name_is_noticed(
    kept: EngineStore, warnings: list[str], tmp_path: Path
) -> None:
    path = entry(tmp_path)
    other = {**FACTS, "version": "0"}
    kept.save("net", other, CONTENT)
    (older,) = (p for p in path.parent.iterdir() if p != path)
    older.replace(path)
    assert kept.load("net", FACTS) is None
    assert "not what its name says" in warnings[0]


def test_a_huge_file_is_not_read(kept: EngineStore, warnings: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_MOST_BYTES", 100)
    assert kept.load("net", FACTS) is None
    assert "more than any network" in warnings[0]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
def test_what_others_could_have_written_is_not_used(kept: EngineStore, warnings: list[str], tmp_path: Path) -> None:
    entry(tmp_path).chmod(0o666)
    assert kept.load("net", FACTS) is None
    assert "others may write to it" in warnings[0]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
def test_what_another_user_has_written_is_not_used(
    kept: EngineStore, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    monkeypatch.setattr(store, "_ROOT", me + 2)
    assert kept.load("net", FACTS) is None
    assert "belongs to another user" in warnings[0]


def test_without_a_folder_nothing_fails(tmp_path: Path, warnings: list[str]) -> None:
    (tmp_path / "file").write_text("not a folder")
    made = EngineStore(tmp_path / "file" / "engines", warnings.append)
    made.save("net", FACTS, CONTENT)
    assert "can't be kept in" in warnings[0]
    assert "SF_DETECT_CACHE" in warnings[0]
    assert made.load("net", FACTS) is None


def test_nothing_but_entries_is_left(kept: EngineStore, tmp_path: Path) -> None:
    for version in range(20):
        kept.save("net", {"version": str(version)}, CONTENT)
        os.utime(next((tmp_path / "engines").glob("*.engine")))
    kept.save("network", {"version": "0"}, CONTENT)
    names = sorted(path.name.partition("-")[0] for path in (tmp_path / "engines").iterdir())
    assert names == ["net"] * 8 + ["network"]


def test_what_is_used_stays(kept: EngineStore, tmp_path: Path) -> None:
    os.utime(entry(tmp_path), (1, 1))
    for version in range(12):
        assert kept.load("net", FACTS) == CONTENT
        kept.save("net", {"version": str(version)}, CONTENT)
        for path in (tmp_path / "engines").iterdir():
            os.utime(path, (path.stat().st_mtime - 10,) * 2)
