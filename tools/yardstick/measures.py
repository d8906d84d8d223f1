"""Matches shown labels to labelled people, and counts what is found, said and true."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sf_detect import boxes as box_math
from sf_detect.records import labels_of
from sf_detect.thresholds import ACTION, POSTURE
from yardstick.labels import ACTIONS, POSTURES, Window, meaning

SAME_PERSON_IOU = 0.5
TIME_TOLERANCE_S = 0.3
_RESAMPLES = 2000

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Judged:
    """A labelled person and what was shown of it.

    Attributes:
        window: The labelled person.
        found: Whether a person with IoU >= 0.5 was there.
        labelled: Whether any label was shown.
        shown: Shown labels that can be judged, as postures and actions.
        true: Those of them that are true.
        foreign: How many shown labels are of no class of the yardstick (nor counted anywhere else).
    """

    window: Window
    found: bool
    labelled: bool = False
    shown: frozenset[str] = frozenset()
    true: frozenset[str] = frozenset()
    foreign: int = 0

    @property
    def clear(self) -> bool:
        """Whether the person is clearly visible."""
        return self.window.visibility == "clear"

    @property
    def sayable(self) -> bool:
        """Whether something of a clearly visible person could be said: a posture or an action."""
        return self.clear and bool(self.window.truth)


def shown_labels(person: Record, labels: Sequence[str], thresholds: Sequence[float], top_k: int = 3) -> list[str]:
    """What is shown of a person of a record: its actions over their thresholds, best first; where none is, its posture.

    Args:
        person: One of the `persons` of a JSON Lines record.
        labels: The model's labels, postures included.
        thresholds: One a label.
        top_k: Most actions shown.
    """
    limit = dict(zip(labels, thresholds, strict=True))
    over = {
        group: [a["label"] for a in labels_of(person, group) if a["score"] >= limit.get(a["label"], math.inf)]
        for group in (ACTION, POSTURE)
    }
    return over[ACTION][:top_k] or over[POSTURE][:1]


def judge(
    windows: Sequence[Window], records: Sequence[Record], labels: Sequence[str], thresholds: Sequence[float]
) -> list[Judged]:
    """Judges the people of one clip, in the order of `windows`, by the keyframe nearest in time to each.

    Args:
        windows: Labelled people of the clip.
        records: The clip's JSON Lines records.
        labels: The model's action labels.
        thresholds: One a label.
    """
    judged: dict[int, Judged] = {}
    for time in sorted({w.time for w in windows}):
        rows = [i for i, w in enumerate(windows) if w.time == time]
        near = min(records, key=lambda r: abs(r["time"] - time), default=None)
        people = near["persons"] if near is not None and abs(near["time"] - time) <= TIME_TOLERANCE_S else []
        pairs = _match([windows[i].box for i in rows], [p["box"] for p in people])
        for k, i in enumerate(rows):
            person = people[pairs[k]] if k in pairs else None
            said = [] if person is None else shown_labels(person, labels, thresholds)
            judged[i] = _judge(windows[i], person is not None, said, labels)
    return [judged[i] for i in range(len(windows))]


def _match(wanted: Sequence[Any], found: Sequence[Any]) -> dict[int, int]:
    """One-to-one, greatest overlap first."""
    pairs: dict[int, int] = {}
    if not wanted or not found:
        return pairs
    overlap = box_math.iou(np.asarray(wanted, np.float64), np.asarray(found, np.float64))
    for flat in np.argsort(-overlap, axis=None, kind="stable"):
        row, column = (int(i) for i in np.unravel_index(flat, overlap.shape))
        if overlap[row, column] < SAME_PERSON_IOU:
            break
        if row not in pairs and column not in pairs.values():
            pairs[row] = column
    return pairs


def _judge(window: Window, found: bool, said: Sequence[str], labels: Sequence[str]) -> Judged:
    meant = [meaning(label, labels) for label in said]
    # Whether somebody sits cannot be judged where the labeller could not tell; whether somebody golfs can.
    known = {m for m in meant if m is not None}
    judgeable = known - (set(POSTURES) - window.truth if window.posture == "unclear" else set())
    foreign = sum(m is None for m in meant)
    return Judged(window, found, bool(said), frozenset(judgeable), frozenset(judgeable & window.truth), foreign)


Ratio = tuple[int, int]

RATES: dict[str, Callable[[Judged], Ratio]] = {
    "people found": lambda j: (j.found, 1),
    "clear people found": lambda j: (j.clear and j.found, j.clear),
    "clear people given any label": lambda j: (j.clear and j.labelled, j.clear),
    "clear people given a true label": lambda j: (j.sayable and bool(j.true), j.sayable),
    "shown labels that are true": lambda j: (len(j.true), len(j.shown)),
}
"""Numerator and denominator of each rate, per person; the fourth leaves out people of whom no class is true."""


def total(rate: str, judged: Iterable[Judged]) -> Ratio:
    """Sums of a rate's numerator and denominator."""
    parts = [RATES[rate](j) for j in judged]
    return sum(int(p[0]) for p in parts), sum(int(p[1]) for p in parts)


def by_clip_interval(rate: str, by_clip: Mapping[str, Sequence[Judged]], seed: int = 0) -> tuple[float, float] | None:
    """95 % interval of a rate: percentiles over bootstrap samples of whole clips; None where nothing is counted.

    People of one clip resemble each other, so that an interval over people would be too narrow.
    """
    sums = np.array([total(rate, judged) for judged in by_clip.values()], float).reshape(-1, 2)
    picks = np.random.default_rng(seed).integers(0, len(sums), (_RESAMPLES, len(sums))) if len(sums) else None
    if picks is None or not sums[:, 1].any():
        return None
    drawn = sums[picks].sum(1)
    drawn = drawn[drawn[:, 1] > 0]
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1], [2.5, 97.5])
    return float(low), float(high)


def interval(rate: str, by_clip: Mapping[str, Sequence[Judged]]) -> tuple[float, float] | None:
    """95 % interval of a rate: what `by_clip_interval` and `wilson` cover together; None where nothing is counted.

    Where no clip has a true label, or all have nothing else, the bootstrap alone has no width.
    """
    both = (by_clip_interval(rate, by_clip), wilson(*total(rate, [j for js in by_clip.values() for j in js])))
    known = [i for i in both if i is not None]
    return (min(i[0] for i in known), max(i[1] for i in known)) if known else None


def wilson(part: int, whole: int, z: float = 1.96) -> tuple[float, float] | None:
    """Wilson's 95 % score interval of a proportion (Wilson, 1927); None where `whole` is 0."""
    if whole == 0:
        return None
    share, spread = part / whole, z * z / whole
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / whole + spread / (4 * whole))
    return max(0.0, centre - half), min(1.0, centre + half)


def per_class(judged: Sequence[Judged]) -> dict[str, dict[str, int]]:
    """For each class that is true or shown anywhere: `people` and `said` (clearly visible), `shown`, `true`."""
    rows: dict[str, dict[str, int]] = {}
    for name in dict.fromkeys((*POSTURES, *ACTIONS)):
        people = [j for j in judged if j.clear and name in j.window.truth]
        counts = {
            "people": len(people),
            "said": sum(name in j.true for j in people),
            "shown": sum(name in j.shown for j in judged),
            "true": sum(name in j.true for j in judged),
        }
        if any(counts.values()):
            rows[name] = counts
    return rows
