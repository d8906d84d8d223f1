"""One source through the pipeline into sinks, with decoding, inference and encoding overlapped in threads."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sf_detect.concurrency import BackgroundSink, Prefetch
from sf_detect.interfaces import Sink, VideoSource
from sf_detect.pipeline import Pipeline
from sf_detect.structures import Frame, FrameResult, VideoInfo

_QUEUE_BYTES = 64_000_000
_JOIN_SECONDS, _INTERRUPTED_JOIN_SECONDS = 1.0, 0.2  # a stalled source ends with the process


@dataclass
class RunSummary:
    """What a run did.

    Attributes:
        frames, keyframes: How many were written.
        seconds: Time of the last frame, of the video.
        wall_seconds: Time the run took.
        first_result_seconds: Until the first result was out; None if there was none.
        tracks: How many persons, by track id.
        decode_errors: Errors met while decoding; the good part was processed.
        top_actions: How many keyframe persons each label was the best-scored one of, at or above its threshold.
        interrupted: True if stopped before the end.
        warnings: What a user should know about the outputs.
    """

    frames: int = 0
    keyframes: int = 0
    seconds: float = 0.0
    wall_seconds: float = 0.0
    first_result_seconds: float | None = None
    tracks: set[int] = field(default_factory=set)
    decode_errors: int = 0
    top_actions: Counter[str] = field(default_factory=Counter)
    interrupted: bool = False
    warnings: list[str] = field(default_factory=list)

    @property
    def fps(self) -> float:
        """Frames per second of wall time."""
        return self.frames / self.wall_seconds if self.wall_seconds > 0 else 0.0

    def add(self, result: FrameResult, labels: Sequence[str], thresholds: Sequence[float]) -> None:
        """Count one result; an action counts where its score reaches its threshold."""
        self.frames += 1
        self.seconds = result.frame.pts
        if result.persons.track_ids is not None:
            self.tracks.update(int(i) for i in result.persons.track_ids)
        if result.is_keyframe:
            self.keyframes += 1
        if result.is_keyframe and result.actions is not None and len(labels):
            for scores in result.actions.scores:
                best = int(scores.argmax())
                if scores[best] >= thresholds[best]:
                    self.top_actions[labels[best]] += 1


def queue_size(info: VideoInfo) -> int:
    """Frames that a queue may hold: up to 16, fewer where frames are large, so that memory stays in bounds."""
    return max(2, min(16, _QUEUE_BYTES // (3 * info.width * info.height)))


@dataclass(frozen=True)
class Part:
    """Which frames of a source are processed.

    Attributes:
        start, end: Seconds of the source; None is its own start or end.
        max_seconds: Seconds after the first of these frames.
        every: Only every N-th of them.
    """

    start: float | None = None
    end: float | None = None
    max_seconds: float | None = None
    every: int = 1

    def of(self, source: Iterable[Frame]) -> Iterator[Frame]:
        """The frames of the part, with the times that they have in the source."""
        begin, count = self.start or 0.0, 0
        first: float | None = None
        for frame in source:
            if frame.pts < begin:
                continue
            first = frame.pts if first is None else first
            if self.end is not None and frame.pts >= self.end:
                return
            if self.max_seconds is not None and frame.pts - first >= self.max_seconds:
                return
            if count % self.every == 0:
                yield frame
            count += 1


def process(
    source: VideoSource,
    pipeline: Pipeline,
    sink: Sink,
    *,
    labels: Sequence[str],
    thresholds: Sequence[float],
    part: Part | None = None,
    on_result: Callable[[FrameResult], None] | None = None,
) -> RunSummary:
    """Run `pipeline` over `source` into `sink`.

    Ctrl-C ends the run with everything so far written and the outputs completed; `interrupted` tells.

    Raises:
        SFDetectError: What a stage or the sink raised; outputs are completed first.
    """
    summary = RunSummary()
    start = time.monotonic()
    size = queue_size(source.info)
    background = BackgroundSink(sink, size)
    frames = Prefetch((part or Part()).of(source), size)
    try:
        for result in pipeline.run(frames, source.info):
            background.write(result)
            if summary.first_result_seconds is None:
                summary.first_result_seconds = time.monotonic() - start
            summary.add(result, labels, thresholds)
            if on_result is not None:
                on_result(result)
    except KeyboardInterrupt:
        summary.interrupted = True
    except BaseException:
        frames.close(timeout=0)
        _complete(background, summary, swallow=True)
        raise
    frames.close(timeout=0)  # a stalled source must not keep the outputs waiting
    _complete(background, summary)
    frames.close(timeout=_INTERRUPTED_JOIN_SECONDS if summary.interrupted else _JOIN_SECONDS)
    summary.decode_errors = source.decode_errors
    summary.wall_seconds = time.monotonic() - start
    return summary


def _complete(background: BackgroundSink, summary: RunSummary, swallow: bool = False) -> None:
    """Closes the outputs; Ctrl-C meanwhile asks for what is being done."""
    while True:
        try:
            return background.close(swallow)
        except KeyboardInterrupt:
            summary.interrupted = True


class ReadAhead:
    """A source that is read in a thread of its own, so that a stalled one leaves the caller's thread interruptible.

    Args:
        source: Whose frames come.
    """

    def __init__(self, source: VideoSource) -> None:
        self._source, self.info = source, source.info

    @property
    def decode_errors(self) -> int:
        """Those of the source."""
        return self._source.decode_errors

    def __iter__(self) -> Iterator[Frame]:
        """The frames, from the start where the source can."""
        with Prefetch(self._source, queue_size(self.info)) as frames:
            yield from frames

    def close(self) -> None:
        """Closes the source."""
        self._source.close()
