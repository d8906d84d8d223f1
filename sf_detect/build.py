"""From names and settings to objects: the only place where names are looked up.

Everything it returns takes explicit arguments only; nothing behind it reads a configuration.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sf_detect.build_keypoints import keypoint_estimators, with_postures
from sf_detect.build_outputs import build_event_rules as build_event_rules
from sf_detect.build_outputs import build_renderer as build_renderer
from sf_detect.build_outputs import decision_thresholds as decision_thresholds
from sf_detect.config import ModelConfig, RunConfig
from sf_detect.engines.engine import Warn, print_warning
from sf_detect.errors import ConfigError, UnknownNameError, WeightsError
from sf_detect.interfaces import ActionModel, LiveSource, PersonDetector, TimedDetector, VideoSource
from sf_detect.labels import shown_names
from sf_detect.model_spec import NO_MODEL, ModelSpec
from sf_detect.person_stage import PersonStage
from sf_detect.pipeline import Pipeline
from sf_detect.stages import ActionStage, ClipActions, NoActions, StreamActions
from sf_detect.threads import LimitedDetector, LimitedModel

if TYPE_CHECKING:
    from torch import nn

    from sf_detect.models.predictor import EnginePredictor
    from sf_detect.models.preprocessing import Preprocessing
    from sf_detect.zoo.table import ZooEntry

DEFAULT_MODEL = "slowfast_tiny_jhmdb"
INFERENCE = ("clip", "streaming")


def open_source(
    source: str | os.PathLike[str], config: RunConfig | None = None, threads: int | None = None
) -> VideoSource:
    """Open a video file, a folder of images, a camera ("0") or a URL.

    Args:
        source: What to open.
        config: Settings; None takes the defaults.
        threads: That decode a file; None takes FFmpeg's choice, one a core.

    Raises:
        SourceOpenError: It can't be opened; the message says why.
    """
    from sf_detect.video import open_source as open_video

    return open_video(os.fspath(source), _exact(None if config is None else config.fps), threads)


def open_live_source(source: str, config: RunConfig) -> LiveSource:
    """A camera or stream, which is waited for and connected to again, or a file played at its own speed.

    Raises:
        SourceOpenError: It can't be opened, however often it would be tried.
    """
    from sf_detect.video.live_opening import LiveOptions
    from sf_detect.video.live_opening import open_live_source as open_live_video

    names = ("rtsp_transport", "stall_seconds", "longest_wait", "camera_width", "camera_height", "camera_fps")
    options = {name: getattr(config.live, name) for name in (*names, "camera_backend")}
    return open_live_video(source, LiveOptions(**options), _exact(config.fps))


def _exact(fps: float | None) -> Fraction | None:
    return None if fps is None else Fraction(fps).limit_denominator(100_000)


def check_device(device: str) -> None:
    """Refuse a device that torch does not know or that is not there.

    Raises:
        ConfigError: With what is available.
    """
    if device == "cpu":  # there is no need to wait for torch
        return
    import torch

    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"device {device!r} is unknown. Expected cpu, cuda or cuda:N.") from error
    if wanted.type == "cpu":
        return
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted.type != "cuda":
        raise ConfigError(f"device {device!r} is not supported. Expected cpu, cuda or cuda:N.")
    if (wanted.index or 0) >= count:
        raise ConfigError(
            f"device {device!r} is not available: torch {torch.__version__} sees {count} CUDA device(s). "
            "Use --device cpu, or install a CUDA build of torch and its driver."
        )


def load_model(
    name: str, weights: str | os.PathLike[str] | None = None, device: str = "cpu", **options: Any
) -> nn.Module:
    """A network of the zoo, in evaluation mode.

    `model(pathways, boxes=None)` takes a list of (B, 3, T, H, W) float tensors (slow first; one for single-pathway
    networks) and boxes (N, 5) = batch index, x1, y1, x2, y2 in input pixels, and returns logits before the activation.

    Args:
        name: Of the zoo (`sf-detect weights list`).
        weights: A checkpoint file of any readable format; None takes the file that ships with the package, or
            the published one, downloaded into the cache on first use.
        device: "cpu", "cuda" or "cuda:N".
        **options: Of the network's builder, for weights that were trained otherwise than the zoo says (`causal=False`).

    Raises:
        UnknownNameError: No such model.
        WeightsError: The file can't be read, fetched or does not fit, or there is none.
        ConfigError: The device is not there, or the network has no such option.
    """
    from sf_detect.zoo.fetching import fetch_model
    from sf_detect.zoo.table import entry, load_network

    check_device(device)
    chosen = entry(name)
    backbone = None if chosen.backbone is None else fetch_model(entry(chosen.backbone))
    return load_network(name, _weights_file(chosen, weights), device, backbone, **options)


def _weights_file(entry: ZooEntry, weights: str | os.PathLike[str] | None) -> Path:
    from sf_detect.zoo.fetching import fetch_model

    if weights is not None:
        path = Path(weights)
        if not path.is_file():
            raise WeightsError(f"weights {path}: no such file. Give the path of a checkpoint for {entry.name}.")
        return path
    return fetch_model(entry)


def build_action_model(config: RunConfig | None = None, warn: Warn = print_warning) -> ActionModel | None:
    """The action model that `config.model` names, with the postures that `config.posture` wants.

    None where the model is "none" and there are no postures: boxes and tracks only. Labels have the names that people
    are to read, see `labels.shown_names`.
    """
    config = config or RunConfig()
    model = None if config.model.name == NO_MODEL.name else build_predictor(config, warn)
    found = with_postures(config, model, warn)
    if found is model and model is not None:
        model.spec = replace(model.spec, labels=shown_names(model.spec.labels))
    return found


def build_predictor(config: RunConfig | None = None, warn: Warn = print_warning) -> EnginePredictor:
    """The action model with its preprocessing, labels and thresholds.

    Args:
        config: Settings; None takes the defaults.
        warn: Receives what a user should know, such as a backend that is not used.

    Raises:
        ConfigError: The model classifies clips and can't score persons, or the backend does not compute it.
    """
    from sf_detect.labels import label_set
    from sf_detect.models.predictor import EnginePredictor, model_spec
    from sf_detect.video.clip_buffer import resize_short_side
    from sf_detect.zoo.backends import action_engines
    from sf_detect.zoo.table import entry
    from sf_detect.zoo.trained import read_box_regression, read_thresholds, read_trained

    config = config or RunConfig()
    weights = config.model.weights
    own = None if weights is None else read_trained(weights)  # its metadata overrides `model.name`
    chosen = entry(config.model.name) if own is None else own.entry
    if chosen.task != "detection":
        raise ConfigError(
            f"model {chosen.name} classifies whole clips: use it with `sf-detect classify`. `run` needs one that "
            f"scores persons, such as {DEFAULT_MODEL} (`sf-detect weights list` shows the task of each)."
        )
    labels = label_set(chosen.labels) if own is None else own.labels
    check_device(config.device)
    file = weights or chosen.shipped
    # Before the network is converted: what is wrong with the file is told at once.
    thresholds = None if file is None else read_thresholds(file, len(labels))
    box_regression = None if file is None else read_box_regression(file)
    preprocessing = build_preprocessing(chosen)
    causal = (own.options if own is not None else {}).get("causal", config.model.causal)
    padding = {} if config.model.causal is None else {"causal": config.model.causal}

    def load() -> nn.Module:
        return load_model(chosen.name, weights, config.device, **padding) if own is None else own.load(config.device)

    engines, backend = action_engines(
        chosen,
        lambda: _weights_file(chosen, weights),
        load,
        preprocessing,
        causal=True if causal is None else bool(causal),
        device=config.device,
        backend=config.backend,
        streaming=config.pipeline.inference == "streaming",
        warn=warn,
        features=config.model.features,
    )
    spec = model_spec(
        labels.names,
        chosen.clip_spec,
        preprocessing,
        name=chosen.name if own is None else Path(own.path).stem,
        thresholds=thresholds,
        box_regression=box_regression,
        label_ids=labels.ids,
        backend=backend,
    )
    return EnginePredictor(engines, spec, preprocessing, chosen.activation, resize_short_side)


def load_predictor(name: str, weights: str | os.PathLike[str] | None = None) -> EnginePredictor:
    """As `build_predictor`, of a model named as for `load_model`, on the CPU, computed by torch."""
    model = ModelConfig(name, None if weights is None else os.fspath(weights))
    return build_predictor(RunConfig(model=model, backend="torch"))


def for_inference(network: nn.Module, device: str) -> nn.Module:
    """The network in its fastest form; its parameters may have other names then."""
    from sf_detect.models.inception_folded import fold_inception

    return fold_inception(network) if device == "cpu" else network


def build_preprocessing(entry: ZooEntry) -> Preprocessing:
    """What the network of an entry of the zoo (or of `TrainedModel.entry`) expects of its input."""
    from sf_detect.models.preprocessing import Preprocessing
    from sf_detect.video.optical_flow import flow_clip

    return Preprocessing(
        entry.short_side,
        entry.mean,
        entry.std,
        bgr=entry.channel_order == "bgr",
        slow_index=entry.slow_index,
        flow=flow_clip if entry.fast_input == "flow" else None,
    )


def build_detector(config: RunConfig | None = None, warn: Warn = print_warning) -> PersonDetector | TimedDetector:
    """The person detector that `config.detector` names.

    Args:
        config: Settings; None takes the defaults.
        warn: Receives what a user should know, such as a backend that is not used.

    Raises:
        UnknownNameError: No such detector or backend.
        ConfigError: The device is not there, or a value is out of range.
        WeightsError: Its weights can't be fetched or do not fit.
    """
    from sf_detect import detection
    from sf_detect.engines import engine_options

    config = config or RunConfig()
    chosen = config.detector
    check_device(config.device)
    return detection.build_detector(
        chosen.name,
        device=config.device,
        score_threshold=chosen.score_threshold,
        min_size=chosen.min_size,
        max_persons=chosen.max_persons,
        nms_iou=chosen.nms_iou,
        tile=chosen.tile,
        classes=tuple(chosen.classes),
        tolerance=chosen.tolerance,
        weights=chosen.weights,
        engine=engine_options(config.backend, warn=warn),
    )


def model_spec(model: ActionModel | None) -> ModelSpec:
    """The model's specification; None is no model, which scores nothing."""
    return NO_MODEL if model is None else model.spec


