"""Which backend computes an action model: the converted networks on a CPU, torch for everything else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sf_detect.engines import engine_options
from sf_detect.engines.engine import Warn
from sf_detect.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

    from sf_detect.models.action_engines import ActionEngines
    from sf_detect.models.preprocessing import Preprocessing
    from sf_detect.zoo.entry import ZooEntry


def action_engines(
    entry: ZooEntry,
    weights: Callable[[], Path],
    load: Callable[[], nn.Module],
    preprocessing: Preprocessing,
    *,
    causal: bool,
    device: str,
    backend: str,
    streaming: bool,
    warn: Warn,
    features: bool = False,
) -> tuple[ActionEngines, str]:
    """An action model's network as engines, opened, and the backend that computes them.

    Args:
        entry: Of the zoo, or of trained weights.
        weights: The file of its weights.
        load: Loads the network in torch, on the device.
        preprocessing: What it expects of its input.
        causal: Whether its convolutions over time look back only.
        device: Where it runs.
        backend: One of `engines.BACKENDS`.
        streaming: Whether the streaming form is wanted first, else that of clips.
        warn: Receives what a user should know.
        features: Whether clips give what the classifier sees of each person too.

    Raises:
        UnknownNameError: There is no such backend.
        ConfigError: The backend does not compute this network on this device, or is not installed.
        EngineError: The backend can't build it.
        WeightsError: The weights can't be fetched or read, or do not fit.
    """
    options = engine_options(backend, warn=warn)
    if device == "cpu" and entry.convertible and backend != "torch":
        from sf_detect.zoo.slowfast_tiny_engines import TinyEngines, TinyNetwork

        converted = TinyEngines(TinyNetwork.of(entry, weights(), load, causal), options, features)  # type: ignore[arg-type]
        return converted, converted.prepare_stream() if streaming else converted.clip.backend
    if backend not in ("auto", "torch"):
        raise ConfigError(
            f"the backend {backend} does not compute {entry.name} on {device}: it has the default networks on a CPU. "
            "Use --backend auto or torch."
        )
    from sf_detect.models.inception_folded import fold_inception
    from sf_detect.models.torch_action_engines import TorchActionEngines

    network = load()
    network = fold_inception(network) if device == "cpu" else network  # its fastest form
    return TorchActionEngines(network, preprocessing, entry.clip_spec.num_frames, device, features), "torch"
