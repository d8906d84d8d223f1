"""Live sources, watched until somebody stops: run, stop, stats, the newest result, and the caller's own loop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType

from sf_detect.channels import ChannelClosed
from sf_detect.errors import SFDetectError, SinkError
from sf_detect.interfaces import LiveSource
from sf_detect.live.counts import StreamStats
from sf_detect.live.newest import NewestResults
from sf_detect.live.stream import LiveParts, LiveStream
from sf_detect.model_spec import NO_MODEL, ModelSpec
from sf_detect.structures import LiveResult

STOP_SECONDS = 2.0
"""Within which a session that is stopped has completed its outputs."""
END_SECONDS = 10.0
"""The same for one whose sources have all ended."""
_LOOK_SECONDS = 0.5


class LiveSession:
    """One or more live sources with persons and actions; see `sf_detect.open_live`, which builds one.

        with sf_detect.open_live("rtsp://camera/stream", record="out.mp4") as session:
            for result in session:
                print(result.source, result.frame.pts, len(result.persons), result.labels_age)

    The loop gets the newest result of each stream, and never one that is late: results that come while the caller is
    busy are replaced by newer ones. It ends with the sources, at `stop`, or after `max_seconds`.

    Args:
        streams: The sources, with names of their own, and what each is made of.
        spec: Labels, thresholds and the rest that is to be known of the action model.
        max_seconds: Seconds from the start after which the session ends; None: never.
        on_warning: Told what a user should know, as it happens; from whatever thread.
        on_close: Called once the session has ended.
        clock: Monotonic seconds.

    Attributes:
        failures: Outputs that failed, complete once the session is closed.
    """

    def __init__(
        self,
        streams: Sequence[tuple[LiveSource, LiveParts]],
        *,
        spec: ModelSpec = NO_MODEL,
        max_seconds: float | None = None,
        on_warning: Callable[[str], None] | None = None,
        on_close: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.failures: list[SFDetectError] = []
        self.spec = spec
        self._max_seconds, self._on_close, self._clock = max_seconds, on_close, clock
        self._results = NewestResults()
        self._lock = threading.Lock()
        self._ends: float | None = None
        self._started = self._closed = False
        self._warn = on_warning or (lambda text: None)
        self._error: BaseException | None = None
        self._streams = {
            source.name: LiveStream(source, parts, self._results.put, self._warn, self._stream_ended, clock)
            for source, parts in streams
        }
        self._running = set(self._streams)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the sources."""
        return tuple(self._streams)

    def start(self) -> None:
        """Begins to read, in threads; the loop does so itself. Idempotent."""
        with self._lock:
            if self._started or self._closed:
                return
            self._started = True
        if self._max_seconds is not None:
            self._ends = self._clock() + self._max_seconds
        for stream in self._streams.values():
            stream.start()

    def __iter__(self) -> Iterator[LiveResult]:
        """The newest results, as they come; starts the session, and stops it at the end or at a `break`.

        Raises:
            SFDetectError: A source can't be read however often it is tried, or a stage has never worked.
        """
        self.start()
        try:
            while True:
                try:
                    result = self.next(_LOOK_SECONDS)
                except TimeoutError:  # not every system lets Ctrl-C into a wait without an end
                    continue
                if result is None:
                    return
                yield result
        finally:
            self.stop()

    def next(self, timeout: float | None = None) -> LiveResult | None:
        """Waits for the next result.

        Args:
            timeout: Seconds to wait at most; None waits until there is one.

        Returns:
            The newest result of a stream; None where the session has ended.

        Raises:
            TimeoutError: There was none in time.
            SFDetectError: See `__iter__`.
        """
        left = None if self._ends is None else self._ends - self._clock()
        if left is not None and left <= 0:
            return None
        waits = [seconds for seconds in (timeout, left) if seconds is not None]
        try:
            return self._results.get(min(waits) if waits else None)
        except ChannelClosed:
            return None
        except TimeoutError:
            if self._ends is not None and self._clock() >= self._ends:
                return None
            raise

    def run(self, on_result: Callable[[LiveResult], None] | None = None) -> None:
        """Runs until the sources end, `stop` or `max_seconds`; outputs are complete then.

        Args:
            on_result: Called with the newest results, in this thread.

        Raises:
            SFDetectError: See `__iter__`; or an output failed.
        """
        for result in self:
            if on_result is not None:
                on_result(result)
        self.raise_failures()

    def stop(self) -> None:
        """Ends the session and completes its outputs, within `STOP_SECONDS`, whatever hangs. Idempotent, any thread."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            ended = not self._running
        deadline = time.monotonic() + (END_SECONDS if ended else STOP_SECONDS)
        for stream in self._streams.values():
            stream.stop()
        for stream in self._streams.values():
            self.failures += stream.close(deadline)
        self._results.close()
        if self._on_close is not None:
            self._on_close()

    def stats(self) -> dict[str, StreamStats]:
        """How each stream is, by name; from any thread, without waiting."""
        return {name: stream.stats() for name, stream in self._streams.items()}

    def latest(self, name: str | None = None) -> LiveResult | None:
        """The newest result of a stream, or None before the first.

        Args:
            name: Of the source; None takes the first one.

        Raises:
            KeyError: There is no such source.
        """
        return self._streams[self.names[0] if name is None else name].latest

    @property
    def left_behind(self) -> bool:
        """Whether a thread hangs in a model or a source after the end; it ends with the process."""
        return self._closed and any(stream.works for stream in self._streams.values())

    def raise_failures(self) -> None:
        """Raises one error for all outputs that failed.

        Raises:
            SinkError: There is one.
        """
        if self.failures:
            raise SinkError(" ".join(dict.fromkeys(str(error) for error in self.failures)))

    def __enter__(self) -> LiveSession:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _stream_ended(self, name: str, error: BaseException | None) -> None:
        with self._lock:
            self._running.discard(name)
            self._error = self._error or error
            last = not self._running
        if last:
            self._results.close(self._error)
        elif error is not None:  # the others go on
            self._warn(f"{name}: {error}")
