"""Several sinks as one, where the failure of one leaves the others alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sf_detect.errors import SFDetectError, SinkError
from sf_detect.interfaces import Sink
from sf_detect.structures import FrameResult


class SinkGroup:
    """Passes each result to all sinks.

    A sink that fails, with whatever exception, is closed and left out from then on; the others go on, and `close`
    raises one error that names all failures. When the last sink fails, there is no point in going on, and the error
    comes at once.

    Args:
        sinks: Any sinks; the group closes them.
        on_failure: Called once per failed sink with the error, when it happens, so that a user hears of it early.
    """

    def __init__(self, sinks: Sequence[Sink], on_failure: Callable[[SFDetectError], None] | None = None) -> None:
        self._alive = list(sinks)
        self._on_failure = on_failure
        self._closed = False
        self.failures: list[SFDetectError] = []

    def write(self, result: FrameResult) -> None:
        """Writes to all sinks that still work.

        Raises:
            SinkError: The group is closed, or no sink is left.
        """
        if self._closed:
            raise SinkError("the outputs are closed and take no more results.")
        for sink in list(self._alive):
            try:
                sink.write(result)
            except Exception as error:
                self._drop(sink, error)
        if self.failures and not self._alive:
            self._closed = True
            raise self._summary()

    def close(self) -> None:
        """Closes all sinks, each whatever becomes of the others, Ctrl-C included. Idempotent.

        Raises:
            SinkError: Some sink failed, now or before; lists all failures.
        """
        if self._closed:
            return
        self._closed = True
        stopped: BaseException | None = None
        for sink in list(self._alive):
            try:
                self._close(sink)
            except BaseException as error:  # Ctrl-C, or the callback: the other outputs are completed first
                stopped = stopped or error
        if stopped is not None:
            raise stopped
        if self.failures:
            raise self._summary()

    def _drop(self, sink: Sink, error: Exception) -> None:
        self._alive.remove(sink)
        try:
            self._note(sink, error)
        finally:
            self._close(sink)

    def _close(self, sink: Sink) -> None:
        try:
            sink.close()
        except Exception as error:
            self._note(sink, error)

    def _note(self, sink: Sink, error: Exception) -> None:
        if not isinstance(error, SFDetectError):
            what, cause = type(sink).__name__, error
            error = SinkError(
                f"{what} failed with {type(cause).__name__}: {cause}. The other outputs go on; please report this, or "
                "leave this output out."
            )
            error.__cause__ = cause
        self.failures.append(error)
        if self._on_failure is not None:
            self._on_failure(error)

    def _summary(self) -> SinkError:
        text = str(self.failures[0])
        if len(self.failures) > 1:
            text = f"{len(self.failures)} failures: " + " ".join(str(error) for error in self.failures)
        summary = SinkError(text)
        # Behind it is the system's error, such as that of a full disk, where one of them has such a cause.
        by_system = (error for error in self.failures if isinstance(error.__cause__, OSError))
        summary.__cause__ = next(by_system, self.failures[0])
        return summary
