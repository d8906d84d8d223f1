"""Results as JSON Lines, one object per keyframe, and the reader for them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sf_detect.errors import ConfigError, DataError, SinkError
from sf_detect.rendering.matching import match_actions
from sf_detect.sinks.text_output import TextOutput
from sf_detect.structures import FrameResult

SCHEMA = "sf-detect/1"
DEFAULT_MIN_SCORE = 0.01


class JsonLinesSink:
    """Writes one line per keyframe; frames in between are passed over.

        {"schema": "sf-detect/1", "video": "a.mp4", "frame": 45, "time": 1.5, "width": 640, "height": 480, "persons":
         [{"box": [x1, y1, x2, y2], "score": 0.98, "track_id": 3, "actions": [{"label": "walk", "score": 0.91}]}]}

    Boxes are pixels (2 decimals), times seconds (6), scores 5 decimals; `track_id` is null before tracking. Actions
    come best first. A keyframe without persons is a line with an empty list.

    By default actions below 0.01 are left out: with the 80 classes of AVA they are most of the file (about 20 kB per
    second of video with three persons and two keyframes a second) and none of the information for anything but an
    evaluation; give `min_score=0` for that.

    Args:
        path: The file, or "-" for the standard output. It is `PATH.RANDOM.part` until the sink is closed.
        video: Name of the video, as it shall stand in each line.
        labels: The C action names of the model.
        min_score: Smallest score of an action that is written.
        top_k: Most actions written per person; None for all.

    Raises:
        SinkError: The file cannot be opened.
    """

    def __init__(
        self,
        path: Path | str,
        video: str,
        labels: Sequence[str],
        min_score: float = DEFAULT_MIN_SCORE,
        top_k: int | None = None,
    ) -> None:
        self.video, self.labels, self.min_score, self.top_k = video, list(labels), min_score, top_k
        self._output = TextOutput(path, "JSON Lines")

    def write(self, result: FrameResult) -> None:
        """Writes the line of a keyframe.

        Raises:
            SinkError: The sink is closed, the write failed, or the result holds a number that JSON cannot express.
            ConfigError: The result's scores do not have one column per label.
        """
        if self._output.closed:
            self._output.write("")
        if not result.is_keyframe:
            return
        record = self._record(result)
        try:
            self._output.write(json.dumps(record, allow_nan=False) + "\n")
        except ValueError as error:
            raise SinkError(
                f"JSON Lines: frame {record['frame']} has a box or score that is not a finite number; the model or "
                "detector that made it is at fault. The frame was not written."
            ) from error

    def close(self) -> None:
        """Gives the file its name. Idempotent."""
        self._output.close()

    def _record(self, result: FrameResult) -> dict[str, Any]:
        height, width = result.frame.size
        persons = result.persons
        ids = [None] * len(persons) if persons.track_ids is None else persons.track_ids.tolist()
        matched = match_actions(result)
        return {
            "schema": SCHEMA,
            "video": self.video,
            "frame": result.frame.index,
            "time": round(result.frame.pts, 6),
            "width": width,
            "height": height,
            "persons": [
                {
                    "box": [round(float(v), 2) for v in persons.boxes[i]],
                    "score": round(float(persons.scores[i]), 5),
                    "track_id": ids[i],
                    "actions": self._actions(result, int(matched[i])),
                }
                for i in range(len(persons))
            ],
        }

    def _actions(self, result: FrameResult, row: int) -> list[dict[str, Any]]:
        if result.actions is None or row < 0:
            return []
        scores = result.actions.scores[row]
        if len(scores) != len(self.labels):
            raise ConfigError(
                f"JSON Lines: the sink was given {len(self.labels)} labels, but the result scores {len(scores)} "
                "classes. Give it the labels of the model that made the result."
            )
        best = np.argsort(-scores, kind="stable")
        kept = [int(i) for i in best if not scores[i] < self.min_score][: self.top_k]
        return [{"label": self.labels[i], "score": round(float(scores[i]), 5)} for i in kept]


def read_json_lines(path: Path | str) -> Iterator[dict[str, Any]]:
    """Reads what `JsonLinesSink` wrote, one dict per keyframe, in order. A `.part` file of a killed run works too.

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
                    yield _parse(path, number, line)
        except UnicodeDecodeError as error:
            raise DataError(path, None, "is not text. Expected a JSON Lines file of sf-detect.") from error


def _parse(path: Path | str, number: int, line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise DataError(path, number, f"is not JSON ({error}). Remove the line to read the rest.") from error
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        found = record.get("schema") if isinstance(record, dict) else type(record).__name__
        raise DataError(path, number, f"expected an object with schema {SCHEMA!r}, got {found!r}.")
    missing = [key for key in ("video", "frame", "time", "width", "height", "persons") if key not in record]
    if missing:
        raise DataError(path, number, f"the record lacks {', '.join(missing)}.")
    if not isinstance(record["persons"], list):
        raise DataError(path, number, f"persons is a list, got {type(record['persons']).__name__}.")
    for person in record["persons"]:
        lacking = [
            k for k in ("box", "score", "track_id", "actions") if not isinstance(person, dict) or k not in person
        ]
        if lacking:
            raise DataError(path, number, f"a person lacks {', '.join(lacking)}.")
    return record
