"""Settings of a run: dataclass defaults, then a YAML file, then `key=value` overrides.

The defaults are complete: the installed command needs no file. Clip sampling and preprocessing are absent on purpose,
they belong to the weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, cast, get_type_hints

from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.interpolation import refuse_resolvers

C = TypeVar("C")


@dataclass
class DetectorConfig:
    """Person detection.

    Attributes:
        name: ssdlite_person, a torchvision detector, precomputed:FILE.csv or whole_frame.
        score_threshold: Persons below it are dropped; None takes the detector's own default.
        min_size: Persons whose longer side is below this many pixels are dropped.
        max_persons: At most this many persons a frame, best first.
        nms_iou: Overlap above which the weaker of two boxes is dropped; None takes the detector's own default.
        tile: "auto", "mirror", "on", "fine" or "off": look a second time, mirrored, or at square tiles too.
        classes: Classes of a torchvision detector that count as persons.
        tolerance: Seconds that a row of precomputed boxes may be away from its frame.
        weights: A file of weights instead of the published ones.
    """

    name: str = "ssdlite_person"
    score_threshold: float | None = None
    min_size: float = 8.0
    max_persons: int = 50
    nms_iou: float | None = None
    tile: str = "auto"
    classes: list[str] = field(default_factory=lambda: ["person"])
    tolerance: float = 0.5
    weights: str | None = None


@dataclass
class ModelConfig:
    """The action model.

    Attributes:
        name: A name of `sf-detect weights list`.
        weights: A checkpoint file; None takes the shipped or cached one.
        causal: For weights of one's own that were trained with temporal padding other than the model's: true (in front
            only) or false (on both sides); null takes the model's.
    """

    name: str = "slowfast_tiny_jhmdb"
    weights: str | None = None
    causal: bool | None = None


@dataclass
class PipelineConfig:
    """When things happen, in seconds of video.

    Attributes:
        stride: Between keyframes, the frames on which actions are scored.
        detection_interval: Between person detections; boxes are interpolated per track in between.
        inference: "clip" computes a clip around each keyframe; "streaming" computes every frame once and scores a
            keyframe from the past alone.
        smoothing: Time constant of each person's mean action scores over the keyframes so far; 0 shows those of each
            keyframe alone.
        box_regression: Move the boxes of the detector that the model's weights name to where the annotators of the
            model's data draw them.
    """

    stride: float = 0.5
    detection_interval: float = 0.25
    smoothing: float = 0.5
    box_regression: bool = True
    inference: str = "clip"


@dataclass
class RenderConfig:
    """What is drawn; the meaning of each setting is that of `sf_detect.rendering.RenderStyle`.

    Attributes:
        top_k: Actions shown per person.
        threshold: Actions scored below it are not shown; None takes the model's.
        thresholds: Other thresholds for single labels.
        labels: Show only these labels; empty shows all.
        hide_labels: Never show these labels.
        colors: Colours of single labels, "#rrggbb".
        hide_idle: Draw no box for persons without an action to show.
        hide_scores, show_track_ids, show_status, font_scale: Appearance.
        box_thickness: Pixels; None follows the frame size.
        font: A TrueType file; labels in other than Latin script need one.
        anonymise: None, "head" or "person": hide heads or whole persons.
    """

    top_k: int = 3
    threshold: float | None = None
    thresholds: dict[str, float] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    hide_labels: list[str] = field(default_factory=list)
    colors: dict[str, str] = field(default_factory=dict)
    hide_idle: bool = False
    hide_scores: bool = False
    show_track_ids: bool = True
    show_status: bool = True
    font_scale: float = 1.0
    box_thickness: int | None = None
    font: str | None = None
    anonymise: str | None = None


@dataclass
class EventsConfig:
    """When an action on keyframes is an event; see `sf_detect.events.rules`.

    Attributes:
        min_duration: Shortest event, in seconds.
        max_gap: Longest gap, in seconds, over which two parts of one action of one person are joined.
        hysteresis: An event starts where the score reaches the decision threshold and ends where it falls below this
            share of it.
    """

    min_duration: float = 0.5
    max_gap: float = 1.0
    hysteresis: float = 0.8


@dataclass
class RunConfig:
    """Everything about one run but its input and outputs.

    Attributes:
        device: "cpu", "cuda" or "cuda:N".
        backend: What computes the default networks on a CPU: "torch", "onnxruntime", "openvino", or "auto", the fastest
            that is installed and gives torch's results. Other networks are torch's.
        seed: Seeds torch and NumPy; inference is deterministic anyway.
        start: Begin at this time of the source, in seconds; times in all outputs stay those of the source.
        end: Stop at this time of the source, in seconds.
        max_seconds: Stop after this much video; None processes all of it.
        every: Process every N-th frame only.
        fps: Frame rate of a folder of images, or of one's own frames.
    """

    device: str = "cpu"
    backend: str = "auto"
    seed: int = 0
    start: float | None = None
    end: float | None = None
    max_seconds: float | None = None
    every: int = 1
    fps: float | None = None
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    pipeline: PipelineConfig = field(default_factory=PipelineConfig)
    render: RenderConfig = field(default_factory=RenderConfig)
    events: EventsConfig = field(default_factory=EventsConfig)


def check_times(config: RunConfig) -> None:
    """Refuse settings of time that make no sense.

    Raises:
        ConfigError: A stride or a limit that is not positive, a part that ends before it starts, smoothing or a
            duration of events below 0, a hysteresis that is no share.
    """
    for name, value in (
        ("pipeline.stride", config.pipeline.stride),
        ("pipeline.detection_interval", config.pipeline.detection_interval),
        ("max_seconds", config.max_seconds),
        ("end", config.end),
        ("fps", config.fps),
    ):
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise ConfigError(f"{name} is {value}; expected a number of seconds (or frames a second) above 0.")
    for name, value in (
        ("start", config.start),
        ("pipeline.smoothing", config.pipeline.smoothing),
        ("events.min_duration", config.events.min_duration),
        ("events.max_gap", config.events.max_gap),
    ):
        if value is not None and not (value >= 0 and math.isfinite(value)):
            raise ConfigError(f"{name} is {value}; expected a number of seconds from 0 up.")
    if config.end is not None and config.end <= (config.start or 0):
        raise ConfigError(f"end is {config.end}, which is not after start, {config.start or 0}; exchange them.")
    if not 0 < config.events.hysteresis <= 1:
        raise ConfigError(
            f"events.hysteresis is {config.events.hysteresis}; expected a share above 0 and up to 1, such as 0.8."
        )
    if config.every < 1:
        raise ConfigError(f"every is {config.every}; expected 1 or more: every N-th frame is processed.")


def load_config(
    schema: type[C], path: Path | str | None = None, overrides: Sequence[str] = (), apart: Sequence[str] = ()
) -> C:
    """Read settings.

    Args:
        schema: A dataclass with defaults, such as `RunConfig`.
        path: YAML file laid over the defaults.
        overrides: `key.subkey=value` strings laid over both.
        apart: Top keys of the file that are no settings of the schema and are read with `read_key`.

    Raises:
        ConfigError: A file that can't be read, a value of the wrong type.
        UnknownNameError: A key that does not exist; suggests the nearest one.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    merged = OmegaConf.structured(schema)
    if path is not None:
        loaded = _read_yaml(Path(path))
        for key in apart:
            loaded.pop(key, None)
        _name_switches(loaded, schema)
        merged = _merge(merged, loaded, schema, str(path))
    for override in overrides:
        given = _read_override(override)
        _name_switches(given, schema)
        merged = _merge(merged, given, schema, f"override {override!r}")
    try:
        return cast(C, OmegaConf.to_object(merged))
    except OmegaConfBaseException as error:  # a reference ${...} that names nothing
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{path or 'overrides'}: {error.full_key or 'value'}: {reason}. Give it a value.") from error


