"""What annotates videos in a worker of a batch; `build_batch` is the side that hands them out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sf_detect.annotator import Annotator
from sf_detect.batch.jobs import Report, VideoStats
from sf_detect.build import build_event_rules
from sf_detect.config import RunConfig
from sf_detect.events import ResultEvents
from sf_detect.outputs import Outputs
from sf_detect.structures import FrameResult, VideoInfo
from sf_detect.threads import limited_threads


class ConfiguredAnnotator:
    """See `batch.jobs.VideoAnnotator`.

    Args:
        config: Settings of each video.
        settings: Their fingerprint.
        threads: That a step computes with.
    """

    def __init__(self, config: RunConfig, settings: str = "", threads: int = 1) -> None:
        self._settings, self._threads = settings, threads
        with limited_threads(threads):
            # With a core to itself, threads would only take turns, and from one another's caches.
            self._annotator = Annotator(config, overlap=threads > 1 or config.device != "cpu")

    def __call__(self, path: str, name: str, source: str, outputs: Mapping[str, Path], report: Report) -> VideoStats:
        """See `VideoAnnotator`."""
        watch = _Watch(self._annotator, report)
        with limited_threads(self._threads):
            summary = self._annotator.annotate_into(
                path,
                Outputs(**outputs, origin=source, settings=self._settings),
                name=name,
                on_start=watch.start,
                on_result=watch.see,
            )
        spec = self._annotator.spec
        return VideoStats(
            summary.seconds,
            summary.frames,
            summary.keyframes,
            len(summary.tracks),
            summary.decode_errors,
            watch.finish(),
            spec.name,
            spec.backend,
            tuple(summary.warnings),
        )


class _Watch:
    """Follows the results of a video: progress, and seconds of each label."""

    def __init__(self, annotator: Annotator, report: Report) -> None:
        self._annotator, self._report = annotator, report
        self._total: float | None = None
        self._events: ResultEvents | None = None
        self._seconds: Counter[str] = Counter()

    def start(self, info: VideoInfo) -> None:
        self._total = info.duration
        rules = build_event_rules(self._annotator.config, self._annotator.spec, info.name)
        self._events = ResultEvents(rules, info.fps)

    def see(self, result: FrameResult) -> None:
        self._report(result.frame.pts, self._total)
        if self._events is not None:
            self._add(self._events.push(result))

    def finish(self) -> dict[str, float]:
        if self._events is not None:
            self._add(self._events.finish())
        return dict(self._seconds)

    def _add(self, events: Sequence[Any]) -> None:
        for event in events:
            self._seconds[event.label] += event.end - event.start
