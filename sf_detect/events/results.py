"""Events of what a pipeline releases."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from sf_detect.errors import ConfigError, SinkError
from sf_detect.events.rules import Event, EventRules
from sf_detect.matching import match_actions
from sf_detect.structures import FrameResult


class ResultEvents:
    """Feeds the rules with the keyframes among results, and knows where the footage begins and ends.

    Args:
        rules: New ones; they belong to this object from then on.
        fps: Frame rate, by which the last frame lasts; None lets it end at its time.
    """

    def __init__(self, rules: EventRules, fps: Fraction | float | None = None) -> None:
        self._rules = rules
        self._frame_duration = 0.0 if fps is None else float(1 / fps)
        self._size: tuple[int, int] | None = None
        self._last = 0.0

    def push(self, result: FrameResult) -> list[Event]:
        """The next result, keyframe or not.

        Returns:
            The events that are over, in the order of their ends.

        Raises:
            SinkError: A score is not a finite number.
            ConfigError: The scores do not have one column per label.
        """
        frame = result.frame
        events: list[Event] = []
        if self._size is not None and (frame.starts_anew or frame.size != self._size):
            events = self._rules.cut(min(self._end, frame.pts))
        self._size, self._last = frame.size, frame.pts
        return events + self._push_keyframe(result) if result.is_keyframe else events

    @property
    def open(self) -> list[Event]:
        """See `EventRules.open`."""
        return self._rules.open

    def finish(self) -> list[Event]:
        """No result follows: the events that were under way."""
        return self._rules.finish(self._end)

    @property
    def _end(self) -> float:
        return self._last + self._frame_duration

    def _push_keyframe(self, result: FrameResult) -> list[Event]:
        rows = match_actions(result)
        scored = np.flatnonzero(rows >= 0)
        if result.actions is None or not len(scored):
            return self._rules.push(result.frame.pts, None, ())
        scores, ids = result.actions.scores[rows[scored]], result.persons.track_ids
        if not np.isfinite(scores).all():
            raise SinkError(
                f"events: frame {result.frame.index} has a score that is not a finite number; the model that made it "
                "is at fault. The frame was left out."
            )
        if scores.shape[1] != len(self._rules.labels):
            raise ConfigError(
                f"events: {len(self._rules.labels)} labels were given, but the result scores {scores.shape[1]} "
                "classes. Give the labels of the model that made the result."
            )
        return self._rules.push(result.frame.pts, None if ids is None else ids[scored], scores)
