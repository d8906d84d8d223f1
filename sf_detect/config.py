"""Every setting of a run, its default and its check.

The defaults are complete: the installed command needs no file (`config_files` lays one over them). Clip sampling and
preprocessing are absent on purpose, they belong to the weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from sf_detect.errors import ConfigError, UnknownNameError


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
        causal: For custom weights that were trained with temporal padding other than the model's: true (in front
            only) or false (on both sides); null takes the model's.
        features: Keep the pooled features of each person beside the scores, to find persons who move alike.
    """

    name: str = "slowfast_tiny_jhmdb"
    weights: str | None = None
    causal: bool | None = None
    features: bool = False


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
class KeypointsConfig:
    """Body landmarks of tracked persons; computed where postures, these settings or `render.skeleton` need them.

    Attributes:
        write: Write them into JSON Lines.
        max_persons: Most persons of a frame that are looked at, the largest first.
        hold: Seconds for which a track whom the detector loses goes on, as long as landmarks show that somebody is
            there; 0 ends it at once.
        find: Whether people whom the default detector misses are looked for, about once a second; needs `hold`.
    """

    write: bool = False
    max_persons: int = 8
    hold: float = 30.0
    find: bool = True


@dataclass
class PostureConfig:
    """Postures (stand, walk, run, sit, bend, crouch, lie, jump) beside the actions.

    Attributes:
        mode: "auto" for models of J-HMDB's actions, "on" for every model, "off" for none.
        weights: A file of the classifier instead of the one that ships with the package.
        look_ahead: Seconds after a keyframe that count for its postures, where clips are scored and nothing is live.
        appearance: Whether the picture of each person counts beside their landmarks.
    """

    mode: str = "auto"
    weights: str | None = None
    look_ahead: float = 1.0
    appearance: bool = True


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
        skeleton: Draw the body landmarks.
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
    skeleton: bool = False


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
class LiveConfig:
    """What `sf-detect live` does otherwise than `run`.

    Attributes:
        inference: As `pipeline.inference`; "streaming" falls back to clips for a model that has no streaming form.
        stride: As `pipeline.stride`; None scores as often as the scores change, once a slow step (clips: as
            `pipeline.stride`).
        adapt: Under overload take a smaller input for the actions, and in the end clips; else only frames are left out.
        rtsp_transport: "tcp", or "udp", which loses packets rather than be late.
        stall_seconds: Without a frame for so long a source counts as stalled.
        longest_wait: Seconds between two tries to connect, which begin half a second apart and double.
        camera_width, camera_height, camera_fps: Asked of cameras; None takes what they give.
        camera_backend: OpenCV's way to cameras: any, v4l2, dshow, msmf, avfoundation or gstreamer.
    """

    inference: str = "streaming"
    stride: float | None = None
    adapt: bool = True
    rtsp_transport: str = "tcp"
    stall_seconds: float = 3.0
    longest_wait: float = 30.0
    camera_width: int | None = None
    camera_height: int | None = None
    camera_fps: float | None = None
    camera_backend: str = "any"


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
        fps: Frame rate of a folder of images, or of the caller's own frames.
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
    keypoints: KeypointsConfig = field(default_factory=KeypointsConfig)
    posture: PostureConfig = field(default_factory=PostureConfig)
    render: RenderConfig = field(default_factory=RenderConfig)
    events: EventsConfig = field(default_factory=EventsConfig)
    live: LiveConfig = field(default_factory=LiveConfig)


def check_config(config: RunConfig) -> None:
    """Refuse settings that make no sense, before anything is loaded.

    Names of models and detectors, labels and devices are looked up where they are built.

    Raises:
        ConfigError: A value out of range; the message names the setting and what is expected.
        UnknownNameError: A mode that does not exist.
    """
    for (low, above, high, expected), keys in _RANGES.items():
        for key in keys:
            value = _value(config, key)
            values = value if isinstance(value, Mapping) else {"": value}
            for name, number in values.items():
                inside = number is None or ((low < number if above else low <= number) and number <= high)
                if not inside or (number is not None and math.isinf(number)):
                    raise ConfigError(f"{key}{name and '.' + name} is {number}; expected {expected}.")
    for key, known in _MODES.items():
        value = _value(config, key)
        if value is not None and value not in known:
            raise UnknownNameError(f"value of {key}", str(value), known)
    if config.end is not None and config.end <= (config.start or 0):
        raise ConfigError(f"end is {config.end}, which is not after start, {config.start or 0}; exchange them.")
    if config.model.features and config.pipeline.inference == "streaming":
        raise ConfigError(
            "model.features needs the network's clip form; use pipeline.inference=clip, or features=false."
        )
    if config.model.features and config.model.name == "none":
        raise ConfigError("model.features needs an action model, got model.name none; name one, or use features=false.")
    if not config.detector.classes:
        raise ConfigError("detector.classes is empty; expected at least one class of the detector, such as person.")


def _value(config: RunConfig, key: str) -> Any:
    section: Any = config
    return reduce(getattr, key.split("."), section)


_INF = math.inf
_RANGES: dict[tuple[float, bool, float, str], tuple[str, ...]] = {
    (0, True, _INF, "a number of seconds (or frames a second) above 0"): (
        "pipeline.stride",
        "live.stride",
        "live.stall_seconds",
        "live.longest_wait",
        "live.camera_fps",
        "max_seconds",
        "end",
        "fps",
    ),
    (0, False, _INF, "a number of seconds from 0 up"): (
        "start",
        "pipeline.detection_interval",
        "pipeline.smoothing",
        "keypoints.hold",
        "events.min_duration",
        "events.max_gap",
        "detector.tolerance",
    ),
    (0, False, 2, "a number of seconds from 0 to 2"): ("posture.look_ahead",),  # frames are held back for so long
    (0, True, 1, "a share above 0 and up to 1, such as 0.8"): ("events.hysteresis",),
    (0, False, 1, "a number from 0 to 1"): (
        "detector.score_threshold",
        "detector.nms_iou",
        "render.threshold",
        "render.thresholds",
    ),
    (0, False, _INF, "0 or more pixels"): ("detector.min_size",),
    (1, False, _INF, "1 or more"): (
        "detector.max_persons",
        "keypoints.max_persons",
        "every",
        "render.box_thickness",
        "live.camera_width",
        "live.camera_height",
    ),
    (0, False, _INF, "0 or more"): ("render.top_k",),
    (0.2, False, 5, "a factor from 0.2 to 5"): ("render.font_scale",),
    (0, False, 2**64 - 1, "a whole number from 0 up"): ("seed",),
}
"""Keys by the range of their numbers: lowest, whether it is excluded, highest, and how to say it."""

_MODES: dict[str, tuple[str, ...]] = {
    "pipeline.inference": ("clip", "streaming"),
    "live.inference": ("clip", "streaming"),
    "live.rtsp_transport": ("tcp", "udp"),
    "live.camera_backend": ("any", "v4l2", "dshow", "msmf", "avfoundation", "gstreamer"),
    "detector.tile": ("auto", "mirror", "on", "fine", "off"),
    "render.anonymise": ("head", "person"),
    "posture.mode": ("auto", "on", "off"),
    "backend": ("auto", "torch", "onnxruntime", "openvino"),
}
"""Keys whose values are words, and the words."""
