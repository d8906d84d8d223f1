"""Batches that are killed, fed with bad files and videos that hang, and run out of disk: see `benchmark_batch`."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bad_videos import BAD, hanging

KILLS, EARLY_KILLS = 20, 4
BAD_SHARE = 0.05
STALL_SECONDS = 20
"""Long enough for a machine that is busy with other things, too."""
_DISK_KB = 30
"""For each video, beside 4.5 MB that annotated videos keep free: too little."""
_SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM)

Command = Sequence[str]


@dataclass(frozen=True)
class Finding:
    """One thing that was tried.

    Attributes:
        what: It.
        found: What happened.
        kept: Whether it is as promised.
    """

    what: str
    found: str
    kept: bool


def way(source: Path, folder: Path, annotate: Command, name: str, options: Sequence[str]) -> Iterator[Finding]:
    """The videos by one way, beside those by the first one, which `kills` compares with too."""
    calm, out = folder / "calm", folder / f"way {name}"
    shutil.rmtree(out, ignore_errors=True)
    code = _run([*annotate, str(source), "--out-dir", str(out), *options])
    if not calm.exists():
        calm.symlink_to(out.name)
    different, files = differences(calm, out)
    states = Counter(rows(out).values())
    beside = "" if calm.resolve() == out.resolve() else f", {different} of them differ from the first way's"
    found = f"exit {code}; {_told(states)}; {files} files{beside}"
    yield Finding(name, found, code == 0 and not different and states.keys() == {"done"})


def kills(source: Path, folder: Path, annotate: Command, seconds: float) -> Iterator[Finding]:
    """Kills a run at random moments, each time goes on, and compares with the undisturbed run in `calm`.

    Some kills strike while models load and the longest videos are under way, the others after random numbers of
    finished videos, over the whole of the work. After so many seconds it stops; the next call goes on there.
    """
    calm, rough, begun = folder / "calm", folder / "rough", time.monotonic()
    command, count = [*annotate, str(source), "--out-dir", str(rough)], len(rows(calm))
    if not count:
        raise SystemExit("the part `kills` compares with what another way leaves; run `workers` first")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, also by commands, in a shell's background
    chance = random.Random(1)
    moments = [0] * EARLY_KILLS + sorted(chance.sample(range(1, count - 1), KILLS - EARLY_KILLS))
    pauses = [chance.uniform(0.0, 0.5 if moment else 4.0 * (number + 1)) for number, moment in enumerate(moments)]
    struck = _Struck(folder / "kills.json")
    while struck.tried < KILLS:
        if time.monotonic() - begun > seconds:
            yield Finding("killed", f"{struck.tried} of {KILLS} so far", False)
            return
        number = struck.tried
        struck.add(_killed(command, rough, moments[number], pauses[number], _SIGNALS[number % len(_SIGNALS)]))
    left = _left_behind()
    code = _run(command)
    different, files = differences(calm, rough)
    found = (
        f"{struck.told()} of {count} videos done; {left} worker(s) alive a second after the last; at the end exit "
        f"{code}, {files} files, {different} of them differ from the undisturbed run's"
    )
    kept = not different and not left and not code and rows(calm) == rows(rough) and None not in struck.found
    yield Finding("killed and resumed", found, kept and not (rough / ".staging").exists())


class _Struck:
    """Which kills were tried, in a file: the signal and how many videos were done, or null where it came too late."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.found: list[tuple[str, int] | None] = json.loads(path.read_text()) if path.exists() else []

    @property
    def tried(self) -> int:
        return len(self.found)

    def add(self, struck: tuple[str, int] | None) -> None:
        self.found.append(struck)
        self._path.write_text(json.dumps(self.found))

    def told(self) -> str:
        real = [struck for struck in self.found if struck is not None]
        done = [count for _, count in real]
        names = _told(Counter(name for name, _ in real))
        return f"{len(real)} of {self.tried} struck ({names}) with {min(done)} to {max(done)}"


def _killed(command: Command, out: Path, moment: int, pause: float, number: signal.Signals) -> tuple[str, int] | None:
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        _wait_until(process, out, moment)
        time.sleep(pause)
        if process.poll() is not None:
            return None
        process.send_signal(number)
        process.wait()
    return number.name, finished(out)


def _wait_until(process: subprocess.Popen[str], out: Path, count: int) -> None:
    """Until the run says that it begins, and so many videos are done."""
    assert process.stderr is not None
    process.stderr.readline()
    threading.Thread(target=process.stderr.read, daemon=True).start()  # or it waits for a reader
    while process.poll() is None and finished(out) < count:
        time.sleep(0.02)


def bad_files(source: Path, folder: Path, annotate: Command) -> Iterator[Finding]:
    """Bad files of all kinds among the clips."""
    target, out = folder / "mixed", folder / "mixed out"
    shutil.rmtree(target, ignore_errors=True)
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True, ignore=lambda place, names: _files(place, source, names))
    clips = sorted(path for path in target.rglob("*.mp4"))
    wanted = max(len(BAD), round(BAD_SHARE * len(clips)))
    for place in range(wanted):
        name, make = list(BAD.items())[place % len(BAD)]
        make(target / f"bad {place:02} {name}.mp4", clips[place % len(clips)])
    code = _run([*annotate, str(target), "--out-dir", str(out)])
    found = rows(out)
    failed = sorted(name for name, state in found.items() if state == "failed")
    damaged = sorted(name for name, state in found.items() if name.startswith("bad ") and state == "done")
    good = sum(not name.startswith("bad ") for name in failed)
    orphans = {name for name in contents(out) if any(each in name for each in failed)}
    yield Finding(
        f"{wanted} bad files of {len(BAD)} kinds among {len(clips)}",
        f"exit {code}; {len(failed)} failed, {good} good ones among them, {len(orphans)} files of failed ones; a part "
        f"of {len(damaged)} decodes and was annotated ({', '.join(damaged) or 'none'})",
        code == 3 and not good and len(failed) + len(damaged) == wanted and not orphans,
    )
    for name, reason in sorted(_reasons(out).items())[: len(BAD)]:
        yield Finding(name, reason, bool(reason))
    again = _run([*annotate, str(target), "--out-dir", str(out), "--retry-failed"])
    retried = json.loads((out / "summary.json").read_text())
    found_again = f"exit {again}; {retried['failed']} failed again, {retried['done']} were done again"
    yield Finding("--retry-failed", found_again, (again, retried["failed"], retried["done"]) == (3, len(failed), 0))


