"""The landmark network's converted form, its reference, and what becomes of its outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from sf_detect.engines import EngineOptions
from sf_detect.engines.onnx_graph import TensorSpec
from sf_detect.engines.selection import difference, sample
from sf_detect.errors import EngineError, WeightsFormatError
from sf_detect.keypoints import blazepose
from sf_detect.keypoints.blazepose import BlazePose
from sf_detect.keypoints.crop import SIDE, Crop
from sf_detect.weights.cache import cache_directory
from sf_detect.weights.keypoint_table import BLAZEPOSE
from tests.weights.tflite_writer import NetworkWriter

PUBLISHED = cache_directory() / BLAZEPOSE.cache_name


class Fixed:
    """An engine that gives the same for every picture."""

    backend = "fixed"
    inputs: ClassVar[dict[str, TensorSpec]] = {}
    outputs: ClassVar[dict[str, TensorSpec]] = {}

    def __init__(self, **changes: np.ndarray) -> None:
        self.seen: list[np.ndarray] = []
        self.found = {
            "landmarks": np.full((39, 3), 0.5, np.float32),
            "confidence": np.tile(np.array([0.5, 0.25], np.float32), (39, 1)),
            "metres": np.tile(np.array([0, -1, 2], np.float32), (39, 1)),
            "presence": np.array([[0.75]], np.float32),
            **changes,
        }

    def run(self, inputs):
        self.seen.append(inputs["images"])
        return self.found


def test_landmarks_are_given_in_pixels_of_the_picture():
    engine = Fixed()
    found = BlazePose(engine)(np.zeros((100, 200, 3), np.uint8), Crop(60, 40, 80, 0.0))
    assert engine.seen[0].shape == (1, SIDE, SIDE, 3)
    assert engine.seen[0].dtype == np.uint8
    assert found.points.shape == (1, 33, 3)
    np.testing.assert_allclose(found.points[0, 32], [60, 40, 0.125])
    np.testing.assert_allclose(found.metres[0, 32], [0, -1, 2])
    assert found.presence.tolist() == [0.75]


def test_metres_do_not_lean_with_the_square():
    found = BlazePose(Fixed())(np.zeros((100, 200, 3), np.uint8), Crop(60, 40, 80, np.pi / 2))
    np.testing.assert_allclose(found.metres[0, 0], [1, 0, 2], atol=1e-6)


def test_what_is_not_a_number_is_nobody():
    engine = Fixed(metres=np.full((39, 3), np.nan, np.float32))
    found = BlazePose(engine)(np.zeros((100, 200, 3), np.uint8), Crop(60, 40, 80, 0.0))
    assert found.presence.tolist() == [0]
    assert (found.points == 0).all()


def test_other_networks_are_refused(tmp_path):
    made = NetworkWriter()
    picture = made.tensor(1, SIDE, SIDE, 3)
    file = tmp_path / "network.tflite"
    file.write_bytes(made.file([picture], [picture]))
    with pytest.raises(
        WeightsFormatError, match=r"no landmark network of BlazePose: it has the outputs .*_full.tflite"
    ):
        blazepose.convert(file)
    file.write_bytes(made.file([], [picture]))
    with pytest.raises(WeightsFormatError, match=r"it has the inputs \[\]"):
        blazepose.convert(file)


def test_without_a_backend_the_error_says_what_to_install():
    with pytest.raises(EngineError, match=r"ONNX Runtime or OpenVINO only.*Install onnxruntime"):
        blazepose.network(Path("none"), "0").torch()


def test_the_reference_is_that_of_the_published_file():
    assert BLAZEPOSE.wheel is not None
    kept = json.loads(blazepose.EXPECTED.read_text(encoding="utf-8"))
    assert kept["weights"] == BLAZEPOSE.wheel.member_sha256
    assert kept["outputs"]["presence"][0] > 0.99  # the drawn person is one
    assert blazepose.network(Path("none"), "0").expected is None


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="the published network is not in the cache")
@pytest.mark.parametrize("backend", ["onnxruntime", pytest.param("openvino", marks=pytest.mark.slow)])
def test_backends_give_what_the_published_network_gives(backend):
    pytest.importorskip("openvino" if backend == "openvino" else "onnxruntime")
    engine = blazepose.blazepose_engine(EngineOptions(backend))
    kept = json.loads(blazepose.EXPECTED.read_text(encoding="utf-8"))["outputs"]
    assert difference(sample(engine.run(blazepose.example())), kept) < 1e-4
    assert engine.backend == backend


def test_torch_leaves_the_landmark_network_to_another_backend(monkeypatch):
    opened = []
    monkeypatch.setattr(blazepose, "fetch_detector", lambda *_: Path("none"))
    monkeypatch.setattr(
        blazepose, "open_engine", lambda network, options: opened.append((network.name, options.backend))
    )
    for backend in ("torch", "auto", "openvino"):
        blazepose.blazepose_engine(EngineOptions(backend))
    assert opened == [("blazepose", "auto"), ("blazepose", "auto"), ("blazepose", "openvino")]
