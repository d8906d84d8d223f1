"""What is optimised and how: parameter groups with their learning rates, the optimiser, what stays frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from sf_detect.errors import ConfigError, UnknownNameError

OPTIMISERS = ("sgd", "adamw")


def _under(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix.rstrip(".") + ".")


def _require_prefixes(network: nn.Module, prefixes: Sequence[str], setting: str) -> None:
    names = [name for name, _ in network.named_parameters()]
    for prefix in prefixes:
        if not any(_under(name, prefix) for name in names):
            known = sorted({name.split(".")[0] for name in names})
            raise UnknownNameError(f"part of the network in {setting}:", prefix, known)


def parameter_groups(
    network: nn.Module, rate: float, weight_decay: float, norm_decay: float, layers: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Groups of the trainable parameters by learning rate and weight decay.

    Args:
        network: Frozen parameters (`requires_grad` off) are left out.
        rate: Peak learning rate.
        weight_decay: Of weights.
        norm_decay: Of biases and normalisation.
        layers: Factors on the rate by part of the network ("s1", "head.projection"); the longest name that fits counts.

    Raises:
        UnknownNameError: A part that the network does not have.
        ConfigError: Nothing is left to train.
    """
    _require_prefixes(network, list(layers), "optimiser.layers")
    buckets: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            fitting = [prefix for prefix in layers if _under(name, prefix)]
            factor = layers[max(fitting, key=len)] if fitting else 1.0
            decay = weight_decay if parameter.ndim > 1 else norm_decay
            buckets.setdefault((rate * factor, decay), []).append(parameter)
    if not buckets:
        raise ConfigError("every part of the network is frozen; leave something to train out of `freeze`")
    return [{"params": found, "lr": lr, "weight_decay": decay} for (lr, decay), found in buckets.items()]


def build_optimiser(kind: str, groups: list[dict[str, Any]], momentum: float, nesterov: bool) -> torch.optim.Optimizer:
    """The optimiser of some groups.

    Args:
        kind: One of `OPTIMISERS`.
        groups: See `parameter_groups`.
        momentum, nesterov: Of sgd.

    Raises:
        UnknownNameError: Another kind.
    """
    if kind not in OPTIMISERS:
        raise UnknownNameError("optimiser", kind, OPTIMISERS)
    if kind == "adamw":
        return torch.optim.AdamW(groups)
    return torch.optim.SGD(groups, momentum=momentum, nesterov=nesterov and momentum > 0)


class Freezing:
    """Parts of a network that do not learn.

    Args:
        network: Its frozen parameters stop asking for gradients here.
        parts: Names of parts; their batch statistics stay, too.
        batch_norm: Every batch normalisation keeps its statistics, scales and shifts.

    Raises:
        UnknownNameError: A part that the network does not have.
    """

    def __init__(self, network: nn.Module, parts: Sequence[str] = (), batch_norm: bool = False) -> None:
        _require_prefixes(network, parts, "freeze")
        self._still = [network.get_submodule(part) for part in parts]
        if batch_norm:
            self._still += [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        for module in self._still:
            module.requires_grad_(False)

    def train(self, network: nn.Module) -> None:
        """Puts the network into training mode, all but the frozen parts."""
        network.train()
        for module in self._still:
            module.eval()

    def moving_statistics(self, network: nn.Module) -> list[str]:
        """Names of the batch normalisations whose running statistics training moves."""
        still = {id(module) for part in self._still for module in part.modules()}
        norms = [(n, m) for n, m in network.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        return [name for name, norm in norms if norm.running_mean is not None and id(norm) not in still]
