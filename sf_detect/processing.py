"""One source through the pipeline into sinks, with decoding, inference and encoding overlapped in threads."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sf_detect.concurrency import BackgroundSink, Direct, DirectSink, Prefetch
from sf_detect.interfaces import SeekableSource, Sink, VideoSource
from sf_detect.pipeline import Pipeline
from sf_detect.structures import ActionDetections, Frame, FrameResult, VideoInfo
from sf_detect.thresholds import shown

_QUEUE_BYTES = 64_000_000
_JOIN_SECONDS, _INTERRUPTED_JOIN_SECONDS = 1.0, 0.2  # a stalled source ends with the process


@dataclass(frozen=True)
class BestGuess:
    """The action with the highest score of a run.

    Attributes:
        label: Its name.
        score: In [0, 1].
        track_id: Of the person; None without tracks.
        time: Of the keyframe, in seconds of the video.
    """

    label: str
    score: float
    track_id: int | None
    time: float


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
        top_actions: How many keyframe persons each label was the best-scored one of, among the actions at or above
            their decision thresholds, or a person's posture where none is. Empty where nothing reached its threshold.
        best_guess: The action with the highest score, whether or not it reached its threshold; None where nobody was
            scored.
        interrupted: True if stopped before the end.
        backend: What computed the actions, see `ModelSpec.backend`.
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
    best_guess: BestGuess | None = None
    interrupted: bool = False
    backend: str = ""
    warnings: list[str] = field(default_factory=list)

    @property
    def fps(self) -> float:
        """Frames per second of wall time."""
        return self.frames / self.wall_seconds if self.wall_seconds > 0 else 0.0

    def add(
        self, result: FrameResult, labels: Sequence[str], thresholds: npt.ArrayLike, groups: Sequence[str] = ()
    ) -> None:
        """Count one result; an action counts where its score reaches its threshold, a posture where no action does.

        Args:
            result: With scores of shape (N, C).
            labels: C names.
            thresholds: (C,) decision thresholds.
            groups: C groups of the labels; empty means actions.
        """
        self.frames += 1
        self.seconds = result.frame.pts
        if result.persons.track_ids is not None:
            self.tracks.update(int(i) for i in result.persons.track_ids)
        if result.is_keyframe:
            self.keyframes += 1
        if result.is_keyframe and result.actions is not None and result.actions.scores.size:
            self._add_actions(result.actions, labels, np.asarray(thresholds, np.float32), groups)

    def _add_actions(
        self,
        actions: ActionDetections,
        labels: Sequence[str],
        thresholds: npt.NDArray[np.float32],
        groups: Sequence[str],
    ) -> None:
        scores = np.nan_to_num(actions.scores, nan=0.0)
        reached = np.where(shown(scores, thresholds, groups), scores, -1.0)
        for best in reached.argmax(axis=1)[reached.max(axis=1) >= 0]:
            self.top_actions[labels[best]] += 1
        person, best = divmod(int(scores.argmax()), scores.shape[1])
        score = float(scores[person, best])
        if self.best_guess is None or score > self.best_guess.score:
            ids = actions.persons.track_ids
            track_id = None if ids is None else int(ids[person])
            self.best_guess = BestGuess(labels[best], score, track_id, actions.pts)


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
        if isinstance(source, SeekableSource):
            source.begin_at(begin)
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
    thresholds: npt.ArrayLike,
    groups: Sequence[str] = (),
    part: Part | None = None,
    on_result: Callable[[FrameResult], None] | None = None,
    overlap: bool = True,
) -> RunSummary:
    """Run `pipeline` over `source` into `sink`.

    Ctrl-C ends the run with everything so far written and the outputs completed; `interrupted` tells.

    Args:
        source: A video.
        pipeline: See `Pipeline`.
        sink: Belongs to this run from then on, which closes it.
        labels, thresholds, groups: See `RunSummary.add`.
        part: Which frames; None takes all.
        on_result: Called with every frame's result, in order.
        overlap: Decode and write in threads of their own; without, everything takes turns in the caller's, which saves
            what handing over costs where all cores have something else to do.

    Raises:
        SFDetectError: What a stage or the sink raised; outputs are completed first.
    """
    summary = RunSummary()
    start = time.monotonic()
    size = queue_size(source.info)
    background: BackgroundSink | DirectSink = BackgroundSink(sink, size) if overlap else DirectSink(sink)
    wanted = (part or Part()).of(source)
    frames: Prefetch[Frame] | Direct[Frame] = Prefetch(wanted, size) if overlap else Direct(wanted)
    try:
        for result in pipeline.run(frames, source.info):
            background.write(result)
            if summary.first_result_seconds is None:
                summary.first_result_seconds = time.monotonic() - start
            summary.add(result, labels, thresholds, groups)
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


def _complete(background: BackgroundSink | DirectSink, summary: RunSummary, swallow: bool = False) -> None:
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
