"""From settings to a live session: sources, models shared by all streams, the forms that actions may take, outputs."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy.typing as npt

from sf_detect import build
from sf_detect.config import RunConfig, check_config
from sf_detect.errors import ConfigError, SinkError
from sf_detect.file_names import shortened
from sf_detect.interfaces import ActionModel, LiveSource, ResizableModel, Sink
from sf_detect.live import ActionForm, LiveOutput, LiveParts, LiveSession, Load
from sf_detect.live.output import RECORDS
from sf_detect.live.words import picture_line
from sf_detect.model_spec import ModelSpec
from sf_detect.outputs import STDOUT, check_outputs
from sf_detect.structures import LiveResult, UInt8Array, VideoInfo

if TYPE_CHECKING:
    from sf_detect.live.display import Drawing

PLACEHOLDER = "{source}"
SIZES = (1.0, 0.875, 0.75, 0.625, 0.5, 0.4375, 0.375)
"""Shares of a model's short side that an overload may lead to."""
LEAST_SIDE = 96
_GRID = 16
_NAMED = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_.-]*)=(.+)", re.DOTALL)
_DEFAULT_FPS = Fraction(30)


@dataclass(frozen=True)
class LiveOutputs:
    """Where the results of live sources go; None writes none of that kind. `{source}` stands for a source's name.

    Attributes:
        record: Annotated video, complete up to its last second whatever happens.
        jsonl: JSON Lines, a line a keyframe; "-" is standard output.
        events: Who did what from when to when, as csv; "-" is standard output.
    """

    record: str | os.PathLike[str] | None = None
    jsonl: str | os.PathLike[str] | None = None
    events: str | os.PathLike[str] | None = None

    def of(self, name: str) -> dict[str, str]:
        """Paths for a source of that name, by kind."""
        given = {"video": self.record, "jsonl": self.jsonl, "events": self.events}
        safe = shortened(re.sub(r'[\x00-\x1f<>:"/\\|?*]', "_", name) or "source", "")
        return {kind: os.fspath(path).replace(PLACEHOLDER, safe) for kind, path in given.items() if path is not None}

    def check(self, names: Sequence[str], sources: Sequence[str]) -> None:
        """Refuse outputs that would destroy an input or each other, and files of the wrong ending.

        Raises:
            ConfigError: See `outputs.check_outputs`; or several sources would write one file.
            SinkError: A recording can't be written where it shall go.
        """
        for option, path in (("--record", self.record), ("--out-jsonl", self.jsonl), ("--out-events", self.events)):
            if path is not None and len(names) > 1 and PLACEHOLDER not in os.fspath(path):
                raise ConfigError(
                    f"{option} {os.fspath(path)} is one file for {len(names)} sources. Put {PLACEHOLDER} into its "
                    f"name, such as out_{PLACEHOLDER}{Path(path).suffix}."
                )
        for name, source in zip(names, sources, strict=True):
            paths = self.of(name)
            check_outputs(source, paths)
            if "video" in paths:
                _check_folder(Path(paths["video"]))


def open_live(
    *sources: str | os.PathLike[str] | LiveSource,
    config: RunConfig | None = None,
    model: ActionModel | None = None,
    record: str | os.PathLike[str] | None = None,
    out_jsonl: str | os.PathLike[str] | None = None,
    out_events: str | os.PathLike[str] | None = None,
    max_seconds: float | None = None,
    pictures: bool = False,
    on_warning: Callable[[str], None] | None = None,
) -> LiveSession:
    """Watch cameras and streams: a session whose display never waits for a model.

    Args:
        sources: Camera numbers, URLs, files (played at their own speed), or open live sources; `name=SOURCE` names one.
        config: Settings; None takes the defaults. See `LiveConfig` for what is other than in `annotate_video`.
        model: An action model to use instead of the one that `config.model` names.
        record: MP4 with boxes, tracks and actions drawn. With several sources the names of outputs hold `{source}`.
        out_jsonl: JSON Lines, a line a keyframe; "-" is standard output.
        out_events: Who did what from when to when, as csv; "-" is standard output.
        max_seconds: Seconds after which the session ends, from when reading begins.
        pictures: Draw results even without a recording: `LiveResult.picture`.
        on_warning: Told what a user should know, as it happens; from whatever thread.

    Raises:
        SFDetectError: Something can't be opened, however often it would be tried; see `annotate_video`.
    """
    config = config or RunConfig()
    check_config(config)
    if not sources:
        raise ConfigError("got no source; expected at least one camera, URL or file.")
    outputs = LiveOutputs(record, out_jsonl, out_events)
    opened = open_sources(sources, config)
    try:
        outputs.check([source.name for source in opened], [_address(source) for source in sources])
        return _session(opened, config, model, outputs, max_seconds, pictures, on_warning or (lambda text: None))
    except BaseException:
        for source in opened:
            source.close()
        raise


