"""Events as csv: who did what from when to when."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

from sf_detect.events import Event, EventRules, ResultEvents
from sf_detect.file_names import printable_name
from sf_detect.sinks.text_output import TextOutput
from sf_detect.structures import FrameResult

HEADER = ("video", "track_id", "label", "start", "end", "score")


class EventsCsvSink:
    """Writes a header and one row per event: video, track_id, label, start, end, score.

    `sf_detect.events` says what an event is. Rows come in the order of their ends, each as soon as the event is over;
    those under way are written when the sink is closed. Times are seconds of the source with 3 decimals, scores have 5.
    `track_id` is empty where persons were not tracked: the event is what somebody did then.

    Args:
        path: The file, or "-" for the standard output. It is `PATH.RANDOM.part` until the sink is closed.
        rules: New ones, with the video's name, labels and thresholds; they belong to the sink from then on.
        fps: Frame rate of the video, by which its last frame lasts.

    Raises:
        SinkError: The file cannot be opened.
    """

    def __init__(self, path: Path | str, rules: EventRules, fps: Fraction | float | None = None) -> None:
        self._events = ResultEvents(rules, fps)
        self._output = TextOutput(path, "events")
        self._output.write(_lines([HEADER]), lines=0)

    def write(self, result: FrameResult) -> None:
        """Takes a result, and writes the events that are over.

        Raises:
            SinkError: The sink is closed, the write failed, or a score is not a finite number.
            ConfigError: The result's scores do not have one column per label.
        """
        if self._output.closed:
            self._output.write("")
        self._write(self._events.push(result))

    def close(self) -> None:
        """Writes the events under way and gives the file its name. Idempotent.

        Raises:
            SinkError: The write failed, or the file can't be completed.
        """
        if not self._output.closed:
            self._write(self._events.finish())
        self._output.close()

    def _write(self, events: list[Event]) -> None:
        if events:
            self._output.write(_lines(map(_row, events)), lines=len(events))


def _row(event: Event) -> tuple[str, ...]:
    video, track_id = printable_name(event.video), "" if event.track_id is None else str(event.track_id)
    return video, track_id, event.label, f"{event.start:.3f}", f"{event.end:.3f}", f"{event.score:.5f}"


def _lines(rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