def _read_override(override: str) -> Any:
    import yaml
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    if "=" not in override:
        raise ConfigError(f"override {override!r} is not of the form key=value, for example pipeline.stride=0.25")
    try:
        given = OmegaConf.from_dotlist([override])
    except (yaml.YAMLError, OmegaConfBaseException, RecursionError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"override {override!r} can't be read: {reason}. Give a value such as 0.25.") from error
    refuse_resolvers(OmegaConf.to_container(given, resolve=False), f"override {override!r}")
    return given


def read_key(path: Path | str, key: str, default: str) -> str:
    """The value of a top key of a YAML file, `default` where it has none.

    Raises:
        ConfigError: The file can't be read.
    """
    return str(_read_yaml(Path(path)).get(key, default))


def _read_yaml(path: Path) -> Any:
    import yaml
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        loaded = OmegaConf.load(path)
    except OSError as error:
        raise ConfigError(f"configuration {path} can't be read: {error.strerror}. Check the path.") from error
    except (yaml.YAMLError, UnicodeDecodeError, OmegaConfBaseException, RecursionError, ValueError) as error:
        raise ConfigError(
            f"configuration {path} is not valid YAML: {error}. Compare it with the files in configs/."
        ) from error
    if not isinstance(loaded, DictConfig):
        raise ConfigError(f"configuration {path} holds a list or a single value; expected `key: value` lines.")
    refuse_resolvers(OmegaConf.to_container(loaded, resolve=False), str(path))
    return loaded


def _merge(base: Any, extra: Any, schema: type, where: str) -> Any:
    from omegaconf import OmegaConf
    from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

    try:
        return OmegaConf.merge(base, extra)
    except ConfigKeyError as error:
        key = str(error.full_key)
        raise UnknownNameError(f"key in {where}:", key, _siblings(schema, key)) from error
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"{where}: {error.full_key or 'value'}: {reason}. Give a value of the documented type."
        ) from error


def _name_switches(given: Any, schema: type) -> None:
    """Turns on and off, which YAML reads as truth values, back into words where words are expected (`tile: off`)."""
    from omegaconf import DictConfig, OmegaConf

    if not isinstance(given, DictConfig):
        return
    hints = get_type_hints(schema)
    for key in list(given):
        if OmegaConf.is_interpolation(given, key) or OmegaConf.is_missing(given, key):
            continue
        hint, value = hints.get(str(key)), given[key]
        if is_dataclass(hint):
            _name_switches(value, cast(type, hint))
        elif isinstance(value, bool) and hint in (str, str | None):
            given[key] = "on" if value else "off"


def _siblings(schema: type, key: str) -> list[str]:
    """Full names of the keys that exist beside `key`."""
    *parents, _ = key.split(".")
    for parent in parents:
        hint = get_type_hints(schema).get(parent)
        if not is_dataclass(hint):
            break
        schema = cast(type, hint)
    prefix = ".".join([*parents, ""]) if parents else ""
    return [prefix + f.name for f in fields(schema)]
