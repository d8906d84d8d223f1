"""BlazePose's landmark network (Bazarevsky et al. 2020) on the square of one person.

The published file is TensorFlow Lite's; it is written as an ONNX graph once and computed by ONNX Runtime or OpenVINO.
There is no torch form: the backend "torch" takes one of these for it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sf_detect.engines import Engine, EngineOptions, Network, open_engine
from sf_detect.engines import onnx_graph as graphs
from sf_detect.engines.engine import to_numpy
from sf_detect.errors import EngineError, WeightsFormatError
from sf_detect.keypoints.crop import SIDE, Crop
from sf_detect.keypoints.example import drawn_person
from sf_detect.keypoints.tflite_network import converted, tflite_network
from sf_detect.structures import Keypoints, UInt8Array
from sf_detect.weights.cache import Notify, print_to_terminal
from sf_detect.weights.fetching import fetch_detector
from sf_detect.weights.keypoint_table import BLAZEPOSE

EXPECTED = Path(__file__).with_name("blazepose_expected.json")
"""What TensorFlow Lite's own network gives for `example`, sampled; `tools/blazepose_reference.py` writes it."""

OUTPUTS = {"landmarks": (1, 195), "metres": (1, 117), "presence": (1, 1)}
"""Those of the published network that are used, by shape; the first holds 39 times x, y, z and two logits."""
ALL_LANDMARKS = 39  # the last six serve to find the next square


def blazepose_engine(options: EngineOptions, notify: Notify = print_to_terminal) -> Engine:
    """The network, from `images` (1, 256, 256, 3) uint8 RGB.

    `landmarks` (39, 3) float32 are x, y, z as shares of the square's side; `confidence` (39, 2) in [0, 1] of being
    visible and of being in the picture; `metres` (39, 3) x, y, z; `presence` (1, 1) that of a person, in [0, 1].

    Args:
        options: The backend, and how it is opened; "torch" is taken as "auto".
        notify: Receives one line of text at a time while fetching.

    Raises:
        EngineError: No backend builds the network.
        WeightsError: The weights cannot be fetched or read, or do not fit.
    """
    path = fetch_detector(BLAZEPOSE, notify)
    if options.backend == "torch":
        options = replace(options, backend="auto")
    assert BLAZEPOSE.wheel is not None
    return open_engine(network(path, BLAZEPOSE.wheel.member_sha256), options)


def network(path: Path, digest: str) -> Network:
    """The network of a file whose SHA-256 is `digest`, ready to be converted."""
    return tflite_network("blazepose", digest, partial(convert, path), _no_torch, example, EXPECTED, __file__)


def convert(path: Path) -> graphs.OnnxModel:
    """The network of a file as an ONNX graph.

    Raises:
        WeightsError: It can't be read, or is another network.
    """
    return converted(path, "blazepose", SIDE, OUTPUTS, 1 / 255, 0, _write_outputs, _other)


def _write_outputs(onnx: graphs.OnnxGraph, seen: str, metres: str, presence: str) -> None:
    rows = onnx.add("Reshape", seen, graphs.integers(ALL_LANDMARKS, 5))
    places = onnx.add("Mul", onnx.slice(rows, 0, 3, axis=1), graphs.real(1 / SIDE))
    onnx.output("landmarks", places, "float32", (ALL_LANDMARKS, 3))
    onnx.output("confidence", onnx.add("Sigmoid", onnx.slice(rows, 3, 5, axis=1)), "float32", (ALL_LANDMARKS, 2))
    rows = onnx.add("Reshape", metres, graphs.integers(ALL_LANDMARKS, 3))
    onnx.output("metres", rows, "float32", (ALL_LANDMARKS, 3))
    onnx.output("presence", presence, "float32", (1, 1))


class BlazePose:
    """Landmarks of persons in a picture.

    Args:
        engine: As `blazepose_engine` gives it.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __call__(self, image: UInt8Array, crop: Crop) -> Keypoints:
        """Those of the one person in a square of the picture, in pixels of the picture."""
        found = {name: to_numpy(array) for name, array in self._engine.run({"images": crop.cut(image)[None]}).items()}
        places, confidence, metres = (
            found[name][: Keypoints.count].astype(np.float32) for name in ("landmarks", "confidence", "metres")
        )
        sure = np.prod(confidence, axis=1, keepdims=True)  # visible, and in the picture at all
        points = np.concatenate([crop.to_picture(places[:, :2] * SIDE), sure], axis=1)
        values = points, crop.turned_back(metres), np.clip(found["presence"].ravel(), 0, 1)
        if not all(np.isfinite(value).all() for value in values):
            return Keypoints.unknown(1)
        return Keypoints(points[None], values[1][None], values[2])


def example() -> dict[str, npt.NDArray]:
    """What backends are compared on."""
    return {"images": drawn_person()[None]}


def _no_torch() -> Engine:
    raise EngineError(
        "the keypoint network runs on ONNX Runtime or OpenVINO only, and neither works here. Install onnxruntime and "
        "onnx, or pip install 'sf_detect[openvino]'."
    )


def _other(path: Path, problem: str) -> WeightsFormatError:
    return WeightsFormatError(
        f"{path} is no landmark network of BlazePose: it has the {problem}. Expected mediapipe's "
        "pose_landmark_full.tflite or pose_landmark_lite.tflite."
    )
