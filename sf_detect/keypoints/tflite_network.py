"""What BlazePose's two networks have in common: a published TensorFlow Lite file as a network that engines open."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

import numpy.typing as npt

from sf_detect.engines import Engine, Network
from sf_detect.engines import onnx_graph as graphs
from sf_detect.errors import WeightsFormatError
from sf_detect.keypoints import tflite_onnx
from sf_detect.weights import tflite


def tflite_network(
    name: str,
    digest: str,
    convert: Callable[[], graphs.OnnxModel],
    no_torch: Callable[[], Engine],
    example: Callable[[], dict[str, npt.NDArray]],
    expected: Path,
    source: str,
) -> Network:
    """The network of a file, ready to be converted.

    Args:
        name: Of the network.
        digest: SHA-256 of its file.
        convert: Makes its graph.
        no_torch: Says that there is no torch form.
        example: What backends are compared on.
        expected: File of what the network gives for it, and of which weights.
        source: Of the module that describes the network.
    """
    known = _expected(expected)
    return Network(
        name,
        digest,
        {},
        convert=convert,
        torch=no_torch,
        example=example,
        sources=[source, *(str(file) for file in (__file__, graphs.__file__, tflite_onnx.__file__, tflite.__file__))],
        expected=known["outputs"] if known["weights"] == digest else None,
    )


def converted(
    path: Path,
    name: str,
    side: int,
    outputs: Mapping[str, tuple[int, ...]],
    scale: float,
    offset: float,
    write_outputs: Callable[..., None],
    other: Callable[[Path, str], WeightsFormatError],
) -> graphs.OnnxModel:
    """The network of a file as an ONNX graph of `images` (1, side, side, 3) uint8 RGB.

    Args:
        path: The file.
        name: Of the graph.
        side: Of the pictures, in pixels.
        outputs: Shapes of the file's outputs that are used, by name.
        scale, offset: A pixel times the one, less the other, is what the network sees.
        write_outputs: Takes the graph and the names of these outputs in it.
        other: Makes the error for a file of another network, from its path and what it has instead.

    Raises:
        WeightsError: It can't be read, or is another network.
    """
    found = tflite.read_tflite(path)
    if [found.tensors[i].shape for i in found.inputs] != [(1, side, side, 3)]:
        raise other(path, f"inputs {[found.tensors[i].shape for i in found.inputs]}")
    by_shape = {found.tensors[i].shape: i for i in found.outputs}
    if not set(outputs.values()) <= set(by_shape):
        raise other(path, f"outputs {list(by_shape)}")
    onnx = graphs.OnnxGraph(name)
    images = onnx.input("images", "uint8", (1, side, side, 3))
    pictures = onnx.normalised(images, graphs.real(scale), graphs.real(offset))
    names = tflite_onnx.GraphConverter(found, onnx, pictures).write([by_shape[shape] for shape in outputs.values()])
    write_outputs(onnx, *names)
    return onnx.model()


@lru_cache(maxsize=2)
def _expected(file: Path) -> Mapping[str, dict[str, list[float]]]:
    found: dict[str, dict[str, list[float]]] = json.loads(file.read_text(encoding="utf-8"))
    return found
