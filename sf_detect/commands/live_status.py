"""What `sf-detect live` says in a terminal, a log, or to another program."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from sf_detect.file_names import printable
from sf_detect.live.counts import StreamStats
from sf_detect.live.words import state_text, status_line
from sf_detect.redaction import redacted

_EVERY = {"line": 0.5, "lines": 0.5, "json": 1.0}


class StatusLine:
    """Says how the streams are: a line that is written over, a line at each change of state, or JSON.

    Args:
        form: "line", "lines", "json", "none", or "auto": a line on a terminal, else lines.
        clock: Monotonic seconds.
    """

    def __init__(self, form: str, clock: Callable[[], float] = time.monotonic) -> None:
        if form == "auto":
            form = "line" if sys.stderr.isatty() else "lines"
        self._form, self._clock, self._next = form, clock, 0.0
        self._states: dict[str, str] = {}
        self._live: Any = None
        self._begun = clock()

    def warn(self, text: str) -> None:
        """Says what a user should know, above the status; from whatever thread."""
        text = printable(f"sf-detect: {redacted(text)}")
        if self._live is None:
            print(text, file=sys.stderr)
        else:
            self._live.console.print(text, markup=False, highlight=False)

    def update(self, stats: Callable[[], Mapping[str, StreamStats]]) -> None:
        """Says how the streams are, where it is time to."""
        now = self._clock()
        if self._form == "none" or now < self._next:
            return
        self._next = now + _EVERY[self._form]
        self._say(stats())

    def end(self, stats: Mapping[str, StreamStats]) -> None:
        """Sums up."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self._form == "json":
            self._say(stats)
        elif self._form != "none":
            for one in stats.values():
                print(printable(redacted(self._summary(one))), file=sys.stderr)

    def _say(self, stats: Mapping[str, StreamStats]) -> None:
        if self._form == "json":
            for one in stats.values():
                print(json.dumps(stats_record(one)), flush=True)
        elif self._form == "line":
            self._show(stats)
        else:
            for name, one in stats.items():
                if self._states.get(name) != one.source.state:
                    self._states[name] = one.source.state
                    print(printable(f"sf-detect: {name}: {redacted(state_text(one))}"), file=sys.stderr)

    def _show(self, stats: Mapping[str, StreamStats]) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        text = Text("\n".join(printable(redacted(status_line(one))) for one in stats.values()))
        if self._live is None:
            self._live = Live(text, console=Console(stderr=True), auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(text, refresh=True)

    def _summary(self, stats: StreamStats) -> str:
        seconds = self._clock() - self._begun
        return (
            f"sf-detect: in {seconds:.1f} s {status_line(stats)}; {stats.shown} frames, {stats.predictions} keyframes"
        )


def stats_record(stats: StreamStats) -> dict[str, Any]:
    """A stream as a JSON object: the fields of `StreamStats` and of its source's status; times are seconds."""
    record = {**asdict(stats), **{"state": stats.source.state}}
    source = record.pop("source")
    now = time.monotonic()
    record["state_for"] = round(now - source["since"], 3)
    record["detail"] = redacted(source["detail"])
    record["retry_in"] = None if source["retry_at"] is None else round(max(0.0, source["retry_at"] - now), 3)
    record |= {name: source[name] for name in ("frames", "reconnects", "jumps", "decode_errors")}
    record["problem"] = redacted(record["problem"])
    return record
