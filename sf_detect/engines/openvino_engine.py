"""Networks computed by OpenVINO."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

import numpy as np

from sf_detect.engines.engine import Arrays, check_inputs, check_threads
from sf_detect.engines.onnx_graph import OnnxModel
from sf_detect.errors import EngineError, MissingExtraError


class OpenVINOEngine:
    """An `Engine` on OpenVINO's CPU plugin, in float32. Any size of picture runs in the same compiled network.

    Args:
        model: The network.
        threads: That the network may use.
        compiled: What `compiled` returned for the same network, OpenVINO, processor and threads; saves most of the
            time that compiling takes. It is code for this processor: only what this machine wrote itself belongs here.

    Raises:
        MissingExtraError: OpenVINO is not installed.
        EngineError: It can't compile the network, or `compiled` is not what it should be.
    """

    backend = "openvino"

    def __init__(self, model: OnnxModel, threads: int = 1, compiled: bytes | None = None) -> None:
        try:
            import openvino
        except ImportError as error:
            raise MissingExtraError("openvino", "openvino", "the backend 'openvino'") from error
        settings = {
            "INFERENCE_NUM_THREADS": check_threads(threads),
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            # On some processors its own choice would be bfloat16.
            "INFERENCE_PRECISION_HINT": "f32",
            # Two networks side by side would otherwise be tied to the same core.
            "ENABLE_CPU_PINNING": False,
        }
        self.inputs, self.outputs = model.inputs, model.outputs
        core = _core()
        try:
            if compiled is not None:
                self._network = core.import_model(io.BytesIO(compiled), "CPU", settings)
            else:
                self._network = core.compile_model(core.read_model(io.BytesIO(model.content)), "CPU", settings)
            self._request = self._network.create_infer_request()
            self._ports = {name: self._network.output(name) for name in self.outputs}
        except Exception as error:  # RuntimeError, and others below it
            raise EngineError(f"OpenVINO {openvino.__version__} can't build the network: {error}") from error

    def compiled(self) -> bytes:
        """The network compiled for this processor; see the class."""
        stream = self._network.export_model()
        return stream if isinstance(stream, bytes) else stream.getvalue()

    def run(self, inputs: Arrays) -> dict[str, Any]:
        """See `Engine.run`."""
        check_inputs(inputs, self.inputs, "this network")
        try:
            found = self._request.infer({name: np.ascontiguousarray(value) for name, value in inputs.items()})
            # Copies: the next call writes into the same memory.
            return {name: np.array(found[port]) for name, port in self._ports.items()}
        except Exception as error:
            raise EngineError(f"OpenVINO failed: {type(error).__name__}: {error}") from error


@lru_cache(maxsize=1)
def _core() -> Any:
    """One for the process, for good.

    Each core that loads the CPU plugin gives the calling thread an alternate stack for signals, and at its end the one
    from before. Of two that end in the order in which they were made, the second gives back the first one's, which is
    gone, and the next signal ends the process.
    """
    import openvino

    return openvino.Core()