def open_sources(sources: Sequence[str | os.PathLike[str] | LiveSource], config: RunConfig) -> list[LiveSource]:
    """Live sources by address, with names of their own.

    Raises:
        SourceOpenError: One can't be opened, however often it would be tried.
        ConfigError: Two have the same name that was given.
    """
    opened: list[LiveSource] = []
    try:
        for source in sources:
            opened.append(_open(source, config))
            _name(opened)
    except BaseException:
        for source in opened:
            source.close()
        raise
    return opened


def _open(source: str | os.PathLike[str] | LiveSource, config: RunConfig) -> LiveSource:
    if not isinstance(source, (str, os.PathLike)):
        return source
    text = os.fspath(source)
    named = None if os.path.exists(text) else _NAMED.fullmatch(text)
    opened = build.open_live_source(named[2] if named else text, config)
    if named:
        opened.name = named[1]
    return opened


def _address(source: str | os.PathLike[str] | LiveSource) -> str:
    if not isinstance(source, (str, os.PathLike)):
        return ""
    text = os.fspath(source)
    named = None if os.path.exists(text) else _NAMED.fullmatch(text)
    return named[2] if named else text


def _name(opened: list[LiveSource]) -> None:
    """Gives the newest source a name that no other has."""
    newest, taken = opened[-1], {source.name for source in opened[:-1]}
    name, number = newest.name, 2
    while newest.name in taken:
        newest.name = f"{name}-{number}"
        number += 1


def _session(
    opened: Sequence[LiveSource],
    config: RunConfig,
    model: ActionModel | None,
    outputs: LiveOutputs,
    max_seconds: float | None,
    pictures: bool,
    warn: Callable[[str], None],
) -> LiveSession:
    model = model if model is not None else build.build_action_model(for_streaming(config), warn)
    spec = build.model_spec(model)
    persons = build.build_persons(config, model, warn)
    if spec.warning is not None:
        warn(spec.warning)
    load = Load(action_forms(config, model, warn), config.pipeline.detection_interval, warn)
    thresholds = build.decision_thresholds(config, spec)
    parts = LiveParts(persons, load, only_looked_at=config.render.anonymise is not None)
    streams = []
    for source in opened:
        made = _Made(source, config, spec, thresholds, outputs.of(source.name), load.current.stride)
        drawn = pictures or outputs.record is not None
        streams.append(
            (
                source,
                replace(
                    parts, draw=made.drawing() if drawn else None, pictures=made.pictures(), records=made.records()
                ),
            )
        )
    return LiveSession(streams, max_seconds=max_seconds, on_warning=warn)


def for_streaming(config: RunConfig) -> RunConfig:
    """The settings with the form of inference that `config.live` asks for."""
    return replace(config, pipeline=replace(config.pipeline, inference=config.live.inference))


