"""Which scored person of the nearest keyframe is which person of this frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sf_detect import boxes as box_math
from sf_detect.structures import FrameResult

SAME_PERSON_IOU = 0.3


def match_actions(result: FrameResult) -> npt.NDArray[np.intp]:
    """For each person of the frame its row in `result.actions`, or -1 where it was not scored, (N,).

    By track id where both sides have ids; else by position where both hold the same persons; else by overlap.
    """
    persons, actions = result.persons, result.actions
    rows = np.full(len(persons), -1, np.intp)
    if actions is None or len(actions.persons) == 0 or len(persons) == 0:
        return rows
    scored = actions.persons
    if persons.track_ids is not None and scored.track_ids is not None:
        row_of = {int(track): row for row, track in enumerate(scored.track_ids)}
        return np.array([row_of.get(int(track), -1) for track in persons.track_ids], np.intp)
    if len(persons) == len(scored) and np.array_equal(persons.boxes, scored.boxes):
        return np.arange(len(persons))
    overlap = box_math.iou(persons.boxes, scored.boxes)
    for flat in np.argsort(-overlap, axis=None, kind="stable"):
        person, row = np.unravel_index(flat, overlap.shape)
        if overlap[person, row] < SAME_PERSON_IOU:
            break
        if rows[person] < 0 and row not in rows:
            rows[person] = row
    return rows
