"""What a network starts from: nothing, its own weights, the backbone of another task, or an image network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import nn

from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.models.inflation import IMAGE_NETWORKS, initialise_from_image
from sf_detect.weights.checkpoint import Checkpoint, check_fit, read_checkpoint
from sf_detect.zoo.fetching import fetch_model
from sf_detect.zoo.image_networks import image_weights
from sf_detect.zoo.table import ZOO

PARTS = ("all", "backbone", "image")
#: Where the networks keep what depends on the classes.
HEADS = ("head", "classifier", "fc8", "new_fc")
#: Parts of networks of two modalities that can be networks with a head of their own.
STREAMS = ("rgb", "flow")


def initialise(network: nn.Module, weights: str, part: str, say: Callable[[str], None]) -> None:
    """Loads weights into a network and says what they did not fill.

    Args:
        network: Changed in place.
        weights: A checkpoint file; a name of the zoo, whose weights are fetched; for "image" also one of torchvision's
            image networks that can be inflated.
        part: "all" (every name and shape must fit), "backbone" (every one but the head's, which stays fresh: how a
            detector starts from Kinetics) or "image" (inflation).
        say: Receives what was left out.

    Raises:
        UnknownNameError: Another part.
        ConfigError: No such file or name.
        WeightsMismatchError: The weights do not fit.
    """
    if part not in PARTS:
        raise UnknownNameError("part to initialise", part, PARTS)
    if part == "image":
        kept = initialise_from_image(network, image_weights(weights))
        say(f"inflated {weights}; {len(kept)} tensors keep their random values, such as {', '.join(kept[:4])}")
        return
    checkpoint = _read(weights)
    heads = _head_names(network) if part == "backbone" else set[str]()
    dropped = {name for name in checkpoint.state if _of_head(name)} if heads else set[str]()
    own = network.state_dict()
    state = {name: value for name, value in checkpoint.state.items() if name not in dropped}
    fresh = {name: own[name] for name in heads}
    check_fit({**fresh, **state}, network, f"{type(network).__name__} (from {checkpoint.source or 'memory'})")
    network.load_state_dict({**own, **{name: value.reshape(own[name].shape) for name, value in state.items()}})
    say(f"initialised {len(state)} tensors from {weights}")
    if heads:
        say(f"left out {', '.join(sorted(dropped)) or 'nothing'}; fresh: {', '.join(sorted(heads))}")


def _of_head(name: str) -> bool:
    first, *rest = name.split(".")
    return (rest[0] if first in STREAMS else first) in HEADS


def _head_names(network: nn.Module) -> set[str]:
    names = {name for name in network.state_dict() if _of_head(name)}
    if not names:
        raise ConfigError(f"{type(network).__name__} has no part called {' or '.join(HEADS)}; use initialise.part=all")
    return names


def _read(weights: str) -> Checkpoint:
    if Path(weights).is_file():
        return read_checkpoint(weights)
    if weights in ZOO:
        return read_checkpoint(fetch_model(ZOO[weights]))
    raise ConfigError(
        f"initialise.weights={weights}: neither a file nor a model of the zoo (`sf-detect weights list`). Give one of "
        f"them, with initialise.part=image also {', '.join(IMAGE_NETWORKS)}."
    )
