"""Videos in, annotated videos and data out: the whole system behind one object, built once, and one function."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from sf_detect import build
from sf_detect.config import RunConfig, check_config
from sf_detect.errors import SFDetectError, SourceError
from sf_detect.interfaces import ActionModel, VideoSource
from sf_detect.outputs import Outputs
from sf_detect.pipeline import Pipeline, PipelineRun
from sf_detect.processing import Part, RunSummary, process
from sf_detect.sinks import SinkGroup
from sf_detect.structures import FrameResult, VideoInfo

Source = str | os.PathLike[str] | VideoSource | Iterable[object]
"""A path, a URL, a camera's number as text, an open source, or one's own frames."""


class Annotator:
    """Finds persons and their actions in any number of videos; models are loaded once.

        annotator = sf_detect.Annotator()
        for path in paths:
            annotator.annotate(path, out_jsonl=path.with_suffix(".jsonl"))

    Args:
        config: Settings; None takes the defaults.
        model: An action model to use instead of the one that `config.model` names.
        overlap: Whether decoding, detection, actions and outputs of `annotate` run beside one another. Where several
            annotators keep all cores busy, each is faster without.

    Attributes:
        spec: Labels, thresholds and the rest that is to be known of the action model.

    Raises:
        ConfigError: A setting that makes no sense.
        WeightsError: Weights can't be fetched, read, or do not fit.
    """

    def __init__(
        self, config: RunConfig | None = None, model: ActionModel | None = None, *, overlap: bool = True
    ) -> None:
        self.config = config or RunConfig()
        self._overlap = overlap
        check_config(self.config)
        self._problems: list[str] = []
        warn = self._problems.append
        self._model = (
            build.build_action_model(self.config, warn)
            if model is None
            else build.with_postures(self.config, model, warn)
        )
        self.spec = build.model_spec(self._model)
        self._thresholds = build.decision_thresholds(self.config, self.spec)
        self._persons = build.build_persons(self.config, self._model, warn)

    def annotate(
        self,
        source: Source,
        *,
        out_video: str | os.PathLike[str] | None = None,
        out_jsonl: str | os.PathLike[str] | None = None,
        out_csv: str | os.PathLike[str] | None = None,
        out_events: str | os.PathLike[str] | None = None,
        times: Sequence[float] | None = None,
        on_start: Callable[[VideoInfo], None] | None = None,
        on_result: Callable[[FrameResult], None] | None = None,
        on_warning: Callable[[str], None] | None = None,
    ) -> RunSummary:
        """As `annotate_video`, with the models and the settings of this annotator."""
        outputs = Outputs(out_video, out_jsonl, out_csv, out_events)
        return self.annotate_into(
            source, outputs, times=times, on_start=on_start, on_result=on_result, on_warning=on_warning
        )

    def annotate_into(
        self,
        source: Source,
        outputs: Outputs,
        *,
        name: str | None = None,
        times: Sequence[float] | None = None,
        on_start: Callable[[VideoInfo], None] | None = None,
        on_result: Callable[[FrameResult], None] | None = None,
        on_warning: Callable[[str], None] | None = None,
    ) -> RunSummary:
        """As `annotate`, into any of the outputs there are.

        Args:
            source, times, on_start, on_result, on_warning: See `annotate_video`.
            outputs: Files to write.
            name: Of the video in all outputs; None takes the source's own.
        """
        outputs.check(_name_of(source))
        with closing(open_frames(source, self.config, times, None if self._overlap else 1)) as opened:
            if name is not None:
                opened.info = replace(opened.info, name=name)
            return self._process(opened, outputs, _file_of(source), on_start, on_result, on_warning)

    def results(self, source: Source, times: Sequence[float] | None = None) -> Iterator[FrameResult]:
        """Results for every frame, in order, for the caller's loop; a `break` ends it.

        Args:
            source: See `annotate_video`.
            times: See `annotate_video`.
        """
        with closing(open_frames(source, self.config, times)) as opened:
            yield from self._pipeline(None).run(_part(self.config).of(opened), opened.info)

    def open(self, fps: float | None = None, name: str = "frames") -> FrameSession:
        """A session that takes the caller's own frames one by one.

        Args:
            fps: Their rate, where they are pushed without times; None takes `config.fps`, or 25.
            name: For outputs.
        """
        return FrameSession(self._pipeline(None), self.config.fps if fps is None else fps, name)

    def _pipeline(self, executor: Executor | None) -> Pipeline:
        return build.assemble(self.config, self._persons, self._model, executor)

    def _process(
        self,
        opened: VideoSource,
        outputs: Outputs,
        audio_from: Path | None,
        on_start: Callable[[VideoInfo], None] | None,
        on_result: Callable[[FrameResult], None] | None,
        on_warning: Callable[[str], None] | None,
    ) -> RunSummary:
        warnings: list[str] = []

        def warn(problem: str | None) -> None:
            if problem is not None:
                warnings.append(problem)
                if on_warning is not None:
                    on_warning(problem)

        for problem in (*self._problems, self.spec.warning):
            warn(problem)
        if self._model is not None and self.config.pipeline.inference == "streaming":
            warn(self._model.open_stream().warning)
        with ThreadPoolExecutor(1) as executor:
            pipeline = self._pipeline(executor if self._overlap else None)
            sinks = outputs.open(opened.info, self.spec, self.config, audio_from)
            group = SinkGroup(list(sinks.values()))
            try:
                if on_start is not None:
                    on_start(opened.info)
                summary = process(
                    opened,
                    pipeline,
                    group,
                    labels=self.spec.labels,
                    thresholds=self._thresholds,
                    groups=self.spec.groups,
                    part=_part(self.config),
                    on_result=on_result,
                    overlap=self._overlap,
                )
            except BaseException:
                with suppress(SFDetectError):  # closed already, unless Ctrl-C came before the first frame
                    group.close()
                raise
        if not summary.frames and not summary.interrupted:
            warn("no frame of the source lies between the start and the end that were asked for; nothing was found.")
        for problem in (*getattr(opened, "warnings", ()), *getattr(sinks.get("video"), "problems", ())):
            warn(problem)
        summary.backend = self.spec.backend
        summary.warnings += warnings
        return summary


class FrameSession:
    """One video whose frames the caller pushes; see `Annotator.open`.

    with annotator.open(fps=30) as session:
        for picture in pictures:
            for result in session.push(picture):
                ...
        for result in session.finish():
            ...
    """

    def __init__(self, pipeline: Pipeline, fps: float | None, name: str) -> None:
        from sf_detect.video.own_frames import FrameMaker

        self._pipeline, self._make, self._name = pipeline, FrameMaker(fps), name
        self._run: PipelineRun | None = None

    def push(self, picture: object, time: float | None = None) -> list[FrameResult]:
        """The next frame.

        Args:
            picture: (H, W, 3) uint8 RGB array, or a `Frame`.
            time: Seconds, later than that of the frame before; None counts on at the constant rate.

        Returns:
            The results that are known now, of this frame or earlier ones, in order: a clip needs frames on either
            side of its keyframe, so they come a little later than their frames.

        Raises:
            SourceError: It is not a picture, or its time does not increase.
            StageError: A model failed.
        """
        frame = self._make(picture, time)
        if self._run is None:
            height, width = frame.size
            self._run = self._pipeline.begin(VideoInfo(width, height, name=self._name))
        return self._run.push(frame)

    def finish(self) -> Iterator[FrameResult]:
        """The remaining results; no frame follows."""
        if self._run is not None:
            yield from self._run.finish()

    def close(self) -> None:
        """Give up what is not computed yet. Idempotent."""
        if self._run is not None:
            self._run.close()

    def __enter__(self) -> FrameSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def annotate_video(
    source: Source,
    *,
    out_video: str | os.PathLike[str] | None = None,
    out_jsonl: str | os.PathLike[str] | None = None,
    out_csv: str | os.PathLike[str] | None = None,
    out_events: str | os.PathLike[str] | None = None,
    config: RunConfig | None = None,
    times: Sequence[float] | None = None,
    on_start: Callable[[VideoInfo], None] | None = None,
    on_result: Callable[[FrameResult], None] | None = None,
    on_warning: Callable[[str], None] | None = None,
) -> RunSummary:
    """Detect persons and their actions in a video, and write what was found.

    Args:
        source: A video file, a folder of images, a camera index or a URL; or one's own frames: an iterable of
            (H, W, 3) uint8 RGB arrays, at `times` or at `config.fps`.
        out_video: MP4 with boxes, tracks and actions drawn, and the original audio.
        out_jsonl: JSON Lines, one keyframe a line; "-" is standard output.
        out_csv: AVA's detection format.
        out_events: Who did what from when to when: csv with the header video,track_id,label,start,end,score.
        config: Settings; None takes the defaults.
        times: Seconds, one for each frame of `source`.
        on_start: Called once with the source's information, before the first frame.
        on_result: Called with every frame's result, in order.
        on_warning: Called with what a user should know about the outputs, as soon as it is known; it is in the
            summary too.

    Returns:
        Counts and times of the run.

    Raises:
        SFDetectError: What was wrong, and what to do next; outputs begun are completed first.
    """
    config = config or RunConfig()
    outputs = Outputs(out_video, out_jsonl, out_csv, out_events)
    outputs.check(_name_of(source))
    check_config(config)
    with closing(
        open_frames(source, config, times)
    ) as opened:  # a source that can't be opened fails before models load
        return Annotator(config)._process(opened, outputs, _file_of(source), on_start, on_result, on_warning)


def open_frames(
    source: Source, config: RunConfig, times: Sequence[float] | None = None, threads: int | None = None
) -> VideoSource:
    """The source itself where it is open already; else what opens it, decoded by so many threads.

    Raises:
        SourceError: It can't be opened, or is neither a name nor frames.
    """
    if isinstance(source, (str, os.PathLike)):
        return build.open_source(source, config, threads)
    if isinstance(source, VideoSource):
        return source
    if isinstance(source, Iterable):
        from sf_detect.video.own_frames import OwnFramesSource

        return OwnFramesSource(source, times, config.fps)
    raise SourceError(
        f"a {type(source).__name__} is no source; expected a path, a URL, a camera's number as text, or frames."
    )


def _part(config: RunConfig) -> Part:
    return Part(config.start, config.end, config.max_seconds, config.every)


def _name_of(source: Source) -> str | None:
    return os.fspath(source) if isinstance(source, (str, os.PathLike)) else None


def _file_of(source: Source) -> Path | None:
    """The file whose sound an annotated video keeps."""
    name = _name_of(source)
    return Path(name) if name is not None and os.path.isfile(name) else None  # pathlib raises for long names
