"""Reads a live source in a thread and notes what came."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from sf_detect.interfaces import LiveSource
from sf_detect.structures import SourceStatus, UInt8Array
from tools import frame_counter

PATIENCE_S = 40.0


@dataclass(frozen=True)
class Seen:
    """A frame that came.

    Attributes:
        number: Read from the picture; None where it can't be read.
        pts, arrival, damaged, starts_anew, size: See `Frame`.
        at: Monotonic time at which it was looked at.
        image: RGB, where images are kept.
    """

    number: int | None
    pts: float
    arrival: float
    damaged: bool
    starts_anew: bool
    size: tuple[int, int]
    at: float
    image: UInt8Array | None = None


class Reader:
    """Iterates over a source from the start.

    Args:
        source: Closed with the reader.
        keep_images: Of all frames.

    Attributes:
        seen: All frames, in order.
        statuses: The states of the source, each as it began.
        error: What the iteration raised.
    """

    def __init__(self, source: LiveSource, keep_images: bool = False) -> None:
        self.source = source
        self.seen: list[Seen] = []
        self.statuses: list[SourceStatus] = [source.status()]
        self.error: BaseException | None = None
        self._keep = keep_images
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        self._watcher.start()

    def _read(self) -> None:
        try:
            for frame in self.source:
                assert frame.arrival is not None
                image = frame.image
                self.seen.append(
                    Seen(
                        frame_counter.read(image),
                        frame.pts,
                        frame.arrival,
                        frame.damaged,
                        frame.starts_anew,
                        frame.size,
                        time.monotonic(),
                        image if self._keep else None,
                    )
                )
        except BaseException as error:  # told where the test looks
            self.error = error

    def _watch(self) -> None:
        while self._thread.is_alive():
            status = self.source.status()
            last = self.statuses[-1]
            if (status.state, status.detail, status.retry_at) != (last.state, last.detail, last.retry_at):
                self.statuses.append(status)
            time.sleep(0.005)

    def states(self) -> list[str]:
        """The states so far, without repetitions."""
        found: list[str] = []
        for status in self.statuses:
            if not found or found[-1] != status.state:
                found.append(status.state)
        return found

    def until(self, what: Callable[[], bool], patience: float = PATIENCE_S) -> None:
        """Waits until it is so."""
        end = time.monotonic() + patience
        while not what():
            assert self.error is None, f"the source raised {self.error!r}"
            assert time.monotonic() < end, f"it did not happen; states {self.states()}, {self.source.status()}"
            time.sleep(0.005)

    def until_state(self, state: str) -> None:
        """Waits until the source is in that state."""
        self.until(lambda: self.source.status().state == state)

    def until_frames(self, count: int) -> None:
        """Waits for so many more frames."""
        wanted = len(self.seen) + count
        self.until(lambda: len(self.seen) >= wanted)

    def close(self) -> float:
        """Closes the source; returns how many seconds its iteration took to end."""
        begun = time.monotonic()
        self.source.close()
        self._thread.join(10)
        assert not self._thread.is_alive(), "the iteration goes on after close()"
        self._watcher.join(10)
        return time.monotonic() - begun


Read = Callable[[LiveSource], Reader]
"""Of the fixture `read`: starts to read a source."""
