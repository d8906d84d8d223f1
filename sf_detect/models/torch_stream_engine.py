"""The streaming form of `SlowFastTiny` as engines on torch, whose state goes in and out."""

from __future__ import annotations

import numpy.typing as npt
import torch

from sf_detect.engines import TensorSpec
from sf_detect.engines.torch_engine import Tensors, TorchEngine
from sf_detect.models.slowfast_tiny import ALPHA, STRIDES, SlowFastTiny
from sf_detect.models.streaming_layers import StreamedFrameConv, streaming_twin


def torch_step_engine(network: SlowFastTiny, scale: npt.ArrayLike, offset: npt.ArrayLike) -> TorchEngine:
    """One slow step; inputs and outputs are those of `slowfast_tiny_onnx.step_model`."""
    twin = streaming_twin(network)
    layers = {name: layer for name, layer in twin.named_modules() if isinstance(layer, StreamedFrameConv)}
    layers = {name: layer for name, layer in layers.items() if layer.taps > layer.step}
    gain, shift = (torch.as_tensor(value) for value in (scale, offset))

    def step(inputs: Tensors) -> Tensors:
        fast = (inputs["frames"].float() * gain - shift).permute(3, 0, 1, 2)[None]
        for name, layer in layers.items():
            layer.past = inputs[f"past.{name}"].permute(0, 2, 3, 1)
        found = twin.features([fast[:, :, ALPHA - 1 :: ALPHA], fast])  # type: ignore[operator]
        maps = {name: found[name][:, 0] for name in STRIDES}
        kept = {f"next.{name}": layer.kept()[0].permute(0, 3, 1, 2) for name, layer in layers.items()}
        return {name: tensor.contiguous() for name, tensor in {**maps, **kept}.items()}

    def kept(name: str, layer: StreamedFrameConv) -> TensorSpec:
        channels = layer.conv.weight.shape[2]
        return TensorSpec("float32", (layer.taps - layer.step, channels, f"{name}.height", f"{name}.width"))

    frames = TensorSpec("uint8", (ALPHA, "height", "width", 3))
    states = {name: kept(name, layer) for name, layer in layers.items()}
    inputs = {"frames": frames, **{f"past.{name}": spec for name, spec in states.items()}}
    outputs = {**_map_specs(1), **{f"next.{name}": spec for name, spec in states.items()}}
    return TorchEngine(step, inputs, outputs)


def torch_head_engine(network: SlowFastTiny) -> TorchEngine:
    """Maps of a window of slow steps and boxes to logits, as `slowfast_tiny_onnx.head_model`."""
    network = network.eval()

    def score(inputs: Tensors) -> Tensors:
        maps = {name: inputs[name][None] for name in STRIDES}
        return {"logits": network.classifier(network.pool(maps, inputs["boxes"]))}

    classes = network.classifier.out_features
    inputs = {**_map_specs("steps"), "boxes": TensorSpec("float32", ("persons", 5))}
    return TorchEngine(score, inputs, {"logits": TensorSpec("float32", ("persons", classes))})


def _map_specs(steps: int | str) -> dict[str, TensorSpec]:
    return {
        name: TensorSpec("float32", (steps, f"{name}_channels", f"{name}_height", f"{name}_width")) for name in STRIDES
    }
