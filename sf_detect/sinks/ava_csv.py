"""Results in the csv format of the AVA challenge, which every AVA evaluator reads."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sf_detect import boxes as box_math
from sf_detect.errors import ConfigError, SinkError
from sf_detect.file_names import printable_name
from sf_detect.matching import match_actions
from sf_detect.sinks.text_output import TextOutput
from sf_detect.structures import FrameResult


class AvaCsvSink:
    """Writes one row per person and action of each keyframe: video_id, timestamp, x1, y1, x2, y2, action_id, score.

    No header; boxes in [0, 1] of the frame, cut to it, and left out where nothing of them lies in the frame. Rows of a
    keyframe are ordered by score: evaluators that do not sort by themselves then agree with the official one. Whole
    seconds are written as AVA writes them ("0902"), other times with 6 decimals; the official evaluator's key, "%.6f",
    is the same for both. A keyframe without persons has no row, as in AVA's detection files.

    Args:
        path: The file, or "-" for the standard output. It is `PATH.RANDOM.part` until the sink is closed.
        video_id: First column.
        labels: The C action names of the model.
        label_ids: (C,) their action ids, which count from 1; None numbers them 1, 2, 3, ...
        min_score: Smallest score of an action that is written.
        time_offset: Seconds added to each time, for a video that was cut out of a longer one.

    Raises:
        SinkError: The file cannot be opened.
        ConfigError: There are not as many ids as labels, or an id is below 1.
    """

    def __init__(
        self,
        path: Path | str,
        video_id: str,
        labels: Sequence[str],
        label_ids: Sequence[int] | None = None,
        min_score: float = 0.0,
        time_offset: float = 0.0,
    ) -> None:
        self.video_id, self.min_score, self.time_offset = printable_name(video_id), min_score, time_offset
        self.label_ids = list(range(1, len(labels) + 1)) if label_ids is None else [int(i) for i in label_ids]
        if len(self.label_ids) != len(labels):
            raise ConfigError(
                f"AVA csv: got {len(self.label_ids)} label ids for {len(labels)} labels; expected as many."
            )
        if min(self.label_ids, default=1) < 1:
            raise ConfigError(
                f"AVA csv: label ids count from 1, got {min(self.label_ids)}; add 1 to every id, or give no ids."
            )
        self._output = TextOutput(path, "AVA csv")

    def write(self, result: FrameResult) -> None:
        """Writes the rows of a keyframe; frames in between are passed over.

        Raises:
            SinkError: The sink is closed, the write failed, or the result holds a number that is not finite.
            ConfigError: The result's scores do not have one column per label.
        """
        if self._output.closed:
            self._output.write("")
        rows = self._rows(result) if result.is_keyframe else []
        if rows:
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(rows)
            self._output.write(text.getvalue(), lines=len(rows))

    def close(self) -> None:
        """Gives the file its name. Idempotent."""
        self._output.close()

    def _rows(self, result: FrameResult) -> list[list[str]]:
        matched = match_actions(result)
        if result.actions is None or not (matched >= 0).any():
            return []
        scores, boxes = result.actions.scores, result.persons.boxes.astype(np.float64)
        if not (np.isfinite(scores).all() and np.isfinite(boxes).all()):
            raise SinkError(
                f"AVA csv: frame {result.frame.index} has a box or score that is not a finite number; the model or "
                "detector that made it is at fault. The frame was not written."
            )
        ids = self.label_ids
        if len(ids) != scores.shape[1]:
            raise ConfigError(
                f"AVA csv: the sink was given {len(ids)} labels, but the result scores {scores.shape[1]} classes. "
                "Give it the labels of the model that made the result."
            )
        height, width = result.frame.size
        parts = box_math.clip(boxes, (height, width)) / [width, height, width, height]
        visible = np.flatnonzero((matched >= 0) & (box_math.area(parts) > 0))
        found = [(float(s), i, c) for i in visible for c, s in enumerate(scores[matched[i]]) if s >= self.min_score]
        time = ava_timestamp(result.frame.pts + self.time_offset)
        begins = {i: [self.video_id, time, *(f"{v:.6f}" for v in parts[i])] for i in visible}
        return [[*begins[i], str(ids[c]), f"{score:.6f}"] for score, i, c in sorted(found, key=lambda row: -row[0])]


def ava_timestamp(seconds: float) -> str:
    """Time as AVA files write it: "0902" for whole seconds, else 6 decimals."""
    text = f"{seconds:.6f}"
    return f"{int(text[:-7]):04d}" if text.endswith(".000000") else text
