"""The record "sf-detect/1": what is known about a keyframe, as a JSON object. Written and read here only.

    {"schema": "sf-detect/1", "video": "a", "frame": 45, "time": 1.5, "width": 640, "height": 480, "persons":
     [{"box": [x1, y1, x2, y2], "score": 0.98, "track_id": 3,
       "actions": [{"label": "walk", "score": 0.91, "above_threshold": true}]}]}

Boxes are pixels (2 decimals), times seconds (6), scores 5 decimals; `track_id` is null before tracking. Actions come
best first. A keyframe without persons has an empty list.

`above_threshold` says whether the action's score, before rounding, is at or above its decision threshold
(`sf_detect.thresholds`); what is below it is a guess that is not shown. Files of earlier versions lack the key. Where
not all labels are actions, each entry of `actions` has a `group`; entries without one are actions. Readers
take entries by `labels_of`, and pass over keys that they do not know.

Records of live sources also hold `utc`, when the keyframe came, and how old in seconds the keyframe, the detection that
its boxes come from, and the newest frame that the network saw were when the record became known: `frame_age`,
`boxes_age`, `labels_age`.

Where keypoints are wanted, each person has `keypoints`: the 33 landmarks of `sf_detect.landmarks` by name, each [x, y,
confidence] in pixels and [0, 1], or null where no body was recognised.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sf_detect.errors import ConfigError, DataError
from sf_detect.landmarks import LANDMARKS
from sf_detect.matching import match_actions
from sf_detect.structures import FrameResult, Keypoints, LiveResult
from sf_detect.thresholds import ACTION

SCHEMA = "sf-detect/1"
DEFAULT_MIN_SCORE = 0.01
LEAST_PRESENCE = 0.5
"""Of a person whose keypoints are recorded."""

_KEYS = ("video", "frame", "time", "width", "height", "persons")
_PERSON_KEYS = ("box", "score", "track_id", "actions")
_OPTIONAL = {"above_threshold": bool, "group": str}


def keyframe_record(
    result: FrameResult,
    video: str,
    labels: Sequence[str],
    thresholds: npt.ArrayLike | None = None,
    min_score: float = DEFAULT_MIN_SCORE,
    top_k: int | None = None,
    groups: Sequence[str] = (),
    keypoints: bool = False,
) -> dict[str, Any]:
    """The record of a keyframe.

    Args:
        result: The keyframe, with scores of shape (N, C).
        video: Name of the video.
        labels: The C action names of the model.
        thresholds: (C,) decision thresholds; None leaves `above_threshold` out.
        min_score: Smallest score of an action that is recorded.
        top_k: Most actions recorded per person; None for all.
        groups: C groups of the labels; named where not all are actions.
        keypoints: Record body landmarks too.

    Raises:
        ConfigError: There is not one label, or one threshold, per column of the scores.
    """
    height, width = result.frame.size
    persons = result.persons
    ids = [None] * len(persons) if persons.track_ids is None else persons.track_ids.tolist()
    matched = match_actions(result)
    limits = None if thresholds is None else np.asarray(thresholds, np.float32)
    groups = groups if set(groups) - {ACTION} else ()
    return {
        "schema": SCHEMA,
        "video": video,
        "frame": result.frame.index,
        "time": round(result.frame.pts, 6),
        "width": width,
        "height": height,
        **_liveness(result),
        "persons": [
            {
                "box": [round(float(v), 2) for v in persons.boxes[i]],
                "score": round(float(persons.scores[i]), 5),
                "track_id": ids[i],
                "actions": _actions(
                    _scores(result, int(matched[i]), labels, limits), labels, limits, min_score, top_k, groups
                ),
                **({"keypoints": _keypoints(persons.keypoints, i)} if keypoints else {}),
            }
            for i in range(len(persons))
        ],
    }


def _liveness(result: FrameResult) -> dict[str, Any]:
    """What the record of a live source has beside the others' keys."""
    if not isinstance(result, LiveResult):
        return {}
    ages = {"frame_age": result.frame_age, "boxes_age": result.boxes_age, "labels_age": result.labels_age}
    came = datetime.fromtimestamp(result.utc, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"utc": came, **{name: None if age is None else round(age, 3) for name, age in ages.items()}}


def _scores(
    result: FrameResult, row: int, labels: Sequence[str], limits: npt.NDArray[np.float32] | None
) -> npt.NDArray[np.float32]:
    if result.actions is None or row < 0:
        return np.zeros(0, np.float32)
    scores = result.actions.scores[row]
    if len(scores) != len(labels):
        raise ConfigError(
            f"JSON Lines: the sink was given {len(labels)} labels, but the result scores {len(scores)} "
            "classes. Give it the labels of the model that made the result."
        )
    if limits is not None and limits.shape != scores.shape:
        raise ConfigError(
            f"JSON Lines: got thresholds of shape {limits.shape} for {len(scores)} classes; expected one a class."
        )
    return scores


