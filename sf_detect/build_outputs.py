"""From settings to thresholds, events and pictures; part of `build`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sf_detect.config import RunConfig
from sf_detect.model_spec import ModelSpec

if TYPE_CHECKING:
    from sf_detect.events import EventRules
    from sf_detect.rendering import Renderer


def decision_thresholds(config: RunConfig, spec: ModelSpec) -> npt.NDArray[np.float32]:
    """The thresholds in force, (C,) float32: the model's, overridden by `config.render`.

    Raises:
        UnknownNameError: The settings name a label that the model does not have.
        ConfigError: A threshold outside [0, 1].
    """
    from sf_detect.thresholds import decision_thresholds as resolve

    chosen = config.render
    return resolve(spec.labels, spec.thresholds, chosen.threshold, chosen.thresholds)


def build_event_rules(config: RunConfig, spec: ModelSpec, video: str) -> EventRules:
    """When an action is an event, by `config.events` and the thresholds in force; new ones for each video.

    Raises:
        ConfigError: A threshold or a setting out of range.
    """
    from sf_detect.events import EventRules

    chosen = config.events
    return EventRules(
        video,
        spec.labels,
        decision_thresholds(config, spec),
        stride=config.pipeline.stride,
        min_duration=chosen.min_duration,
        max_gap=chosen.max_gap,
        hysteresis=chosen.hysteresis,
    )


def build_renderer(
    config: RunConfig, labels: Sequence[str], thresholds: npt.ArrayLike, groups: Sequence[str] = ()
) -> Renderer:
    """The renderer that `config.render` describes, for the labels of a model and their groups.

    Raises:
        UnknownNameError: It names a label that the model does not have.
        ConfigError: A value out of range.
    """
    from sf_detect.rendering import Renderer, RenderStyle

    chosen = config.render
    style = RenderStyle(
        top_k=chosen.top_k,
        threshold=chosen.threshold,
        thresholds=dict(chosen.thresholds),
        labels=chosen.labels or None,
        hide_labels=tuple(chosen.hide_labels),
        colors=dict(chosen.colors),
        hide_idle=chosen.hide_idle,
        hide_scores=chosen.hide_scores,
        show_track_ids=chosen.show_track_ids,
        show_status=chosen.show_status,
        font_scale=chosen.font_scale,
        box_thickness=chosen.box_thickness,
        font=None if chosen.font is None else Path(chosen.font),
        anonymise=chosen.anonymise,
        skeleton=chosen.skeleton,
    )
    return Renderer(labels, style, np.asarray(thresholds, np.float32), groups)
