"""Waiting for work that cannot be interrupted."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import pytest

from sf_detect.interruptible import interruptible


def refuse(result: object) -> None:
    raise AssertionError(f"{result} was waited for")


def test_the_result_of_the_work():
    assert interruptible(lambda: threading.current_thread().daemon, refuse) is True


def test_the_error_of_the_work():
    def work() -> None:
        raise ValueError("of the work")

    with pytest.raises(ValueError, match="of the work"):
        interruptible(work, refuse)


@pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
def test_a_result_that_comes_too_late_is_discarded():
    go_on, discarded, thrown_away = threading.Event(), [], threading.Event()

    def work() -> str:
        os.kill(os.getpid(), signal.SIGINT)
        go_on.wait()
        return "late"

    def discard(result: str) -> None:
        discarded.append(result)
        thrown_away.set()

    interrupted: Callable[[int, object], None] = signal.default_int_handler
    before = signal.signal(signal.SIGINT, interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            interruptible(work, discard)
    finally:
        signal.signal(signal.SIGINT, before)
    assert discarded == []
    go_on.set()
    assert thrown_away.wait(60)
    assert discarded == ["late"]
