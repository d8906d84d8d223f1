"""Which pictures a network may see after packets were lost."""

from __future__ import annotations

from collections import deque
from statistics import fmean

_PACKETS_TIMED = 15
_MISSING_AFTER = 1.7  # mean distances of two packets; the stamps of cameras jitter by less
_LONGEST_COUNTED = 3.0  # mean distances; a single long gap says nothing about the rate
_STAMPS_JUMP_BACK_S = 1.0


class DamageGate:
    """From a loss to the next key picture every picture is damaged.

    A decoder builds each picture on earlier ones and conceals what is missing, so one loss smears all that follow;
    libavcodec marks the first of them at best, and none where a whole picture is gone. Only a key picture builds on
    none. Decoders hand pictures out late, so a key picture counts where it was sent behind the loss.

    Args:
        lossy: The transport may lose whole packets. Then a gap between two time stamps is a loss too.
    """

    def __init__(self, lossy: bool = False) -> None:
        self._lossy = lossy
        self._damaged = False
        self._good_from: float | None = None
        self._last: float | None = None
        self._steps: deque[float] = deque(maxlen=_PACKETS_TIMED)

    def packet(self, stamp: float | None, is_corrupt: bool) -> None:
        """Takes note of the next packet that goes to the decoder.

        Args:
            stamp: Its time stamp in seconds, None where it has none.
            is_corrupt: The demuxer says that parts of it are missing.
        """
        step = None if stamp is None or self._last is None else stamp - self._last
        self._last = self._last if stamp is None else stamp
        if step is not None and step < -_STAMPS_JUMP_BACK_S and self._damaged:
            self._good_from = stamp
        if self._lossy and step is not None and self._misses_some(step):
            self._damaged, self._good_from = True, stamp
        if is_corrupt:
            self.lost()

    def lost(self) -> None:
        """The newest packet is incomplete or did not decode."""
        self._damaged = True
        self._good_from = None if self._last is None else self._last + 1e-6

    def picture(self, stamp: float | None, is_key: bool, is_corrupt: bool) -> bool:
        """Whether a decoded picture is damaged.

        Args:
            stamp: Time stamp of the packet that it came from, in seconds; None where it has none.
            is_key: It builds on no other picture.
            is_corrupt: The decoder says that parts of it are missing.
        """
        if is_corrupt:
            self._damaged = True
        elif is_key and (stamp is None or self._good_from is None or stamp >= self._good_from):
            self._damaged = False
        return self._damaged

    def _misses_some(self, step: float) -> bool:
        timed = len(self._steps) > _PACKETS_TIMED // 2
        usual = fmean(self._steps) if timed else step
        if step > 0:
            self._steps.append(min(step, _LONGEST_COUNTED * usual))
        return step > _MISSING_AFTER * usual
