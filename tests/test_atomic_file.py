"""Outputs take their names when complete; links stay, permissions follow the umask, one writer at a time."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sf_detect.atomic_file import AtomicFile, atomic_file, atomic_path, create_beside, write_text
from sf_detect.file_names import MAX_BYTES
from sf_detect.output_lock import OutputLock

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX permissions and names")


@pytest.fixture
def umask():
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_has_its_name_only_when_it_is_complete(tmp_path):
    path = tmp_path / "a.bin"
    output = AtomicFile(path)
    output.file.write(b"12")
    assert not path.exists()
    output.commit()
    assert path.read_bytes() == b"12"
    output.discard()
    assert names(path.parent) == ["a.bin"]


@pytest.mark.parametrize("kind", [atomic_file, atomic_path])
def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path, kind):
    path = tmp_path / "a"
    write_text(path, "old")
    with pytest.raises(KeyboardInterrupt), kind(path):
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a"]


@posix
@pytest.mark.parametrize(("mask", "expected"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_follow_the_umask(tmp_path, umask, mask, expected):
    umask(mask)
    write_text(tmp_path / "a", "x")
    with atomic_path(tmp_path / "b") as part:  # a library that puts a private file in its place, as safetensors does
        os.replace(create_private(tmp_path / "c"), part)
    assert (mode(tmp_path / "a"), mode(tmp_path / "b")) == (expected, expected)


def create_private(path: Path) -> Path:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    return path


@posix
def test_a_replaced_file_keeps_its_permissions(tmp_path, umask):
    umask(0o022)
    write_text(tmp_path / "a", "x")
    (tmp_path / "a").chmod(0o640)
    write_text(tmp_path / "a", "y")
    assert (mode(tmp_path / "a"), (tmp_path / "a").read_text()) == (0o640, "y")


@posix
@pytest.mark.parametrize("exists", [True, False])
def test_a_symbolic_link_stays_and_its_target_is_replaced(tmp_path, exists):
    (tmp_path / "far").mkdir()
    target = tmp_path / "far" / "real"
    if exists:
        target.write_text("old")
    (tmp_path / "far" / "second").symlink_to("real")
    (tmp_path / "link").symlink_to(Path("far") / "second")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "far" / "second").is_symlink()
    assert target.read_text() == "new"
    assert names(tmp_path / "far") == ["real", "second"]


@posix
def test_what_is_no_file_is_left_alone(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to(os.devnull)
    (tmp_path / "circle").symlink_to("circle")
    for name, number in (("pipe", errno.EINVAL), ("null", errno.EINVAL), ("circle", errno.ELOOP), (".", errno.EISDIR)):
        with pytest.raises(OSError, match=r"device or a pipe|go round|directory") as error:
            AtomicFile(tmp_path / name)
        assert error.value.errno == number
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    assert names(tmp_path) == ["circle", "null", "pipe"]


@pytest.mark.parametrize("name", ["語" * 80, "é" * 120 + ".mp4", "n" * 255, "x" * 250 + ".json"])
def test_long_names_fit_with_their_temporary_names(tmp_path, name):
    output = AtomicFile(tmp_path / name)
    for present in os.listdir(os.fsencode(tmp_path)):
        assert len(present) <= MAX_BYTES
        present.decode()  # cut between characters
    output.commit()
    assert names(tmp_path) == [name]


@posix
def test_names_that_are_no_utf8(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    write_text(path, "x")
    assert os.listdir(os.fsencode(tmp_path)) == [b"caf\xe9.mp4"]


def test_a_name_that_is_too_long_is_refused_at_once(tmp_path):
    with pytest.raises(OSError, match="too long"):
        AtomicFile(tmp_path / ("n" * 256))
    assert names(tmp_path) == []


def test_temporary_names_differ_and_never_open_what_is_there(tmp_path, monkeypatch):
    parts = set()
    for _ in range(20):
        handle, part = create_beside(tmp_path / "a")
        os.close(handle)
        parts.add(part.name)
    assert len(parts) == 20
    monkeypatch.setattr("secrets.token_hex", lambda size: "f00")
    (tmp_path / ".a.f00.part").symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError):
        create_beside(tmp_path / "a")
    with pytest.raises(FileExistsError):
        AtomicFile(tmp_path / "a")
    assert not (tmp_path / "victim").exists()
    assert not (tmp_path / ".a.lock").exists()


def test_a_second_writer_is_refused_until_the_first_has_ended(tmp_path):
    first = AtomicFile(tmp_path / "a")
    for name in ("a", "link"):
        if name == "link":
            if os.name != "posix":
                continue
            (tmp_path / name).symlink_to("a")
        with pytest.raises(BlockingIOError, match="another run is writing it"):
            AtomicFile(tmp_path / name)
    first.file.write(b"1")
    first.commit()
    with atomic_file(tmp_path / "a") as file:
        file.write(b"2")
    assert (tmp_path / "a").read_bytes() == b"2"


def test_a_writer_in_another_process_is_refused(tmp_path):
    code = "import sys; from sf_detect.atomic_file import write_text; write_text(sys.argv[1], 'theirs')"
    first = AtomicFile(tmp_path / "a")
    arguments = [sys.executable, "-c", code, str(tmp_path / "a")]
    second = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert "another run is writing it" in second.stderr
    first.discard()
    subprocess.run(arguments, check=True)
    assert (tmp_path / "a").read_text() == "theirs"


def test_a_lock_that_a_killed_process_left_is_taken_over(tmp_path):
    (tmp_path / ".a.lock").touch()
    write_text(tmp_path / "a", "x")
    assert names(tmp_path) == ["a"]


def test_a_users_own_file_with_the_name_of_a_lock_stays(tmp_path):
    (tmp_path / ".a.lock").write_text("mine")
    write_text(tmp_path / "a", "x")
    assert (tmp_path / ".a.lock").read_text() == "mine"


@posix
def test_a_lock_does_not_follow_a_link(tmp_path):
    (tmp_path / ".a.lock").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match=r"symbolic link|Too many levels"):
        AtomicFile(tmp_path / "a")
    assert not (tmp_path / "victim").exists()


@posix
def test_without_locks_of_the_file_system_work_goes_on(tmp_path, monkeypatch):
    def none(handle):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("sf_detect.output_lock._lock", none)
    write_text(tmp_path / "a", "x")
    assert names(tmp_path) == ["a"]


def test_many_writers_at_once_never_share_a_lock(tmp_path):
    held, most, guard = [], [], threading.Lock()

    def work():
        for _ in range(100):
            try:
                lock = OutputLock(tmp_path / "a")
            except BlockingIOError:
                continue
            with guard:
                held.append(1)
                most.append(len(held))
            with guard:
                held.pop()
            lock.release()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most) == {1}
    assert names(tmp_path) == []
