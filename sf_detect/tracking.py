"""Identities over time: ByteTrack (Zhang et al. 2022) from the `trackers` library, and boxes between detections.

Detections come every few tenths of a second rather than every frame, so a person may have moved more than a body width
in between. Boxes are therefore compared by distance-IoU (Zheng et al. 2020), which still tells near from far where
boxes no longer overlap, and a person counts as tracked from the first confident detection on.
"""

from __future__ import annotations

import contextlib
import math
import threading
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sf_detect.errors import ConfigError
from sf_detect.structures import Detections, Keypoints, joined

if TYPE_CHECKING:
    from trackers import ByteTrackTracker

# The rate at which one Kalman step is one frame. Of 2, 4, 10 and 30, 10 keeps ids best at 4 to 10 detections a second;
# the library's 30 trusts velocities too much over such gaps and doubles the switches.
_NOMINAL_RATE = 10.0


def import_early() -> threading.Thread:
    """Begin to import the tracking library, in a thread: it takes a second that loading networks can hide."""

    def work() -> None:
        with contextlib.suppress(ImportError):  # whoever needs it meets the error itself
            import supervision  # noqa: F401
            import trackers  # noqa: F401

    thread = threading.Thread(target=work, name="import trackers", daemon=True)
    thread.start()
    return thread


class ByteTrack:
    """Gives persons ids that stay with them; a `Tracker`.

    A detection scored at least `new_track_score` that fits no track starts one and has its id at once. A weaker one
    can only continue a track; where it fits none it is dropped. Ids count up from 1 within a source and are never
    used again. The returned boxes are the detected ones, not the filter's estimate.

    Args:
        new_track_score: Least score to start a track, in [0, 1].
        lost_seconds: A person not seen for longer gets a new id when they come back.
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
    ) -> None:
        ranges = {
            "new_track_score": (new_track_score, 0.0, 1.0),
            "lost_seconds": (lost_seconds, 0.0, math.inf),
            "min_similarity": (min_similarity, -1.0, 1.0),
        }
        for name, (value, least, most) in ranges.items():
            if not least <= value <= most:
                raise ConfigError(f"the tracker's {name} is {value}, expected a number from {least} to {most}.")
        self.new_track_score, self.lost_seconds = new_track_score, lost_seconds
        self.min_similarity = min_similarity
        self.reset()

    def reset(self) -> None:
        """Forgets all persons; ids start at 1 again."""
        self._tracker: ByteTrackTracker | None = None
        self._next_id = 1
        self._last_pts = -math.inf

    def update(self, detections: Detections, pts: float) -> Detections:
        """Tracked persons at `pts` seconds, in the order they were detected.

        Raises:
            ValueError: `pts` is not later than that of the last update; `reset` starts another source.
        """
        if not self._last_pts < pts < math.inf:
            raise ValueError(f"pts must increase from update to update, got {pts} after {self._last_pts}")
        self._last_pts = pts
        if self._tracker is None:
            self._tracker = self._build()
        result = self._tracker.update(self._as_supervision(detections), timestamp=pts)
        ids = np.full(len(detections), -1, np.int64)
        if len(result):
            ids[result.data["row"]] = np.asarray(result.tracker_id)
        self._confirm_new(detections, ids)
        return Detections(detections.boxes, detections.scores, ids).select(ids >= 0)

    def _confirm_new(self, detections: Detections, ids: npt.NDArray[np.int64]) -> None:
        """Gives tracks that were started just now their id, which the library would do at the next sighting."""
        assert self._tracker is not None
        new = [track for track in self._tracker.tracks if track.tracker_id == -1]
        for row in np.flatnonzero(ids == -1):
            for i, track in enumerate(new):
                if np.array_equal(track.get_state_bbox(), detections.boxes[row].astype(np.float64)):
                    ids[row] = track.tracker_id = self._next_id
                    self._next_id += 1
                    del new[i]
                    break

    def _build(self) -> ByteTrackTracker:
        from trackers import ByteTrackTracker, DIoU  # a second of imports, see `import_early`

        return ByteTrackTracker(
            lost_track_buffer=round(min(self.lost_seconds, 1e6) * 30),  # the library counts in 30ths of a second
            frame_rate=_NOMINAL_RATE,
            track_activation_threshold=self.new_track_score,
            high_conf_det_threshold=self.new_track_score,
            minimum_consecutive_frames=1,
            minimum_iou_threshold=self.min_similarity,
            iou=DIoU(),
        )

    @staticmethod
    def _as_supervision(detections: Detections):  # type: ignore[no-untyped-def]
        import supervision

        return supervision.Detections(
            xyxy=detections.boxes.astype(np.float64),
            confidence=detections.scores,
            data={"row": np.arange(len(detections))},  # the library reorders
        )


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
    both = Detections(boxes, scores, before.track_ids, keypoints).select(keep)
    if after_pts - pts > stays or (pts == before_pts):
        return both
    new = after.select(~np.isin(after.track_ids, before.track_ids))
    return joined(both, new)


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
    other = after.select(partner)
    both = shared & (before.presence > 0) & (other.presence > 0)
    points, metres = before.points.copy(), before.metres.copy()
    points[both] += share * (other.points[both] - points[both])
    metres[both] += share * (other.metres[both] - metres[both])
    presence = np.where(both, before.presence + share * (other.presence - before.presence), before.presence)
    return Keypoints(points, metres, presence)
