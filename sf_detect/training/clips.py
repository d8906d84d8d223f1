"""Training by a recipe of kind `clips`: any network on any dataset."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.training.batch_norm import recompute_statistics, split_batch_norm
from sf_detect.training.clip_dataset import ClipBatch, EpochBatches, Place, TrainingClips, start_worker
from sf_detect.training.clips_data import RecipeData
from sf_detect.training.clips_evaluation import Measured
from sf_detect.training.clips_parts import CHOSEN_ON, Parts
from sf_detect.training.clips_recipe import ClipsRecipe
from sf_detect.training.clips_testing import test
from sf_detect.training.distributed import Processes, parallel, process_group, synchronise_batch_norm
from sf_detect.training.initialisation import initialise
from sf_detect.training.loop import Trainer
from sf_detect.training.losses import ActionLoss, scores_of
from sf_detect.training.multigrid import Multigrid, SamplingGrid, plan_multigrid
from sf_detect.training.optimisation import Freezing, build_optimiser, parameter_groups
from sf_detect.training.report import Report, Say, in_words
from sf_detect.training.schedules import Schedule, StepSchedule

__all__ = ["SCHEDULES", "Training", "test", "train"]

SCHEDULES = ("cosine", "steps")


def _schedule(recipe: ClipsRecipe, steps: int) -> Schedule | StepSchedule:
    """The recipe's schedule for epochs of so many steps."""
    s = recipe.schedule
    if s.kind not in SCHEDULES:
        raise UnknownNameError("schedule", s.kind, SCHEDULES)
    warmup = round(s.warmup * steps)
    if s.kind == "cosine":
        return Schedule(recipe.epochs * steps, warmup, s.floor, s.start)
    return StepSchedule([round(fall * steps) for fall in s.falls], s.gamma, warmup, s.start)


