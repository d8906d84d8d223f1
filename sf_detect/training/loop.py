"""The training loop: schedule, moving average, steps, and checkpoints that a run continues from."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sf_detect.atomic_file import atomic_file
from sf_detect.errors import TrainingError, UnknownNameError, WeightsError
from sf_detect.training.distributed import ALONE, Processes
from sf_detect.training.schedules import Schedule
from sf_detect.weights.checkpoint import read_torch_content

__all__ = ["MovingAverage", "Schedule", "Trainer"]

PRECISIONS: dict[str, torch.dtype | None] = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def autocast_type(precision: str) -> torch.dtype | None:
    """What autocast computes in; None for full precision.

    Raises:
        UnknownNameError: Not one of `PRECISIONS`.
    """
    if precision not in PRECISIONS:
        raise UnknownNameError("precision", precision, PRECISIONS)
    return PRECISIONS[precision]


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
        model: What is trained (every module whose parameters the optimiser holds).
        averaged: The part that ships; its moving average is kept.
        optimiser: Its groups' learning rates are the schedule's peaks.
        schedule: Step -> factor on the peaks.
        loss: Batch -> loss and figures for the log.
        decay: Of the moving average; 0 keeps none, `average.model` then follows the weights themselves.
        clip_norm: Largest norm of the gradient; None does not clip.
        precision: One of `PRECISIONS`, of the forward pass; fp16 scales the loss so that gradients do not vanish.
        device: Where the model is.
        processes: Those that train together; their losses are averaged for the log.
        unsynchronised: Context in which a backward pass leaves gradients unreduced (DDP's `no_sync`).
    """

    def __init__(
        self,
        model: nn.Module,
        averaged: nn.Module,
        optimiser: torch.optim.Optimizer,
        schedule: Callable[[int], float],
        loss: Callable[[Any], tuple[Tensor, dict[str, float]]],
        decay: float = 0.995,
        clip_norm: float | None = 5.0,
        *,
        precision: str = "fp32",
        device: str = "cpu",
        processes: Processes = ALONE,
        unsynchronised: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self.model, self.averaged, self.optimiser, self.schedule = model, averaged, optimiser, schedule
        self.loss, self.clip_norm = loss, clip_norm
        self.average = MovingAverage(averaged, decay)
        self.peaks = [group["lr"] for group in optimiser.param_groups]
        self.autocast, self.device, self.processes = autocast_type(precision), torch.device(device), processes
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=precision == "fp16")
        self.unsynchronised = unsynchronised
        self.step = 0

    def epoch(self, batches: Iterable[Any]) -> dict[str, float]:
        """Trains on the batches, a step each; returns each figure's mean.

        Raises:
            TrainingError: The loss is not finite.
        """
        totals: dict[str, float] = {}
        count = 0
        for batch in batches:
            for name, value in self.train_step([batch]).items():
                totals[name] = totals.get(name, 0.0) + value
            count += 1
        return {name: value / max(1, count) for name, value in totals.items()}

    def train_step(self, parts: Sequence[Any], shares: Sequence[float] = (1.0,)) -> dict[str, float]:
        """One step on the sum of the parts' losses, each times its share (gradient accumulation).

        A step whose gradient overflows in fp16 is left out: the scale of the loss is lowered, everything else stays.

        Returns:
            The loss, averaged over the processes, and the other figures' means over the parts.

        Raises:
            TrainingError: The loss or the gradient is not finite; weights, the statistics of batch normalisation and
                the checkpoint are as before the step.
        """
        before = [buffer.clone() for buffer in self.model.buffers()]  # forward passes move running statistics
        taken = False
        try:
            figures = self._backward(parts, shares)
            taken = self._update()
        finally:
            if not taken:
                self._restore(before)
        self.step += 1
        return figures

    @torch.no_grad()
    def _restore(self, buffers: Sequence[Tensor]) -> None:
        for buffer, value in zip(self.model.buffers(), buffers, strict=True):
            buffer.copy_(value)

    def _backward(self, parts: Sequence[Any], shares: Sequence[float]) -> dict[str, float]:
        """Leaves the gradient of a step; returns its figures. Raises TrainingError where the loss is not finite."""
        self.set_rates()
        self.optimiser.zero_grad(set_to_none=True)
        total, figures = torch.zeros((), device=self.device), dict[str, float]()
        for number, (part, share) in enumerate(zip(parts, shares, strict=True), start=1):
            with self.unsynchronised() if number < len(parts) else nullcontext():
                with torch.autocast(self.device.type, self.autocast, enabled=self.autocast is not None):
                    loss, extra = self.loss(part)
                self.scaler.scale(loss * share).backward()
            total += loss.detach() * share
            for name, value in extra.items():
                figures[name] = figures.get(name, 0.0) + value / len(parts)
        mean = self.processes.mean(total).item()
        self._require_finite("loss", mean)
        return {"loss": mean, **figures}

    def set_rates(self) -> None:
        """Gives every group its learning rate of the current step."""
        for group, peak in zip(self.optimiser.param_groups, self.peaks, strict=True):
            group["lr"] = peak * self.schedule(self.step)

    def _update(self) -> bool:
        """Moves the weights along the gradient; False where it overflowed and they stay."""
        parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
        self.scaler.unscale_(self.optimiser)
        norm = nn.utils.clip_grad_norm_(parameters, math.inf if self.clip_norm is None else self.clip_norm)
        finite = math.isfinite(norm.item())
        if not self.scaler.is_enabled():
            self._require_finite("gradient's norm", norm.item())
        if finite:
            self.scaler.step(self.optimiser)
        self.scaler.update()  # lowers the scale after a gradient that overflowed
        if finite:
            self.average.update(self.averaged)
        return finite

    def _require_finite(self, what: str, value: float) -> None:
        if not math.isfinite(value):
            raise TrainingError(
                f"the {what} is {value} at step {self.step}; expected a finite number. Lower the learning rate, clip "
                "the gradient or warm up for longer, then run again: it continues from the last checkpoint."
            )

    def save(self, path: Path, epoch: int, **facts: Any) -> None:
        """Writes everything a run needs to go on; the old file stays until the new one is complete.

        Args:
            path: The checkpoint.
            epoch: Epochs done.
            **facts: Whatever else `resume` shall find: plain values.

        Raises:
            TrainingError: The weights are not finite any more; the old file stays.
        """
        self._require_finite("largest weight", max(float(p.detach().abs().max()) for p in self.model.parameters()))
        state = {
            "epoch": epoch,
            "step": self.step,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average.model.state_dict(),
            "average_steps": self.average.steps,
            "facts": facts,
        }
        with atomic_file(path) as file:
            torch.save(state, file)

    def resume(self, path: Path) -> int:
        """Continues from a checkpoint; returns the number of epochs done, 0 where there is no file.

        Raises:
            WeightsError: The file is not a checkpoint of this network.
        """
        return self.resume_with_facts(path)[0]

    def resume_with_facts(self, path: Path) -> tuple[int, dict[str, Any]]:
        """As `resume`, with the facts that `save` was given."""
        if not path.exists():
            return 0, {}
        try:
            state = read_torch_content(path)
            self.model.load_state_dict(state["model"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.scaler.load_state_dict(state["scaler"])
            self.average.model.load_state_dict(state["average"])
        except Exception as error:  # torch raises many kinds for damaged files
            reason = str(error).splitlines()[0]
            raise WeightsError(f"{path} does not continue this run ({reason}); delete it to start again") from error
        self.step, self.average.steps = state["step"], state["average_steps"]
        return int(state["epoch"]), dict(state["facts"])
