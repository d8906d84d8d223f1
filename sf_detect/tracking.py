"""Identities over time: ByteTrack (Zhang et al. 2022), and boxes between detections.

Detections come every few tenths of a second rather than every frame, so a person may have moved more than a body width
in between. Boxes are therefore compared by distance-IoU (Zheng et al. 2020), which still tells near from far where
boxes no longer overlap, and a person counts as tracked from the first confident detection on.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from sf_detect.association import assign, distance_iou
from sf_detect.errors import ConfigError
from sf_detect.structures import Detections, Keypoints, joined

# Steps of the filter in a second. Of 2, 4, 10 and 30, 10 keeps ids best at 4 to 10 detections a second; 30 trusts
# velocities too much over such gaps and doubles the switches.
_STEPS_PER_SECOND = 10.0
# A gap this near to a step, in seconds, is one: clocks round.
_STEP_TOLERANCE = 0.004
_MEASUREMENT_VARIANCE = 0.1
_PROCESS_VARIANCE = 0.01


class Track:
    """A person who was seen: a box whose edges move at constant velocity, estimated by a Kalman filter.

    The four edges are independent of each other and have the same noise, so one covariance of position and velocity
    serves all. Units are pixels and steps of 0.1 s.

    Args:
        track_id: The person's.
        box: (4,) float64 xyxy, where they are.
    """

    def __init__(self, track_id: int, box: npt.NDArray[np.float64]) -> None:
        self.track_id, self.unseen_seconds = track_id, 0.0
        self.box, self._velocity = box, np.zeros(4)
        self._covariance = np.eye(2)

    def predict(self, seconds: float) -> None:
        """Where they are so much later."""
        step = seconds * _STEPS_PER_SECOND
        self.unseen_seconds += seconds
        self.box = self.box + step * self._velocity
        move = np.array([[1, step], [0, 1]])
        self._covariance = move @ self._covariance @ move.T + _process_noise(step)

    def update(self, box: npt.NDArray[np.float64]) -> None:
        """They were seen, (4,) float64 xyxy."""
        self.unseen_seconds = 0.0
        gain = self._covariance[:, 0] / (self._covariance[0, 0] + _MEASUREMENT_VARIANCE)
        off = box - self.box
        self.box, self._velocity = self.box + gain[0] * off, self._velocity + gain[1] * off
        self._covariance = self._covariance - np.outer(gain, self._covariance[0])


def _process_noise(step: float) -> npt.NDArray[np.float64]:
    """Covariance (2, 2) that a prediction adds: of random accelerations, constant over the gap.

    Over a gap of one step it is that of independent noise of position and velocity, as ByteTrack has it.
    """
    if abs(step - 1) <= _STEP_TOLERANCE * _STEPS_PER_SECOND:
        return _PROCESS_VARIANCE * np.eye(2)
    effect = np.array([step**2 / 2, step])
    return _PROCESS_VARIANCE * np.outer(effect, effect)


class ByteTrack:
    """Gives persons ids that stay with them; a `Tracker`.

    A detection scored at least `new_track_score` that fits no track starts one and has its id at once. A weaker one
    can only continue a track; where it fits none it is dropped, unless `start` is told that it shows somebody. Ids
    count up from 1 within a source and are never used again. The returned boxes are the detected ones, not the
    filter's estimate.

    Args:
        new_track_score: Least score to start a track, in [0, 1].
        lost_seconds: A person not seen for longer gets a new id when they come back.
        least_score: Least score to continue a track; weaker detections are doubtful only.
        min_similarity: Least distance-IoU of a detection and a track's predicted box, in [-1, 1]: the IoU less the
            squared distance of the centres over the squared diagonal of both. At -0.2 a standing person may be off
            the prediction by about two widths.

    Raises:
        ConfigError: A value is out of range.
    """

    def __init__(
        self,
        new_track_score: float = 0.4,
        lost_seconds: float = 2.0,
        min_similarity: float = -0.2,
        least_score: float = 0.0,
    ) -> None:
        ranges = {
            "new_track_score": (new_track_score, 0.0, 1.0),
            "lost_seconds": (lost_seconds, 0.0, math.inf),
            "min_similarity": (min_similarity, -1.0, 1.0),
            "least_score": (least_score, 0.0, 1.0),
        }
        for name, (value, least, most) in ranges.items():
            if not least <= value <= most:
                raise ConfigError(f"the tracker's {name} is {value}, expected a number from {least} to {most}.")
        self.new_track_score, self.lost_seconds = new_track_score, lost_seconds
        self.min_similarity, self.least_score = min_similarity, least_score
        self.reset()

    def reset(self) -> None:
        """Forgets all persons; ids start at 1 again."""
        self._tracks: list[Track] = []
        self._doubtful = Detections.empty()
        self._next_id = 1
        self._last_pts = -math.inf

    def update(self, detections: Detections, pts: float) -> Detections:
        """Tracked persons at `pts` seconds, in the order they were detected.

        Raises:
            ValueError: `pts` is not later than that of the last update; `reset` starts another source.
        """
        if not self._last_pts < pts < math.inf:
            raise ValueError(f"pts must increase from update to update, got {pts} after {self._last_pts}")
        for track in self._tracks:
            track.predict(pts - self._last_pts)
        self._last_pts = pts
        # Before the association: nobody comes back to an id that was given up.
        self._tracks = [track for track in self._tracks if track.unseen_seconds <= self.lost_seconds]
        boxes, confident = detections.boxes.astype(np.float64), detections.scores >= self.new_track_score
        ids = np.full(len(detections), -1, np.int64)
        # Confident detections choose first, weak ones among the tracks that are left (paper, algorithm 1).
        left = self._associate(self._tracks, boxes, np.flatnonzero(confident), ids)
        self._associate(left, boxes, np.flatnonzero(~confident & (detections.scores >= self.least_score)), ids)
        for row in np.flatnonzero(confident & (ids < 0)):
            ids[row] = self._started(boxes[row])
        self._doubtful = detections.select(ids < 0)
        return Detections(detections.boxes, detections.scores, ids).select(ids >= 0)

    def doubtful(self) -> Detections:
        """The weak detections that continued no track at the last update."""
        return self._doubtful

    def start(self, persons: Detections) -> Detections:
        """Continues the lost track that fits each of these persons, or starts one, and gives them with their ids.

        Args:
            persons: Seen at the last update, of those who are `doubtful`.
        """
        boxes, ids = persons.boxes.astype(np.float64), np.full(len(persons), -1, np.int64)
        lost = [track for track in self._tracks if track.unseen_seconds > 0]
        self._associate(lost, boxes, np.arange(len(persons)), ids)
        for row in np.flatnonzero(ids < 0):
            ids[row] = self._started(boxes[row])
        return Detections(persons.boxes, persons.scores, ids)

    def _started(self, box: npt.NDArray[np.float64]) -> int:
        """The id of a new track that begins here."""
        self._tracks.append(Track(self._next_id, box))
        self._next_id += 1
        return self._next_id - 1

    def lost(self) -> Detections:
        """Tracks that the last update did not find, in the boxes where they should be; scores are 0."""
        tracks = [track for track in self._tracks if track.unseen_seconds > 0]
        boxes = np.array([track.box for track in tracks], np.float32).reshape(-1, 4)
        return Detections(
            boxes, np.zeros(len(tracks), np.float32), np.array([track.track_id for track in tracks], np.int64)
        )

    def sustain(self, persons: Detections) -> None:
        """Takes these persons for seen at the last update: lost ones whom somebody found by other means."""
        if persons.track_ids is None:
            return
        found = {int(track): box for track, box in zip(persons.track_ids, persons.boxes, strict=True)}
        for track in self._tracks:
            if track.track_id in found and track.unseen_seconds > 0:
                track.update(found[track.track_id].astype(np.float64))

    def _associate(
        self,
        tracks: list[Track],
        boxes: npt.NDArray[np.float64],
        rows: npt.NDArray[np.intp],
        ids: npt.NDArray[np.int64],
    ) -> list[Track]:
        """Gives detections `rows` the ids of tracks that they continue, and returns the tracks that none continues."""
        if not tracks or not len(rows):
            return tracks
        similarity = distance_iou(np.stack([track.box for track in tracks]), boxes[rows])
        pairs = assign(similarity, self.min_similarity)
        for i, j in pairs:
            tracks[i].update(boxes[rows[j]])
            ids[rows[j]] = tracks[i].track_id
        continued = {i for i, _ in pairs}
        return [track for i, track in enumerate(tracks) if i not in continued]


def interpolate(
    before: Detections, before_pts: float, after: Detections, after_pts: float, pts: float, linger: float = 0.5
) -> Detections:
    """Persons between two tracked detections.

    A track present on both sides moves linearly. A track on one side only stays where it was seen, up to the middle
    of the gap but no longer than `linger` seconds: it is as likely to have left (or come) in either half.

    Args:
        before, after: Tracked persons at `before_pts` and `after_pts`.
        before_pts, after_pts: Seconds.
        pts: Seconds, from `before_pts` to `after_pts`.
        linger: Longest time that a track seen on one side only is shown beyond its sighting.

    Returns:
        Tracks of `before` in their order, then those only in `after`. Scores are interpolated too.

    Raises:
        ValueError: `pts` is outside the gap, or persons have no track ids.
    """
    if not before_pts <= pts <= after_pts:
        raise ValueError(f"pts {pts} lies outside the gap from {before_pts} to {after_pts}")
    if before.track_ids is None or after.track_ids is None:
        raise ValueError("interpolation follows tracks, but these detections have no track ids")
    share = (pts - before_pts) / (after_pts - before_pts) if after_pts > before_pts else 0.0
    rows_after = {int(track): row for row, track in enumerate(after.track_ids)}
    shared = np.array([int(track) in rows_after for track in before.track_ids], bool)
    partner = np.array([rows_after.get(int(track), 0) for track in before.track_ids], np.intp)
    boxes, scores = before.boxes.copy(), before.scores.copy()
    boxes[shared] += share * (after.boxes[partner[shared]] - boxes[shared])
    scores[shared] += share * (after.scores[partner[shared]] - scores[shared])
    keypoints = _moved(before.keypoints, after.keypoints, shared, partner, share)
    stays = min((after_pts - before_pts) / 2, linger)
    keep = shared | (pts - before_pts <= stays)
    both = Detections(boxes, scores, before.track_ids, keypoints)
    if not keep.all():
        both = both.select(keep)
    is_new = ~np.isin(after.track_ids, before.track_ids)
    if after_pts - pts > stays or pts == before_pts or not is_new.any():
        return both
    return joined(both, after.select(is_new))


def _moved(
    before: Keypoints | None,
    after: Keypoints | None,
    shared: npt.NDArray[np.bool_],
    partner: npt.NDArray[np.intp],
    share: float,
) -> Keypoints | None:
    """Keypoints between two detections: of tracks known on both sides they move linearly, others stay."""
    if before is None or after is None or not shared.any():
        return before
    known = after.presence[partner]
    # How far each goes; those who are unknown on one side stay.
    way = np.where(shared & (before.presence > 0) & (known > 0), np.float32(share), np.float32(0))
    points = before.points + way[:, None, None] * (after.points[partner] - before.points)
    metres = before.metres + way[:, None, None] * (after.metres[partner] - before.metres)
    return Keypoints(points, metres, before.presence + way * (known - before.presence))
