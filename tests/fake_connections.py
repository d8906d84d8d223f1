"""Connections that do what a test wrote down, and a clock that stands still unless somebody waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

import numpy as np

from sf_detect.structures import UInt8Array
from sf_detect.video.backoff import Timing
from sf_detect.video.connection import Picture


class FakeTiming(Timing):
    """Who waits lets the threads do one step after the other; where none can do any, the time-out comes at once."""

    def __init__(self) -> None:
        self.time = 0.0
        self._turn = threading.Condition()
        self._permits = self._at_step = self._running = 0
        self._hung: list[threading.Event] = []

    def now(self) -> float:
        return self.time

    def start(self, work: Callable[[], None]) -> None:
        self._running += 1

        def working() -> None:
            work()
            with self._turn:
                self._running -= 1
                self._turn.notify_all()

        threading.Thread(target=working, daemon=True).start()

    def step(self) -> None:
        """Called by a connection before each step; returns when it is its turn."""
        with self._turn:
            self._at_step += 1
            self._turn.notify_all()
            assert self._turn.wait_for(lambda: self._permits > 0, 10)
            self._at_step -= 1
            self._permits -= 1
            self._turn.notify_all()

    def hang(self) -> None:
        """Called by a connection that does not answer any more; returns after `release`."""
        event = threading.Event()
        with self._turn:
            self._running -= 1
            self._hung.append(event)
            self._turn.notify_all()
        assert event.wait(10)

    def release(self) -> None:
        """What hangs returns."""
        with self._turn:
            while self._hung:
                self._running += 1
                self._hung.pop().set()

    def wait(self, condition: threading.Condition, ready: Callable[[], bool], timeout: float | None) -> bool:
        while not ready():
            condition.release()
            try:
                moved = self._let_one_step()
            finally:
                condition.acquire()
            if not moved:
                assert timeout is not None or ready(), "it waits for ever"
                self.time += 0.0 if ready() else timeout or 0.0
                return ready()
        return True

    def _let_one_step(self) -> bool:
        with self._turn:
            assert self._turn.wait_for(lambda: self._at_step == self._running, 10)
            if not self._running:
                return False
            self._permits += 1
            self._turn.notify_all()
            assert self._turn.wait_for(lambda: not self._permits and self._at_step == self._running, 10)
            return True


HANG, NO_ANSWER = "hang", "no answer"
Step = float | Picture | Exception | str | Callable[[], None]


class Burst(list[Step]):
    """Steps that all happen before the other side gets to do anything."""


class FakeConnection:
    """Does its steps: a number of seconds after which a picture comes, a picture, an error, a call, or `HANG`."""

    fps: Fraction | None = Fraction(30)
    note, late = "", 0

    def __init__(self, timing: FakeTiming, steps: Sequence[Step], stopped: threading.Event, recording: bool) -> None:
        self.timing, self.steps, self.stopped = timing, steps, stopped
        self.is_recording, self.errors, self.closed = recording, 0, False

    def pictures(self) -> Iterator[Picture]:
        for index, step in enumerate(self.steps):
            if index == 0 or not isinstance(self.steps, Burst):
                self.timing.step()
            if isinstance(step, Exception):
                raise step
            if step == HANG:
                self.timing.hang()
            elif isinstance(step, float):
                self.timing.time += step
                yield picture(self.timing.time)
            elif isinstance(step, Picture):
                yield step
            elif callable(step):
                step()

    def close(self) -> None:
        self.closed = True


class Script:
    """What each connection of a source does, one list of steps after the other.

    A connection whose first step is an error, or `NO_ANSWER`, is none: connecting fails or hangs.

    Attributes:
        tries: When each connection was tried.
        connections: Those that came about.
    """

    def __init__(self, timing: FakeTiming, *connections: Sequence[Step], recording: bool = False) -> None:
        self.timing, self.left, self.recording = timing, list(connections), recording
        self.tries: list[float] = []
        self.connections: list[FakeConnection] = []

    def __call__(self, stopped: threading.Event, patience: float) -> FakeConnection:
        self.timing.step()
        self.tries.append(self.timing.time)
        steps = self.left.pop(0) if self.left else [HANG]
        if steps and steps[0] == NO_ANSWER:
            self.timing.hang()
        if steps and isinstance(steps[0], Exception):
            raise steps[0]
        connection = FakeConnection(self.timing, steps, stopped, self.recording)
        self.connections.append(connection)
        return connection


def picture(
    arrival: float, stamp: float | None = None, size: tuple[int, int] = (48, 64), damaged: bool = False
) -> Picture:
    def convert() -> UInt8Array:
        return np.zeros((*size, 3), np.uint8)

    return Picture(convert, size, stamp, arrival, damaged)
