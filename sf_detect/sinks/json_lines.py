"""Results as JSON Lines, one object per keyframe."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy.typing as npt

from sf_detect.errors import SinkError
from sf_detect.file_names import printable_name
from sf_detect.records import DEFAULT_MIN_SCORE, keyframe_record
from sf_detect.sinks.text_output import TextOutput
from sf_detect.structures import FrameResult


class JsonLinesSink:
    """Writes one line per keyframe, the record of `sf_detect.records`; frames in between are passed over.

    By default actions below 0.01 are left out: with the 80 classes of AVA they are most of the file (about 20 kB per
    second of video with three persons and two keyframes a second) and none of the information for anything but an
    evaluation; give `min_score=0` for that.

    Args:
        path: The file, or "-" for the standard output. It is `PATH.RANDOM.part` until the sink is closed.
        video: Name of the video, as it shall stand in each line.
        labels: The C action names of the model.
        min_score: Smallest score of an action that is written.
        top_k: Most actions written per person; None for all.
        thresholds: (C,) decision thresholds in force; each action then says whether its score is at or above its own.
        groups: C groups of the labels; named in each line where not all are actions.
        keypoints: Write body landmarks too.

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
        thresholds: npt.ArrayLike | None = None,
        groups: Sequence[str] = (),
        keypoints: bool = False,
    ) -> None:
        self.thresholds, self.groups, self.keypoints = thresholds, tuple(groups), keypoints
        self.video, self.labels, self.min_score, self.top_k = printable_name(video), list(labels), min_score, top_k
        self._output = TextOutput(path, "JSON Lines")

    def write(self, result: FrameResult) -> None:
        """Writes the line of a keyframe.

        Raises:
            SinkError: The sink is closed, the write failed, or the result holds a number that JSON cannot express.
            ConfigError: The result's scores do not have one column per label and threshold.
        """
        if self._output.closed:
            self._output.write("")
        if not result.is_keyframe:
            return
        record = keyframe_record(
            result,
            self.video,
            self.labels,
            self.thresholds,
            self.min_score,
            self.top_k,
            self.groups,
            self.keypoints,
        )
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
