"""Any network of the zoo that scores boxes, as engines on torch; see `action_engines`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from sf_detect.engines import Engine, TensorSpec
from sf_detect.engines.torch_engine import Tensors, TorchEngine
from sf_detect.errors import ConfigError
from sf_detect.models.preprocessing import Preprocessing
from sf_detect.models.streaming import StreamingModel, step_frames
from sf_detect.structures import FloatArray, UInt8Array

INPUTS = {
    "frames": TensorSpec("uint8", ("batch", "frames", "height", "width", 3)),
    "boxes": TensorSpec("float32", ("persons", 5)),
}
OUTPUTS = {"logits": TensorSpec("float32", ("persons", "classes"))}
FEATURES = {"features": TensorSpec("float32", ("persons", "features"))}


class TorchActionEngines:
    """A network of torch as `ActionEngines`.

    Args:
        network: `network(pathways, boxes)` returns (N, C) logits; put into evaluation mode here.
        preprocessing: What it expects of its input.
        num_frames: Of a clip.
        device: Where it runs.
        features: Whether clips give the input of the network's last linear layer too, its classifier.

    Raises:
        ConfigError: Features of a network without a linear layer.
    """

    def __init__(
        self,
        network: nn.Module,
        preprocessing: Preprocessing,
        num_frames: int,
        device: torch.device | str = "cpu",
        features: bool = False,
    ) -> None:
        self._network = network.eval().to(device)
        self._classifier = _classifier(network) if features else None
        self._preprocessing, self._num_frames, self._device = preprocessing, num_frames, torch.device(device)

    @property
    def clip(self) -> Engine:
        """See `ActionEngines`; B may be any number."""
        if self._classifier is None:
            return TorchEngine(self._score, INPUTS, OUTPUTS, self._device)
        return TorchEngine(self._score_with_features, INPUTS, {**OUTPUTS, **FEATURES}, self._device)

    def open_stream(self) -> TorchStream:
        """See `ActionEngines`.

        Raises:
            ConfigError: The network has no streaming form.
        """
        window = max(1, self._num_frames // step_frames(self._network))
        return TorchStream(StreamingModel(self._network, window), self._preprocessing, self._device)

    def _score(self, inputs: Tensors) -> Tensors:
        pathways = self._preprocessing.pack(inputs["frames"])
        return {"logits": self._network(pathways, inputs["boxes"]).float()}

    def _score_with_features(self, inputs: Tensors) -> Tensors:
        seen: list[torch.Tensor] = []
        assert self._classifier is not None
        hook = self._classifier.register_forward_pre_hook(lambda _, given: seen.append(given[0].float()))
        try:
            return {**self._score(inputs), "features": seen[0]}
        finally:
            hook.remove()


def _classifier(network: nn.Module) -> nn.Linear:
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    if not layers:
        raise ConfigError(
            f"{type(network).__name__} has no linear classifier, whose input the features are. Use another model, or "
            "features=false."
        )
    return layers[-1]


class TorchStream:
    """A `StreamingModel` as a `NetworkStream`."""

    def __init__(self, model: StreamingModel, preprocessing: Preprocessing, device: torch.device) -> None:
        self._model, self._device = model, device
        self._preprocessing = replace(preprocessing, slow_index=None)
        self.step_frames, self.window, self.exact = model.step_frames, model.window, model.exact

    def push(self, frames: UInt8Array) -> None:
        """See `NetworkStream`."""
        self._model.push(self._preprocessing.pack(torch.from_numpy(frames[None]).to(self._device))[0][0])

    def scores(self, boxes: FloatArray) -> npt.NDArray[np.float32]:
        """See `NetworkStream`."""
        logits = self._model.scores(torch.from_numpy(boxes.astype(np.float32)).to(self._device))
        found: npt.NDArray[np.float32] = logits.float().cpu().numpy()
        return found

    def reset(self) -> None:
        """See `NetworkStream`."""
        self._model.reset()
