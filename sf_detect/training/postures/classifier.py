"""Trains the posture classifier in torch, and writes it for `sf_detect.keypoints.network`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sf_detect.keypoints.appearance import AppearanceHead
from sf_detect.keypoints.network import POSTURES, PostureNetwork, Sizes
from sf_detect.training.postures.examples import Examples
from sf_detect.weights.checkpoint import write_safetensors

_CLAMP = 4.0  # standard deviations, as the network has it when it runs


@dataclass
class ClassifierRecipe:
    """The network and how it is trained.

    Attributes:
        width: Channels of every layer.
        networks: How many are trained alike for each of `TASKS` and vote.
        biases: (9,) added to the logits of postures and of none of them, after training: everyday video has other
            shares of them than the examples.
        steps: Of training, for each task.
        batch: Examples of a step.
        rate: Peak learning rate of AdamW with one cycle.
        weight_decay: Of AdamW.
        dropout: Of hidden channels.
        feature_dropout: Of features.
        noise: Added to features, in standard deviations.
        smoothing: Of labels.
        average: Decay of the moving average of the weights, which is what ships.
    """

    width: int = 128
    networks: dict[str, int] = field(default_factory=lambda: {"postures": 3, "actions": 1})
    biases: list[float] = field(default_factory=lambda: [0.0, 0.0, -0.7, 0.5, -0.4, 0.0, 0.0, 0.2, 0.0])
    steps: dict[str, int] = field(default_factory=lambda: {"postures": 800, "actions": 1200})
    batch: int = 512
    rate: float = 2e-3
    weight_decay: float = 0.02
    dropout: float = 0.3
    feature_dropout: float = 0.1
    noise: float = 0.05
    smoothing: float = 0.05
    average: float = 0.995


class PostureModule(nn.Module):
    """`sf_detect.keypoints.network.PostureNetwork` for training, one of its networks.

    Args:
        mean: (D,) of the features.
        std: (D,) their standard deviation.
        actions: Number of actions.
        recipe: Width and dropout.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor, actions: int, recipe: ClassifierRecipe) -> None:
        super().__init__()
        width, logits = recipe.width, Sizes(1, len(mean), recipe.width, actions).logits
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.embed = nn.Linear(len(mean), width)
        self.conv = nn.Conv1d(width, width, 3, padding=1)
        self.mix = nn.Linear(3 * width, width)
        self.head = nn.Linear(width, logits)
        self.drop, self.drop_features = nn.Dropout(recipe.dropout), nn.Dropout(recipe.feature_dropout)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (N, L) of features (N, GRID, D)."""
        x = self.drop_features(((features - self.mean) / self.std).clamp(-_CLAMP, _CLAMP))
        h = self.drop(torch.relu(self.embed(x)))
        h = h + torch.relu(self.conv(h.transpose(1, 2))).transpose(1, 2)
        pooled = torch.cat([h[:, -1], h.mean(1), h.amax(1)], dim=1)
        mixed: Tensor = self.head(self.drop(torch.relu(self.mix(self.drop(pooled)))))
        return mixed


def posture_loss(logits: Tensor, accepted: Tensor, smoothing: float) -> Tensor:
    """(N,) cross-entropy with the sum over accepted answers; 0 where none is known."""
    logs = torch.log_softmax(logits[:, : len(POSTURES) + 1], dim=1)
    right = -torch.logsumexp(logs + torch.log(accepted.clamp(min=1e-6)), dim=1)
    return ((1 - smoothing) * right - smoothing * logs.mean(dim=1)) * (accepted.sum(dim=1) > 0)


def action_loss(logits: Tensor, actions: Tensor, smoothing: float) -> Tensor:
    """(N,) cross-entropy of the action; 0 where it is not known."""
    logs = torch.log_softmax(logits[:, len(POSTURES) + 1 :], dim=1)
    right = -logs.gather(1, actions.clamp(min=0)[:, None])[:, 0]
    return ((1 - smoothing) * right - smoothing * logs.mean(dim=1)) * (actions >= 0)


def posture_weights(examples: Examples, shares: Sequence[float]) -> npt.NDArray[np.float32]:
    """(N,) weights in the loss with which each posture that is the only right answer counts as much as wanted.

    Args:
        examples: With the chances of being drawn.
        shares: (9,) wanted of the postures and of none of them; weights are 0.25 to 5.
    """
    chances = examples.weights / examples.weights.sum()
    weights, certain = np.ones(len(chances), np.float32), examples.postures.sum(axis=1) == 1
    for column, share in enumerate(shares):
        mine = certain & (examples.postures[:, column] == 1)
        if mine.any():
            weights[mine] = np.clip(share / chances[mine].sum(), 0.25, 5)
    return weights


TASKS = ("postures", "actions")
"""Each has networks of its own: what J-HMDB's blurred clips teach of postures would spoil what pictures teach."""


