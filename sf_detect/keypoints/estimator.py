"""Landmarks along tracks: each person's square stands as they did when they were looked at before."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sf_detect import boxes as box_math
from sf_detect.keypoints.crop import LEAST_CONFIDENCE, Crop, trunk_angle
from sf_detect.keypoints.doubles import Doubles
from sf_detect.structures import Detections, Frame, Keypoints, UInt8Array

DEFAULT_MAX_PERSONS = 8
FIRST_LOOKS = 4
"""At a track, on successive frames: about a second, which is what postures are told from."""
CARRIED_SECONDS = 0.4
"""Longest time for which landmarks move with a box; less than the shortest that two usual detections take."""
_FORGOTTEN = 1.0
"""Seconds after which an angle tells nothing any more."""
_STEADY_SIZE = 0.12  # change of a side of the box, as a logarithm
_STEADY_HEIGHT = 0.1  # way up or down, over the longer side
_AWAY = 0.1  # way sideways, over the longer side, from which the box alone tells that limbs move because somebody goes
_UPRIGHT = 0.15  # radians between the trunk and upright: who leans may fall
_TURN = 0.1  # radians between the trunk at two looks
_LIMBS = (15, 16, 25, 26, 27, 28)
_STILL = 0.1
"""Metres by which landmarks of somebody who holds still seem to move at most; ankles of walkers do farther."""


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


@dataclass(frozen=True, eq=False)
class _Look:
    """What is remembered of the newest look at a track.

    Attributes:
        count: Looks so far.
        time: In seconds.
        box: The person's, (4,) xyxy pixels.
        seen: Their landmarks.
        angle: Of the trunk.
        turn: By how much that changed since the look before.
        swing: How far knees, ankles and wrists moved sideways or up since then, against the hips, in metres at most.
        carried: Whether the landmarks served for a later frame already.
    """

    count: int
    time: float
    box: npt.NDArray[np.float32]
    seen: Keypoints
    angle: float
    turn: float
    swing: float
    carried: bool = False

    def serves(self, box: npt.NDArray[np.float32], time: float) -> bool:
        """Whether a box at `time` shows the person as they were: no other look is needed."""
        if self.carried or self.count < FIRST_LOOKS or time - self.time > CARRIED_SECONDS:
            return False
        if self.seen.presence[0] < LEAST_CONFIDENCE or abs(self.angle) > _UPRIGHT or self.turn > _TURN:
            return False
        size, before = (np.maximum(b[2:] - b[:2], 1.0) for b in (box, self.box))
        aside, rise = np.abs(box[:2] + box[2:] - self.box[:2] - self.box[2:]) / 2 / before.max()
        # Whoever walks before a camera that follows keeps their shape and their place.
        if self.swing > _STILL and aside < _AWAY:
            return False
        return bool(np.abs(np.log(size / before)).max() <= _STEADY_SIZE and rise <= _STEADY_HEIGHT)

    def moved(self, box: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The landmarks (33, 3) in another box of the person."""
        points = self.seen.points[0].copy()
        share = (points[:, :2] - self.box[:2]) / np.maximum(self.box[2:] - self.box[:2], 1.0)
        points[:, :2] = box[:2] + share * (box[2:] - box[:2])
        return points


class TrackKeypoints:
    """The landmarks of a run's tracked persons; a `KeypointEstimator` and a `PersonMerger`.

    Args:
        network: Looks at one person.
        max_persons: Most persons of a frame that are looked at, the largest first; the others' are unknown.
        sparing: Whether people who have been seen for a while are looked at on every second frame only, as long as
            their boxes keep their shape and their trunks their angle. In between landmarks move with the box.
    """

    def __init__(self, network: LandmarkNetwork, max_persons: int = DEFAULT_MAX_PERSONS, sparing: bool = False) -> None:
        self._network, self._max_persons, self._sparing = network, max_persons, sparing
        self._looks: dict[int, _Look] = {}
        self._doubles = Doubles()

    def reset(self) -> None:
        """Forgets how everybody stood, and who was there."""
        self._looks.clear()
        self._doubles.reset()

    def each_once(self, frame: Frame, persons: Detections) -> Detections:
        """The persons of `frame` without second boxes; see `PersonMerger`."""
        return self._doubles.without(persons, frame)

    def update(self, frame: Frame, persons: Detections) -> Keypoints:
        """The landmarks of `persons` on `frame`, in pixels of the frame."""
        found = Keypoints.unknown(len(persons))
        for i in self._chosen(persons.boxes, frame.size):
            track, box = None if persons.track_ids is None else int(persons.track_ids[i]), persons.boxes[i]
            carried = self._carried(track, box, frame.pts)
            seen = self._look_at(frame, track, box) if carried is None else carried
            found.points[i], found.metres[i], found.presence[i] = seen.points[0], seen.metres[0], seen.presence[0]
            found.looked[i] = carried is None and seen.presence[0] > 0
        self._looks = {t: look for t, look in self._looks.items() if frame.pts - look.time <= _FORGOTTEN}
        return found

    def _carried(self, track: int | None, box: npt.NDArray[np.float32], time: float) -> Keypoints | None:
        """The landmarks of the look before in the new box, where they serve."""
        look = None if track is None or not self._sparing else self._looks.get(track)
        if track is None or look is None or not look.serves(box, time):
            return None
        self._looks[track] = replace(look, carried=True)
        return replace(look.seen, points=look.moved(box)[None])

    def _look_at(self, frame: Frame, track: int | None, box: npt.NDArray[np.float32]) -> Keypoints:
        crop = Crop.around(box, self._angle(track, frame.pts))
        seen = self._network(frame.image, crop)
        if track is not None:
            angle = trunk_angle(seen.points[0], float(seen.presence[0]), crop.side)
            self._remember(track, frame.pts, box, seen, angle)
        return seen

    def _chosen(self, boxes: npt.NDArray[np.float32], image_size: tuple[int, int]) -> list[int]:
        """The largest persons that are in the picture at all."""
        return box_math.largest(boxes, image_size, self._max_persons)

    def _remember(self, track: int, time: float, box: npt.NDArray[np.float32], seen: Keypoints, angle: float) -> None:
        before = self._looks.get(track)
        count, turn, swing = 0, 0.0, np.inf
        if before is not None:
            ways = (seen.metres[0] - before.seen.metres[0])[:, :2]
            swing = float(np.abs(ways[list(_LIMBS)] - ways[23:25].mean(axis=0)).max())
            count, turn = before.count, abs(angle - before.angle)
        self._looks[track] = _Look(count + 1, time, box, seen, angle, turn, swing)

    def _angle(self, track: int | None, time: float) -> float:
        look = None if track is None else self._looks.get(track)
        return look.angle if look is not None and time - look.time <= _FORGOTTEN else 0.0
