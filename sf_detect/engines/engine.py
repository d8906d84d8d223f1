"""The one thing that differs between backends: `Engine.run`, named arrays in, named arrays out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from sf_detect.engines.onnx_graph import TensorSpec
from sf_detect.errors import EngineError

Arrays = Mapping[str, npt.NDArray]
"""Tensors by name."""
Warn = Callable[[str], None]
"""Receives one sentence that a user should read."""


def print_warning(text: str) -> None:
    """The default `Warn`: a line on standard error."""
    print(f"sf-detect: {text}", file=sys.stderr)


@runtime_checkable
class Engine(Protocol):
    """A network that is ready to run, whatever computes it.

    Networks, detectors and single steps of a stream are engines alike; what is remembered from one step to the next
    goes in and out by name. One thread at a time may use an engine. An engine sets nothing outside itself: how many
    threads it uses is its own affair.

    Attributes:
        backend: "torch", "onnxruntime" or "openvino".
        inputs, outputs: What goes in and out, by name.
    """

    @property
    def backend(self) -> str: ...

    @property
    def inputs(self) -> Mapping[str, TensorSpec]: ...

    @property
    def outputs(self) -> Mapping[str, TensorSpec]: ...

    def run(self, inputs: Arrays) -> dict[str, Any]:
        """All outputs, by name.

        Args:
            inputs: All inputs; NumPy arrays, or whatever `run` of an engine of the same backend returned.

        Raises:
            EngineError: A name, type or shape is wrong, or the backend failed.
        """
        ...


def to_numpy(tensor: Any) -> npt.NDArray:
    """An output of any engine as an array; those of a GPU are copied."""
    return np.asarray(tensor.cpu() if hasattr(tensor, "cpu") else tensor)


def check_inputs(inputs: Arrays, specs: Mapping[str, TensorSpec], what: str) -> None:
    """Compares inputs with what an engine expects.

    Raises:
        EngineError: A name, type or shape is wrong.
    """
    if inputs.keys() != specs.keys():
        missing, unknown = specs.keys() - inputs.keys(), inputs.keys() - specs.keys()
        raise EngineError(
            f"{what} takes the inputs {', '.join(specs)}; missing: {', '.join(sorted(missing)) or 'none'}, "
            f"unknown: {', '.join(sorted(unknown)) or 'none'}"
        )
    for name, spec in specs.items():
        array = inputs[name]
        if np.dtype(spec.dtype) != array.dtype or not _fits(array.shape, spec.shape):
            raise EngineError(
                f"{what} takes {name} as {spec.dtype} of shape ({', '.join(map(str, spec.shape))}), got {array.dtype} "
                f"{tuple(array.shape)}"
            )


def _fits(shape: tuple[int, ...], expected: tuple[int | str, ...]) -> bool:
    if len(shape) != len(expected):
        return False
    return all(isinstance(wanted, str) or size == wanted for size, wanted in zip(shape, expected, strict=True))


def check_threads(threads: int) -> int:
    """Returns `threads`, or raises `EngineError` unless it is 1 or more."""
    if threads < 1:
        raise EngineError(f"an engine uses 1 thread or more, got threads={threads}")
    return threads
