"""Backends: torch, ONNX Runtime and OpenVINO behind one protocol, named arrays in and out.

What is here knows no particular network. Graphs of networks are written beside the networks, in `detection` and
`models`; `selection.open_engine` converts, checks and opens them.
"""

from sf_detect.engines.engine import Engine, check_inputs, to_numpy
from sf_detect.engines.onnx_graph import OnnxModel, TensorSpec
from sf_detect.engines.selection import BACKENDS, EngineOptions, Network, engine_options, installed, open_engine
from sf_detect.engines.store import EngineStore

__all__ = [
    "BACKENDS",
    "Engine",
    "EngineOptions",
    "EngineStore",
    "Network",
    "OnnxModel",
    "TensorSpec",
    "check_inputs",
    "engine_options",
    "installed",
    "open_engine",
    "to_numpy",
]
