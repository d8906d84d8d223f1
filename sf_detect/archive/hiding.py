"""Where persons are between the keyframes of an archive, generously: for pictures in which they must not be seen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from itertools import groupby, pairwise
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from sf_detect.archive.database import Database
from sf_detect.structures import FloatArray

_Look = tuple[float, npt.NDArray[np.float64]]
"""Time and box."""
_LONGEST_GAP = 4.0
"""Seconds between two looks at a person over which somebody is taken to be there all the time."""
_HOLD = 1.0
"""Least seconds that a person is taken to be there before the first and after the last look."""


class PersonBoxes:
    """Boxes of all persons of a video at any time, from those on keyframes.

    Between two looks at a person it is the box around both. Before the first and after the last look, the box stays
    for a keyframe interval and a half, a second at least.

    Args:
        looks: (track id, time, x1, y1, x2, y2) of every person of every keyframe, in order of time; boxes in shares of
            the frame.
    """

    def __init__(self, looks: Sequence[tuple[int | None, float, float, float, float, float]]) -> None:
        by_track: dict[int | None, list[_Look]] = defaultdict(list)
        for track, time, *box in looks:
            by_track[track].append((time, np.array(box, np.float64)))
        times = np.unique([look[1] for look in looks])
        hold = max(_HOLD, 1.5 * float(np.diff(times).min())) if len(times) > 1 else _HOLD
        spans = [span for track, seen in by_track.items() for span in _spans(seen, hold, tracked=track is not None)]
        self._looks = by_track
        self._start = np.array([span[0] for span in spans])
        self._end = np.array([span[1] for span in spans])
        self._boxes = np.array([span[2] for span in spans]).reshape(-1, 4)

    @classmethod
    def of_videos(cls, database: Database, videos: Collection[str]) -> dict[str, PersonBoxes]:
        """Those of several videos of an archive, by name; none of a video without persons."""
        marks = ", ".join("?" * len(videos))
        sql = (
            "SELECT video, track_id, time, x1 / width, y1 / height, x2 / width, y2 / height FROM persons "
            f"WHERE video IN ({marks}) ORDER BY video, time"
        )
        rows = database.ask(sql, list(videos)).rows if videos else iter(())
        return {name: cls([row[1:] for row in group]) for name, group in groupby(rows, key=itemgetter(0))}

    def look(self, track: int, time: float) -> tuple[float, FloatArray] | None:
        """The look at a person that is nearest to a time: its time and box (4,) xyxy in shares of the frame."""
        seen = self._looks.get(track)
        return None if not seen else min(seen, key=lambda look: abs(look[0] - time))

    def at(self, time: float, size: tuple[int, int]) -> FloatArray:
        """Boxes (N, 4) xyxy in pixels of a frame of (height, width)."""
        inside = (self._start <= time) & (time <= self._end)
        height, width = size
        return self._boxes[inside] * np.array([width, height, width, height])


def _spans(seen: list[_Look], hold: float, tracked: bool) -> list[tuple[float, float, npt.NDArray[np.float64]]]:
    """Stretches of time and the box of each."""
    if not tracked:  # nobody knows which is which
        return [(time - hold, time + hold, box) for time, box in seen]
    spans = [(seen[0][0] - hold, seen[0][0], seen[0][1]), (seen[-1][0], seen[-1][0] + hold, seen[-1][1])]
    for (before, one), (after, other) in pairwise(seen):
        if after - before <= max(_LONGEST_GAP, 2 * hold):
            around = np.concatenate([np.minimum(one[:2], other[:2]), np.maximum(one[2:], other[2:])])
            spans.append((before, after, around))
        else:
            spans += [(before, before + hold, one), (after - hold, after, other)]
    return spans
