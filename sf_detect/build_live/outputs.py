"""What a live session writes, by source."""

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
from sf_detect.config import RunConfig
from sf_detect.errors import ConfigError, SFDetectError, SinkError
from sf_detect.file_names import shortened
from sf_detect.interfaces import LiveSource, Sink
from sf_detect.live import LiveOutput
from sf_detect.live.output import RECORDS
from sf_detect.live.words import picture_line
from sf_detect.model_spec import ModelSpec
from sf_detect.outputs import STDOUT, check_outputs
from sf_detect.structures import LiveResult, UInt8Array, VideoInfo

if TYPE_CHECKING:
    from sf_detect.live.display import Drawing

PLACEHOLDER = "{source}"
VIDEO_ENDINGS = (".mp4", ".m4v")
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
            if "video" in paths and Path(paths["video"]).suffix.lower() not in VIDEO_ENDINGS:
                raise ConfigError(
                    f"--record {paths['video']}: recordings are MP4. Expected a name ending in "
                    f"{' or '.join(VIDEO_ENDINGS)}."
                )
            check_outputs(source, paths)
            if "video" in paths:
                _check_folder(Path(paths["video"]))


@dataclass(frozen=True)
class SourceOutputs:
    """What is drawn and written of one source.

    Attributes:
        source: The source.
        config: Settings of renderer and events.
        spec: Of the action model.
        thresholds: (C,) decision thresholds.
        paths: Of its outputs, by kind.
        stride: Seconds between keyframes.
        warn: Told when an output fails.
    """

    source: LiveSource
    config: RunConfig
    spec: ModelSpec
    thresholds: npt.NDArray
    paths: dict[str, str]
    stride: float
    warn: Callable[[str], None]

    def drawing(self) -> Drawing:
        """Draws its results; remembers where labels were."""
        from sf_detect.rendering.notice import notice_picture

        renderer = build.build_renderer(self.config, self.spec.labels, self.spec.thresholds, self.spec.groups)

        def draw(result: LiveResult) -> UInt8Array:
            if result.notice:
                return notice_picture(result.frame.size, [result.source, result.notice])
            return renderer(result, picture_line(result))

        return draw

    def pictures(self) -> list[LiveOutput]:
        """The recording."""
        path = self.paths.get("video")
        if path is None:
            return []
        return [LiveOutput(f"recording {path}", lambda result: self._recording(path, result), on_failure=self._failed)]

    def records(self) -> list[LiveOutput]:
        """Outputs of data."""
        from sf_detect.sinks import EventsCsvSink, JsonLinesSink

        paths, name = self.paths, self.source.name
        sinks: dict[str, Sink] = {}
        try:
            if "jsonl" in paths:
                sinks["jsonl"] = JsonLinesSink(
                    paths["jsonl"],
                    name,
                    self.spec.labels,
                    thresholds=self.thresholds,
                    groups=self.spec.groups,
                    keypoints=self.config.keypoints.write,
                )
            if "events" in paths:
                settings = replace(self.config, pipeline=replace(self.config.pipeline, stride=self.stride))
                sinks["events"] = EventsCsvSink(paths["events"], build.build_event_rules(settings, self.spec, name))
        except BaseException:
            for sink in sinks.values():
                sink.close()
            raise
        return [self._data(paths[kind], sink) for kind, sink in sinks.items()]

    def _data(self, path: str, sink: Sink) -> LiveOutput:
        what = "standard output" if path == STDOUT else path
        return LiveOutput(what, lambda result: sink, RECORDS, self._failed, sink)

    def _failed(self, error: SFDetectError) -> None:
        self.warn(f"{self.source.name}: {error}")

    def _recording(self, path: str, result: LiveResult) -> Sink:
        from sf_detect.sinks import VideoSink

        height, width = result.frame.size
        fps = self.source.status().fps or _DEFAULT_FPS
        info = VideoInfo(width, height, fps=fps, is_live=True, name=self.source.name)
        return VideoSink(path, info, _drawn, fragmented=True)


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
