"""Ctrl-C, SIGTERM and SIGHUP: outputs complete, nothing hidden left, the exit code of the signal."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from sf_detect.commands.interruption import Interruption
from synthetic_video import write_video

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals"),
    pytest.mark.usefixtures("signals_arrive"),
]

# The command with fakes for the networks, and with sources that would wait far longer than the test.
_CHILD = """
import sys
sys.path[:0] = [{tests!r}]
from fakes import FakeDetector
from test_cli import FakePredictor
from sf_detect import build, cli
from sf_detect.video import sources
build.build_predictor = lambda *_: FakePredictor()
build.build_detector = lambda *_: FakeDetector()
sources._READ_TIMEOUT_S = sources._OPEN_TIMEOUT_S = 600.0
sources.StreamSource.__init__.__defaults__ = (600.0, 600.0)
{more}
cli.main()
"""
_TESTS = str(Path(__file__).parent.parent)


@contextlib.contextmanager
def stalling_server(content: bytes) -> Iterator[str]:
    """Serves `content` as the beginning of a longer file, then sends nothing more and keeps the connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()
    connections = []

    def serve() -> None:
        while not ended.is_set():
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                connections.append(connection)
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n" + content)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/live.ts"
    finally:
        ended.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        for closed in (listener, *connections):
            closed.close()
        thread.join(10)


def start(folder: Path, *arguments: str, more: str = "", **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _CHILD.format(tests=_TESTS, more=more), *arguments]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)


def wait_for_a_line(process: subprocess.Popen[str], folder: Path) -> None:
    while not any(part.stat().st_size for part in folder.glob("o.jsonl.*.part")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("signals", "code"),
    [
        ([signal.SIGINT], 130),
        ([signal.SIGTERM], 143),
        ([signal.SIGHUP], 129),
        ([signal.SIGINT, signal.SIGINT, signal.SIGINT], 130),
    ],
    ids=lambda value: "+".join(s.name for s in value) if isinstance(value, list) else str(value),
)
def test_a_stalled_source_still_gives_whole_outputs(tmp_path, signals, code):
    content = write_video(tmp_path / "in.ts", num_frames=90, options={"g": "15"}).read_bytes()
    outputs = ("--out-video", "o.mp4", "--out-jsonl", "o.jsonl", "--out-csv", "o.csv")
    with stalling_server(content) as url:
        process = start(tmp_path, "run", url, *outputs)
        wait_for_a_line(process, tmp_path)
        for number in signals:
            process.send_signal(number)
        printed = process.communicate(timeout=60)[1]
    assert process.returncode == code, printed
    assert "Traceback" not in printed
    assert "interrupted: the outputs are complete up to here" in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.ts", "o.csv", "o.jsonl", "o.mp4"]
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) > 0
    assert [json.loads(line)["frame"] for line in (tmp_path / "o.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("arguments", [("run",), ("classify",)])
def test_a_source_that_stalls_while_it_is_opened(tmp_path, arguments):
    with stalling_server(b"") as url:
        process = start(tmp_path, *arguments, url, more="print('begun', flush=True)")
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.5)  # where the signal strikes does not matter to the result
        process.send_signal(signal.SIGTERM)
        printed = process.communicate(timeout=60)[1]
    assert process.returncode == 143, printed
    assert "Traceback" not in printed
    assert list(tmp_path.iterdir()) == []


def test_a_hang_up_that_nohup_ignores_stays_ignored(tmp_path):
    write_video(tmp_path / "in.mp4", num_frames=20)
    code = "import os, signal; os.kill(os.getpid(), signal.SIGHUP)"
    more = f"build.build_predictor = lambda *_: [exec({code!r}), FakePredictor()][1]"

    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    process = start(tmp_path, "run", "in.mp4", "--out-jsonl", "o.jsonl", more=more, preexec_fn=ignore)
    printed = process.communicate(timeout=60)[1]
    assert process.returncode == 0, printed
    assert (tmp_path / "o.jsonl").exists()


def test_signals_raise_once_and_handlers_come_back():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    with Interruption() as interruption:
        assert interruption.exit_code is None
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert interruption.exit_code == 143
    assert {number: signal.getsignal(number) for number in before} == before


def test_a_signal_asks_again_when_the_first_was_lost(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("sf_detect.commands.interruption.time.monotonic", lambda: now[0])
    with Interruption():
        for now[0] in (100.0, 104.0):
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)


def importing(folder: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    """Imports a module of this content; what `import os, signal` gives is there."""
    (folder / "struck_module.py").write_text(f"import os, signal\n{content}")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "struck_module", raising=False)
    __import__("struck_module")


def wait_for_it() -> None:
    for _ in range(1000):
        time.sleep(0.01)


def test_an_import_is_finished_first(tmp_path, monkeypatch):
    content = "try: os.kill(os.getpid(), signal.SIGTERM)\nexcept BaseException: lost = True\nelse: lost = False\n"
    with Interruption() as interruption:
        with pytest.raises(KeyboardInterrupt):
            importing(tmp_path, monkeypatch, content)
            wait_for_it()
        assert interruption.exit_code == 143
    assert not sys.modules["struck_module"].lost


def test_an_import_without_end_is_interrupted(tmp_path, monkeypatch):
    monkeypatch.setattr("sf_detect.commands.interruption._MOST_SECONDS", 0.0)
    with Interruption(), pytest.raises(KeyboardInterrupt):
        importing(tmp_path, monkeypatch, "os.kill(os.getpid(), signal.SIGTERM)")


def test_an_import_that_runs_the_command_is_not_waited_for(tmp_path, monkeypatch):
    content = (
        "from sf_detect.commands.interruption import Interruption\n"
        "with Interruption():\n"
        "    try: os.kill(os.getpid(), signal.SIGTERM)\n"
        "    except KeyboardInterrupt: at_once = True\n"
    )
    importing(tmp_path, monkeypatch, content)
    assert sys.modules["struck_module"].at_once


def test_a_signal_that_a_destructor_loses_comes_again():
    class Struck:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    hook = sys.unraisablehook
    with Interruption() as interruption:
        with pytest.raises(KeyboardInterrupt):
            Struck()
            wait_for_it()
        assert interruption.exit_code == 143
    assert sys.unraisablehook is hook


def test_other_lost_errors_are_told_as_before(monkeypatch):
    class Broken:
        def __del__(self) -> None:
            raise ValueError("lost")

    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: told.append(str(lost.exc_value)))
    with Interruption():
        Broken()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        Broken()  # half made, as anything may be that the signal struck
    assert told == ["lost"]


def test_other_threads_install_nothing():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work() -> None:
        with Interruption():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_a_forked_worker_dies_of_the_signal():
    code = (
        "import os, signal, time; from sf_detect.commands.interruption import Interruption\n"
        "with Interruption() as i:\n"
        "    ready, tell = os.pipe()\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        os.write(tell, b'x')\n"
        "        while True: time.sleep(0.05)\n"
        "    os.read(ready, 1)\n"
        "    os.kill(child, signal.SIGTERM)\n"
        "    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), i.exit_code)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == f"{-signal.SIGTERM} None\n"
