"""Networks computed by ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sf_detect.engines.engine import Arrays, check_inputs, check_threads
from sf_detect.engines.onnx_graph import OnnxModel
from sf_detect.errors import EngineError, MissingExtraError

_ERRORS_ONLY = 3  # of ONNX Runtime's levels of logging


class OnnxRuntimeEngine:
    """An `Engine` on ONNX Runtime's CPU provider, in float32. Any size of picture runs in the same session.

    Args:
        model: The network.
        threads: That one operator may use.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
        EngineError: It can't build the network.
    """

    backend = "onnxruntime"

    def __init__(self, model: OnnxModel, threads: int = 1) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingExtraError("onnxruntime", "onnxruntime", "the backend 'onnxruntime'") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = check_threads(threads)
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.inputs, self.outputs = model.inputs, model.outputs
        try:
            self._session = onnxruntime.InferenceSession(model.content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions share no base but this one
            raise EngineError(f"ONNX Runtime {onnxruntime.__version__} can't build the network: {error}") from error

    def run(self, inputs: Arrays) -> dict[str, Any]:
        """See `Engine.run`."""
        check_inputs(inputs, self.inputs, "this network")
        names = list(self.outputs)
        try:
            found: list[npt.NDArray] = self._session.run(names, {k: np.ascontiguousarray(v) for k, v in inputs.items()})
        except Exception as error:
            raise EngineError(f"ONNX Runtime failed: {type(error).__name__}: {error}") from error
        return dict(zip(names, found, strict=True))
