"""Keeping up with a live stream that comes, or decodes, slower than it was taken."""

from __future__ import annotations

_BEHIND_S, _CAUGHT_UP_S = 1.0, 0.25
_TOO_FAR_BEHIND_S = 10.0
_JUMP_S = 60.0  # of a clock, and no lag
_DRIFT = 0.001  # clocks differ by less


class LagGuard:
    """Says when to decode key pictures only, which is quick, and when a connection is too far behind to go on with.

    What a stream was least behind so far is how far it has to be. From a second more on the rest is left out up to the
    next key picture at which it has caught up: pictures behind that build on nothing that is missing.
    """

    def __init__(self) -> None:
        self._least: float | None = None
        self._arrival = 0.0
        self._behind = 0.0
        self._skipping = False

    @property
    def is_hopeless(self) -> bool:
        """It falls behind whatever is left out: the line is too slow. A new connection begins with now."""
        return self._behind > _TOO_FAR_BEHIND_S

    def skips(self, stamp: float | None, arrival: float, is_key: bool) -> bool:
        """Whether to decode only key pictures from the next packet on.

        Args:
            stamp: Its time stamp in seconds; None where it has none.
            arrival: When it came, in seconds of the monotonic clock.
            is_key: It is a key picture.
        """
        if stamp is None:
            return self._skipping
        age = arrival - stamp
        if self._least is None or abs(age - self._least) > _JUMP_S:
            self._least, self._skipping = age, False
        else:
            self._least = min(self._least + _DRIFT * (arrival - self._arrival), age)
        self._arrival, self._behind = arrival, age - self._least
        if self._behind > _BEHIND_S:
            self._skipping = True
        elif is_key and self._behind < _CAUGHT_UP_S:
            self._skipping = False
        return self._skipping
