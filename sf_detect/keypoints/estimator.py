"""Landmarks along tracks: each person's square stands as they did when they were looked at before."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sf_detect import boxes as box_math
from sf_detect.keypoints.crop import Crop, trunk_angle
from sf_detect.structures import Detections, Frame, Keypoints, UInt8Array

DEFAULT_MAX_PERSONS = 8
_FORGOTTEN = 1.0
"""Seconds after which an angle tells nothing any more."""


class LandmarkNetwork(Protocol):
    """Finds the landmarks of the person in a square of a picture; see `blazepose.BlazePose`."""

    def __call__(self, image: UInt8Array, crop: Crop) -> Keypoints: ...


class OneAtATime:
    """A landmark network for runs in several threads.

    Args:
        network: Which one thread at a time may use.
    """

    def __init__(self, network: LandmarkNetwork) -> None:
        self._network, self._lock = network, threading.Lock()

    def __call__(self, image: UInt8Array, crop: Crop) -> Keypoints:
        """See `LandmarkNetwork`."""
        with self._lock:
            return self._network(image, crop)


@dataclass(frozen=True)
class _Lean:
    time: float
    angle: float


class TrackKeypoints:
    """The landmarks of a run's tracked persons; a `KeypointEstimator`.

    Args:
        network: Looks at one person.
        max_persons: Most persons of a frame that are looked at, the largest first; the others' are unknown.
    """

    def __init__(self, network: LandmarkNetwork, max_persons: int = DEFAULT_MAX_PERSONS) -> None:
        self._network, self._max_persons = network, max_persons
        self._leans: dict[int, _Lean] = {}

    def reset(self) -> None:
        """Forgets how everybody stood."""
        self._leans.clear()

    def update(self, frame: Frame, persons: Detections) -> Keypoints:
        """The landmarks of `persons` on `frame`, in pixels of the frame."""
        found = Keypoints.unknown(len(persons))
        for i in self._chosen(persons.boxes, frame.size):
            track = None if persons.track_ids is None else int(persons.track_ids[i])
            crop = Crop.around(persons.boxes[i], self._angle(track, frame.pts))
            seen = self._network(frame.image, crop)
            found.points[i], found.metres[i], found.presence[i] = seen.points[0], seen.metres[0], seen.presence[0]
            if track is not None:
                self._remember(track, frame.pts, trunk_angle(seen.points[0], float(seen.presence[0]), crop.side))
        self._leans = {t: lean for t, lean in self._leans.items() if frame.pts - lean.time <= _FORGOTTEN}
        return found

    def _chosen(self, boxes: npt.NDArray[np.float32], image_size: tuple[int, int]) -> list[int]:
        """The largest persons that are in the picture at all."""
        finite = np.where(np.isfinite(boxes).all(axis=1, keepdims=True), boxes, 0)
        area = box_math.area(box_math.clip(finite, image_size))
        largest = np.argsort(-area, kind="stable")[: self._max_persons]
        return [int(i) for i in largest if area[i] > 0]

    def _remember(self, track: int, time: float, angle: float) -> None:
        self._leans[track] = _Lean(time, angle)

    def _angle(self, track: int | None, time: float) -> float:
        lean = None if track is None else self._leans.get(track)
        return lean.angle if lean is not None and time - lean.time <= _FORGOTTEN else 0.0
