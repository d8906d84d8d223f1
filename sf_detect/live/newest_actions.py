"""The newest actions of each track."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sf_detect.structures import ActionDetections, Detections

LONGEST = 3.0
"""Seconds after which actions that nothing confirms are shown no more."""


@dataclass(frozen=True, eq=False)
class _Scored:
    actions: ActionDetections
    row: int


class NewestActions:
    """Remembers the scores of each track until newer ones come, or they are older than `LONGEST`."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all."""
        self._tracks: dict[int | None, _Scored] = {}

    def add(self, actions: ActionDetections) -> None:
        """Take the scores of a keyframe, later than those before."""
        ids = actions.persons.track_ids
        self._tracks = {t: kept for t, kept in self._tracks.items() if actions.pts - kept.actions.pts <= LONGEST}
        if ids is None:
            self._tracks = {None: _Scored(actions, 0)}
        else:
            self._tracks |= {int(track): _Scored(actions, row) for row, track in enumerate(ids)}

    def of(self, persons: Detections, pts: float) -> ActionDetections | None:
        """The newest actions of these persons at `pts` seconds; None where nothing is known of any.

        `pts` and `seen_until` of the result are those of the oldest actions in it.
        """
        if persons.track_ids is None:
            kept = self._tracks.get(None)
            return None if kept is None or pts - kept.actions.pts > LONGEST else kept.actions
        found = [self._tracks[track] for track in map(int, persons.track_ids) if track in self._tracks]
        found = [kept for kept in found if pts - kept.actions.pts <= LONGEST]
        if not found:
            return None
        oldest = min((kept.actions for kept in found), key=lambda actions: actions.pts)
        if all(kept.actions is oldest for kept in found):
            rows = np.array([kept.row for kept in found])
            return replace(oldest, persons=oldest.persons.select(rows), scores=oldest.scores[rows], features=None)
        ids = np.array([kept.actions.persons.track_ids[kept.row] for kept in found])  # type: ignore[index]
        boxes = np.stack([kept.actions.persons.boxes[kept.row] for kept in found])
        certainty = np.array([kept.actions.persons.scores[kept.row] for kept in found])
        scores = np.stack([kept.actions.scores[kept.row] for kept in found])
        return replace(oldest, persons=Detections(boxes, certainty, ids), scores=scores, features=None)
