"""Learning rates over time, as a factor on each group's peak rate; steps are counted, fractions of them too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """Half-period cosine with a linear warm-up (paper, section 4).

    Attributes:
        steps: Of the whole run.
        warmup: Steps of the warm-up.
        floor: Factor at the end.
        start: Factor from which the warm-up rises; None makes its first step one of `warmup` equal ones, so that the
            last whole step, and fractional ones behind it, have the peak.
    """

    steps: int
    warmup: int
    floor: float = 0.01
    start: float | None = None

    def __call__(self, step: float) -> float:
        if step < self.warmup:
            return _warmed(step, self.warmup, self.start, self._after(self.warmup) if self.start is not None else 1.0)
        return self._after(step)

    def _after(self, step: float) -> float:
        # PySlowFast's cosine runs over the whole of training, the warm-up being laid over its beginning; with an
        # explicit start we do the same, else it begins where the warm-up ends.
        first = 0 if self.start is not None else self.warmup
        done = min(1.0, (step - first) / max(1, self.steps - first))
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True)
class StepSchedule:
    """Falls by a factor at given steps, after a linear warm-up (paper, section 5).

    Attributes:
        falls: Ascending steps from which the rate is `gamma` times lower each.
        gamma: The factor.
        warmup, start: See `Schedule`.
    """

    falls: Sequence[int]
    gamma: float = 0.1
    warmup: int = 0
    start: float | None = None

    def __call__(self, step: float) -> float:
        if step < self.warmup:
            return _warmed(step, self.warmup, self.start, self._after(self.warmup))
        return self._after(step)

    def _after(self, step: float) -> float:
        return self.gamma ** sum(step >= fall for fall in self.falls)


def _warmed(step: float, warmup: int, start: float | None, goal: float) -> float:
    """The factor of a warm-up step on the way to `goal`."""
    if start is None:
        return goal * min(1.0, (step + 1) / warmup)  # the last step's share of fractional ones is the peak
    return start + (goal - start) * step / warmup
