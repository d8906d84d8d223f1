"""The end of a command's process."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from sf_detect.commands import ending
from sf_detect.commands.ending import must_leave_at_once, threads_left  # other tests stay where they are

_CHILD = """
import atexit, threading, time
from sf_detect.commands.ending import leave
before = threading.enumerate()
atexit.register(lambda: print("cleaned up"))
threading.Thread(target=time.sleep, args=({seconds},), daemon=True).start()
leave({code}, before)
"""


@pytest.mark.parametrize(("seconds", "code"), [(0, 3), (600, 143)])
def test_exit_code_and_clean_up_with_and_without_a_thread_that_hangs(seconds, code):
    child = [sys.executable, "-c", _CHILD.format(seconds=seconds, code=code)]
    ended = subprocess.run(child, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "cleaned up\n", "")


def test_only_threads_of_the_command_count(monkeypatch):
    monkeypatch.setattr(ending, "_PATIENCE_S", 0.05)
    before, go_on = threading.enumerate(), threading.Event()
    thread = threading.Thread(target=go_on.wait, daemon=True)
    thread.start()
    try:
        assert threads_left(before)
        assert not threads_left(threading.enumerate())
    finally:
        go_on.set()
        thread.join()
    assert not threads_left(before)


def test_a_process_of_torchrun_leaves_at_once(monkeypatch):
    before = threading.enumerate()
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setitem(sys.modules, "torch.distributed", ending)
    assert not must_leave_at_once(before)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert must_leave_at_once(before)
    monkeypatch.delitem(sys.modules, "torch.distributed")
    assert not must_leave_at_once(before)


def test_a_thread_whose_start_was_interrupted_counts(monkeypatch):
    monkeypatch.setattr(ending, "_PATIENCE_S", 0.05)
    begun = threading.Thread(target=print, daemon=True)
    monkeypatch.setattr(threading, "enumerate", lambda: [begun])
    assert threads_left([])
