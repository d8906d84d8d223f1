"""From pooled features to rows that can be compared: how a person moved over a second or two, in a few hundred numbers.

What the classifier of a network sees of a person has thousands of numbers (3456 of the default model). A sparse random
projection (Achlioptas, "Database-friendly random projections", JCSS 2003) keeps the angles between such vectors up to a
small error, needs no training and is the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from sf_detect.errors import ConfigError, SinkError
from sf_detect.matching import match_actions
from sf_detect.structures import FrameResult

SIZE = 256
"""Most numbers that are stored of a person."""
SECONDS = 2.0
"""Longest stretch of time of a row."""
_SEED = 20170615


@dataclass
class _Stretch:
    """One person, from the first keyframe of a row on."""

    start: float
    end: float
    total: npt.NDArray[np.float64]


class FeatureRows:
    """Turns the keyframes of one video into rows of `schema.features_schema`.

    A row is the mean of a track's features (each of length 1) over up to `SECONDS`, made shorter by `compacted`, of
    length 1. Persons that were not tracked have a row for each keyframe. Memory is that of the tracks in sight.

    Args:
        video: Name of the video in the archive.
        model: Name of the action model: features of different models can't be compared.

    Attributes:
        size: Numbers of a row; None before the first.
    """

    def __init__(self, video: str, model: str) -> None:
        self._video, self._model = video, model
        self.size: int | None = None
        self._stretches: dict[int, _Stretch] = {}

    def push(self, result: FrameResult) -> list[dict[str, Any]]:
        """The next keyframe.

        Returns:
            The rows that are complete.

        Raises:
            ConfigError: It carries no features.
            SinkError: A number is not finite.
        """
        pts = result.frame.pts
        matched = match_actions(result)
        seen = np.flatnonzero(matched >= 0)
        rows = self._ended(pts)
        if not len(seen) or result.actions is None:
            return rows
        if result.actions.features is None and self.size is not None:
            return rows  # nobody of this keyframe itself was scored
        if result.actions.features is None:
            raise ConfigError("features were asked for, but the model gives none; annotate with model.features=true.")
        features = result.actions.features[matched[seen]]
        if not np.isfinite(features).all():
            raise SinkError(
                f"features: those of frame {result.frame.index} are not finite numbers; the model that made them is at "
                "fault. The frame was left out."
            )
        vectors = compacted(features)
        self.size = vectors.shape[1]
        ids = result.persons.track_ids
        for person, vector in zip(seen, vectors, strict=True):
            if ids is None:
                rows.append(self._row(None, _Stretch(pts, pts, vector)))
            else:
                self._add(int(ids[person]), pts, vector)
        return rows

    def finish(self) -> list[dict[str, Any]]:
        """The rows that were under way."""
        rows = [self._row(track, stretch) for track, stretch in self._stretches.items()]
        self._stretches.clear()
        return rows

    def _ended(self, pts: float) -> list[dict[str, Any]]:
        over = [track for track, stretch in self._stretches.items() if pts - stretch.start >= SECONDS]
        return [self._row(track, self._stretches.pop(track)) for track in over]

    def _add(self, track: int, pts: float, vector: npt.NDArray[np.float64]) -> None:
        stretch = self._stretches.setdefault(track, _Stretch(pts, pts, np.zeros(len(vector))))
        stretch.end = pts
        stretch.total = stretch.total + vector

    def _row(self, track: int | None, stretch: _Stretch) -> dict[str, Any]:
        return {
            "video": self._video,
            "track_id": track,
            "start_time": round(stretch.start, 6),
            "end_time": round(stretch.end, 6),
            "model": self._model,
            "features": unit(stretch.total[None])[0].astype("<f2").tobytes(),
        }


def compacted(features: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Features (N, D) as vectors (N, min(D, `SIZE`)) of length 1 with nearly the same angles between them."""
    vectors = np.asarray(features, np.float64)
    if vectors.shape[1] > SIZE:
        vectors = unit(vectors) @ _projection(vectors.shape[1])
    return unit(vectors)


@lru_cache(maxsize=2)
def _projection(size: int) -> npt.NDArray[np.float64]:
    """(size, SIZE) of -1, 0 and 1; a third are not 0."""
    # A generator of its own: numpy's may draw other numbers in another version.
    count = size * SIZE
    state = (np.arange(count, dtype=np.uint64) + np.uint64(_SEED)) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    drawn = (state ^ (state >> np.uint64(31))) % np.uint64(6)
    signs = (drawn == 0).astype(np.float64) - (drawn == 1)
    return signs.reshape(size, SIZE)


def unit(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1.0)
