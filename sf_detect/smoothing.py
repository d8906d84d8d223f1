"""Action scores that do not flicker: each person's running mean over the keyframes so far."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from sf_detect.errors import ConfigError
from sf_detect.structures import ActionDetections

_FORGOTTEN = 10.0
"""Time constants after which what a track did counts for nothing."""


class ScoreSmoothing:
    """Mean of a track's scores so far, those of an age of t seconds weighted with exp(-t / seconds).

    It looks back only, so it costs no delay, and a track's first scores stay as they are. Persons without a track id
    pass unchanged.

    Args:
        seconds: The time constant; 0 changes nothing.

    Raises:
        ConfigError: A time constant below 0 or not finite.
    """

    def __init__(self, seconds: float) -> None:
        if not (seconds >= 0 and math.isfinite(seconds)):
            raise ConfigError(
                f"pipeline.smoothing is {seconds}, expected a number of seconds from 0 up; 0 switches it off."
            )
        self.seconds = seconds
        self._tracks: dict[int, tuple[float, float, npt.NDArray[np.float64]]] = {}  # pts, weight, weighted sum

    def reset(self) -> None:
        """Forget everything: the next keyframe is the first of a video."""
        self._tracks.clear()

    def __call__(self, actions: ActionDetections) -> ActionDetections:
        """The keyframe with its persons' mean scores; keyframes come in order of time."""
        ids = actions.persons.track_ids
        if not self.seconds or ids is None or not len(ids):
            return actions
        scores = np.stack([self._mean(int(i), actions.pts, s) for i, s in zip(ids, actions.scores, strict=True)])
        oldest = actions.pts - _FORGOTTEN * self.seconds
        self._tracks = {track: kept for track, kept in self._tracks.items() if kept[0] >= oldest}
        return replace(actions, scores=scores.astype(np.float32))

    def _mean(self, track: int, pts: float, scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        weight, total = 1.0, scores.astype(np.float64)
        if track in self._tracks:
            before, old_weight, old_total = self._tracks[track]
            decay = math.exp((before - pts) / self.seconds)
            weight, total = weight + decay * old_weight, total + decay * old_total
        self._tracks[track] = pts, weight, total
        return total / weight
