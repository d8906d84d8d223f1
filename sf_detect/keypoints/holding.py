"""Tracks that the detector loses and the landmark network still sees: people who fall, lie or turn away.

Detectors find those who lie less often than those who stand. As BlazePose does from picture to picture (Bazarevsky et
al. 2020, section 2), a person who was detected is looked for near where they were, and landmarks say where they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sf_detect import boxes as box_math
from sf_detect.keypoints.crop import Crop, trunk_angle
from sf_detect.keypoints.estimator import DEFAULT_MAX_PERSONS, LandmarkNetwork, TrackKeypoints
from sf_detect.keypoints.extent import extent, inside
from sf_detect.keypoints.finding import REFUSED, PersonSearch
from sf_detect.keypoints.places import LEAST_LANDMARKS, Found, overlaps, people, same_place
from sf_detect.structures import Detections, Frame, Keypoints, joined

DEFAULT_HOLD = 30.0
SCORE = 0.15
"""Of a person whom landmarks alone show, over their presence: less than any detection has by default."""
LEAST_PRESENCE, SURE_PRESENCE = 0.5, 0.9
"""Of somebody who is where they were, and of somebody who is elsewhere."""
LEAST_DETECTIONS = 2
"""That make somebody worth looking for."""
SEARCH = 1.0
"""Seconds after the newest sight of somebody for which they are looked for."""
UNSURE = 0.6
"""Seconds before the newest detection within which the network must have seen a person there."""
_WIDER = (1.3, 1.6, 1.9)  # the squares to look at, over that of a detected person, until one shows somebody
_FURTHEST = 0.75  # from the predicted centre, over the longer side of the box before
_NOBODY = 0.05  # presence in the first square below which no wider one is looked at
_COVERED = 0.7  # share of a lost person's box within another's from which they can't be told apart
CONFIRMED = 0.95
"""Presence from which a weak detection shows somebody, where the landmarks fill its box."""
_SIZES = (0.4, 1.5)  # of the longer side, over that of the box before
_TURNED = 0.6  # radians between the trunk and the square from which a second look pays


@dataclass(frozen=True, eq=False)
class _Sight:
    """What is remembered of a track.

    Attributes:
        detections: How often the detector found it.
        recognitions: How often the landmark network saw a person in these boxes.
        detected: When it did last, in seconds.
        recognised: When the landmark network saw somebody there last, in seconds.
        box: Where they were last, (4,) xyxy pixels.
        passes: Whether the next detection passes without a look, as at the last nobody was seen, or somebody else.
    """

    detections: int
    recognitions: int
    detected: float
    recognised: float
    box: npt.NDArray[np.float32]
    passes: bool = False

    def worth_a_look(self, time: float, hold: float) -> bool:
        """Whether somebody who is not detected at `time` may still be there."""
        # Falling people are hard to recognise; dogs are recognised now and then.
        is_person = 2 * self.recognitions > self.detections >= LEAST_DETECTIONS
        confirmed = is_person and self.detected - self.recognised <= UNSURE
        return confirmed and time - self.detected <= hold and time - max(self.detected, self.recognised) <= SEARCH


class HeldKeypoints(TrackKeypoints):
    """`TrackKeypoints` that goes on with tracks whom the detector loses, and looks for people whom it misses.

    It is a `TrackHolder`, a `PersonConfirmer` and a `MissedPersonFinder`.

    Args:
        network: Looks at one person.
        max_persons: Most persons of a frame that are looked at, those who are detected first.
        hold: Seconds after its newest detection for which a track goes on.
        sparing: See `TrackKeypoints`.
        new_search: Makes what looks for people whom nobody detected; None where they are not looked for.
    """

    def __init__(
        self,
        network: LandmarkNetwork,
        max_persons: int = DEFAULT_MAX_PERSONS,
        hold: float = DEFAULT_HOLD,
        sparing: bool = False,
        new_search: Callable[[], PersonSearch] | None = None,
    ) -> None:
        super().__init__(network, max_persons, sparing)
        self._hold = hold
        self._search_for_people = None if new_search is None else new_search()
        self._found: list[Found] = []  # on the newest frame
        self._sights: dict[int, _Sight] = {}
        self._refused: list[tuple[float, npt.NDArray[np.float32]]] = []  # time and box

    def reset(self) -> None:
        """Forgets everybody."""
        super().reset()
        self._sights.clear()
        self._refused.clear()
        self._found = []
        if self._search_for_people is not None:
            self._search_for_people.reset()

    def confirmed(self, frame: Frame, persons: Detections, doubtful: Detections) -> Detections:
        """Whom of `doubtful` the landmark network recognises; see `PersonConfirmer`.

        One place is looked at on each frame, that of the highest score; not again for a while where nobody was seen.
        """
        self._refused = [known for known in self._refused if frame.pts - known[0] <= REFUSED]
        for row in np.argsort(-doubtful.scores, kind="stable"):
            box = doubtful.boxes[row]
            if overlaps(box, persons) or any(same_place(box, refused) for _, refused in self._refused):
                continue
            if self._recognises(frame, box):
                return doubtful.select(np.array([row]))
            self._refused.append((frame.pts, box))
            break
        return doubtful.select(np.zeros(0, np.intp))

    def held(self, frame: Frame, persons: Detections, lost: Detections) -> Detections:
        """Those of `lost` whom the landmark network sees on `frame`; see `TrackHolder`."""
        self._note(frame, persons)
        found = replace(Detections.empty(), keypoints=Keypoints.unknown(0))
        left = self._max_persons - len(self._chosen(persons.boxes, frame.size))
        for track, box in list(self._missing(frame, lost))[: max(left, 0)]:
            found = joined(found, self._look_for(track, box, frame, joined(persons, found)))
        known = set(_ids(persons)) | set(_ids(lost))
        self._sights = {track: sight for track, sight in self._sights.items() if track in known}
        return found

    def found(self, frame: Frame, persons: Detections) -> Detections:
        """People whom nobody detected; see `MissedPersonFinder`."""
        search = self._search_for_people
        self._found = [] if search is None else search.found(frame, persons)
        return people(self._found, SCORE)

    def follow(self, frame: Frame, persons: Detections) -> None:
        """Goes on with those who were found; see `MissedPersonFinder`."""
        for track, found in zip(_ids(persons), self._found, strict=True):
            self._sights[track] = _Sight(LEAST_DETECTIONS, LEAST_DETECTIONS, frame.pts, frame.pts, found.box)
            self._remember(track, frame.pts, found.box, found.seen, found.angle)

    def _recognises(self, frame: Frame, box: npt.NDArray[np.float32]) -> bool:
        """Whether the landmark network is sure of a person who fills the box."""
        seen = self._network(frame.image, Crop.around(box))
        points, size = seen.points[0], frame.size
        if seen.presence[0] < CONFIRMED or inside(points, size).sum() < LEAST_LANDMARKS:
            return False
        return same_place(extent(points, size), box)

    def _note(self, frame: Frame, persons: Detections) -> None:
        keypoints = persons.keypoints if persons.keypoints is not None else Keypoints.unknown(len(persons))
        for track, box, presence in zip(_ids(persons), persons.boxes, keypoints.presence, strict=False):
            before = self._sights.get(track, _Sight(0, 0, frame.pts, -np.inf, box))
            is_seen = bool(presence >= LEAST_PRESENCE)
            recognised = frame.pts if is_seen else before.recognised
            counts = before.detections + 1, before.recognitions + is_seen
            self._sights[track] = _Sight(*counts, frame.pts, recognised, box)

    def _missing(self, frame: Frame, lost: Detections) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
        """Tracks that are worth a look, and where they should be by now; those who were recognised last come first."""
        places = {track: box for track, box in zip(_ids(lost), lost.boxes, strict=False) if track in self._sights}
        for track in sorted(places, key=lambda track: -self._sights[track].recognised):
            sight = self._sights[track]
            if sight.passes:
                self._sights[track] = replace(sight, passes=False)
            elif sight.worth_a_look(frame.pts, self._hold):
                yield track, _moved(sight.box, places[track])

    def _look_for(self, track: int, box: npt.NDArray[np.float32], frame: Frame, others: Detections) -> Detections:
        """The person of the track, or nobody."""
        if _is_inside(box, frame.size) and not _is_hidden(box, others):
            look, expected = self._search(box, self._angle(track, frame.pts), frame)
            if look is not None and not overlaps(look.box, others, look.seen.points[0]):
                self._sights[track] = replace(self._sights[track], recognised=frame.pts, box=look.box)
                self._remember(track, frame.pts, look.box, look.seen, look.angle)
                return Detections(look.box[None], SCORE * look.seen.presence, np.array([track]), look.seen)
            self._sights[track] = replace(self._sights[track], passes=look is not None or not expected)
        return replace(Detections.empty(), keypoints=Keypoints.unknown(0))

    def _search(self, box: npt.NDArray[np.float32], angle: float, frame: Frame) -> tuple[Found | None, bool]:
        """Somebody in squares of growing width, and whether the first showed any sign of a person."""
        around = Crop.around(box, angle)
        for number, wider in enumerate(_WIDER):
            look, presence = self._look(frame, replace(around, side=around.side * wider), box)
            if look is None and number == 0 and presence < _NOBODY:
                return None, False
            if look is None:
                continue
            if abs(look.angle - angle) > _TURNED:
                look = self._look(frame, Crop.around(look.box, look.angle), look.box)[0] or look
            return look, True
        return None, True

    def _look(self, frame: Frame, crop: Crop, before: npt.NDArray[np.float32]) -> tuple[Found | None, float]:
        """Somebody in a square who may be the person of the box `before`, and the presence of anybody there."""
        seen = self._network(frame.image, crop)
        presence = float(seen.presence[0])
        if not _is_somebody(seen, before, frame.size):
            return None, presence
        angle = trunk_angle(seen.points[0], presence, crop.side)
        return Found(seen, extent(seen.points[0], frame.size), angle), presence


def _ids(persons: Detections) -> list[int]:
    """None without tracks: nobody is somebody then."""
    return [] if persons.track_ids is None else [int(track) for track in persons.track_ids]


def _moved(box: npt.NDArray[np.float32], predicted: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A box of the same size at the predicted centre: edges that move by themselves say little about its size."""
    shift = (predicted[:2] + predicted[2:] - box[:2] - box[2:]) / 2
    return np.asarray(box + np.tile(shift, 2), np.float32)


