"""What a user sees of a run: a bar on a terminal, a line now and then in a file, or JSON for programs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from sf_detect.batch.jobs import FAILED, Outcome, Progress
from sf_detect.batch.listing import Listed
from sf_detect.batch.run import Observer
from sf_detect.batch.summary import BatchSummary
from sf_detect.errors import UnknownNameError
from sf_detect.file_names import printable_name

MODES = ("auto", "bar", "lines", "json", "none")
_LINE_SECONDS = 30.0
_JSON_SECONDS = 1.0

Clock = Callable[[], float]


class Meter:
    """Counts for display: finished videos, and how far those under way are.

    Args:
        listed: What is to be done.
        clock: Seconds.
    """

    def __init__(self, listed: Listed, clock: Clock = time.monotonic) -> None:
        self.listed, self._clock, self._begun = listed, clock, clock()
        self._current: dict[str, Progress] = {}

    def hear(self, event: Outcome | Progress) -> None:
        """Takes what a pool gives."""
        if isinstance(event, Progress):
            self._current[event.name] = event
        else:
            self._current.pop(event.job.name, None)

    def state(self, summary: BatchSummary) -> dict[str, Any]:
        """Counts as plain numbers; `eta_seconds` is None until something is known of the speed."""
        elapsed = max(self._clock() - self._begun, 1e-6)
        seconds = summary.seconds + sum(progress.seconds for progress in self._current.values())
        share = self._share(summary)
        return {
            "videos": summary.finished,
            "of": self.listed.waiting,
            "failed": summary.failed,
            "video_seconds": round(seconds, 1),
            "speed": round(seconds / elapsed, 2),
            "elapsed_seconds": round(elapsed, 1),
            "eta_seconds": round(elapsed / share * (1 - share), 1) if share > 0 else None,
        }

    def _share(self, summary: BatchSummary) -> float:
        """Of the work: by bytes, for the length of a video is known only when it is open."""
        if not self.listed.waiting_bytes:
            return summary.finished / max(1, self.listed.waiting)
        mean = self.listed.waiting_bytes / max(1, self.listed.waiting)
        under_way = sum(min(1.0, p.seconds / p.total) for p in self._current.values() if p.total)
        return min(1.0, (summary.bytes + under_way * mean) / self.listed.waiting_bytes)


class Silent:
    """Shows nothing."""

    def start(self, listed: Listed, workers: int) -> None:
        """See `Observer`."""

    def event(self, event: Outcome | Progress, summary: BatchSummary) -> None:
        """See `Observer`."""

    def stop(self, summary: BatchSummary) -> None:
        """See `Observer`."""


class _Metered(Silent):
    """What writes to a stream, now and then, how far the job is."""

    def __init__(self, out: TextIO, clock: Clock = time.monotonic) -> None:
        self._out, self._clock = out, clock
        self._next = 0.0
        self._meter: Meter | None = None


class Lines(_Metered):
    """A line at the start, for each failure, and every half minute."""

    def start(self, listed: Listed, workers: int) -> None:
        """See `Observer`."""
        self._meter = Meter(listed, self._clock)
        self._next = self._clock() + _LINE_SECONDS
        self._say(f"{listed.waiting} videos to annotate with {workers} worker(s)")

    def event(self, event: Outcome | Progress, summary: BatchSummary) -> None:
        """See `Observer`."""
        if self._meter is None:
            return
        self._meter.hear(event)
        if isinstance(event, Outcome) and event.state == FAILED and not event.stop:
            self._say(f"{event.job.name} failed: {event.reason}")
        if self._clock() >= self._next:
            self._next = self._clock() + _LINE_SECONDS
            self._say(line_of(self._meter.state(summary)))

    def _say(self, text: str) -> None:
        print(f"sf-detect: {printable_name(text)}", file=self._out, flush=True)


class JsonLines(_Metered):
    """Objects on the standard output: start, progress at most once a second, each video, end."""

    def start(self, listed: Listed, workers: int) -> None:
        """See `Observer`."""
        self._meter = Meter(listed, self._clock)
        self._write("start", of=listed.waiting, bytes=listed.waiting_bytes, done_before=listed.done, workers=workers)

    def event(self, event: Outcome | Progress, summary: BatchSummary) -> None:
        """See `Observer`."""
        if self._meter is None:
            return
        self._meter.hear(event)
        if isinstance(event, Outcome) and not event.stop:
            seconds = None if event.stats is None else round(event.stats.seconds, 3)
            known = {"video_seconds": seconds, "wall_seconds": round(event.wall_seconds, 3)}
            self._write("video", name=event.job.name, state=event.state, reason=event.reason, **known)
        if self._clock() >= self._next:
            self._next = self._clock() + _JSON_SECONDS
            self._write("progress", **self._meter.state(summary))

    def stop(self, summary: BatchSummary) -> None:
        """See `Observer`."""
        self._write("end", **summary.as_json())

    def _write(self, event: str, **values: Any) -> None:
        print(json.dumps({"event": event, **values}), file=self._out, flush=True)


class Bar(Silent):
    """A bar with videos, seconds of video, speed, failures and remaining time, on a terminal."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Display

        self._clock, self._console = clock, Console(stderr=True)
        self._display = Display(
            BarColumn(), TextColumn("{task.description}", markup=False), console=self._console, transient=True
        )
        self._task: Any = None
        self._meter: Meter | None = None

    def start(self, listed: Listed, workers: int) -> None:
        """See `Observer`."""
        self._meter = Meter(listed, self._clock)
        self._display.start()
        self._task = self._display.add_task(f"0/{listed.waiting} videos, loading models", total=1.0)

    def event(self, event: Outcome | Progress, summary: BatchSummary) -> None:
        """See `Observer`."""
        if self._meter is None:
            return
        self._meter.hear(event)
        if isinstance(event, Outcome) and event.state == FAILED and not event.stop:
            text = printable_name(f"{event.job.name} failed: {event.reason}")
            self._display.print(text, markup=False, highlight=False)
        state = self._meter.state(summary)
        eta = state["eta_seconds"]
        share = 0.0 if eta is None else state["elapsed_seconds"] / max(state["elapsed_seconds"] + eta, 1e-9)
        self._display.update(self._task, description=line_of(state), completed=share)

    def stop(self, summary: BatchSummary) -> None:
        """See `Observer`."""
        self._display.stop()


def line_of(state: dict[str, Any]) -> str:
    """The state of a `Meter` in one line."""
    eta = state["eta_seconds"]
    return (
        f"{state['videos']}/{state['of']} videos, {duration(state['video_seconds'])} of video, "
        f"{state['speed']:.1f} x real time, {state['failed']} failed, "
        + (f"{duration(eta)} left" if eta is not None else "time left unknown")
    )


def duration(seconds: float) -> str:
    """Such as 12 s, 3:05 min or 2:10 h."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02} h"


def observer(mode: str) -> Observer:
    """What shows progress in this way; "auto" is a bar on a terminal, else lines.

    Raises:
        UnknownNameError: No such way.
    """
    if mode not in MODES:
        raise UnknownNameError("value of --progress", mode, MODES)
    if mode == "auto":
        mode = "bar" if sys.stderr is not None and sys.stderr.isatty() else "lines"
    if mode == "bar":
        return Bar()
    if mode == "lines":
        return Lines(sys.stderr)
    return JsonLines(sys.stdout) if mode == "json" else Silent()
