"""A file, a folder of images or any other recorded source as a live one: its frames come when they are due."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from sf_detect.errors import SourceError
from sf_detect.interfaces import VideoSource
from sf_detect.structures import Frame, SourceStatus
from sf_detect.video.clock import Pacer


class PacedSource:
    """Plays a recorded source at its own speed; a `LiveSource` that ends.

    Frames that are late come at once, and `pts` stay those of the recording.

    Args:
        source: Any source; closed with this one.
        clock: Monotonic seconds.
    """

    def __init__(self, source: VideoSource, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = source.info.name
        self._source, self._clock = source, clock
        self._changed = threading.Condition()
        self._closed = self._iterated = False
        info = source.info
        self._status = SourceStatus("connecting", clock(), size=(info.height, info.width), fps=info.fps)

    def __iter__(self) -> Iterator[Frame]:
        """The frames, each when it is due.

        Raises:
            SourceError: It was iterated before, or nothing can be read.
        """
        with self._changed:
            if self._closed or self._iterated:
                what = "is closed" if self._closed else "was already played"
                raise SourceError(f"{self.name} {what}. Expected a single iteration; open it again.")
            self._iterated = True
        return self._play()

    def _play(self) -> Iterator[Frame]:
        pacer = Pacer()
        try:
            for frame in self._source:
                if not self._wait_until(pacer.due(frame.pts, self._clock())):
                    return
                yield self._arrived(frame)
        finally:
            self._enter("ended")
            self._source.close()

    def _wait_until(self, due: float) -> bool:
        """False where the source was closed meanwhile."""
        with self._changed:
            while not self._closed and (left := due - self._clock()) > 0:
                self._changed.wait(left)
            return not self._closed

    def _arrived(self, frame: Frame) -> Frame:
        now = self._clock()
        if self._status.state != "live":
            self._enter("live")
        self._status = replace(
            self._status,
            last_arrival=now,
            frames=self._status.frames + 1,
            decode_errors=self._source.decode_errors,
            size=frame.size,
        )
        return replace(frame, arrival=now)

    def _enter(self, state: str) -> None:
        self._status = replace(self._status, state=state, since=self._clock())

    def status(self) -> SourceStatus:
        """See `LiveSource`."""
        return self._status

    def close(self) -> None:
        """See `LiveSource`."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if not self._iterated:
            self._source.close()
            self._enter("ended")
