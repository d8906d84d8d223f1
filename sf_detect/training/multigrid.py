"""Multigrid training (Wu et al., "A Multigrid Method for Efficiently Training Video Models", CVPR 2020).

Clips of fewer frames and pixels come in batches of as many more clips, so that every step costs the same and an epoch
takes fewer of them. Two cycles choose the shape: the short one from step to step (the crop alone), the long one over
the epochs (frames and crop, from coarse to fine). Shapes, batches, learning rates and the share of each shape in the
epochs are those of the authors' public recipes; `plan_multigrid` says what we make of the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from sf_detect.errors import ConfigError
from sf_detect.training.clips_recipe import MultigridRecipe


@dataclass(frozen=True)
class SamplingGrid:
    """The shape of a step's batches.

    Attributes:
        frames: Of the densest pathway.
        sampling_rates: Smallest and largest sampling rate; each clip draws its own. See `ClipSpec.sampling_rate`.
        crop: Side of the square, in pixels.
        batch: Factor on the recipe's batch.
        rate: Factor on the learning rate.
    """

    frames: int
    sampling_rates: tuple[int, int]
    crop: int
    batch: int = 1
    rate: float = 1.0


@dataclass(frozen=True)
class Phase:
    """Epochs of one long-cycle shape.

    Attributes:
        end: The first epoch after it.
        cycle: What its steps take in turn, the short cycle.
    """

    end: int
    cycle: tuple[SamplingGrid, ...]

    @property
    def length(self) -> int:
        """Steps of the recipe's own shape that see as many clips as one round of the cycle."""
        return sum(grid.batch for grid in self.cycle)


@dataclass(frozen=True)
class Multigrid:
    """Which shape batches have, by epoch and step; without multigrid training always the same.

    Attributes:
        phases: By their ends; the last one ends with the run.
    """

    phases: tuple[Phase, ...]

    def __call__(self, epoch: int, step: int) -> SamplingGrid:
        """The shape of a step, counted within its epoch; both from 0."""
        cycle = self.cycle(epoch)
        return cycle[step % len(cycle)]

    def cycle(self, epoch: int) -> tuple[SamplingGrid, ...]:
        """The shapes that an epoch's steps take in turn."""
        return self._phase(epoch).cycle

    def steps(self, epoch: int, base_steps: int) -> int:
        """Steps of an epoch that holds `base_steps` of the recipe's own shape; clips that fill no step are left."""
        phase = self._phase(epoch)
        rounds, rest = divmod(base_steps, phase.length)
        steps = rounds * len(phase.cycle)
        for grid in phase.cycle:
            rest -= grid.batch
            if rest < 0:
                break
            steps += 1
        return steps

    @property
    def grids(self) -> list[SamplingGrid]:
        """All shapes, each once, in the order of their first use."""
        return list(dict.fromkeys(grid for phase in self.phases for grid in phase.cycle))

    def require_whole_cycles(self, base_steps: int) -> None:
        """Each shape must come up in each epoch of its phase.

        Raises:
            ConfigError: An epoch of `base_steps` steps of the recipe's own shape is too short for that.
        """
        longest = max(phase.length for phase in self.phases)
        if base_steps < longest:
            raise ConfigError(
                f"multigrid: an epoch has {base_steps} steps' worth of clips, and one round of its shapes takes "
                f"{longest}. Lower batch or accumulate, or switch off multigrid.short_cycle or multigrid.long_cycle; "
                "it is meant for large datasets."
            )

    def describe(self, base_steps: int, clips: int) -> list[str]:
        """A line for each phase.

        Args:
            base_steps: Steps of an epoch at the recipe's own shape.
            clips: Of such a step, over all processes.
        """
        lines, first = [], 0
        for phase in self.phases:
            last = phase.cycle[-1]
            low, high = last.sampling_rates
            lines.append(
                f"  epoch {_span(first + 1, phase.end)}: {last.frames} frames at rate {_span(low, high)}, crops "
                f"{_listed(grid.crop for grid in phase.cycle)}, steps of "
                f"{_listed(grid.batch * clips for grid in phase.cycle)} clips, {self.steps(first, base_steps)} an "
                f"epoch, learning rate x{last.rate:g}"
            )
            first = phase.end
        return lines

    def _phase(self, epoch: int) -> Phase:
        return next((phase for phase in self.phases if epoch < phase.end), self.phases[-1])


