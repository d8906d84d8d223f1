"""The semantics of action detection on a video: synchronous, deterministic, implementation-free.

    frame -> [every detection_interval] persons -> [every stride] actions -> released in order, once both are known

The caller owns the loop (`for result in pipeline.run(source)`), or hands in frames one by one (`begin`, `push`,
`finish`). What is remembered belongs to the run: after a `break` the next run starts clean.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sf_detect.errors import SFDetectError, SourceError, StageError
from sf_detect.interfaces import VideoSource
from sf_detect.person_stage import PersonRun, PersonStage
from sf_detect.stages import ActionRun, ActionStage, StageCounts
from sf_detect.structures import Frame, FrameResult, VideoInfo
from sf_detect.timeline import Interpolation, Timeline


@dataclass
class Schedule:
    """Fires at the first frame at or after every multiple of `interval` seconds, counted from the first frame.

    Attributes:
        interval: Seconds; 0 fires on every frame.
    """

    interval: float
    _next: float | None = None

    def due(self, pts: float) -> bool:
        """True if it fires at `pts`; later calls must not go back in time."""
        if self._next is None:
            self._next = pts
        if pts < self._next - 1e-6:
            return False
        if self.interval > 0:
            # After a gap in a variable-rate video the grid is kept, the missed beats are not made up for.
            self._next += self.interval * (int((pts - self._next + 1e-6) / self.interval) + 1)
        return True


class Pipeline:
    """Persons and actions of the frames of a video.

    Args:
        persons: Detects and tracks.
        actions: Scores keyframes.
        interpolate: `(before, t0, after, t1, t) -> Detections`, the boxes between two detections.
        stride: Seconds between keyframes.
        detection_interval: Seconds between detections; every keyframe is a detection too.
    """

    def __init__(
        self,
        persons: PersonStage,
        actions: ActionStage,
        interpolate: Interpolation,
        *,
        stride: float = 0.5,
        detection_interval: float = 0.25,
    ) -> None:
        self._persons, self._actions, self._interpolate = persons, actions, interpolate
        self._stride, self._detection_interval = stride, detection_interval
        self.counts = StageCounts()

    def begin(self, info: VideoInfo) -> PipelineRun:
        """A run over the frames of a video, pushed by the caller; `counts` are those of the newest run."""
        self.counts = counts = StageCounts()
        return PipelineRun(
            persons=self._persons.begin(info.name, counts),
            actions=self._actions.begin(counts),
            timeline=Timeline(self._interpolate, self._stride, info.is_live),
            stride=self._stride,
            detection_interval=self._detection_interval,
            counts=counts,
        )

    def run(self, source: VideoSource | Iterable[Frame], info: VideoInfo | None = None) -> Iterator[FrameResult]:
        """Results for every frame of `source`, in order.

        Args:
            source: A video source, or any iterable of frames (then `info` is needed).
            info: The source's information where `source` is a plain iterable.

        Raises:
            StageError: A stage failed on a frame; the results before that frame have been released.
            SourceError: The source failed; all frames before have been released.
        """
        run = self.begin(info or source.info)  # type: ignore[union-attr]
        failure: SFDetectError | None = None
        try:
            try:
                for frame in source:
                    yield from run.push(frame)
            except SourceError as error:  # what was decoded before it still gets its results
                failure = error
            except StageError:
                yield from run.settled()
                raise
            yield from run.finish()
        finally:
            run.close()
        if failure is not None:
            raise failure


class PipelineRun:
    """One run over frames that the caller pushes; see `Pipeline.begin`."""

    def __init__(
        self,
        persons: PersonRun,
        actions: ActionRun,
        timeline: Timeline,
        stride: float,
        detection_interval: float,
        counts: StageCounts,
    ) -> None:
        self._persons, self._actions, self._timeline, self.counts = persons, actions, timeline, counts
        self._stride, self._detection_interval = stride, detection_interval
        self._size: tuple[int, int] | None = None

    def push(self, frame: Frame) -> list[FrameResult]:
        """Take the next frame.

        Returns:
            The results that are known now, of this frame or earlier ones, in order.

        Raises:
            StageError: A stage failed.
        """
        if self._size is None or frame.starts_anew or frame.size != self._size:
            self._start_anew(frame.size)
        self.counts.frames += 1
        is_keyframe = self._keyframe_due.due(frame.pts)
        is_detection = self._detection_due.due(frame.pts) or is_keyframe
        persons = self._persons(frame) if is_detection else None
        scoring = self._actions.push(frame, persons, is_keyframe)
        self._timeline.add(frame, persons, scoring)
        results: list[FrameResult] = []
        try:
            results.extend(self._timeline.release())
        except StageError:  # it comes again, first, at the next call: no result is lost
            if not results:
                raise
        return results

    def finish(self) -> Iterator[FrameResult]:
        """No frame follows: the remaining results. Iterate over it to the end.

        Raises:
            StageError: A stage failed, now or before; the results before that frame come first.
        """
        failure: StageError | None = None
        try:
            self._actions.finish()
        except StageError as error:
            failure = error
        self._timeline.end()
        yield from self._timeline.release()
        if failure is not None:
            raise failure

    def settled(self) -> Iterator[FrameResult]:
        """After a failure: the results of the frames before it that need nothing more."""
        self._timeline.start_anew()
        with contextlib.suppress(StageError):
            yield from self._timeline.release()

    def close(self) -> None:
        """Wait for what is being computed, and give up the rest. Idempotent."""
        self._actions.close()

    def _start_anew(self, size: tuple[int, int]) -> None:
        """The first frame, or one that continues nothing: another picture size, a gap, a reconnection."""
        if self._size is not None:
            self._persons.start_anew()
            self._actions.start_anew()
            self._timeline.start_anew()
        self._size = size
        self._keyframe_due, self._detection_due = Schedule(self._stride), Schedule(self._detection_interval)