def train_classifier(
    examples: Mapping[str, Examples], actions: int, recipe: ClassifierRecipe, shares: Sequence[float], seed: int = 0
) -> list[PostureModule]:
    """Trained networks, in eval mode, whose mean logits are the classifier's.

    Args:
        examples: For each of `TASKS`; drawn with replacement, by their weights.
        actions: Number of actions.
        recipe: How.
        shares: See `posture_weights`.
        seed: Of torch, whose state afterwards is the one before.
    """
    networks, total = [], sum(recipe.networks[task] for task in TASKS)
    with torch.random.fork_rng():
        for task in TASKS:
            for number in range(recipe.networks[task]):
                network = _train(examples[task], task, actions, recipe, shares, seed + number)
                if task == "postures":
                    with torch.no_grad():
                        network.head.bias[: len(POSTURES) + 1] += torch.tensor(recipe.biases)
                networks.append(keep_task(network, task, total / recipe.networks[task]))
    return networks


def _train(
    examples: Examples, task: str, actions: int, recipe: ClassifierRecipe, shares: Sequence[float], seed: int
) -> PostureModule:
    torch.manual_seed(seed)
    x = torch.from_numpy(examples.features.astype(np.float32))
    accepted, acts = torch.from_numpy(examples.postures), torch.from_numpy(examples.actions)
    importance = torch.from_numpy(posture_weights(examples, shares))
    std = x.std((0, 1)).clamp(min=0.05)
    net = PostureModule(x.mean((0, 1)), std, actions, recipe)
    batch, steps = min(recipe.batch, len(x)), recipe.steps[task]
    optimiser = torch.optim.AdamW(net.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, total_steps=steps, pct_start=0.1)
    drawn = np.random.default_rng(seed).choice(
        len(x), (steps, batch), p=examples.weights.astype(np.float64) / examples.weights.sum(dtype=np.float64)
    )
    average = {name: value.clone() for name, value in net.state_dict().items()}
    net.train()
    for step, rows in enumerate(torch.from_numpy(drawn)):
        logits = net(x[rows] + recipe.noise * std * torch.randn_like(x[rows]))
        if task == "postures":
            loss = (posture_loss(logits, accepted[rows], recipe.smoothing) * importance[rows]).mean()
        else:
            loss = action_loss(logits, acts[rows], recipe.smoothing).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        decay = min(recipe.average, (step + 1) / (step + 10))
        with torch.no_grad():
            for name, value in net.state_dict().items():
                average[name].mul_(decay).add_(value, alpha=1 - decay)
    net.load_state_dict(average)
    return net.eval()


def keep_task(network: PostureModule, task: str, factor: float) -> PostureModule:
    """The network without logits for other tasks; its own count `factor` times, since means go over all networks."""
    split = len(POSTURES) + 1
    others = slice(split, None) if task == "postures" else slice(0, split)
    with torch.no_grad():
        for parameter in (network.head.weight, network.head.bias):
            parameter.mul_(factor)
            parameter[others] = 0
    return network


def arrays_of(networks: Sequence[PostureModule], stored: type[np.floating[Any]] = np.float32) -> dict[str, npt.NDArray]:
    """What `PostureNetwork` reads; see `Sizes.shapes`."""
    states = [net.state_dict() for net in networks]
    return {name: np.stack([state[name].numpy() for state in states]).astype(stored) for name in states[0]}


def as_network(networks: Sequence[PostureModule]) -> PostureNetwork:
    """The networks as they run, with weights of half precision as in the file."""
    return PostureNetwork(arrays_of(networks, np.float16), sizes_of(networks))


def sizes_of(networks: Sequence[PostureModule]) -> Sizes:
    """The sizes of networks trained alike."""
    first = networks[0]
    actions = first.head.out_features - len(POSTURES) - 2
    return Sizes(len(networks), first.embed.in_features, first.embed.out_features, actions)


def write_classifier(
    networks: Sequence[PostureModule], path: Path, facts: Mapping[str, Any], head: AppearanceHead | None = None
) -> None:
    """Writes the file that ships, half precision.

    Args:
        networks: Trained alike.
        path: Where.
        facts: Its metadata besides `format` and `network`; anything that JSON can hold.
        head: The layer that scores persons' pictures.
    """
    sizes = sizes_of(networks)
    network = {name: getattr(sizes, name) for name in ("networks", "features", "width", "actions")}
    metadata = {"format": "sf-detect-posture/1", "network": json.dumps(network)}
    metadata |= {name: value if isinstance(value, str) else json.dumps(value) for name, value in facts.items()}
    arrays = arrays_of(networks, np.float16)
    if head is not None:
        arrays |= {name: array.astype(np.float16) for name, array in head.arrays().items()}
    write_safetensors({name: torch.from_numpy(array) for name, array in arrays.items()}, path, metadata)


def logits_of(networks: Sequence[PostureModule], features: npt.NDArray) -> npt.NDArray[np.float32]:
    """(N, L) mean logits of features (N, GRID, D), all at once."""
    x = torch.from_numpy(np.asarray(features, np.float32))
    with torch.inference_mode():
        return np.asarray(torch.stack([net(x) for net in networks]).mean(0).numpy())