def _span(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} to {high}"


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def plan_multigrid(
    settings: MultigridRecipe, base: SamplingGrid, alpha: int | None, epochs: int, falls: Sequence[float] = ()
) -> Multigrid:
    """The shapes of a run.

    The long cycle goes through its shapes between any two falls of the learning rate, or once under a schedule without
    falls, which the paper does not try. Each shape has as many steps, hence more epochs the larger its batches. The
    last `fine_tune` of the epochs, one at least, have the recipe's own shape, still with the short cycle. Shapes change
    between epochs; one whose share rounds to none is left out. The learning rate follows the long cycle's batch, not
    the short cycle's. Fewer frames are taken at a sampling rate that each clip draws, from the recipe's own to the one
    at which they cover the same time.

    Args:
        settings: See there.
        base: The recipe's own shape.
        alpha: Frame-rate ratio of the pathways, None for one pathway.
        epochs: Of the run.
        falls: Epochs at which the learning rate falls.

    Raises:
        ConfigError: Settings that make no shape of this network.
    """
    _check(settings)
    if not settings.long_cycle:
        return Multigrid((Phase(epochs, _cycle(settings, base, alpha, 1.0, 1.0)),))
    cycles = [_cycle(settings, base, alpha, *shape) for shape in settings.long_shapes]
    means = [sum(grid.batch for grid in cycle) / len(cycle) for cycle in cycles]
    fine = epochs * (1 - settings.fine_tune)
    phases: list[Phase] = []
    for start, end in pairwise([0.0, *sorted(fall for fall in falls if 0 < fall < fine), fine]):
        for number, cycle in enumerate(cycles, start=1):
            place = start + (end - start) * sum(means[:number]) / sum(means)
            phases.append(Phase(min(round(place), epochs - 1), cycle))
    return Multigrid(_joined([*phases, Phase(epochs, cycles[-1])]))


def _joined(phases: Sequence[Phase]) -> tuple[Phase, ...]:
    """The phases but for empty ones; neighbours of one shape are one."""
    starts = [0, *(phase.end for phase in phases)]
    kept = [phase for start, phase in zip(starts, phases, strict=False) if phase.end > start or phase is phases[-1]]
    return tuple(list(group)[-1] for _, group in groupby(kept, lambda phase: phase.cycle))


def _cycle(
    settings: MultigridRecipe, base: SamplingGrid, alpha: int | None, time: float, space: float
) -> tuple[SamplingGrid, ...]:
    """The short cycle of one long-cycle shape, the smallest crop first; that shape alone without a short cycle."""
    frames = round(base.frames * time)
    if not frames or abs(frames - base.frames * time) > 1e-3 or frames % (alpha or 1):
        wanted = "a whole number of frames" if alpha is None else f"a multiple of alpha={alpha} frames"
        raise ConfigError(
            f"multigrid.long_shapes: {time:g} of {base.frames} frames is {base.frames * time:g}, expected {wanted}; "
            "choose another share, such as 0.5, or clips of more frames (network.num_frames)."
        )
    largest = max(1, round(base.crop * space))
    crops = [min(max(1, round(base.crop * share)), largest) for share in sorted(settings.short_crops)]
    low = base.sampling_rates[0]
    rates = (low, low * (base.frames // frames))

    def factor(crop: int) -> int:
        return max(1, round(base.frames * base.crop**2 / (frames * crop**2)))

    return tuple(
        SamplingGrid(frames, rates, crop, factor(crop), float(factor(largest)))
        for crop in [*(crops if settings.short_cycle else []), largest]
    )


def _check(settings: MultigridRecipe) -> None:
    shapes = settings.long_shapes
    if any(len(shape) != 2 or not all(0 < share <= 1 for share in shape) for shape in shapes):
        raise ConfigError(
            f"multigrid.long_shapes holds pairs [share of the frames, share of the crop], above 0 and up to 1, got "
            f"{shapes}; an example is [[0.5, 0.7071], [1, 1]]."
        )
    if not shapes or list(shapes[-1]) != [1, 1]:
        raise ConfigError(f"multigrid.long_shapes ends with the recipe's own shape, [1, 1], got {shapes}; add it.")
    if not all(0 < share <= 1 for share in settings.short_crops) or not settings.short_crops:
        raise ConfigError(
            f"multigrid.short_crops holds shares of the crop, above 0 and up to 1, got {settings.short_crops}; the "
            "paper's are [0.5, 0.7071]."
        )
    if not 0 <= settings.fine_tune < 1:
        raise ConfigError(f"multigrid.fine_tune is a share of the epochs from 0 to below 1, got {settings.fine_tune}")
