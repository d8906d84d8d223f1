"""People whom the detector misses: those who lie, bend or stand close are often none to it.

BlazePose's own person detector looks at the whole picture about once a second. Where it finds somebody who is not
tracked, the landmark network looks; where that is certain, and the body is about as large as it should be, a person
was found.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from sf_detect.keypoints.blazepose_person import PersonSquare
from sf_detect.keypoints.crop import LEAST_CONFIDENCE, trunk_angle
from sf_detect.keypoints.estimator import DEFAULT_MAX_PERSONS, LandmarkNetwork
from sf_detect.keypoints.extent import extent, inside
from sf_detect.keypoints.places import Found, overlaps
from sf_detect.landmarks import HIPS
from sf_detect.structures import Detections, Frame, UInt8Array

PeopleNetwork = Callable[[UInt8Array], Sequence[PersonSquare]]
"""From a picture to where people may be in it, the most certain first; see `blazepose_person.BlazePosePersons`."""

APART = 0.9
"""Seconds from one search to the next."""
QUIET = 2.7
"""The same after `PATIENCE` searches in a row that showed nobody new, unless somebody has gone since."""
PATIENCE = 2
LOOKS = 2
"""Most places that are looked at on a frame."""
CERTAIN = 0.99
"""Presence from which somebody is found."""
LEAST_LANDMARKS = 24
"""Confident ones in the picture; boxes around bodies of which less is seen fit badly."""
REFUSED = 2.0
"""Seconds for which a place where nobody was seen is not looked at again."""
_SAME_HIPS = 0.5  # way between hips, over the radius of the circle around the body, below which they are of one person
_SIZES = (0.4, 1.6)  # the longer side of a body over the circle's diameter


class PersonSearch:
    """Looks for people in a run.

    Args:
        people: Finds places in a picture.
        landmarks: Looks at one of them.
        max_persons: Persons of a frame from which on nobody else is looked for.
        min_size: Least length of a found box's longer side in pixels.
    """

    def __init__(
        self,
        people: PeopleNetwork,
        landmarks: LandmarkNetwork,
        max_persons: int = DEFAULT_MAX_PERSONS,
        min_size: float = 0.0,
    ) -> None:
        self._people, self._landmarks = people, landmarks
        self._max_persons, self._min_size = max_persons, min_size
        self.reset()

    def reset(self) -> None:
        """Forgets where nobody was; the next frame is searched."""
        self._last, self._in_vain, self._most = -math.inf, 0, 0
        self._refused: list[tuple[float, PersonSquare]] = []

    def found(self, frame: Frame, persons: Detections) -> list[Found]:
        """People on `frame` who are none of `persons`; nobody where the last search was a moment ago.

        Args:
            frame: The newest.
            persons: Who is known on it, with keypoints.
        """
        left = self._max_persons - len(persons)
        if left <= 0 or not self._is_due(frame.pts, len(persons)):
            return []
        self._last = frame.pts
        self._refused = [known for known in self._refused if frame.pts - known[0] <= REFUSED]
        unknown = [square for square in self._people(frame.image) if not self._is_known(square, persons)]
        found: list[Found] = []
        for square in unknown[: min(LOOKS, left)]:
            somebody = self._look(frame, square)
            if somebody is None:
                self._refused.append((frame.pts, square))
            elif not overlaps(somebody.box, _with(persons, found), somebody.seen.points[0]):
                found.append(somebody)
        self._in_vain, self._most = 0 if unknown else self._in_vain + 1, len(persons) + len(found)
        return found

    def _is_due(self, time: float, count: int) -> bool:
        """Whether the frame at `time`, with `count` known persons, is searched."""
        gone = count < self._most
        self._most = max(self._most, count)
        return time - self._last >= (APART if gone or self._in_vain < PATIENCE else QUIET)

    def _is_known(self, square: PersonSquare, persons: Detections) -> bool:
        """Whether it shows somebody who is tracked, or a place that was looked at in vain."""
        others = [(refused.crop.x, refused.crop.y) for _, refused in self._refused]
        others += [_middle(persons, row) for row in range(len(persons))]
        x, y = square.crop.x, square.crop.y
        return any(math.hypot(x - other[0], y - other[1]) < _SAME_HIPS * square.radius for other in others)

    def _look(self, frame: Frame, square: PersonSquare) -> Found | None:
        """Somebody whom the landmark network is certain of, and who is about as large as the circle says."""
        seen = self._landmarks(frame.image, square.crop)
        points, presence, size = seen.points[0], float(seen.presence[0]), frame.size
        if presence < CERTAIN or inside(points, size).sum() < LEAST_LANDMARKS:
            return None
        box = extent(points, size)
        longer = float((box[2:] - box[:2]).max())
        if longer < self._min_size or not _SIZES[0] <= longer / (2 * square.radius) <= _SIZES[1]:
            return None
        return Found(seen, box, trunk_angle(points, presence, square.crop.side))


def _middle(persons: Detections, row: int) -> tuple[float, float]:
    """Between the hips of a person, in pixels; of the box where they aren't seen."""
    box, keypoints = persons.boxes[row], persons.keypoints
    middle: npt.NDArray[np.floating] = (box[:2] + box[2:]) / 2
    if keypoints is not None and keypoints.presence[row] >= LEAST_CONFIDENCE:
        hips = keypoints.points[row][list(HIPS)]
        if hips[:, 2].min() >= LEAST_CONFIDENCE:
            middle = hips[:, :2].mean(axis=0)
    return float(middle[0]), float(middle[1])


def _with(persons: Detections, found: Sequence[Found]) -> Detections:
    """Boxes of both."""
    boxes = np.concatenate([persons.boxes, *(somebody.box[None] for somebody in found)])
    return Detections(boxes, np.zeros(len(boxes), np.float32))
