"""From scores on keyframes to events. Numbers in, numbers out: no video, no clock.

An action of a person begins where its score reaches its decision threshold, and goes on while the score stays at or
above `hysteresis` times the threshold, so that a score around the threshold does not make many events of one. A
keyframe stands for half a keyframe interval on each side, and never for more, however far the next one is; at the ends
of the footage it is cut there. Of what was found so, parts of one action of one person that are at most `max_gap`
apart are joined, and what is shorter than `min_duration` after that is left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sf_detect.errors import ConfigError

_TOLERANCE = 1e-6
"""Seconds. Times are sums of frame durations: an event of 0.4999999 s is one of 0.5 s."""

_Key = tuple[int | None, int]
"""Track and class."""


@dataclass(frozen=True)
class Event:
    """A person did something for a while.

    Attributes:
        video: Name of the video.
        track_id: Of the person; None where persons were not tracked: then somebody did it.
        label: What was done.
        start, end: Seconds of the video.
        score: Mean of the scores on the keyframes that it was seen on, in [0, 1]; joined gaps do not count.
    """

    video: str
    track_id: int | None
    label: str
    start: float
    end: float
    score: float


@dataclass
class _Course:
    """An action under way, or that may go on after a gap.

    Attributes:
        start: Seconds.
        newest: Time of the newest keyframe that it was seen on.
        total, count: Sum and number of its scores.
        on: False once a keyframe did not show it.
    """

    start: float
    newest: float
    total: float = 0.0
    count: int = 0
    on: bool = True

    def see(self, pts: float, score: float) -> None:
        self.newest, self.on = pts, True
        self.total += score
        self.count += 1


class EventRules:
    """Onset and offset of the actions in one video.

        rules = EventRules("v", labels, thresholds, stride=0.5)
        for pts, track_ids, scores in keyframes:
            for event in rules.push(pts, track_ids, scores):
                ...
        for event in rules.finish():
            ...

    Events come out once nothing can be joined to them any more, in the order of their ends (then of start, track and
    label). Memory is that of the actions under way: a track that does not come back costs nothing after `max_gap`.

    Args:
        video: Name of the video.
        labels: C names.
        thresholds: (C,) decision thresholds; infinite for a class that shall have no events.
        stride: Nominal seconds between keyframes.
        min_duration: Shortest event, in seconds.
        max_gap: Longest gap, in seconds, over which parts of an action are joined.
        hysteresis: An action ends below this share of its threshold; 1 ends it below the threshold itself.

    Raises:
        ConfigError: There is not one threshold per label, or a setting makes no sense.
    """

    def __init__(
        self,
        video: str,
        labels: Sequence[str],
        thresholds: npt.ArrayLike,
        *,
        stride: float = 0.5,
        min_duration: float = 0.5,
        max_gap: float = 1.0,
        hysteresis: float = 0.8,
    ) -> None:
        self.video, self.labels = video, tuple(labels)
        self._onset = np.asarray(thresholds, np.float32)
        if self._onset.shape != (len(self.labels),):
            raise ConfigError(
                f"events: got thresholds of shape {self._onset.shape} for {len(self.labels)} labels; expected one each."
            )
        for name, value in (("stride", stride), ("min_duration", min_duration), ("max_gap", max_gap)):
            if not (value >= 0 and math.isfinite(value)):
                raise ConfigError(f"events: {name} is {value}; expected a number of seconds from 0 up.")
        if not 0 < hysteresis <= 1:
            raise ConfigError(f"events: hysteresis is {hysteresis}; expected a share above 0 and up to 1, such as 0.8.")
        self._offset = self._onset * np.float32(hysteresis)
        self._stride, self._min_duration, self._max_gap = stride, min_duration, max_gap
        self._courses: dict[_Key, _Course] = {}
        self._begin: float | None = None
        self._now = -math.inf

    def push(
        self, pts: float, track_ids: Sequence[int] | npt.NDArray[np.int64] | None, scores: npt.ArrayLike
    ) -> list[Event]:
        """The next keyframe, also one without persons.

        Args:
            pts: Its time in seconds, not before that of the keyframe before.
            track_ids: Of its N persons. None where they are not tracked: they can't be told apart then, and an event
                is what somebody did, with the highest score of all.
            scores: (N, C) in [0, 1]; anything empty for nobody. A score that is not a number counts as 0.

        Returns:
            The events that are over.

        Raises:
            ValueError: Time goes back, or the shapes do not fit.
        """
        if not pts >= self._now:
            raise ValueError(f"keyframes come in the order of their times; got {pts} s after {self._now} s")
        seen = self._seen(track_ids, np.asarray(scores, np.float32))
        self._begin = pts if self._begin is None else self._begin
        self._now = pts
        over = [key for key, course in self._courses.items() if self._apart(course) > self._max_gap + _TOLERANCE]
        events = [self._pop(key) for key in over]
        for key, course in self._courses.items():
            course.on = course.on and (key in seen or course.newest == pts)
        for key, score in seen.items():
            self._see(key, score)
        # What is not on now can't be joined to a later keyframe if the gap is as long as it may be already.
        over = [
            key
            for key, course in self._courses.items()
            if not course.on and self._apart(course) >= self._max_gap - _TOLERANCE
        ]
        events += [self._pop(key) for key in over]
        return _in_order(events)

    @property
    def open(self) -> list[Event]:
        """The actions under way that are long enough by now, as events that end with their newest keyframe's share.

        Among them are those that may still go on after a gap.
        """
        return _in_order([self._event(key, course, math.inf) for key, course in self._courses.items()])

    def cut(self, end: float | None = None) -> list[Event]:
        """The footage is interrupted, and what comes next continues nothing.

        Args:
            end: Where it ends, in seconds; None: with the newest keyframe.

        Returns:
            All events that were under way.
        """
        limit = self._now if end is None else max(end, self._now)
        events = [self._event(key, course, limit) for key, course in self._courses.items()]
        self._courses.clear()
        self._begin = None
        return _in_order(events)

    def finish(self, end: float | None = None) -> list[Event]:
        """No keyframe follows; as `cut`."""
        return self.cut(end)

    def _seen(
        self, track_ids: Sequence[int] | npt.NDArray[np.int64] | None, scores: npt.NDArray[np.float32]
    ) -> dict[_Key, float]:
        """Scores that keep an action going, by track and class; the highest where a track is there twice."""
        if not scores.size:
            return {}
        if scores.ndim != 2 or scores.shape[1] != len(self.labels):
            raise ValueError(f"scores have shape (N, {len(self.labels)}), one column a label, got {scores.shape}")
        if track_ids is not None and len(track_ids) != len(scores):
            raise ValueError(f"expected as many track ids as persons, got {len(track_ids)} for {len(scores)}")
        seen: dict[_Key, float] = {}
        for person, column in np.argwhere(scores >= self._offset).tolist():
            key = (None if track_ids is None else int(track_ids[person]), column)
            seen[key] = max(seen.get(key, 0.0), float(scores[person, column]))
        return seen

    def _see(self, key: _Key, score: float) -> None:
        course = self._courses.get(key)
        reached = np.float32(score) >= self._onset[key[1]]
        if course is None and reached:
            begin = self._now if self._begin is None else self._begin
            course = self._courses[key] = _Course(max(self._now - self._stride / 2, begin), self._now)
        if course is not None and (course.on or reached):
            course.see(self._now, score)

    def _apart(self, course: _Course) -> float:
        """Seconds between what a course covers and what the current keyframe stands for."""
        return self._now - course.newest - self._stride

    def _pop(self, key: _Key) -> Event | None:
        return self._event(key, self._courses.pop(key), math.inf)

    def _event(self, key: _Key, course: _Course, limit: float) -> Event | None:
        """None where it is too short."""
        end = min(course.newest + self._stride / 2, limit)
        if end - course.start < self._min_duration - _TOLERANCE:
            return None
        track_id, column = key
        return Event(self.video, track_id, self.labels[column], course.start, end, course.total / course.count)


def _in_order(events: Sequence[Event | None]) -> list[Event]:
    found = [event for event in events if event is not None]
    return sorted(found, key=lambda e: (e.end, e.start, -1 if e.track_id is None else e.track_id, e.label))
