"""Networks computed by torch: the reference, and the only backend on a GPU or for networks that are not converted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from sf_detect.engines.engine import check_inputs
from sf_detect.engines.onnx_graph import TensorSpec

Tensors = dict[str, Tensor]


class TorchEngine:
    """An `Engine` made of a function of tensors.

    Args:
        function: From the inputs to the outputs, on `device`. Networks in it are in evaluation mode.
        inputs, outputs: What goes in and out.
        device: Where it runs. Outputs are NumPy arrays on the CPU, and tensors that stay where they are on a GPU.
    """

    backend = "torch"

    def __init__(
        self,
        function: Callable[[Tensors], Tensors],
        inputs: Mapping[str, TensorSpec],
        outputs: Mapping[str, TensorSpec],
        device: torch.device | str = "cpu",
    ) -> None:
        self._function, self.inputs, self.outputs = function, inputs, outputs
        self._device = torch.device(device)

    @torch.inference_mode()
    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """See `Engine.run`."""
        arrays = {k: v for k, v in inputs.items() if not isinstance(v, Tensor)}
        check_inputs(arrays, {k: v for k, v in self.inputs.items() if k not in inputs or k in arrays}, "this network")
        found = self._function({k: torch.as_tensor(v).to(self._device) for k, v in inputs.items()})
        return {k: v.numpy() for k, v in found.items()} if self._device.type == "cpu" else dict(found)
