"""The persons of a frame: detected, tracked, moved to where annotators draw boxes, and looked at for body landmarks.

As the stages of `stages` it holds the models, which many runs share; `begin` starts a run.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import replace

from sf_detect.box_regression import BoxRegression
from sf_detect.interfaces import (
    ConfirmableTracker,
    KeypointEstimator,
    MissedPersonFinder,
    PersonConfirmer,
    PersonDetector,
    PersonMerger,
    ResumableTracker,
    TimedDetector,
    Tracker,
    TrackHolder,
)
from sf_detect.stages import StageCounts, run_stage
from sf_detect.structures import Detections, Frame, joined


class PersonStage:
    """Detector, tracker, box regression and keypoints.

    Args:
        detector: Finds persons; a `TimedDetector` is asked by time instead of by picture.
        new_tracker: Makes the tracker of a run.
        box_regression: Moves the boxes of tracked persons before they are scored and shown.
        new_keypoints: Makes what finds the body landmarks of a run's tracked persons, in their final boxes; None for
            persons without keypoints. A `TrackHolder` adds the lost tracks that it still sees, where the tracker is a
            `ResumableTracker`. A `PersonConfirmer` says which weak detections start a track, where the tracker is a
            `ConfirmableTracker`; a `MissedPersonFinder` finds others who start one. A `PersonMerger` leaves out second
            boxes.
    """

    def __init__(
        self,
        detector: PersonDetector | TimedDetector,
        new_tracker: Callable[[], Tracker],
        box_regression: BoxRegression | None = None,
        new_keypoints: Callable[[], KeypointEstimator] | None = None,
    ) -> None:
        self._detector, self._new_tracker, self._box_regression = detector, new_tracker, box_regression
        self._new_keypoints = new_keypoints

    def sharing(self, wrap: Callable[[PersonDetector], PersonDetector]) -> PersonStage:
        """The same stage around what `wrap` makes of its detector; one that looks at no pictures stays as it is."""
        shared = copy(self)
        if not isinstance(self._detector, TimedDetector):
            shared._detector = wrap(self._detector)
        return shared

    def begin(self, video: str, counts: StageCounts | None = None) -> PersonRun:
        """The persons of one run over the video of that name."""
        keypoints = None if self._new_keypoints is None else self._new_keypoints()
        return PersonRun(
            self._detector, self._new_tracker(), self._box_regression, video, counts or StageCounts(), keypoints
        )


class PersonRun:
    """The persons of one run; see `PersonStage`."""

    def __init__(
        self,
        detector: PersonDetector | TimedDetector,
        tracker: Tracker,
        box_regression: BoxRegression | None,
        video: str,
        counts: StageCounts,
        keypoints: KeypointEstimator | None = None,
    ) -> None:
        self._tracker, self._box_regression = tracker, box_regression
        self._video, self._counts, self._keypoints = video, counts, keypoints
        # Asked once: a protocol takes longer to check than a track to follow.
        self._is_timed = isinstance(detector, TimedDetector)
        self._find_in = _by_time(detector, video) if isinstance(detector, TimedDetector) else _by_picture(detector)
        self._holder = keypoints if isinstance(keypoints, TrackHolder) else None
        self._resumable = tracker if isinstance(tracker, ResumableTracker) else None
        self._confirmer = keypoints if isinstance(keypoints, PersonConfirmer) else None
        self._confirmable = tracker if isinstance(tracker, ConfirmableTracker) else None
        self._finder = keypoints if isinstance(keypoints, MissedPersonFinder) else None
        self._merger = keypoints if isinstance(keypoints, PersonMerger) else None
        self._first_id, self._last_id = 0, 0
        self._anew = False

    def __call__(self, frame: Frame) -> Detections:
        """Tracked persons of `frame`, boxes in its pixels.

        Raises:
            StageError: The detector, the tracker or the keypoints failed.
        """
        persons = run_stage("person detection and tracking", frame, self._find, frame)
        if self._confirmer is not None and self._confirmable is not None and not self._is_timed:
            confirm = self._with_confirmed, self._confirmer, self._confirmable
            persons = run_stage("doubtful detections", frame, *confirm, frame, persons)
        if self._box_regression is not None:
            persons = self._box_regression(persons, frame.size)
        if self._keypoints is None:
            return persons
        persons = replace(persons, keypoints=run_stage("keypoints", frame, self._keypoints.update, frame, persons))
        if self._is_timed:  # boxes that the caller brought are all the persons there are
            return persons
        if self._merger is not None:
            persons = run_stage("persons in two boxes", frame, self._merger.each_once, frame, persons)
        if self._holder is not None and self._resumable is not None:
            held = self._with_held, self._holder, self._resumable
            persons = run_stage("held tracks", frame, *held, frame, persons)
        # After these, as who is held is not to be found, and a look that finds somebody gives their keypoints too.
        if self._finder is not None and self._confirmable is not None:
            find = self._with_found, self._finder, self._confirmable
            persons = run_stage("people who are not detected", frame, *find, frame, persons)
        return persons

    def start_anew(self) -> None:
        """Forget all persons at the next frame; ids go on, so that none is used twice."""
        self._anew = True

    def _forget(self) -> None:
        self._tracker.reset()
        if self._keypoints is not None:
            self._keypoints.reset()
        self._first_id, self._anew = self._last_id, False

    def _with_held(
        self, holder: TrackHolder, tracker: ResumableTracker, frame: Frame, persons: Detections
    ) -> Detections:
        held = holder.held(frame, persons, self._numbered(tracker.lost()))
        if not len(held) or held.track_ids is None:
            return persons
        tracker.sustain(replace(held, track_ids=held.track_ids - self._first_id))
        return joined(persons, held)

    def _with_found(
        self, finder: MissedPersonFinder, tracker: ConfirmableTracker, frame: Frame, persons: Detections
    ) -> Detections:
        found = finder.found(frame, persons)
        if not len(found):
            return persons
        started = replace(self._numbered(tracker.start(found)), keypoints=found.keypoints)
        finder.follow(frame, started)
        return joined(persons, started)

    def _find(self, frame: Frame) -> Detections:
        if self._anew:  # here, as a failure is the stage's, and then it is still due
            self._forget()
        self._counts.detections += 1
        found = self._find_in(frame)
        return self._numbered(self._tracker.update(found, frame.pts))

    def _with_confirmed(
        self, confirmer: PersonConfirmer, tracker: ConfirmableTracker, frame: Frame, persons: Detections
    ) -> Detections:
        doubtful = tracker.doubtful()
        confirmed = confirmer.confirmed(frame, persons, doubtful) if len(doubtful) else doubtful
        return joined(persons, self._numbered(tracker.start(confirmed))) if len(confirmed) else persons

    def _numbered(self, persons: Detections) -> Detections:
        if persons.track_ids is None or not len(persons):
            return persons
        ids = persons.track_ids + self._first_id
        self._last_id = max(self._last_id, int(ids.max()))
        return Detections(persons.boxes, persons.scores, ids)


def _by_time(detector: TimedDetector, video: str) -> Callable[[Frame], Detections]:
    return lambda frame: detector.at(video, frame.pts, frame.size)


def _by_picture(detector: PersonDetector) -> Callable[[Frame], Detections]:
    return lambda frame: detector([frame.image])[0]
