"""The weights cache: hashes, damage, concurrency, folders that cannot be used."""

from __future__ import annotations

import hashlib
import sys
import threading
from pathlib import Path

import pytest

from sf_detect.errors import WeightsError, WeightsHashError
from sf_detect.weights import cache

DATA = b"weights" * 1000
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def obtain(data: bytes = DATA, notices: list[str] | None = None, calls: list[Path] | None = None) -> Path:
    def fetch(target: Path) -> None:
        if calls is not None:
            calls.append(target)
        target.write_bytes(data)

    return cache.obtain("w.bin", DIGEST, fetch, (notices if notices is not None else []).append)


def test_fetches_once(folder: Path) -> None:
    calls: list[Path] = []
    first, second = obtain(calls=calls), obtain(calls=calls)
    assert first == second == folder / "w.bin"
    assert first.read_bytes() == DATA
    assert len(calls) == 1
    assert [path.name for path in folder.iterdir()] == ["w.bin"]


def test_a_damaged_file_is_noticed_removed_and_fetched_again(folder: Path) -> None:
    path = obtain()
    path.write_bytes(DATA[:-1] + b"X")
    notices: list[str] = []
    assert obtain(notices=notices).read_bytes() == DATA
    assert len(notices) == 1
    assert "damaged" in notices[0]


def test_wrong_bytes_are_not_stored(folder: Path) -> None:
    with pytest.raises(WeightsHashError, match=f"expected {DIGEST}"):
        obtain(b"other")
    assert list(folder.iterdir()) == []


def test_a_failed_fetch_leaves_nothing(folder: Path) -> None:
    def fetch(target: Path) -> None:
        target.write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.obtain("w.bin", DIGEST, fetch)
    assert list(folder.iterdir()) == []


def test_fetching_at_once_ends_with_one_whole_file(folder: Path) -> None:
    barrier = threading.Barrier(4)
    results: list[bytes] = []

    def fetch(target: Path) -> None:
        barrier.wait(10)  # nobody has finished when everybody starts writing
        target.write_bytes(DATA)

    def work() -> None:
        results.append(cache.obtain("w.bin", DIGEST, fetch).read_bytes())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert results == [DATA] * 4
    assert [path.name for path in folder.iterdir()] == ["w.bin"]


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocker = tmp_path / "file"
    blocker.write_bytes(b"")
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(blocker / "cache"))
    with pytest.raises(WeightsError, match=f"set {cache.CACHE_VARIABLE} to one") as caught:
        obtain()
    assert str(blocker / "cache") in str(caught.value)


def test_a_full_disk_is_reported(folder: Path) -> None:
    def fetch(target: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(WeightsError, match="No space left on device"):
        cache.obtain("w.bin", DIGEST, fetch)
    assert list(folder.iterdir()) == []


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(cache.CACHE_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache.cache_directory() == tmp_path / "sf_detect"
    monkeypatch.setattr(sys, "platform", "win32")
    assert cache.cache_directory() == tmp_path / "sf_detect" / "Cache"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache.cache_directory() == Path.home() / "Library" / "Caches" / "sf_detect"
    monkeypatch.setenv(cache.CACHE_VARIABLE, "~/elsewhere")
    assert cache.cache_directory() == Path.home() / "elsewhere"


@pytest.mark.parametrize("terminal", [True, False])
def test_notices_go_to_terminals_only(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    cache.print_to_terminal("fetching")
    assert capsys.readouterr().err == ("fetching\n" if terminal else "")
