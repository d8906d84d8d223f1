"""Batches that are killed, fed with bad files, and run out of disk: see `benchmark_batch`."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bad_videos import BAD

KILLS = 20
BAD_SHARE = 0.05
_DISK_KB = 30
"""For each video, beside 4.5 MB that annotated videos keep free: too little."""

Command = Sequence[str]


def kills(source: Path, folder: Path, annotate: Command) -> bool:
    """Kills a run at random moments, each time goes on, and compares with an undisturbed run."""
    calm, rough = folder / "calm", folder / "rough"
    first, whole = _calm_run([*annotate, str(source), "--out-dir", str(calm)], calm)
    chance, most = random.Random(1), 0
    for _ in range(KILLS):
        process = subprocess.Popen([*annotate, str(source), "--out-dir", str(rough)], stderr=subprocess.DEVNULL)
        # While the models load, or after about a share of the work.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0.3 * first, first + 2.0 * (whole - first) / KILLS))
        process.send_signal(chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM]))
        process.wait()
        most = max(most, _finished(rough))
    left = _left_behind()
    _run([*annotate, str(source), "--out-dir", str(rough)])
    good, other = contents(calm), contents(rough)
    different = [name for name in good.keys() | other.keys() if good.get(name) != other.get(name)]
    print(f"killed {KILLS} times, {most} videos were done before the last go; {len(good)} files, ", end="")
    print(f"{len(different)} differ from the undisturbed run{': ' + different[0] if different else ''}; ", end="")
    print(f"{left} worker(s) alive a second after the last kill", flush=True)
    return not different and not left and rows(calm) == rows(rough)


def _calm_run(command: Command, out: Path) -> tuple[float, float]:
    """Seconds to the first result, and in all."""
    start, first = time.perf_counter(), 0.0
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            if not first and _finished(out):
                first = time.perf_counter() - start
            time.sleep(0.05)
    whole = time.perf_counter() - start
    return first or whole, whole


def faults(source: Path, folder: Path, annotate: Command) -> bool:
    """Bad files, a full disk, a server that hangs."""
    return all([_bad_files(source, folder, annotate), _full_disk(source, folder, annotate), _hanging(folder, annotate)])


def _bad_files(source: Path, folder: Path, annotate: Command) -> bool:
    target = folder / "mixed"
    shutil.copytree(source, target, symlinks=True)
    clips = sorted(path for path in target.rglob("*.mp4"))
    wanted = max(len(BAD), round(BAD_SHARE * len(clips)))
    for place in range(wanted):
        name, make = list(BAD.items())[place % len(BAD)]
        make(target / f"bad {place} {name}.mp4", clips[place % len(clips)])
    code = _run([*annotate, str(target), "--out-dir", str(folder / "mixed out")])
    found = rows(folder / "mixed out")
    failed = {name for name, state in found.items() if state == "failed"}
    orphans = {Path(name).name for name in contents(folder / "mixed out") if Path(name).name.startswith("bad ")}
    done_bad = [name for name, state in found.items() if name.startswith("bad ") and state == "done"]
    print(f"{wanted} bad files of {len(BAD)} kinds among {len(clips)}: {len(failed)} failed, exit {code}; ", end="")
    print(f"good ones that failed: {sum(not name.startswith('bad ') for name in failed)}; ", end="")
    print(f"bad ones of which a part decodes: {len(done_bad)} {done_bad[:2]}", flush=True)
    for name, reason in _reasons(folder / "mixed out")[: len(BAD)]:
        print(f"    {name}: {reason}")
    good_failed = any(not name.startswith("bad ") for name in failed)
    return code == 3 and not good_failed and len(failed) + len(done_bad) == wanted and len(orphans) <= len(done_bad) * 5


def _full_disk(source: Path, folder: Path, annotate: Command) -> bool:
    disk = folder / "disk"
    disk.mkdir()
    size = 4500 + _DISK_KB * sum(1 for _ in source.rglob("*.mp4"))
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(disk)], check=False).returncode:
        print("full disk: not tried, a small disk needs root (mount -t tmpfs)", flush=True)
        return True
    try:
        command = [*annotate, str(source), "--out-dir", str(disk / "out"), "--format", "jsonl,video"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        before = rows(disk / "out") if (disk / "out" / "manifest.csv").exists() else {}
        finished = _finished(disk / "out")
        told = [line for line in done.stderr.splitlines() if "disk is full" in line or "space" in line]
        print(f"full disk of {size} KB: exit {done.returncode}, {finished} of {len(before)} done; {told[-1:]}")
        subprocess.run(["mount", "-o", "remount,size=2g", str(disk)], check=True)
        code = _run(command)
        print(f"    with more space: exit {code}, {_finished(disk / 'out')} done", flush=True)
        return done.returncode == 1 and bool(told) and code == 0 and "Traceback" not in done.stderr
    finally:
        subprocess.run(["umount", str(disk)], check=False)


def _hanging(folder: Path, annotate: Command) -> bool:
    with _silent_server() as port:
        start = time.perf_counter()
        command = [*annotate, f"http://127.0.0.1:{port}/hangs.mp4", "--out-dir", str(folder / "hanging")]
        code = _run([*command, "--stall-timeout", "5"])
        (state,) = rows(folder / "hanging").values()
        took = time.perf_counter() - start
    print(f"a source that hangs: {state} after {took:.0f} s, exit {code}: {_reasons(folder / 'hanging')}", flush=True)
    return (state, code) == ("failed", 3)


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


def rows(folder: Path) -> dict[str, str]:
    """State of each video."""
    with open(folder / "manifest.csv", newline="") as file:
        return {row["name"]: row["state"] for row in csv.DictReader(file)}


def _reasons(folder: Path) -> list[tuple[str, str]]:
    return list(json.loads((folder / "summary.json").read_text())["failures"].items())


def _finished(folder: Path) -> int:
    return sum(1 for path in (folder / "jsonl").rglob("*.jsonl")) if (folder / "jsonl").exists() else 0


def _left_behind() -> int:
    """Worker processes of killed runs that live a second later; they end when a pipe does."""
    time.sleep(1.0)
    found = subprocess.run(["ps", "-eo", "ppid,args"], capture_output=True, text=True, check=True).stdout
    return sum("multiprocessing.spawn" in line and line.split()[0] == "1" for line in found.splitlines())


def _run(command: Command) -> int:
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode
