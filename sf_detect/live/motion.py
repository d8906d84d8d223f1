"""Where tracked persons are by now: the boxes of the newest detection, moved to a later time by how they moved.

A detection is known a tenth of a second after its frame was shown, and is a third of a second old when the next one
comes. Boxes that stood still in between would trail behind everybody who walks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sf_detect.structures import Detections, Keypoints, joined

HORIZON = 0.35
"""Time constant in seconds of a velocity that nothing confirms: nobody is moved further than this times their speed."""
LONGEST = 2.0
"""Seconds after which a detection says nothing about where people are."""
_NEW_VELOCITY = 0.5


@dataclass(frozen=True, eq=False)
class _Seen:
    """A track as it was seen last; velocities in pixels a second, of all four edges."""

    box: npt.NDArray[np.float32]
    velocity: npt.NDArray[np.float32]
    pts: float


class TrackMotion:
    """Moves the boxes of the newest detection to other times.

    Velocities are means over the sightings of a track, and fade with the time since the newest one.

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
        if before is None or pts <= before.pts:
            return _Seen(box, np.zeros(4, np.float32), pts)
        newest = (box - before.box) / np.float32(pts - before.pts)
        return _Seen(box, _NEW_VELOCITY * newest + (1 - _NEW_VELOCITY) * before.velocity, pts)


def _moved(persons: Detections, seen: list[_Seen], pts: float) -> Detections:
    if not len(persons):
        return persons
    shifts = np.stack([one.velocity * np.float32(_faded(pts - one.pts)) for one in seen])
    boxes = persons.boxes + shifts
    # An edge must not pass the one on the other side.
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    return replace(persons, boxes=boxes, keypoints=_moved_keypoints(persons.keypoints, persons.boxes, boxes))


def _faded(seconds: float) -> float:
    """For how long a fading velocity has acted after so many seconds."""
    return math.copysign(HORIZON * (1 - math.exp(-abs(seconds) / HORIZON)), seconds)


def _moved_keypoints(
    keypoints: Keypoints | None, before: npt.NDArray[np.float32], after: npt.NDArray[np.float32]
) -> Keypoints | None:
    """Keypoints go with the middles of their boxes."""
    if keypoints is None:
        return None
    points = keypoints.points.copy()
    shift = (after[:, :2] + after[:, 2:] - before[:, :2] - before[:, 2:]) / 2
    points[:, :, :2] += shift[:, None]
    return replace(keypoints, points=points)


def _ids(persons: Detections) -> list[int]:
    return [] if persons.track_ids is None else [int(track) for track in persons.track_ids]
