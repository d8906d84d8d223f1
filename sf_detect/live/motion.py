"""Where tracked persons are by now: the boxes of the newest detection, moved to a later time by how they moved.

A detection is known a tenth of a second after its frame was shown, and is a third of a second old when the next one
comes. Boxes that stood still in between would trail behind everybody who walks. But a detector's boxes jump about, and
a velocity out of two of them moves people who stand: so a velocity is that of a line through the sightings of the last
second, less what their distance from the line leaves in doubt.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sf_detect.structures import Detections, Keypoints, joined

WINDOW = 1.2
"""Seconds of sightings that a velocity comes from."""
LEAST_SIGHTINGS = 3
DOUBT = 9.0
"""Variances of a velocity that its square must exceed; what is just above counts little."""
HORIZON = 0.6
"""Time constant in seconds of a velocity that nothing confirms: nobody is moved further than this times their speed."""
LONGEST = 2.0
"""Seconds after which a detection says nothing about where people are."""


@dataclass(frozen=True, eq=False)
class _Seen:
    """A track by its sightings.

    Attributes:
        pts: Seconds of the newest one.
        velocity: (2,) of the middle of its box, in pixels a second.
        sightings: (n, 3): seconds, and the middle of the box.
    """

    pts: float
    velocity: npt.NDArray[np.float64]
    sightings: npt.NDArray[np.float64]


class TrackMotion:
    """Moves the boxes of the newest detection to other times.

    Velocities fade with the time since the newest sighting.

    Args:
        linger: Seconds for which a track that the newest detection lacks is still there.
    """

    def __init__(self, linger: float = 0.0) -> None:
        self._linger = linger
        self.reset()

    def reset(self) -> None:
        """Forget everybody."""
        self._newest: Detections | None = None
        self._lost: dict[int, tuple[Detections, _Seen]] = {}
        self._seen: dict[int, _Seen] = {}
        self.pts: float | None = None

    def update(self, persons: Detections, pts: float) -> None:
        """Take a newer detection.

        Args:
            persons: With track ids.
            pts: Seconds; not before the last one.
        """
        ids = _ids(persons)
        if self._newest is not None and self._linger > 0:
            rows = {track: row for row, track in enumerate(_ids(self._newest))}
            gone = {track: self._newest.select(np.array([row])) for track, row in rows.items() if track not in ids}
            self._lost |= {track: (one, self._seen[track]) for track, one in gone.items()}
        self._lost = {
            track: kept for track, kept in self._lost.items() if track not in ids and pts - kept[1].pts <= self._linger
        }
        self._seen = {track: self._sighting(track, persons.boxes[row], pts) for row, track in enumerate(ids)}
        self._newest, self.pts = persons, pts

    def at(self, pts: float) -> Detections:
        """The persons at `pts` seconds; none where the newest detection is older than `LONGEST`."""
        if self._newest is None or self.pts is None or pts - self.pts > LONGEST:
            return Detections.empty()
        persons = self._newest
        if persons.track_ids is not None:
            persons = _moved(persons, [self._seen[track] for track in _ids(persons)], pts)
        for one, seen in self._lost.values():
            if pts - seen.pts <= self._linger:
                persons = joined(persons, _moved(one, [seen], pts))
        return persons

    def _sighting(self, track: int, box: npt.NDArray[np.float32], pts: float) -> _Seen:
        before = self._seen.get(track) or (self._lost[track][1] if track in self._lost else None)
        newest = np.array([[pts, (box[0] + box[2]) / 2, (box[1] + box[3]) / 2]], np.float64)
        if before is None or pts <= before.pts:
            return _Seen(pts, np.zeros(2), newest)
        kept = before.sightings[before.sightings[:, 0] >= pts - WINDOW]
        sightings = np.concatenate([kept, newest])
        return _Seen(pts, _velocity(sightings), sightings)


def _velocity(sightings: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Slope of the line through (n, 3) sightings, each direction shrunk by its own uncertainty."""
    if len(sightings) < LEAST_SIGHTINGS:
        return np.zeros(2)
    times, places = sightings[:, 0] - sightings[:, 0].mean(), sightings[:, 1:] - sightings[:, 1:].mean(axis=0)
    spread = times @ times
    slope = times @ places / spread
    off = places - times[:, None] * slope
    variance = (off**2).sum(axis=0) / (len(times) - 2) / spread
    trust = 1 - DOUBT * variance / np.maximum(slope**2, 1e-9)
    velocity: npt.NDArray[np.float64] = slope * np.maximum(trust, 0)
    return velocity


def _moved(persons: Detections, seen: list[_Seen], pts: float) -> Detections:
    if not len(persons):
        return persons
    shifts = np.stack([one.velocity * _faded(pts - one.pts) for one in seen]).astype(np.float32)
    boxes = persons.boxes + np.tile(shifts, 2)
    return replace(persons, boxes=boxes, keypoints=_moved_keypoints(persons.keypoints, shifts))


def _faded(seconds: float) -> float:
    """For how long a fading velocity has acted after so many seconds."""
    return math.copysign(HORIZON * (1 - math.exp(-abs(seconds) / HORIZON)), seconds)


def _moved_keypoints(keypoints: Keypoints | None, shifts: npt.NDArray[np.float32]) -> Keypoints | None:
    """Keypoints go with their boxes."""
    if keypoints is None:
        return None
    points = keypoints.points.copy()
    points[:, :, :2] += shifts[:, None]
    return replace(keypoints, points=points)


def _ids(persons: Detections) -> list[int]:
    return [] if persons.track_ids is None else [int(track) for track in persons.track_ids]
