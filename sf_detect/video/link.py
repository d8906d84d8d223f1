"""The thread behind one connection of a `ReconnectingSource`."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction

from sf_detect.video.connection import Connect, Picture

_PICTURES_WAITING = 8


@dataclass
class Counts:
    """What a source counts over all its connections; guarded by the condition of the links."""

    frames: int = 0
    damaged: int = 0
    decode_errors: int = 0
    drops: Counter[str] = field(default_factory=Counter)
    last_arrival: float | None = None
    size: tuple[int, int] | None = None


class Link:
    """One connection, made, read and closed by a thread of its own.

    What the thread leaves for the other side is guarded by `changed`, which it notifies.

    Args:
        connect: Makes the connection.
        changed: The condition.
        counts: Where to count.
        now: The monotonic clock, in seconds.
        patience: Seconds that connecting may take.

    Attributes:
        started, connected: When connecting began, and when it was done; None before.
        stopped: Set by the other side where it wants no more; nothing is left or counted then.
        pictures: Those that came and were not taken; at most a few, then the oldest is dropped.
        last_arrival: When the newest came, in seconds of the monotonic clock.
        finished: The thread has ended, and what it held is free.
        error: Why, where it did not end by itself.
    """

    def __init__(
        self,
        connect: Connect,
        changed: threading.Condition,
        counts: Counts,
        now: Callable[[], float],
        patience: float,
    ) -> None:
        self.started, self.patience = now(), patience
        self.connected: float | None = None
        self.stopped = threading.Event()
        self.pictures: deque[Picture] = deque()
        self.last_arrival: float | None = None
        self.is_recording = False
        self.fps: Fraction | None = None
        self.note = ""
        self.finished = False
        self.error: BaseException | None = None
        self._connect, self._changed, self._counts, self._now = connect, changed, counts, now
        self._errors = self._late = 0

    @property
    def has_news(self) -> bool:
        """A picture waits, or none will come any more."""
        return bool(self.pictures) or self.finished

    def work(self) -> None:
        """What the thread does."""
        error: BaseException | None = None
        try:
            self._read()
        except BaseException as caught:  # handed to the other side, whatever it is
            error = caught
        with self._changed:
            self.finished, self.error = True, error
            self._changed.notify_all()

    def _read(self) -> None:
        with closing(self._connect(self.stopped, self.patience)) as connection:
            with self._changed:
                self.is_recording, self.fps, self.note = connection.is_recording, connection.fps, connection.note
                self.connected = self._now()
                self._changed.notify_all()
            for picture in connection.pictures():
                if not self._put(picture, connection.errors, connection.late):
                    return

    def _put(self, picture: Picture, errors: int, late: int) -> bool:
        counts = self._counts
        with self._changed:
            if self.stopped.is_set():
                return False
            counts.frames += 1
            counts.damaged += picture.damaged
            counts.decode_errors += errors - self._errors
            counts.last_arrival, counts.size = picture.arrival, picture.size
            if late > self._late:
                counts.drops["late"] += late - self._late
            self._errors, self._late, self.last_arrival = errors, late, picture.arrival
            if len(self.pictures) == _PICTURES_WAITING:
                self.pictures.popleft()
                counts.drops["not taken"] += 1
            self.pictures.append(picture)
            self._changed.notify_all()
            return True
