"""The forms in which a live session may compute actions, from what is wanted down to what a slow machine can do."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from sf_detect import build
from sf_detect.config import RunConfig
from sf_detect.errors import ConfigError
from sf_detect.interfaces import ActionModel, ActionStream, ResizableModel
from sf_detect.live import ActionForm
from sf_detect.stages import ActionStage
from sf_detect.structures import Frame
from sf_detect.threads import LimitedModel, share_of_cores

LEAST_SIDE = 96
"""Shortest side in pixels that an overload may lead to."""
TRIAL_SIZE = (480, 640)
"""(height, width) of the black picture that models are tried on."""
_GRID = 16


@dataclass(frozen=True)
class BuildableForm:
    """A form, and how its stage is built.

    Attributes:
        form: What the session knows of it.
        config: Settings with its kind of inference.
        model: The action model at its size; None where only tracks are wanted.
    """

    form: ActionForm
    config: RunConfig
    model: ActionModel | None

    def stage(self, share: Callable[[ActionModel], ActionModel]) -> ActionStage:
        """The stage of one stream, around what `share` makes of the model."""
        now = replace(self.config, posture=replace(self.config.posture, look_ahead=0.0))
        return build.build_actions(now, self.model, share=share)


def with_inference(config: RunConfig, inference: str) -> RunConfig:
    """The settings with another form of inference."""
    return replace(config, pipeline=replace(config.pipeline, inference=inference))


def action_forms(config: RunConfig, model: ActionModel | None, warn: Callable[[str], None]) -> list[BuildableForm]:
    """The forms in which actions may be computed, the one that is wanted first, each later one cheaper."""
    stride = config.live.stride or config.pipeline.stride
    if model is None:
        return [BuildableForm(ActionForm(stride, streaming=True, text="tracks alone"), config, None)]
    forms: list[BuildableForm] = []
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
) -> list[BuildableForm]:
    """One form of inference with smaller and smaller pictures."""
    settings = with_inference(config, inference)
    full = model.spec.short_side
    sized = {full: model}
    if config.live.adapt and isinstance(model, ResizableModel):
        largest = (full - 1) // _GRID * _GRID
        sized |= {side: model.resized(side) for side in range(largest, LEAST_SIDE - 1, -_GRID)}
    forms = []
    for side, one in sized.items():
        reduced = None if side == full else f"pictures of short side {side} instead of {full}"
        form = ActionForm(
            stride,
            inference == "streaming",
            f"{'clips' if inference == 'clip' else inference}, short side {side}",
            cost=(side / full) ** 2,
            begin_seconds=model.spec.clip_spec.duration,
            approximation="; ".join(text for text in (warning, reduced) if text is not None) or None,
        )
        forms.append(BuildableForm(form, settings, one))
    return forms


def expected_share(forms: list[BuildableForm]) -> float:
    """Of the time there is: what the first form would take, by a try of the smallest one; 0 where it is not tried.

    Models that another backend than torch computes are small.
    """
    last = next((one for one in reversed(forms) if one.form.streaming), forms[0])
    model = last.model
    if model is None or not last.form.streaming or last is forms[0] or model.spec.backend not in ("", "torch"):
        return 0.0
    stream = LimitedModel(model).open_stream()
    seconds = min(_beginning(stream) for _ in range(2))  # the first one prepares what the others need
    return seconds / last.form.begin_seconds * forms[0].form.cost / last.form.cost


def _beginning(stream: ActionStream) -> float:
    # A single thread's own seconds, so that a moment in which others work does not count.
    clock = time.thread_time if share_of_cores() == 1 else time.monotonic
    stream.reset()
    begun = clock()
    stream.push(Frame(np.zeros((*TRIAL_SIZE, 3), np.uint8), 0, 0.0))
    return clock() - begun