def build_actions(
    config: RunConfig,
    model: ActionModel | None,
    executor: Executor | None = None,
    share: Callable[[ActionModel], ActionModel] = lambda model: model,
) -> ActionStage:
    """The form of inference that `config.pipeline` names.

    Args:
        config: Settings.
        model: Scores actions, with postures or without; None where only boxes and tracks are wanted.
        executor: Runs the model beside everything else; None runs it in line.
        share: Wraps what computes the actions, for models that several streams share.

    Raises:
        UnknownNameError: No such form.
    """
    from sf_detect.keypoints.stage import PostureActions, PostureModel
    from sf_detect.video.clip_buffer import ClipBuffer

    chosen = config.pipeline
    if chosen.inference not in INFERENCE:
        raise UnknownNameError("kind of inference", chosen.inference, INFERENCE)
    if model is None:
        return NoActions()
    if isinstance(model, PostureModel):  # which averages along tracks itself
        alone = replace(config, pipeline=replace(chosen, smoothing=0.0))
        ahead = config.posture.look_ahead if chosen.inference == "clip" else 0.0
        actions = build_actions(alone, model.model, executor, share)
        return PostureActions(actions, model.scores, chosen.smoothing, ahead, model.new_pictures)
    model = LimitedModel(share(model))
    if chosen.inference == "streaming":
        return StreamActions(model, chosen.smoothing, executor)
    spec = model.spec
    return ClipActions(model, partial(ClipBuffer, spec.clip_spec, spec.short_side), chosen.smoothing, executor)


