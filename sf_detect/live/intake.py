"""What the reader of a stream hands to the others: frames with the part of the stream that they belong to."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from sf_detect.channels import ChannelClosed
from sf_detect.structures import Detections, Frame

LEAST, MOST = 16, 120
"""Frames that may wait in an `Intake`, whatever their size."""
BYTES = 96_000_000
"""Bytes of frames that may wait in an `Intake`, at one and a half for a pixel, as decoders keep them."""


@dataclass(frozen=True, eq=False)
class Arrived:
    """A frame as it came.

    Attributes:
        part: Counts up where frames continue nothing, see `View`.
        frame: The frame.
        utc: Seconds since 1970, UTC, at which it came.
        persons: Those that were found on this very frame, where it was looked at before it is shown.
    """

    part: int
    frame: Frame
    utc: float
    persons: Detections | None = None


class Intake:
    """Frames that wait for a consumer who needs most of them: in order, bounded, the oldest dropped first.

    Attributes:
        dropped: Frames that had to give way.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._changed = threading.Condition()
        self._waiting: deque[Arrived] = deque()
        self._finished = False

    def put(self, arrived: Arrived) -> None:
        """Append a frame; never waits. Does nothing once finished."""
        height, width = arrived.frame.size
        most = max(LEAST, min(MOST, BYTES // max(1, height * width * 3 // 2)))
        with self._changed:
            if self._finished:
                return
            self._waiting.append(arrived)
            while len(self._waiting) > most:
                self._waiting.popleft()
                self.dropped += 1
            self._changed.notify_all()

    def take(self) -> list[Arrived]:
        """All that waits, oldest first, at least one; waits for it.

        Raises:
            ChannelClosed: There is nothing, and nothing will come.
        """
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting) or self._finished)
            if not self._waiting:
                raise ChannelClosed("no more frames come")
            taken = list(self._waiting)
            self._waiting.clear()
            return taken

    def finish(self, discard: bool = False) -> None:
        """Nothing more comes; `discard` throws away what waits. Idempotent, from any thread."""
        with self._changed:
            self._finished = True
            if discard:
                self._waiting.clear()
            self._changed.notify_all()
