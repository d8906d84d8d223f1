"""The training loop: schedule, moving average, checkpoints that a run continues from."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sf_detect.errors import WeightsError


@dataclass(frozen=True)
class Schedule:
    """Half-period cosine with a linear warm-up, as a factor on each group's learning rate."""

    steps: int
    warmup: int
    floor: float = 0.01

    def __call__(self, step: int) -> float:
        if step < self.warmup:
            return (step + 1) / self.warmup
        done = min(1.0, (step - self.warmup) / max(1, self.steps - self.warmup))
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * done))


class MovingAverage:
    """Exponential moving average of a network's parameters and buffers; early steps count more."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay, self.steps = decay, 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for mine, theirs in zip(self.model.state_dict().values(), model.state_dict().values(), strict=True):
            if mine.is_floating_point():
                mine.lerp_(theirs, 1 - decay)
            else:
                mine.copy_(theirs)


class Trainer:
    """Runs steps, keeps the average, writes checkpoints.

    Args:
        model: what is trained (every module whose parameters the optimiser holds).
        averaged: the part that ships; its moving average is kept.
        optimiser: its groups' learning rates are the schedule's peaks.
        loss: batch -> loss and figures for the log.
        clip_norm: largest norm of the gradient.
    """

    def __init__(
        self,
        model: nn.Module,
        averaged: nn.Module,
        optimiser: torch.optim.Optimizer,
        schedule: Schedule,
        loss: Callable[[Any], tuple[Tensor, dict[str, float]]],
        decay: float = 0.995,
        clip_norm: float = 5.0,
    ) -> None:
        self.model, self.averaged, self.optimiser, self.schedule = model, averaged, optimiser, schedule
        self.loss, self.clip_norm = loss, clip_norm
        self.average = MovingAverage(averaged, decay)
        self.peaks = [group["lr"] for group in optimiser.param_groups]
        self.step = 0

    def epoch(self, batches: Iterable[Any]) -> dict[str, float]:
        """Trains on the batches; returns each figure's mean.

        Raises:
            FloatingPointError: the loss is not finite.
        """
        totals: dict[str, float] = {}
        count = 0
        for batch in batches:
            for name, value in self._train(batch).items():
                totals[name] = totals.get(name, 0.0) + value
            count += 1
        return {name: value / max(1, count) for name, value in totals.items()}

    def _train(self, batch: Any) -> dict[str, float]:
        for group, peak in zip(self.optimiser.param_groups, self.peaks, strict=True):
            group["lr"] = peak * self.schedule(self.step)
        loss, figures = self.loss(batch)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss.item()} at step {self.step}; lower the learning rate")
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(parameters, self.clip_norm)
        self.optimiser.step()
        self.average.update(self.averaged)
        self.step += 1
        return {"loss": loss.item(), **figures}

    def save(self, path: Path, epoch: int) -> None:
        """Writes everything a run needs to go on; the old file stays until the new one is complete."""
        state = {
            "epoch": epoch,
            "step": self.step,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average.model.state_dict(),
            "average_steps": self.average.steps,
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(path)

    def resume(self, path: Path) -> int:
        """Continues from a checkpoint; returns the number of epochs done, 0 where there is no file.

        Raises:
            WeightsError: the file is not a checkpoint of this network.
        """
        if not path.exists():
            return 0
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            self.model.load_state_dict(state["model"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.average.model.load_state_dict(state["average"])
        except (RuntimeError, KeyError, ValueError, OSError) as error:
            raise WeightsError(f"{path} does not continue this run ({error}); delete it to start again") from error
        self.step, self.average.steps = state["step"], state["average_steps"]
        return int(state["epoch"])
