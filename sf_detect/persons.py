"""Persons of one frame: boxes, scores, tracks and body landmarks. Everybody takes them from `structures`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Keypoints:
    """Body landmarks of the N persons of one frame, in BlazePose's order (`sf_detect.keypoints.names`).

    Attributes:
        points: (N, 33, 3) float32: x, y in pixels of the source frame, confidence in [0, 1].
        metres: (N, 33, 3) float32: x to the right and y down as in the picture, z away from the camera; the origin lies
            between the hips.
        presence: (N,) float32 in [0, 1]: that there is a person at all. 0 where nobody looked; the rest is 0 then too.
        looked: (N,) bool: whether they were seen on this very frame; elsewhere they are those of a moment ago, moved
            with the box. By default all that have a presence.
    """

    points: npt.NDArray[np.float32]
    metres: npt.NDArray[np.float32]
    presence: npt.NDArray[np.float32]
    looked: npt.NDArray[np.bool_] = None  # type: ignore[assignment]

    count: ClassVar[int] = 33

    def __post_init__(self) -> None:
        for name in ("points", "metres", "presence"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), np.float32))
        looked = self.presence > 0 if self.looked is None else np.asarray(self.looked, bool)
        object.__setattr__(self, "looked", looked)
        n = len(self.presence)
        if self.presence.shape != (n,):
            raise ValueError(f"presence has shape (N,), got {self.presence.shape}")
        if self.looked.shape != (n,):
            raise ValueError(f"looked has shape ({n},), got {self.looked.shape}")
        for name in ("points", "metres"):
            if (shape := getattr(self, name).shape) != (n, self.count, 3):
                raise ValueError(f"{name} have shape ({n}, {self.count}, 3), got {shape}")

    @classmethod
    def unknown(cls, count: int) -> Keypoints:
        """Those of `count` persons that nobody looked at."""
        zeros = np.zeros((count, cls.count, 3), np.float32)
        return cls(zeros, zeros.copy(), np.zeros(count, np.float32))

    def __len__(self) -> int:
        return len(self.presence)

    def select(self, index: npt.NDArray[np.intp] | npt.NDArray[np.bool_] | slice) -> Keypoints:
        """Those of the persons at `index`."""
        return Keypoints(self.points[index], self.metres[index], self.presence[index], self.looked[index])

    def __repr__(self) -> str:
        return f"Keypoints(n={len(self)}, known={int((self.presence > 0).sum())})"


@dataclass(frozen=True, eq=False)
class Detections:
    """Persons of one frame.

    Attributes:
        boxes: (N, 4) float32, xyxy pixels of the source frame.
        scores: (N,) float32 in [0, 1].
        track_ids: (N,) int64, or None before tracking. An id is never reused within a source.
        keypoints: Of the N persons; None where no keypoints are computed.
    """

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    track_ids: npt.NDArray[np.int64] | None = None
    keypoints: Keypoints | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "boxes", np.asarray(self.boxes, np.float32))
        object.__setattr__(self, "scores", np.asarray(self.scores, np.float32))
        n = len(self.scores)
        if self.boxes.shape != (n, 4):
            raise ValueError(f"boxes have shape (N, 4) with N={n} scores, got {self.boxes.shape}")
        if self.scores.shape != (n,):
            raise ValueError(f"scores have shape (N,), got {self.scores.shape}")
        if self.track_ids is not None:
            object.__setattr__(self, "track_ids", np.asarray(self.track_ids, np.int64))
            if self.track_ids.shape != (n,):
                raise ValueError(f"track_ids have shape ({n},), got {self.track_ids.shape}")
        if self.keypoints is not None and len(self.keypoints) != n:
            raise ValueError(f"keypoints are those of {n} persons, got {len(self.keypoints)}")

    @classmethod
    def empty(cls) -> Detections:
        """No persons, with an (empty) array of track ids."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, index: npt.NDArray[np.intp] | npt.NDArray[np.bool_] | slice) -> Detections:
        """The persons at `index` (integer or boolean array, or a slice)."""
        ids = None if self.track_ids is None else self.track_ids[index]
        keypoints = None if self.keypoints is None else self.keypoints.select(index)
        return Detections(self.boxes[index], self.scores[index], ids, keypoints)

    def __repr__(self) -> str:
        return f"Detections(n={len(self)}, tracked={self.track_ids is not None})"


def joined(first: Detections, second: Detections) -> Detections:
    """Tracked persons of the first, then those of the second; keypoints where both have some."""
    ids = [np.zeros(0, np.int64) if part.track_ids is None else part.track_ids for part in (first, second)]
    keypoints = None
    if first.keypoints is not None and second.keypoints is not None:
        pairs = [
            (getattr(first.keypoints, name), getattr(second.keypoints, name))
            for name in ("points", "metres", "presence", "looked")
        ]
        keypoints = Keypoints(*map(np.concatenate, pairs))
    return Detections(
        np.concatenate([first.boxes, second.boxes]),
        np.concatenate([first.scores, second.scores]),
        np.concatenate(ids),
        keypoints,
    )