def _files(place: str, source: Path, names: list[str]) -> list[str]:
    """Those at the top, which are the long videos."""
    return [name for name in names if Path(place) == source and Path(place, name).is_file()]


def full_disk(source: Path, folder: Path, annotate: Command) -> Iterator[Finding]:
    """A disk that is too small, and made larger."""
    disk = folder / "disk"
    disk.mkdir(exist_ok=True)
    size = 4500 + _DISK_KB * sum(1 for _ in source.rglob("*.mp4"))
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(disk)], check=False).returncode:
        yield Finding("full disk", "not tried: a small disk needs root (mount -t tmpfs)", True)
        return
    try:
        command = [*annotate, str(source), "--out-dir", str(disk / "out"), "--format", "jsonl,video"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        before, count = contents(disk / "out"), finished(disk / "out")
        told = [line for line in done.stderr.splitlines() if "disk is full" in line or "space" in line]
        yield Finding(
            f"disk of {size / 1000:.1f} MB",
            f"exit {done.returncode}, {count} videos done; {told[-1:]}",
            done.returncode == 1 and bool(told) and "Traceback" not in done.stderr and count > 0,
        )
        subprocess.run(["mount", "-o", "remount,size=4g", str(disk)], check=True)
        code, listed = _run(command), sum(1 for _ in source.rglob("*.mp4"))
        after = contents(disk / "out")
        kept = sum(after.get(name) == known for name, known in before.items())
        found = f"exit {code}, {finished(disk / 'out')} videos done, {kept} of {len(before)} files from before kept"
        whole = (code, finished(disk / "out"), kept) == (0, listed, len(before))
        yield Finding("the same command on a larger disk", found, whole)
    finally:
        subprocess.run(["umount", str(disk)], check=False)


def hangs(source: Path, folder: Path, annotate: Command) -> Iterator[Finding]:
    """A file in which the decoder searches for hours, and a server that does not answer, among good clips."""
    target, out = folder / "hangs", folder / "hangs out"
    shutil.rmtree(target, ignore_errors=True)
    shutil.rmtree(out, ignore_errors=True)
    target.mkdir()
    clips = sorted(source.glob("*/*.mp4"))[:4]
    for clip in clips:
        shutil.copy(clip, target / clip.name)
    hanging(target / "hangs.mpg", clips[0])
    with _silent_server() as port:
        start = time.perf_counter()
        # Addresses need the extra `remote`.
        address = [f"http://127.0.0.1:{port}/hangs.mp4"] if find_spec("aiohttp") is not None else []
        command = [*annotate, str(target), *address, "--out-dir", str(out), "--stall-timeout", str(STALL_SECONDS)]
        code = _run(command)
        took = time.perf_counter() - start
    (target / "hangs.mpg").unlink()
    states, expected = Counter(rows(out).values()), {"done": len(clips), "failed": 1 + len(address)}
    found = f"exit {code} after {took:.0f} s; {_told(states)}"
    yield Finding("a decoder" + " and a server" * len(address) + " that hangs", found, (code, states) == (3, expected))
    for name, reason in _reasons(out).items():
        yield Finding(name, reason, f"{STALL_SECONDS} s" in reason)


@contextlib.contextmanager
def _silent_server() -> Iterator[int]:
    """Takes connections, and never answers what is asked."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    kept.append(connection)
                    if connection.recv(4096).startswith(b"HEAD"):
                        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                        connection.close()

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        for connection in kept:
            connection.close()


def contents(folder: Path) -> dict[str, str]:
    """Hash of every result; manifest and summary hold times."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.parent != folder]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def differences(calm: Path, other: Path) -> tuple[int, int]:
    """Files that differ or are in one folder only, and files in all."""
    good, found = contents(calm), contents(other)
    names = good.keys() | found.keys()
    return sum(good.get(name) != found.get(name) for name in names), len(names)


def rows(folder: Path) -> dict[str, str]:
    """State of each video; none where nothing was written."""
    if not (folder / "manifest.csv").exists():
        return {}
    with open(folder / "manifest.csv", newline="") as file:
        return {row["name"]: row["state"] for row in csv.DictReader(file)}


def _reasons(folder: Path) -> dict[str, str]:
    return dict(json.loads((folder / "summary.json").read_text())["failures"])


def finished(folder: Path) -> int:
    """Videos that are done."""
    return sum(name.endswith(".jsonl") for _, _, names in os.walk(folder / "jsonl") for name in names)


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


def _left_behind() -> int:
    """Worker processes of killed runs that live a second later; they end when a pipe does."""
    time.sleep(1.0)
    found = subprocess.run(["ps", "-eo", "ppid,args"], capture_output=True, text=True, check=True).stdout
    return sum("multiprocessing.spawn" in line and line.split()[0] == "1" for line in found.splitlines())


def _run(command: Command) -> int:
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode
