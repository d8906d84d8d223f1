"""Where the results of a run go: the files, the checks before they are opened, and their sinks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path

from sf_detect import build
from sf_detect.config import RunConfig
from sf_detect.errors import ConfigError, SFDetectError
from sf_detect.interfaces import Sink
from sf_detect.model_spec import ModelSpec
from sf_detect.sinks import AvaCsvSink, EventsCsvSink, JsonLinesSink, SheetSink, SinkGroup, VideoSink
from sf_detect.sinks.text_output import open_handle
from sf_detect.structures import VideoInfo

STDOUT = "-"
ENDINGS: Mapping[str, tuple[str, ...]] = {
    "video": (".mp4", ".m4v", ".mov", ".mkv"),
    "jsonl": (".jsonl", ".ndjson", ".json"),
    "csv": (".csv",),
    "events": (".csv",),
    "sheet": (".jpg", ".jpeg", ".png"),
    "persons": (".parquet",),
    "segments": (".parquet",),
    "features": (".parquet",),
}
"""Endings of the files of each output."""


@dataclass(frozen=True)
class Outputs:
    """Paths of what a run writes; None writes none of that kind.

    Attributes:
        video: Annotated video.
        jsonl: JSON Lines; "-" is standard output.
        csv: AVA's detection format; "-" is standard output.
        events: Who did what from when to when, as csv; "-" is standard output.
        sheet: A picture of keyframes in order.
        persons, segments: Tables of an archive (`sf_detect.archive`), both or none.
        features: A third one, of the model's features (with `model.features`).
        origin: Where the video comes from, for the tables; empty takes its name.
        settings: Fingerprint of the settings, for the tables.
    """

    video: str | os.PathLike[str] | None = None
    jsonl: str | os.PathLike[str] | None = None
    csv: str | os.PathLike[str] | None = None
    events: str | os.PathLike[str] | None = None
    sheet: str | os.PathLike[str] | None = None
    persons: str | os.PathLike[str] | None = None
    segments: str | os.PathLike[str] | None = None
    features: str | os.PathLike[str] | None = None
    origin: str = ""
    settings: str = ""

    def paths(self) -> dict[str, str]:
        """Those that are written, by kind."""
        found = {field.name: getattr(self, field.name) for field in fields(self) if field.name in ENDINGS}
        return {kind: os.fspath(path) for kind, path in found.items() if path is not None}

    def check(self, source: str | None = None) -> None:
        """Refuse outputs that would destroy the input or each other, and files of the wrong ending.

        Args:
            source: What is read, if it has a name.

        Raises:
            ConfigError: An output is the input, two outputs are one file, or an ending is another format's.
        """
        check_outputs(source, self.paths())

    def open(self, info: VideoInfo, spec: ModelSpec, config: RunConfig, audio_from: Path | None) -> dict[str, Sink]:
        """Their sinks, by kind.

        Args:
            info: Of the source.
            spec: Of the action model.
            config: Settings of renderer and events, and decision thresholds.
            audio_from: A file whose sound the video keeps.

        Raises:
            SinkError: One can't be opened; those opened before are closed again.
            ConfigError: A threshold of a label that the model does not have, or outside [0, 1].
        """
        paths, sinks = self.paths(), dict[str, Sink]()
        thresholds = build.decision_thresholds(config, spec)
        try:
            if "video" in paths:
                renderer = build.build_renderer(config, spec.labels, spec.thresholds, spec.groups)
                sinks["video"] = VideoSink(paths["video"], info, renderer, audio_from=audio_from)
            if "jsonl" in paths:
                sinks["jsonl"] = JsonLinesSink(
                    paths["jsonl"],
                    info.name,
                    spec.labels,
                    thresholds=thresholds,
                    groups=spec.groups,
                    keypoints=config.keypoints.write,
                )
            if "csv" in paths:
                sinks["csv"] = AvaCsvSink(paths["csv"], info.name, spec.labels, label_ids=spec.label_ids)
            if "events" in paths:
                rules = build.build_event_rules(config, spec, info.name)
                sinks["events"] = EventsCsvSink(paths["events"], rules, info.fps)
            if "sheet" in paths:
                renderer = build.build_renderer(config, spec.labels, spec.thresholds, spec.groups)
                sinks["sheet"] = SheetSink(paths["sheet"], info.name, renderer)
            if "persons" in paths:
                sinks["parquet"] = self._tables(paths, info, spec, config)
        except BaseException:
            with suppress(SFDetectError):  # the first failure is the one to tell
                SinkGroup(list(sinks.values())).close()
            raise
        return sinks

    def _tables(self, paths: Mapping[str, str], info: VideoInfo, spec: ModelSpec, config: RunConfig) -> Sink:
        from sf_detect.archive.parquet_sink import ParquetSink  # pyarrow takes a while

        return ParquetSink(
            persons=paths["persons"],
            segments=paths["segments"],
            features=paths.get("features"),
            video=info.name,
            source=self.origin or info.name,
            info=info,
            spec=spec,
            thresholds=build.decision_thresholds(config, spec),
            rules=build.build_event_rules(config, spec, info.name),
            settings=self.settings,
        )


def check_outputs(source: str | None, outputs: Mapping[str, str]) -> None:
    """See `Outputs.check`; `outputs` are paths by kind."""
    taken = {os.path.realpath(source): "the input"} if source is not None and os.path.exists(source) else {}
    for kind, path in outputs.items():
        option = f"--out-{kind}"
        if path != STDOUT:
            _check_ending(option, path, ENDINGS.get(kind, ()))
        place = _place(path)
        if place in taken:
            raise ConfigError(f"{option} {path} is {taken[place]}, which it would overwrite. Choose another path.")
        if place != os.path.realpath(os.devnull):
            taken[place] = f"also {option}"


def _place(path: str) -> str:
    """What a path stands for in the end: a file, or an open one by its number, such as the standard output."""
    handle = 1 if path == STDOUT else open_handle(Path(path))
    return os.path.realpath(path) if handle is None else f"/dev/fd/{handle}"


def _check_ending(option: str, path: str, endings: tuple[str, ...]) -> None:
    # A pipe, a device or /dev/stdout has no ending; a folder fails later.
    special = open_handle(Path(path)) is not None or (os.path.exists(path) and not os.path.isfile(path))
    if endings and not special and Path(path).suffix.lower() not in endings:
        raise ConfigError(
            f"{option} {path} ends in {Path(path).suffix or 'no ending'!r}; expected {' or '.join(endings)}. Give "
            "the file such an ending, or use the option for that kind of file."
        )