def _is_inside(box: npt.NDArray[np.float32], image_size: tuple[int, int]) -> bool:
    """Whether most of the box lies in the picture."""
    if not np.isfinite(box).all():
        return False
    inner, whole = box_math.area(box_math.clip(box[None], image_size)), box_math.area(box[None])
    return bool(inner[0] > 0.5 * whole[0])


def _is_somebody(seen: Keypoints, box: npt.NDArray[np.float32], image_size: tuple[int, int]) -> bool:
    """Whether landmarks show somebody who may be the person of a box a moment ago."""
    points = seen.points[0]
    if seen.presence[0] < LEAST_PRESENCE or inside(points, image_size).sum() < LEAST_LANDMARKS:
        return False
    where = extent(points, image_size)
    if seen.presence[0] < SURE_PRESENCE and not same_place(where, box):
        return False
    size, before = max(where[2:] - where[:2]), max(box[2:] - box[:2])
    way = np.hypot(*(where[:2] + where[2:] - box[:2] - box[2:]) / 2)
    return bool(_SIZES[0] * before <= size <= _SIZES[1] * before and way <= _FURTHEST * before)


def _is_hidden(box: npt.NDArray[np.float32], others: Detections) -> bool:
    """Whether somebody else is where a lost person should be, or in front of them."""
    if not len(others):
        return False
    shared = np.minimum(box[2:], others.boxes[:, 2:]) - np.maximum(box[:2], others.boxes[:, :2])
    covered = np.maximum(shared, 0).prod(axis=1).max() > _COVERED * box_math.area(box[None])[0]
    return bool(covered) or overlaps(box, others)
