"""One video in, annotated video and data out: the whole system behind one function."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import numpy as np

from sf_detect import build
from sf_detect.config import RunConfig
from sf_detect.errors import ConfigError, SFDetectError
from sf_detect.interfaces import Sink, VideoSource
from sf_detect.model_spec import ModelSpec
from sf_detect.processing import RunSummary, process
from sf_detect.sinks import AvaCsvSink, JsonLinesSink, SinkGroup, VideoSink
from sf_detect.smoothing import ScoreSmoothing
from sf_detect.structures import FrameResult, VideoInfo

STDOUT = "-"


def annotate_video(
    source: str | Path,
    *,
    out_video: str | Path | None = None,
    out_jsonl: str | Path | None = None,
    out_csv: str | Path | None = None,
    config: RunConfig | None = None,
    on_start: Callable[[VideoInfo], None] | None = None,
    on_result: Callable[[FrameResult], None] | None = None,
    on_warning: Callable[[str], None] | None = None,
) -> RunSummary:
    """Detect persons and their actions in a video, and write what was found.

    Args:
        source: A video file, a folder of images, a camera index or a URL.
        out_video: MP4 with boxes, tracks and actions drawn, and the original audio.
        out_jsonl: JSON Lines, one keyframe a line; "-" is standard output.
        out_csv: AVA's detection format.
        config: Settings; None takes the defaults.
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
    outputs = {"out_video": out_video, "out_jsonl": out_jsonl, "out_csv": out_csv}
    check_outputs(str(source), {name: str(path) for name, path in outputs.items() if path is not None})
    check_times(config)
    _seed(config.seed)
    build.share_cores(2)
    warnings: list[str] = []

    def warn(problem: str | None) -> None:
        if problem is not None:
            warnings.append(problem)
            if on_warning is not None:
                on_warning(problem)

    with closing(build.open_source(str(source), config)) as opened, ThreadPoolExecutor(1) as executor:
        predictor = build.build_predictor(config)
        if config.pipeline.inference == "streaming":
            warn(predictor.open_stream().warning)
        pipeline = build.build_pipeline(config, predictor, executor)
        sinks = _open_sinks(str(source), opened, config, predictor.spec, outputs)
        if on_start is not None:
            on_start(opened.info)
        summary = process(
            opened,
            pipeline,
            SinkGroup(list(sinks.values())),
            labels=predictor.spec.labels,
            thresholds=predictor.spec.thresholds,
            max_seconds=config.max_seconds,
            on_result=on_result,
        )
    warn(getattr(sinks.get("out_video"), "audio_problem", None))
    summary.warnings += warnings
    return summary


def _open_sinks(
    source: str,
    opened: VideoSource,
    config: RunConfig,
    spec: ModelSpec,
    outputs: dict[str, str | Path | None],
) -> dict[str, Sink]:
    name, labels = opened.info.name, spec.labels
    sinks: dict[str, Sink] = {}
    try:
        if (path := outputs["out_video"]) is not None:
            renderer = build.build_renderer(config, labels, spec.thresholds, spec.name)
            audio_from = Path(source) if Path(source).is_file() else None
            sinks["out_video"] = VideoSink(path, opened.info, renderer, audio_from=audio_from)
        if (path := outputs["out_jsonl"]) is not None:
            sinks["out_jsonl"] = JsonLinesSink(path, name, labels)
        if (path := outputs["out_csv"]) is not None:
            sinks["out_csv"] = AvaCsvSink(path, name, labels, label_ids=spec.label_ids)
    except BaseException:
        with suppress(SFDetectError):  # the first failure is the one to tell
            SinkGroup(list(sinks.values())).close()
        raise
    return sinks


def check_outputs(source: str, outputs: dict[str, str]) -> None:
    """Refuse outputs that would destroy the input or each other.

    Raises:
        ConfigError: An output is the input, or two outputs are one file.
    """
    taken = {Path(source).resolve(): "the input"} if Path(source).exists() else {}
    for name, path in outputs.items():
        if path == STDOUT:
            continue
        option = "--" + name.replace("_", "-")
        resolved = Path(path).resolve()
        if resolved in taken:
            raise ConfigError(f"{option} {path} is {taken[resolved]}, which it would overwrite. Choose another path.")
        taken[resolved] = f"also {option}"


def check_times(config: RunConfig) -> None:
    """Refuse settings of time that make no sense.

    Raises:
        ConfigError: A stride or a limit that is not positive, or smoothing below 0.
    """
    for name, value in (
        ("pipeline.stride", config.pipeline.stride),
        ("pipeline.detection_interval", config.pipeline.detection_interval),
        ("max_seconds", config.max_seconds),
        ("fps", config.fps),
    ):
        if value is not None and not (value > 0 and np.isfinite(value)):
            raise ConfigError(f"{name} is {value}; expected a number of seconds (or frames a second) above 0.")
    ScoreSmoothing(config.pipeline.smoothing)  # refuses what makes no sense


def _seed(seed: int) -> None:
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