def _actions(
    scores: npt.NDArray[np.float32],
    labels: Sequence[str],
    limits: npt.NDArray[np.float32] | None,
    min_score: float,
    top_k: int | None,
    groups: Sequence[str],
) -> list[dict[str, Any]]:
    best = np.argsort(-scores, kind="stable")
    kept = [int(i) for i in best if not scores[i] < min_score][:top_k]  # a score that is not a number is kept, and told
    entries: list[dict[str, Any]] = [{"label": labels[i], "score": round(float(scores[i]), 5)} for i in kept]
    if limits is not None:
        for entry, i in zip(entries, kept, strict=True):
            entry["above_threshold"] = bool(scores[i] >= limits[i])
    if groups:
        for entry, i in zip(entries, kept, strict=True):
            entry["group"] = groups[i]
    return entries


def _keypoints(keypoints: Keypoints | None, person: int) -> dict[str, list[float]] | None:
    """Places and confidences by name; None where nobody was recognised."""
    if keypoints is None or keypoints.presence[person] < LEAST_PRESENCE:
        return None
    points = keypoints.points[person].astype(float).tolist()
    return {name: [round(x, 2), round(y, 2), round(c, 3)] for name, (x, y, c) in zip(LANDMARKS, points, strict=True)}


def labels_of(person: Mapping[str, Any], group: str = ACTION) -> list[Mapping[str, Any]]:
    """The labels of a group in the record of a person, best first; entries that name no group are actions.

    Raises:
        TypeError: The person's `actions` are no list of objects.
    """
    entries = person["actions"]
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise TypeError(f"actions is a list of objects, got {entries!r:.60}")
    return [entry for entry in entries if entry.get("group", ACTION) == group]


def read_json_lines(path: Path | str) -> Iterator[dict[str, Any]]:
    """Reads the JSON Lines of `sf-detect run`, one dict per keyframe, in order. A `.part` file of a killed run works
    too.

    Raises:
        DataError: The file cannot be read, or a line is not such a record; carries file and line.
    """
    try:
        file = open(path, encoding="utf-8")  # noqa: SIM115 (open errors are told from errors in the loop)
    except OSError as error:
        raise DataError(
            path, None, f"cannot be read: {error.strerror}. Expected a JSON Lines file of sf-detect."
        ) from error
    with file:
        try:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield parse_record(path, number, line)
        except UnicodeDecodeError as error:
            raise DataError(path, None, "is not text. Expected a JSON Lines file of sf-detect.") from error


def parse_record(path: Path | str, number: int, line: str) -> dict[str, Any]:
    """One line of JSON Lines.

    Args:
        path, number: File and line, for messages.
        line: Its text.

    Raises:
        DataError: It is not such a record.
    """
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:  # RecursionError: nested without end
        raise DataError(path, number, f"is not JSON ({error}). Remove the line to read the rest.") from error
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        found = record.get("schema") if isinstance(record, dict) else type(record).__name__
        raise DataError(path, number, f"expected an object with schema {SCHEMA!r}, got {found!r}.")
    missing = [key for key in _KEYS if key not in record]
    if missing:
        raise DataError(path, number, f"the record lacks {', '.join(missing)}.")
    if not isinstance(record["persons"], list):
        raise DataError(path, number, f"persons is a list, got {type(record['persons']).__name__}.")
    for person in record["persons"]:
        lacking = [k for k in _PERSON_KEYS if not isinstance(person, dict) or k not in person]
        if lacking:
            raise DataError(path, number, f"a person lacks {', '.join(lacking)}.")
        _check_actions(path, number, person["actions"])
    return record


def _check_actions(path: Path | str, number: int, actions: object) -> None:
    if not isinstance(actions, list):
        raise DataError(path, number, f"actions is a list, got {type(actions).__name__}.")
    for action in actions:
        lacking = [k for k in ("label", "score") if not isinstance(action, dict) or k not in action]
        if lacking:
            raise DataError(path, number, f"an action lacks {', '.join(lacking)}.")
        for key, kind in _OPTIONAL.items():
            if key in action and not isinstance(action[key], kind):
                expected = {"bool": "true or false", "str": "text"}[kind.__name__]
                raise DataError(path, number, f"{key} of an action is {expected}, got {action[key]!r}.")