def action_forms(config: RunConfig, model: ActionModel | None, warn: Callable[[str], None]) -> list[ActionForm]:
    """The forms in which actions may be computed, the one that is wanted first, each later one cheaper."""
    stride = config.live.stride or config.pipeline.stride
    if model is None:
        return [ActionForm(build.build_actions(config, None), stride, streaming=True, text="tracks alone")]
    forms: list[ActionForm] = []
    if config.live.inference == "streaming":
        try:
            stream = model.open_stream()
        except ConfigError as error:
            warn(f"{error} Clips are computed instead.")
        else:
            if stream.warning is not None:
                warn(stream.warning)
            forms += _sizes(config, model, "streaming", config.live.stride or stream.step_seconds, stream.warning)
    if not forms:
        return _sizes(config, model, "clip", stride, None)
    if len(forms) > 1:
        forms.append(_sizes(config, model, "clip", stride, None)[-1])
    return forms


def _sizes(
    config: RunConfig, model: ActionModel, inference: str, stride: float, warning: str | None
) -> list[ActionForm]:
    """One form of inference with smaller and smaller pictures."""
    settings = replace(config, pipeline=replace(config.pipeline, inference=inference))
    full = model.spec.short_side
    sides = [full]
    if config.live.adapt and isinstance(model, ResizableModel):
        smaller = (int(full * share) // _GRID * _GRID for share in SIZES[1:])
        sides += sorted({side for side in smaller if LEAST_SIDE <= side < full}, reverse=True)
    forms = []
    for side in sides:
        sized = model if side == full or not isinstance(model, ResizableModel) else model.resized(side)
        reduced = None if side == full else f"pictures of short side {side} instead of {full}"
        forms.append(
            ActionForm(
                build.build_actions(settings, sized),
                stride,
                inference == "streaming",
                f"{'clips' if inference == 'clip' else inference}, short side {side}",
                cost=(side / full) ** 2,
                approximation="; ".join(text for text in (warning, reduced) if text is not None) or None,
            )
        )
    return forms


@dataclass(frozen=True)
class _Made:
    """What one source has of its own."""

    source: LiveSource
    config: RunConfig
    spec: ModelSpec
    thresholds: npt.NDArray
    paths: dict[str, str]
    stride: float

    def drawing(self) -> Drawing:
        """Draws its results; remembers where labels were."""
        from sf_detect.rendering.notice import notice_picture

        renderer = build.build_renderer(self.config, self.spec.labels, self.spec.thresholds)

        def draw(result: LiveResult) -> UInt8Array:
            if result.notice:
                return notice_picture(result.frame.size, [result.source, result.notice])
            return renderer(result, picture_line(result))

        return draw

    def pictures(self) -> list[LiveOutput]:
        """The recording."""
        path = self.paths.get("video")
        return [] if path is None else [LiveOutput(f"recording {path}", lambda result: self._recording(path, result))]

    def records(self) -> list[LiveOutput]:
        """Outputs of data."""
        from sf_detect.sinks import EventsCsvSink, JsonLinesSink

        name, made = self.source.name, []
        if (path := self.paths.get("jsonl")) is not None:
            made.append(_data(path, JsonLinesSink(path, name, self.spec.labels, thresholds=self.thresholds)))
        if (path := self.paths.get("events")) is not None:
            settings = replace(self.config, pipeline=replace(self.config.pipeline, stride=self.stride))
            made.append(_data(path, EventsCsvSink(path, build.build_event_rules(settings, self.spec, name))))
        return made

    def _recording(self, path: str, result: LiveResult) -> Sink:
        from sf_detect.sinks import VideoSink

        height, width = result.frame.size
        fps = self.source.status().fps or _DEFAULT_FPS
        info = VideoInfo(width, height, fps=fps, is_live=True, name=self.source.name)
        return VideoSink(path, info, _drawn, fragmented=True)


def _data(path: str, sink: Sink) -> LiveOutput:
    return LiveOutput("standard output" if path == STDOUT else path, lambda result: sink, RECORDS, sink=sink)


def _drawn(result: object) -> UInt8Array:
    assert isinstance(result, LiveResult)
    assert result.picture is not None
    return result.picture


def _check_folder(path: Path) -> None:
    """Refuses a recording that can't be written later, when its first picture is there."""
    folder = path.absolute().parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise SinkError(
            f"--record {path} can't be written: {folder} is no folder with write permission. Choose another."
        )
