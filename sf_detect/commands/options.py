"""Options that several commands share, and the settings that they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from sf_detect.config import RunConfig
from sf_detect.config_files import assign, load_config
from sf_detect.errors import ConfigError

OutJsonl = Annotated[str | None, typer.Option(help="JSON Lines; '-' is stdout.", metavar="F.jsonl")]
OutEvents = Annotated[str | None, typer.Option(help="Who did what from when to when, csv.", metavar="F.csv")]
Model = Annotated[
    str | None, typer.Option(help="Action model (`sf-detect weights list`), or none: boxes and tracks only.")
]
Weights = Annotated[str | None, typer.Option(help="Checkpoint file for the action model.")]
Detector = Annotated[
    str | None,
    typer.Option(
        help="A name of `weights list`, precomputed:F.csv, detectron2:CONFIG or whole_frame [ssdlite_person]."
    ),
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N.")]
Backend = Annotated[
    str | None, typer.Option(help="What computes the default networks: auto, torch, onnxruntime or openvino [auto].")
]
Config = Annotated[Path | None, typer.Option(help="YAML file of settings.", metavar="F.yaml")]
Set = Annotated[
    list[str] | None, typer.Option("--set", "-s", help="Override a setting, repeatable.", metavar="KEY=VALUE")
]
Postures = Annotated[
    bool | None,
    typer.Option("--postures/--no-postures", help="Say who stands, walks, sits, lies [where the model does not]."),
]
Keypoints = Annotated[bool, typer.Option("--keypoints", help="Write 33 body landmarks a person into JSON Lines.")]
Seed = Annotated[int | None, typer.Option(help="Random seed [0].")]
DetectorThreshold = Annotated[float | None, typer.Option(help="Lowest person score.")]
Tile = Annotated[str | None, typer.Option(help="Look again, mirrored, or at tiles too: auto, mirror, on, fine or off.")]
TopK = Annotated[int | None, typer.Option(help="Actions drawn per person [3].")]
Threshold = Annotated[float | None, typer.Option(help="Score from which an action counts [the model's].")]
Show = Annotated[list[str] | None, typer.Option(help="Draw only this label, repeatable.", metavar="LABEL")]
Color = Annotated[list[str] | None, typer.Option(help="Colour of a label, repeatable.", metavar="LABEL=#RRGGBB")]
HideScores = Annotated[bool, typer.Option("--hide-scores", help="Draw labels without scores.")]
FontScale = Annotated[float | None, typer.Option(help="Text size factor [1].")]
Anonymise = Annotated[str | None, typer.Option(help="Blur 'head' or whole 'person'.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no summary.")]

_KEYS = {
    "model": "model.name",
    "weights": "model.weights",
    "detector": "detector.name",
    "detector_threshold": "detector.score_threshold",
    "tile": "detector.tile",
    "device": "device",
    "backend": "backend",
    "seed": "seed",
    "fps": "fps",
    "start": "start",
    "end": "end",
    "every": "every",
    "stride": "pipeline.stride",
    "inference": "pipeline.inference",
    "top_k": "render.top_k",
    "threshold": "render.threshold",
    "show": "render.labels",
    "font_scale": "render.font_scale",
    "anonymise": "render.anonymise",
}
"""Settings by the name of the option that sets them."""


def settings_of(given: Mapping[str, Any], keys: Mapping[str, str] | None = None) -> RunConfig:
    """The defaults, then `--config`, `--set` and the named options.

    Args:
        given: The values of a command's options, by the names of its parameters; None is not given.
        keys: Settings of other options than the shared ones, or in their place.

    Raises:
        ConfigError: A file, key or value that makes no sense.
    """
    settings = load_config(RunConfig, given.get("config"), given.get("set_") or [])
    named = {key: given[name] for name, key in {**_KEYS, **(keys or {})}.items() if name in given}
    if given.get("color") is not None:
        named["render.colors"] = dict(_label_and_color(text) for text in given["color"])
    named |= body_settings(given.get("postures"), bool(given.get("keypoints")))
    named["render.hide_scores"] = given.get("hide_scores") or None
    assign(settings, named)
    return settings


def body_settings(postures: bool | None, keypoints: bool) -> dict[str, Any]:
    """Settings by the options about people's bodies; None is not given."""
    mode = None if postures is None else ("on" if postures else "off")
    return {"posture.mode": mode, "keypoints.write": keypoints or None}


def _label_and_color(text: str) -> tuple[str, str]:
    label, separator, color = text.partition("=")
    if not separator:
        raise ConfigError(f"--color {text}: expected LABEL=#RRGGBB, such as wave=#ff8800.")
    return label, color
