"""The forms in which a live session may compute actions, from what is wanted down to what a slow machine can do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sf_detect import build
from sf_detect.config import RunConfig
from sf_detect.errors import ConfigError
from sf_detect.interfaces import ActionModel, ResizableModel
from sf_detect.live import ActionForm
from sf_detect.stages import ActionStage

SIZES = (1.0, 0.875, 0.75, 0.625, 0.5, 0.4375, 0.375)
"""Shares of a model's short side that an overload may lead to."""
LEAST_SIDE = 96
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
        return build.build_actions(self.config, self.model, share=share)


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
        smaller = (int(full * share) // _GRID * _GRID for share in SIZES[1:])
        sized |= {side: model.resized(side) for side in smaller if LEAST_SIDE <= side < full}
    forms = []
    for side, one in sized.items():
        reduced = None if side == full else f"pictures of short side {side} instead of {full}"
        form = ActionForm(
            stride,
            inference == "streaming",
            f"{'clips' if inference == 'clip' else inference}, short side {side}",
            cost=(side / full) ** 2,
            approximation="; ".join(text for text in (warning, reduced) if text is not None) or None,
        )
        forms.append(BuildableForm(form, settings, one))
    return forms
