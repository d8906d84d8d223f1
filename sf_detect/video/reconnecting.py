"""A live source that survives what cameras and networks do.

    connecting -> live -> stalled -> waiting -> connecting -> ...        until close()
              \\-> waiting, refused (user and password) ---^              -> ended

Each connection is made and read by a thread of its own: FFmpeg and OpenCV may hang in a call that nothing can cut
short. Such a thread is left behind, as a daemon, and closes its connection itself when the call comes back.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

from sf_detect.errors import SourceError
from sf_detect.structures import Frame, LazyFrame, SourceStatus
from sf_detect.video.backoff import Backoff, Timing
from sf_detect.video.clock import LiveClock
from sf_detect.video.connection import Connect, ConnectionLost, ConnectionRefused, Picture
from sf_detect.video.link import Counts, Link

_REFUSED_WAIT_S = 60.0
_PROVEN_S = 5.0  # a connection that held for so long was a good one: the next wait is short again
_LONGEST_WITHOUT_PICTURE_S = 15.0  # from a connection to its first key picture
_THREADS_LEFT_BEHIND = 3


@dataclass(frozen=True)
class _Loss:
    """Why there is no connection any more, and whether it was for want of the right password."""

    detail: str
    refused: bool = False


class ReconnectingSource:
    """Frames of whatever `connect` connects to, for ever; see `LiveSource`.

    Args:
        name: For outputs and people, without credentials.
        connect: Makes a connection.
        stall_seconds: Without a picture for so long, a connection is given up and made again.
        longest_wait: Most seconds between two tries.
        exclusive: One connection at a time: a device that a thread still holds can't be opened again.
        timing: The clock.
        jitter: Gives numbers from 0 to 1.
    """

    def __init__(
        self,
        name: str,
        connect: Connect,
        *,
        stall_seconds: float = 3.0,
        longest_wait: float = 30.0,
        exclusive: bool = False,
        timing: Timing | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self._connect, self._stall_seconds = connect, stall_seconds
        self._most_left_behind = 0 if exclusive else _THREADS_LEFT_BEHIND
        self._timing = timing or Timing()
        self._backoff = Backoff(longest_wait, jitter)
        self._changed = threading.Condition()
        self._clock, self._counts = LiveClock(), Counts()
        self._left_behind: list[Link] = []
        self._iterated = self._closed = False
        self._index = self._reconnects = 0
        self._last: tuple[tuple[int, int], bool] | None = None  # size, and whether it was damaged
        self._fps: Fraction | None = None
        self._enter("connecting")

    def _enter(self, state: str, detail: str = "", retry_at: float | None = None) -> None:
        self._state, self._detail, self._retry_at = state, detail, retry_at
        self._since = self._timing.now()

    def status(self) -> SourceStatus:
        """How it is now; from any thread."""
        with self._changed:
            counts = self._counts
            return SourceStatus(
                state=self._state,
                since=self._since,
                detail=self._detail,
                retry_at=self._retry_at,
                last_arrival=counts.last_arrival,
                frames=counts.frames,
                reconnects=self._reconnects,
                damaged=counts.damaged,
                jumps=self._clock.jumps,
                decode_errors=counts.decode_errors,
                drops=dict(counts.drops),
                size=counts.size,
                fps=self._fps,
            )

    def close(self) -> None:
        """Ends the iteration; from any thread, at once, and as often as you like."""
        with self._changed:
            self._closed = True
            if not self._iterated:
                self._enter("ended")
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Frame]:
        """Frames over all connections, once.

        Raises:
            SourceError: Closed, or iterated before.
        """
        with self._changed:
            if self._closed or self._iterated:
                what = "is closed" if self._closed else "was already iterated"
                raise SourceError(f"the source {self.name!r} {what}. Expected a single iteration; open it again.")
            self._iterated = True
        return self._frames()

    def _frames(self) -> Generator[Frame, None, None]:
        loss: _Loss | None = None
        try:
            while not self._closed:
                link = self._open()
                try:
                    loss = yield from self._read(link)
                finally:
                    self._leave(link)
                if loss is None:
                    return
                self._wait_after(link, loss)
        finally:
            with self._changed:
                self._closed = True
                self._enter("ended")

    def _open(self) -> Link:
        """Starts a connection, as soon as not too many threads hang in old ones."""
        with self._changed:
            if not self._may_open():
                self._enter("stalled", f"{self._detail}, and earlier connections still hang")
                self._timing.wait(self._changed, self._may_open, None)
            self._enter("connecting", self._detail)
            self._clock.connect()
            link = Link(self._connect, self._changed, self._counts, self._timing.now, self._backoff.patience())
        self._timing.start(link.work)
        return link

    def _may_open(self) -> bool:
        self._left_behind = [link for link in self._left_behind if not link.finished]
        return self._closed or len(self._left_behind) <= self._most_left_behind

    def _read(self, link: Link) -> Generator[Frame, None, _Loss | None]:
        """Frames of one connection; returns why it was lost, or None at the end of a recording and after `close`."""
        first = True
        while True:
            with self._changed:
                if not self._wait_for_news(link):
                    return self._stall(link)
                if self._closed:
                    return None
                if not link.pictures:
                    return _end_of(link)
                frame = self._frame(link.pictures.popleft(), link, first)
            first = False
            yield frame
            del frame  # it may hold a picture of the decoder

    def _wait_for_news(self, link: Link) -> bool:
        """Waits for a picture, an end, or `close`; False where it takes too long."""
        while not (link.has_news or self._closed):
            ready = partial(self._has_changed, link, link.connected)
            if not self._timing.wait(self._changed, ready, self._patience(link)):
                return False
        return True

    def _has_changed(self, link: Link, connected: float | None) -> bool:
        return link.has_news or self._closed or link.connected != connected

    def _patience(self, link: Link) -> float | None:
        """Seconds that the next news may take; None where a recording pauses as it likes."""
        if link.connected is None:
            limit = link.started + link.patience
        elif link.last_arrival is None:
            limit = link.connected + max(_LONGEST_WITHOUT_PICTURE_S, self._stall_seconds)
        elif link.is_recording:
            return None
        else:
            limit = link.last_arrival + self._stall_seconds
        return max(0.0, limit - self._timing.now())

    def _stall(self, link: Link) -> _Loss:
        if link.connected is None:
            return _Loss("no answer")
        if link.last_arrival is None:
            return _Loss(f"connected, and no picture within {self._timing.now() - link.connected:.0f} s")
        loss = _Loss(f"no picture for {self._stall_seconds:g} s")
        self._enter("stalled", loss.detail)
        return loss

    def _wait_after(self, link: Link, loss: _Loss) -> None:
        """Waits for the time of the next try, counted from the start of one that failed, or from a loss.

        A try that failed after a while has used up its waiting time: the other end may be back already.
        """
        now = self._timing.now()
        if link.last_arrival is not None and link.last_arrival - link.started >= _PROVEN_S:
            self._backoff.reset()
        wait = _REFUSED_WAIT_S if loss.refused else self._backoff.wait()
        next_try = max(now, (link.started if link.last_arrival is None else now) + wait)
        with self._changed:
            if loss.refused or self._state != "stalled":
                self._enter("refused" if loss.refused else "waiting", loss.detail, next_try)
            self._retry_at = next_try
            while not self._closed and (left := next_try - self._timing.now()) > 0:
                self._timing.wait(self._changed, lambda: self._closed, left)

    def _frame(self, picture: Picture, link: Link, first_of_link: bool) -> Frame:
        time, jumped = self._clock(picture.stamp, picture.arrival)
        last, self._last = self._last, (picture.size, picture.damaged)
        anew = last is not None and (
            first_of_link or jumped or picture.size != last[0] or (last[1] and not picture.damaged)
        )
        if first_of_link:
            self._enter("live", link.note)
            self._reconnects += last is not None
            self._fps = link.fps
        index, self._index = self._index, self._index + 1
        return LazyFrame(picture.convert, picture.size, index, time, picture.arrival, anew, picture.damaged)

    def _leave(self, link: Link) -> None:
        """Lets go of a connection without waiting for its thread."""
        with self._changed:
            link.stopped.set()
            link.pictures.clear()
            if not link.finished:
                self._left_behind.append(link)


def _end_of(link: Link) -> _Loss | None:
    if isinstance(link.error, ConnectionLost):
        return _Loss(str(link.error), isinstance(link.error, ConnectionRefused))
    if link.error is not None:
        raise link.error
    return None if link.is_recording else _Loss("the other end has stopped sending")
