"""From settings to a live session: sources, models shared by all streams, the forms that actions may take, outputs."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence

import numpy as np

from sf_detect import build
from sf_detect.build_live.forms import TRIAL_SIZE, action_forms, expected_share, with_inference
from sf_detect.build_live.outputs import LiveOutputs, SourceOutputs
from sf_detect.config import RunConfig, check_config
from sf_detect.errors import ConfigError
from sf_detect.interfaces import ActionModel, LiveSource
from sf_detect.live import LiveParts, LiveSession, Load
from sf_detect.person_stage import PersonStage
from sf_detect.sharing import SharedDetector, SharedModel, Worker
from sf_detect.structures import Frame

_NAMED = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_.-]*)=(.+)", re.DOTALL)


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
    _refuse_parts(config)
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


def _refuse_parts(config: RunConfig) -> None:
    """What is live can't be cut beforehand."""
    for name, default in (("start", None), ("end", None), ("every", 1)):
        value = getattr(config, name)
        if value != default:
            raise ConfigError(f"{name} is {value}: a live source has no parts. Leave it out, or use `run` for a file.")


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
    if model is None:
        model = build.build_action_model(with_inference(config, config.live.inference), warn)
    spec = build.model_spec(model)
    persons = build.build_persons(config, model, warn)
    if spec.warning is not None:
        warn(spec.warning)
    forms = action_forms(config, model, warn)
    load = Load([one.form for one in forms], config.pipeline.detection_interval, warn)
    load.expect(expected_share(forms) * len(opened))
    share = _Sharing(len(opened), 1 if config.device == "cpu" else len(opened))
    thresholds = build.decision_thresholds(config, spec)
    streams: list[tuple[LiveSource, LiveParts]] = []
    try:
        for source in opened:
            own = SourceOutputs(source, config, spec, thresholds, outputs.of(source.name), load.current.stride, warn)
            parts = LiveParts(
                share.persons(persons, source.name),
                [form.stage(share.model_of(source.name)) for form in forms],
                load,
                draw=own.drawing() if pictures or outputs.record is not None else None,
                records=own.records(),
                pictures=own.pictures(),
                only_looked_at=config.render.anonymise is not None,
            )
            streams.append((source, parts))
        _warm_up(persons)
    except BaseException:
        share.close()
        for _, parts in streams:
            for output in (*parts.pictures, *parts.records):
                output.close(time.monotonic() + 1)
        raise
    return LiveSession(streams, spec=spec, max_seconds=max_seconds, on_warning=warn, on_close=share.close)


class _Sharing:
    """Workers for the models where there is more than one stream."""

    def __init__(self, streams: int, batch: int) -> None:
        self._workers = [Worker("detector", batch), Worker("action model", batch)] if streams > 1 else []

    def persons(self, stage: PersonStage, name: str) -> PersonStage:
        """The stage for the stream of that name."""
        if not self._workers:
            return stage
        return stage.sharing(lambda detector: SharedDetector(detector, self._workers[0], name))

    def model_of(self, name: str) -> Callable[[ActionModel], ActionModel]:
        """What makes a model that of the stream of that name."""
        return lambda model: SharedModel(model, self._workers[1], name) if self._workers else model

    def close(self) -> None:
        """Ends the workers."""
        for worker in self._workers:
            worker.close()


def _warm_up(persons: PersonStage) -> None:
    """The first detection takes a second or more, which is not to be a camera's."""
    persons.begin("warm-up")(Frame(np.zeros((*TRIAL_SIZE, 3), np.uint8), 0, 0.0))