def build_persons(config: RunConfig, model: ActionModel | None, warn: Warn = print_warning) -> PersonStage:
    """Detector and tracker, the box regression that the model's weights bring for that detector, and keypoints."""
    from sf_detect import detection
    from sf_detect.tracking import ByteTrack

    chosen, threshold = config.detector, config.detector.score_threshold
    # Whoever lowers or raises the detector's threshold means the tracks too.
    track_score = detection.track_score(chosen.name) if threshold is None else threshold
    moved = model_spec(model).box_regression if config.pipeline.box_regression else None
    if moved is not None and not moved.fits(chosen.name):
        moved = None
    keypoints, least = keypoint_estimators(config, model, warn), 0.0
    weak = detection.weak_scores(chosen.name) if threshold is None and keypoints is not None else None
    if weak is not None and config.keypoints.hold:  # landmarks tell who they are
        lowest, least = weak
        config = replace(config, detector=replace(chosen, score_threshold=lowest))
    detector = build_detector(config, warn)
    if not isinstance(detector, TimedDetector):
        detector = LimitedDetector(detector)
    new_tracker = partial(ByteTrack, new_track_score=track_score, least_score=least)
    return PersonStage(detector, new_tracker, moved, keypoints)


def build_pipeline(
    config: RunConfig | None = None,
    predictor: ActionModel | None = None,
    executor: Executor | None = None,
) -> Pipeline:
    """Detector, tracker and action model, ready to run over sources, one after the other.

    Both models compute with half the cores at most, see `sf_detect.threads`; the process's own settings stay.

    Args:
        config: Settings; None takes the defaults.
        predictor: An action model to use, as it is, instead of the one that `config` describes: scores have a column
            for each of its labels.
        executor: Runs the action model beside the rest; None runs it in line.
    """
    config = config or RunConfig()
    model = predictor if predictor is not None else build_action_model(config)
    return assemble(config, build_persons(config, model), model, executor)


def assemble(
    config: RunConfig, persons: PersonStage, model: ActionModel | None, executor: Executor | None = None
) -> Pipeline:
    """A pipeline of stages that exist already."""
    from sf_detect.tracking import interpolate

    return Pipeline(
        persons,
        build_actions(config, model, executor),
        interpolate,
        stride=config.pipeline.stride,
        detection_interval=config.pipeline.detection_interval,
    )
