"""What a `ReconnectingSource` connects to: one connection, made, read and closed in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from sf_detect.structures import UInt8Array


class ConnectionLost(Exception):  # noqa: N818  the way every connection ends
    """No connection, or none any more; trying again may help. The text tells people why, without credentials."""


class ConnectionRefused(ConnectionLost):
    """User name and password were not accepted."""


@dataclass(frozen=True)
class Picture:
    """A decoded picture that nobody has looked at.

    Attributes:
        convert: Makes it (H, W, 3) uint8 RGB; called at most once, in any thread.
        size: (height, width) in pixels.
        stamp: Time in seconds on the clock of the other end; None where it has none, and arrival must do.
        arrival: Seconds of the monotonic clock.
        damaged: See `Frame.damaged`.
    """

    convert: Callable[[], UInt8Array]
    size: tuple[int, int]
    stamp: float | None
    arrival: float
    damaged: bool = False


class Connection(Protocol):
    """One connection. All of it is used by one thread.

    Attributes:
        fps: Nominal rate, where it is known.
        is_recording: It has an end, and pauses of its own.
        errors: Errors met so far while decoding.
        late: Pictures left out so far, for want of time to decode them.
        note: What a user should know of it, in one line, such as a size other than the one asked for; or empty.
    """

    fps: Fraction | None
    is_recording: bool
    errors: int
    late: int
    note: str

    def pictures(self) -> Iterator[Picture]:
        """Pictures as they come; the end of a live connection, or `ConnectionLost`, is a loss."""
        ...

    def close(self) -> None: ...


Connect = Callable[[threading.Event, float], Connection]
"""Makes a connection, within so many seconds if it can help it, or raises `ConnectionLost`. The event says that nobody
wants it any more; who waits in a way that can be cut short, waits for it too."""
