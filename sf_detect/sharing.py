"""One detector and one action model for several streams: one worker each, small batches, everyone in turn.

    stream A --+                          A stream waits for its own call only. Of those that wait, the one that was
    stream B --+--> Worker --> the model  served longest ago comes first; a stream that asks for nothing (stalled, dead,
    stream C --+                          slow) costs the others nothing.

Every stream asks from a thread of its own, one call at a time, so at most one call of each waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sf_detect.errors import StageError
from sf_detect.interfaces import ActionModel, ActionStream, PersonDetector
from sf_detect.model_spec import ModelSpec
from sf_detect.structures import ActionDetections, Clip, Detections, Frame, UInt8Array
from sf_detect.threads import step_back

T = TypeVar("T")
_CLOSE_SECONDS = 1.0


@dataclass(eq=False)
class _Call:
    stream: object
    work: Callable[[Sequence[Any]], Sequence[Any]]
    item: Any
    done: threading.Event = field(default_factory=threading.Event)
    result: Any = None
    error: BaseException | None = None


class Worker:
    """Runs the calls of several streams one after the other, in a thread of its own.

    Args:
        name: Of what it runs, for messages.
        batch: Calls of the same kind that may run as one.

    Attributes:
        busy_seconds: Time spent in calls so far, by stream; one of a batch of n counts as an n-th of it.
    """

    def __init__(self, name: str, batch: int = 1) -> None:
        if batch < 1:
            raise ValueError(f"a batch holds at least 1 call, got {batch}")
        self.busy_seconds: dict[object, float] = {}
        self._name, self._batch = name, batch
        self._changed = threading.Condition()
        self._waiting: list[_Call] = []
        self._served: dict[object, int] = {}
        self._turn = 0
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=f"shared {name}", daemon=True)
        self._thread.start()

    def call(self, stream: object, work: Callable[[Sequence[Any]], Sequence[Any]], item: Any) -> Any:
        """`work([item])[0]`, possibly as `work([item, others...])`, when it is this stream's turn.

        Args:
            stream: Whose call it is.
            work: Computes several items at once; calls with an equal `work` may share a batch.
            item: What to compute.

        Raises:
            StageError: The worker is closed.
            BaseException: What `work` raised.
        """
        one = _Call(stream, work, item)
        with self._changed:
            if self._closed:
                raise self._closed_error()
            self._waiting.append(one)
            self._changed.notify_all()
        one.done.wait()
        if one.error is not None:
            raise one.error
        return one.result

    def close(self) -> None:
        """Gives up the calls that wait. Idempotent; one that hangs is left behind."""
        with self._changed:
            self._closed = True
            for one in self._waiting:
                one.error = self._closed_error()
                one.done.set()
            self._waiting.clear()
            self._changed.notify_all()
        self._thread.join(_CLOSE_SECONDS)

    def _closed_error(self) -> StageError:
        return StageError(f"the shared {self._name} is closed: its session has ended; open another one.")

    def _work(self) -> None:
        step_back()
        while (calls := self._next()) is not None:
            begun = time.monotonic()
            self._run(calls)
            share = (time.monotonic() - begun) / len(calls)
            for one in calls:
                self.busy_seconds[one.stream] = self.busy_seconds.get(one.stream, 0.0) + share
                one.done.set()

    def _run(self, calls: list[_Call]) -> None:
        try:
            results = calls[0].work([one.item for one in calls])
            for one, result in zip(calls, results, strict=True):
                one.result = result
        except BaseException as error:  # handed to whoever asked
            if len(calls) > 1:  # one item of a batch is at fault: each for itself
                for one in calls:
                    self._run([one])
                return
            calls[0].error = error

    def _next(self) -> list[_Call] | None:
        """The calls to run now: that of the stream served longest ago, and others of the same kind; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting) or self._closed)
            if not self._waiting:
                return None
            in_turn = sorted(self._waiting, key=lambda one: self._served.get(one.stream, -1))
            calls = [one for one in in_turn if one.work == in_turn[0].work][: self._batch]
            for one in calls:
                self._waiting.remove(one)
                self._turn += 1
                self._served[one.stream] = self._turn
            return calls


class SharedDetector:
    """A `PersonDetector` for one of several streams.

    Args:
        detector: Used by the worker alone.
        worker: Shared by the streams.
        stream: Whose detector it is.
    """

    def __init__(self, detector: PersonDetector, worker: Worker, stream: object) -> None:
        self._detector, self._worker, self._stream = detector, worker, stream

    def __call__(self, images: Sequence[UInt8Array]) -> list[Detections]:
        """See `PersonDetector`."""
        return [self._worker.call(self._stream, self._detector, image) for image in images]


class SharedModel:
    """An `ActionModel` for one of several streams.

    Args:
        model: Used by the worker alone.
        worker: Shared by the streams.
        stream: Whose model it is.
    """

    def __init__(self, model: ActionModel, worker: Worker, stream: object) -> None:
        self._model, self._worker, self._stream = model, worker, stream

    @property
    def spec(self) -> ModelSpec:
        """See `ActionModel`."""
        return self._model.spec

    def __call__(self, clips: Sequence[Clip]) -> list[ActionDetections]:
        """See `ActionModel`."""
        return [self._worker.call(self._stream, self._model, clip) for clip in clips]

    def open_stream(self) -> ActionStream:
        """See `ActionModel`."""
        return SharedStream(self._model.open_stream(), self._worker, self._stream)


class SharedStream:
    """An `ActionStream` that computes when it is its stream's turn: the frames of a slow step in one call.

    Frames are kept until their scores are asked for, or until they are those of more than a step.
    """

    def __init__(self, stream: ActionStream, worker: Worker, whose: object) -> None:
        self._stream, self._worker, self._whose = stream, worker, whose
        self._frames: list[Frame] = []

    @property
    def warning(self) -> str | None:
        """See `ActionStream`."""
        return self._stream.warning

    @property
    def step_seconds(self) -> float:
        """See `ActionStream`."""
        return self._stream.step_seconds

    def push(self, frame: Frame) -> None:
        """See `ActionStream`."""
        self._frames.append(frame)
        if frame.pts - self._frames[0].pts > 1.5 * self.step_seconds:
            self._call(self._push)

    def score(self, persons: Detections, pts: float, image_size: tuple[int, int]) -> ActionDetections:
        """See `ActionStream`."""

        def push_and_score() -> ActionDetections:
            self._push()
            return self._stream.score(persons, pts, image_size)

        return self._call(push_and_score)

    def reset(self) -> None:
        """See `ActionStream`."""
        self._frames.clear()
        self._stream.reset()

    def _push(self) -> None:
        frames, self._frames = self._frames, []
        for frame in frames:
            self._stream.push(frame)

    def _call(self, function: Callable[[], T]) -> T:
        result: T = self._worker.call(self._whose, lambda items: [function() for _ in items], None)
        return result
