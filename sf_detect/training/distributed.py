"""Training in several processes, started by `torchrun`: torch's own DDP, and batch statistics over all of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn

from sf_detect.errors import ConfigError


@dataclass(frozen=True)
class Processes:
    """The processes of a run as one of them sees them; every method is a no-op for a single one.

    Attributes:
        rank: This process, 0 leads: it alone prints and writes.
        world: How many there are.
    """

    rank: int = 0
    world: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process prints and writes."""
        return self.rank == 0

    def sum(self, value: Tensor) -> Tensor:
        """A tensor's sum over the processes."""
        if self.world == 1:
            return value
        total = value.detach().clone()
        distributed.all_reduce(total)
        return total

    def mean(self, value: Tensor) -> Tensor:
        """A tensor's mean over the processes."""
        return self.sum(value) / self.world

    def gather(self, value: Any) -> list[Any]:
        """Every process's value, by rank."""
        if self.world == 1:
            return [value]
        found: list[Any] = [None] * self.world
        distributed.all_gather_object(found, value)
        return found

    def wait(self) -> None:
        """Returns once all processes are here."""
        if self.world > 1:
            distributed.barrier()


ALONE = Processes()


@contextmanager
def process_group(device: str) -> Iterator[tuple[Processes, torch.device]]:
    """Joins the processes that `torchrun` started; one process where it did not.

    Args:
        device: "auto" (a GPU for each process where there are any), "cpu", "cuda" or "cuda:N".

    Raises:
        ConfigError: No such device, or fewer GPUs than processes.
    """
    world, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    place = _device(device, local, world)
    if world == 1:
        yield ALONE, place
        return
    if place.type == "cuda":
        torch.cuda.set_device(place)
    distributed.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        yield Processes(distributed.get_rank(), world), place
    finally:
        distributed.destroy_process_group()


def _device(device: str, local: int, world: int) -> torch.device:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    try:
        wanted = torch.device(("cuda" if count else "cpu") if device == "auto" else device)
    except RuntimeError as error:
        raise ConfigError(f"device {device!r} is unknown. Expected auto, cpu, cuda or cuda:N.") from error
    if wanted.type == "cpu":
        return wanted
    index = local if world > 1 else wanted.index or 0
    if wanted.type != "cuda" or index >= count:
        raise ConfigError(
            f"device {device!r}, process {local}: torch sees {count} CUDA device(s). Use device=cpu, or start at most "
            "one process for each GPU."
        )
    return torch.device("cuda", index)


class _Sum(torch.autograd.Function):
    """A sum over the processes whose gradient is summed over them, too."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        distributed.all_reduce(total)
        return total


class _Synced(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation over the batches of all processes, on any device: torch's own needs GPUs.

    A process may bring another number of values than the others.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        values = input.float()
        axes = [axis for axis in range(input.ndim) if axis != 1]
        count = _Sum.apply(values.new_full((1,), input.numel() / input.shape[1]))
        mean = _Sum.apply(values.sum(axes)) / count
        shape = (1, -1, *[1] * (input.ndim - 2))
        centred = values - mean.reshape(shape)
        variance = _Sum.apply(centred.square().sum(axes)) / count
        self._follow(mean.detach(), variance.detach(), count)
        scale = torch.rsqrt(variance + self.eps) * self.weight
        return torch.addcmul(self.bias.reshape(shape), centred, scale.reshape(shape)).to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * count / (count - 1).clamp(min=1), momentum)


class SyncedBatchNorm1d(_Synced, nn.BatchNorm1d):
    """See `_Synced`."""


class SyncedBatchNorm2d(_Synced, nn.BatchNorm2d):
    """See `_Synced`."""


class SyncedBatchNorm3d(_Synced, nn.BatchNorm3d):
    """See `_Synced`."""


_SYNCED: dict[type, type] = {
    nn.BatchNorm1d: SyncedBatchNorm1d,
    nn.BatchNorm2d: SyncedBatchNorm2d,
    nn.BatchNorm3d: SyncedBatchNorm3d,
}


def synchronise_batch_norm(network: nn.Module) -> None:
    """Makes every batch normalisation one over all processes, in place: who holds on to a layer still holds it."""
    for module in network.modules():
        if type(module) in _SYNCED and module.affine:
            module.__class__ = _SYNCED[type(module)]


def parallel(network: nn.Module, processes: Processes, device: torch.device) -> nn.Module:
    """The network whose gradients are averaged over the processes; itself for a single one."""
    if processes.world == 1:
        return network
    ids = [device.index] if device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(network, device_ids=ids)