class Training:
    """One run of a recipe in one of its processes."""

    def __init__(self, recipe: ClipsRecipe, say: Say, processes: Processes, device: torch.device) -> None:
        self.recipe, self.processes, self.device = recipe, processes, device
        torch.manual_seed(recipe.seed)
        data = RecipeData(recipe)
        self.parts = Parts(recipe, data.training())
        if not len(self.parts.dataset):
            raise ConfigError(f"{self.parts.dataset.name} has no samples to train on; check the paths in `data`")
        self.parts.folder.mkdir(parents=True, exist_ok=True)
        self.clips = TrainingClips(self.parts.dataset, self.parts.views("1x1"), recipe.seed)
        self.validation = data.validation() if recipe.evaluation.every else None
        self.evaluator = (
            None
            if self.validation is None
            else self.parts.evaluator(self.validation, recipe.evaluation.views, processes)
        )
        batches = max(1, len(self.clips) // (recipe.batch * processes.world))
        self.base_steps = batches // recipe.accumulate
        if not self.base_steps:
            raise ConfigError(f"accumulate={recipe.accumulate}: an epoch has {batches} batches; lower it")
        self.plan = self._plan()
        self.schedule = _schedule(recipe, self.base_steps)
        self.loss = ActionLoss(
            self.parts.activation, recipe.loss.smoothing, recipe.loss.background if recipe.views.background else 0.0
        )
        self.checkpoint = self.parts.folder / "checkpoint.pt"
        if recipe.initialise.weights is not None and not self.checkpoint.exists():
            initialise(
                self.parts.network, recipe.initialise.weights, recipe.initialise.part, say if processes.leads else _mute
            )
        self.epoch, self.position = 0, 0
        # torch's gradients of 3D convolutions in bf16 on a CPU are wrong where a clip is shorter than the kernel.
        full = device.type == "cpu" and recipe.precision == "bf16"
        self.trainer = self._trainer("fp32" if full else recipe.precision)
        self.best: float | None = None
        self._resume(say if processes.leads else _mute)
        self.report = Report(
            self.parts.folder, say, self.trainer.step, tensorboard=recipe.tensorboard, silent=not processes.leads
        )
        if full:
            self.report.say("precision=bf16 is for GPUs: on a CPU, where its gradients can be wrong, fp32 is used")

    def _plan(self) -> Multigrid:
        recipe = self.recipe
        falls = recipe.schedule.falls if recipe.schedule.kind == "steps" else []
        plan = plan_multigrid(recipe.multigrid, self.parts.grid, self.parts.alpha, recipe.epochs, falls)
        self.multigrid = plan.grids != [self.parts.grid]
        if self.multigrid:
            plan.require_whole_cycles(self.base_steps)
        return plan

    def _trainer(self, precision: str) -> Trainer:
        recipe, o = self.recipe, self.recipe.optimiser
        network = self.parts.network.to(self.device)
        if recipe.sync_batch_norm and self.processes.world > 1:
            synchronise_batch_norm(network)
        if self.multigrid:
            self._require_shapes()
        splitting = split_batch_norm(network) if self.multigrid and recipe.multigrid.split_batch_norm else []
        self.freezing = Freezing(network, recipe.freeze, recipe.freeze_batch_norm)
        if recipe.precise_batch_norm < 0:
            raise ConfigError(f"precise_batch_norm is a number of batches, 0 or more, got {recipe.precise_batch_norm}")
        if recipe.precise_batch_norm and not self.freezing.moving_statistics(network):
            raise ConfigError(
                f"precise_batch_norm={recipe.precise_batch_norm}: no batch normalisation of {self.parts.entry.name} "
                "learns statistics here; set it to 0"
            )
        rate = o.rate
        if o.reference_batch is not None:
            rate *= recipe.batch * recipe.accumulate * self.processes.world / o.reference_batch
        groups = parameter_groups(network, rate, o.weight_decay, o.norm_decay, o.layers)
        wrapped = parallel(network, self.processes, self.device)

        def loss(batch: ClipBatch) -> tuple[torch.Tensor, dict[str, float]]:
            for norm in splitting:
                norm.parts = len(batch.frames) // recipe.batch
            return self.loss(self._logits(wrapped, batch), batch)

        return Trainer(
            network,
            network,
            build_optimiser(o.kind, groups, o.momentum, o.nesterov),
            lambda _: self._rate(),
            loss,
            o.average,
            o.clip_norm,
            precision=precision,
            device=str(self.device),
            processes=self.processes,
            **({"unsynchronised": wrapped.no_sync} if isinstance(wrapped, nn.parallel.DistributedDataParallel) else {}),
        )

    def _rate(self) -> float:
        """Factor on the peak learning rates: the schedule follows the epochs, however many steps they take."""
        done = self.position * self.base_steps / self.steps
        return self.schedule(self.epoch * self.base_steps + done) * self.plan(self.epoch, self.position).rate

    def _logits(self, network: nn.Module, batch: ClipBatch) -> torch.Tensor:
        preprocessing = self.parts.preprocessing(batch.frames.shape[1])
        try:
            return scores_of(network, preprocessing, batch, self.parts.dataset.task == "detection")
        except ValueError as error:  # batch normalisation over a single value
            clips, frames, height, width = batch.frames.shape[:4]
            raise ConfigError(
                f"{self.parts.entry.name} can't be trained on {clips} clips of {frames} frames of {width}x{height}: "
                f"{error}. Raise batch, or the clips' frames or crop."
            ) from error

    def _require_shapes(self) -> None:
        """Each shape is tried at once: a network that can't take one shall not say so after days of training."""
        network = self.parts.network.eval()
        for grid in self.plan.grids:
            box = torch.tensor([[0.0, 0.0, 0.0, grid.crop, grid.crop]])
            frames = torch.zeros(1, grid.frames, grid.crop, grid.crop, 3, dtype=torch.uint8)
            nothing = torch.zeros(0)
            try:
                with torch.inference_mode():
                    self._logits(network, ClipBatch(frames, box, nothing, nothing, nothing))
            except (ConfigError, RuntimeError) as error:
                raise ConfigError(
                    f"multigrid: {self.parts.entry.name} can't be shown {grid.frames} frames of {grid.crop} pixels "
                    f"({str(error).splitlines()[0]}). Choose other multigrid.long_shapes and multigrid.short_crops, or "
                    "train it without multigrid."
                ) from error

    def _resume(self, say: Say) -> None:
        self.epoch, facts = self.trainer.resume_with_facts(self.checkpoint)
        if not facts:
            return
        self.best, self.position = facts["best"], facts["position"]
        before, now = {**asdict(ClipsRecipe()), **json.loads(facts["recipe"])}, asdict(self.recipe)
        changed = [key for key in now if before.get(key) != now[key] and key not in ("work", "workers", "device")]
        if facts["global_batch"] != self.global_batch:
            self.position = 0
            changed.append("global batch, so the epoch starts over")
        elif facts.get("cycle", [1]) != self._cycle:
            self.position = 0
            changed.append("shapes of batches, so the epoch starts over")
        say(f"continues {self.checkpoint} at epoch {self.epoch + 1}, step {self.trainer.step}")
        if changed:
            say(f"  with other settings than before: {', '.join(changed)}")

    @property
    def global_batch(self) -> int:
        """Clips of one step, over all processes."""
        return self.recipe.batch * self.recipe.accumulate * self.processes.world

    @property
    def steps(self) -> int:
        """Of the current epoch."""
        return self.plan.steps(self.epoch, self.base_steps)

    @property
    def _cycle(self) -> list[int]:
        """Factors on the batch that the current epoch's steps take in turn."""
        return [grid.batch for grid in self.plan.cycle(self.epoch)]

    def _order(self, cycle: tuple[SamplingGrid, ...], start: int = 0) -> EpochBatches:
        recipe, processes = self.recipe, self.processes
        place = processes.rank, processes.world, recipe.seed, self.epoch
        return EpochBatches(len(self.clips), recipe.batch, *place, cycle, recipe.accumulate, start)

    def _batches(self, order: Iterable[list[Place]]) -> Iterator[ClipBatch]:
        loader: DataLoader[Any] = DataLoader(
            self.clips,
            batch_sampler=order,
            num_workers=self.recipe.workers,
            collate_fn=ClipBatch.of,
            worker_init_fn=start_worker,
            pin_memory=self.device.type == "cuda",
        )
        return iter(loader)

    def _steps(self) -> Iterator[list[ClipBatch]]:
        """What is left of the current epoch."""
        size = self.recipe.accumulate
        batches = self._batches(self._order(self.plan.cycle(self.epoch), self.position * size))
        for _ in range(self.steps - self.position):
            yield list(islice(batches, size))

    def run(self) -> Path:
        """Trains to the end; returns the file of the weights."""
        if self.multigrid and self.epoch < self.recipe.epochs:
            steps = sum(self.plan.steps(epoch, self.base_steps) for epoch in range(self.recipe.epochs))
            self.report.say(f"multigrid, {steps} steps in all, {self.recipe.epochs * self.base_steps} without it:")
            for line in self.plan.describe(self.base_steps, self.global_batch):
                self.report.say(line)
        if self.validation is not None and self.validation.is_test and self.epoch < self.recipe.epochs:
            self.report.say(
                f"the best epoch is chosen on {self.validation.dataset.name}, the test side: its figure will be the "
                f"best of up to {self.recipe.epochs} tries. held_out=0.1 test.split=test chooses on training videos"
            )
        try:
            while self.epoch < self.recipe.epochs:
                self._train_epoch()
                self._end_epoch()
        finally:
            self.report.close()
        return self.parts.folder / ("last.safetensors" if self.best is None else "best.safetensors")

    def _train_epoch(self) -> None:
        recipe, trainer = self.recipe, self.trainer
        self.freezing.train(self.parts.network)
        for batches in self._steps():
            for problem in (p for batch in batches for p in batch.problems):
                self.report.say(f"another clip stands in for one that can't be decoded: {problem}")
            grid = self.plan(self.epoch, self.position)
            seed = np.random.default_rng([recipe.seed, trainer.step, self.processes.rank]).integers(2**62)
            torch.manual_seed(int(seed))  # dropout, so that an interrupted run goes on as it would have
            figures = trainer.train_step(batches, self._shares(batches))
            self.position += 1
            if trainer.step % recipe.log_every == 0 or self.position == self.steps:
                rate = max(group["lr"] for group in trainer.optimiser.param_groups)
                clips = {"frames": grid.frames, "crop": grid.crop} if self.multigrid else {}
                self.report.log(trainer.step, {**figures, "learning_rate": rate}, epoch=self.epoch + 1, **clips)
            text = f"epoch {self.epoch + 1} of {recipe.epochs}, loss {figures['loss']:.4f}"
            self.report.progress(text, self.position, self.steps)
            if recipe.save_every and trainer.step % recipe.save_every == 0 and self.position < self.steps:
                self._save()
        self.report.say(f"{text}, accuracy {figures['accuracy']:.3f}")

    def _shares(self, batches: list[ClipBatch]) -> list[float]:
        """Makes the step's loss the mean over all rows of all processes, however they are spread."""
        counts = [float(self.loss.weights(batch).sum()) for batch in batches]
        total = self.processes.sum(torch.tensor(sum(counts), device=self.device)).item()
        return [count * self.processes.world / max(total, 1e-6) for count in counts]

    def _end_epoch(self) -> None:
        self.epoch, self.position = self.epoch + 1, 0
        network, facts = self._finished(), {"epoch": self.epoch}
        every = self.recipe.evaluation.every
        if self.evaluator is not None and (self.epoch % every == 0 or self.epoch == self.recipe.epochs):
            measured = self.evaluator(network, "detections", self.report.progress)
            self._tell(measured)
            if self.best is None or measured.score >= self.best:  # of equal ones the later, which has learnt for longer
                self.best = float(measured.score)
                chosen = {**facts, **measured.figures, CHOSEN_ON: self.evaluator.dataset.name}
                if self.processes.leads:
                    self.parts.write(network, self.parts.folder / "best.safetensors", chosen)
        if self.processes.leads:
            self.parts.write(network, self.parts.folder / "last.safetensors", facts)
        self._save()

    def _finished(self) -> nn.Module:
        """The network that is tested and written: the average, on wish with statistics that are its own."""
        average = self.trainer.average.model
        if not self.recipe.precise_batch_norm:
            return average
        network = copy.deepcopy(average)
        names = self.freezing.moving_statistics(self.parts.network)
        order = islice(self._order((self.parts.grid,)), self.recipe.precise_batch_norm)
        with torch.autocast(self.device.type, self.trainer.autocast, enabled=self.trainer.autocast is not None):
            recompute_statistics(network, names, self._batches(list(order)), self._logits, self.processes)
        return network

    def _tell(self, measured: Measured) -> None:
        on_test = self.validation is not None and self.validation.is_test
        about = {"epoch": self.epoch, "evaluation": True, "chosen_on_test_side": on_test}
        self.report.log(self.trainer.step, measured.figures, **about)
        self.report.say(f"  {in_words(measured.figures)}{' (chosen on the test side)' if on_test else ''}")
        if measured.problems:
            self.report.say(f"  {len(measured.problems)} clips can't be decoded, such as {measured.problems[0]}")

    def _save(self) -> None:
        if self.processes.leads:
            described = json.dumps(asdict(self.recipe))
            facts = {"position": self.position, "best": self.best, "global_batch": self.global_batch}
            self.trainer.save(self.checkpoint, self.epoch, recipe=described, cycle=self._cycle, **facts)


def _mute(text: str) -> None:
    """Says nothing: one process speaks for all."""


def train(recipe: ClipsRecipe, say: Say) -> Path:
    """Trains, or continues, and returns the file of the best weights (the last ones where nothing is evaluated)."""
    with process_group(recipe.device) as (processes, device):
        return Training(recipe, say, processes, device).run()
