"""BlazePose's person detector: its converted form, its reference, and what becomes of its outputs."""

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
from sf_detect.keypoints import blazepose_person
from sf_detect.keypoints.blazepose_person import ANCHORS, LEAST_SCORE, SIDE, BlazePosePersons, letterboxed
from sf_detect.keypoints.example import drawn_person
from sf_detect.weights.cache import cache_directory
from sf_detect.weights.keypoint_table import BLAZEPOSE, BLAZEPOSE_DETECTION, KEYPOINT_NETWORKS
from tests.weights.tflite_writer import NetworkWriter

PUBLISHED = cache_directory() / BLAZEPOSE_DETECTION.cache_name
WIDE = np.zeros((112, 448, 3), np.uint8)
"""Twice as large as in the square, with 84 black rows above it there."""


class Finds:
    """An engine that finds people: rows of x, y between the hips, x, y on the circle (pixels of the square), score."""

    backend = "fixed"
    inputs: ClassVar[dict[str, TensorSpec]] = {}
    outputs: ClassVar[dict[str, TensorSpec]] = {}

    def __init__(self, *people: tuple[float, ...]) -> None:
        self.seen: list[np.ndarray] = []
        points, scores = np.zeros((ANCHORS, 4), np.float32), np.zeros((ANCHORS, 1), np.float32)
        for row, (*places, score) in enumerate(people):
            points[row], scores[row] = np.array(places) / SIDE, score
        self.found = {"points": points.T, "scores": scores}

    def run(self, inputs):
        self.seen.append(inputs["images"])
        return self.found


def test_squares_are_given_in_pixels_of_the_picture():
    engine = Finds((100, 94, 100, 64, 0.9))
    (found,) = BlazePosePersons(engine)(WIDE)
    assert engine.seen[0].shape == (1, SIDE, SIDE, 3)
    assert engine.seen[0].dtype == np.uint8
    assert (found.crop.x, found.crop.y) == pytest.approx((200, 20))
    assert found.radius == pytest.approx(60)
    assert found.crop.side == pytest.approx(150)
    assert (found.crop.angle, found.score) == pytest.approx((0, 0.9), abs=1e-6)


@pytest.mark.parametrize(("x", "y", "angle"), [(130, 94, np.pi / 2), (70, 94, -np.pi / 2), (100, 124, np.pi)])
def test_the_square_is_turned_as_the_trunk_is(x, y, angle):
    (found,) = BlazePosePersons(Finds((100, 94, x, y, 0.9)))(WIDE)
    assert found.crop.angle == pytest.approx(angle)


def test_each_person_comes_once_the_most_certain_first():
    beside, again = (150, 94, 150, 64, 0.95), (110, 94, 110, 66, 0.8)
    found = BlazePosePersons(Finds(again, (100, 94, 100, 64, 0.9), beside))(WIDE)
    assert [square.score for square in found] == pytest.approx([0.95, 0.9])


def test_doubtful_people_are_left_out():
    found = BlazePosePersons(Finds((100, 94, 100, 64, LEAST_SCORE - 0.01), (20, 94, 20, 64, LEAST_SCORE + 0.01)))(WIDE)
    assert [square.crop.x for square in found] == pytest.approx([40])
    assert BlazePosePersons(Finds())(WIDE) == []


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_is_nobody(bad):
    people = (bad, 94, 100, 64, 0.9), (100, 94, 100, bad, 0.9), (20, 94, 20, 64, 0.9), (60, 94, 60, 64, np.nan)
    found = BlazePosePersons(Finds(*people))(WIDE)
    assert [square.crop.x for square in found] == pytest.approx([40])


def test_a_circle_of_no_size_is_a_small_square():
    (found,) = BlazePosePersons(Finds((100, 94, 100, 94, 0.9)))(WIDE)
    assert found.crop.side > 1


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (3, 2), (224, 224), (2160, 3840)])
def test_pictures_of_any_size_fit_into_the_square(size):
    square, scale, left, top = letterboxed(np.full((*size, 3), 200, np.uint8))
    assert (square.shape, square.dtype) == ((SIDE, SIDE, 3), np.uint8)
    assert scale == SIDE / max(size)
    filled = square[..., 0] == 200
    assert filled.any(axis=1).sum() == max(round(size[0] * scale), 1)
    assert filled.any(axis=0).sum() == max(round(size[1] * scale), 1)
    assert filled[top, left]
    assert (square[~filled] == 0).all()


def test_pictures_are_averaged_where_they_shrink():
    stripes = np.zeros((4 * SIDE, 4 * SIDE, 3), np.uint8)
    stripes[::2] = 200
    np.testing.assert_allclose(letterboxed(stripes)[0], 100, atol=1)


def test_anchors_lie_in_the_middle_of_their_squares():
    anchors = blazepose_person.anchors()
    assert anchors.shape == (ANCHORS, 2) == (2254, 2)
    np.testing.assert_allclose(anchors[[0, 1, 2, 56]] * SIDE, [[4, 4], [4, 4], [12, 4], [4, 12]], atol=1e-4)
    np.testing.assert_allclose(anchors[[-1, 1568, 1960]] * SIDE, [[208, 208], [8, 8], [16, 16]], atol=1e-4)


def test_other_networks_are_refused(tmp_path):
    made = NetworkWriter()
    picture = made.tensor(1, SIDE, SIDE, 3)
    file = tmp_path / "network.tflite"
    file.write_bytes(made.file([picture], [picture]))
    with pytest.raises(WeightsFormatError, match=r"no person detector of BlazePose: it has the outputs .*_detection"):
        blazepose_person.convert(file)
    file.write_bytes(made.file([], [picture]))
    with pytest.raises(WeightsFormatError, match=r"it has the inputs \[\]"):
        blazepose_person.convert(file)


def test_without_a_backend_the_error_says_what_to_install():
    with pytest.raises(EngineError, match=r"ONNX Runtime or OpenVINO only.*Install onnxruntime"):
        blazepose_person.network(Path("none"), "0").torch()


def test_both_networks_lie_in_the_same_wheel():
    one, other = BLAZEPOSE.wheel, BLAZEPOSE_DETECTION.wheel
    assert one is not None
    assert other is not None
    assert (one.requirement, one.wheel_sha256) == (other.requirement, other.wheel_sha256)
    assert (one.member, one.cache_name) != (other.member, other.cache_name)
    assert BLAZEPOSE_DETECTION.sha256 == other.member_sha256 != one.member_sha256
    assert list(KEYPOINT_NETWORKS) == ["blazepose_full", "blazepose_detection"]


def test_the_reference_is_that_of_the_published_file():
    assert BLAZEPOSE_DETECTION.wheel is not None
    kept = json.loads(blazepose_person.EXPECTED.read_text(encoding="utf-8"))
    assert kept["weights"] == BLAZEPOSE_DETECTION.wheel.member_sha256
    assert blazepose_person.network(Path("none"), "0").expected is None
    assert blazepose_person.network(Path("none"), kept["weights"]).expected == kept["outputs"]


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="the published network is not in the cache")
@pytest.mark.parametrize("backend", ["onnxruntime", pytest.param("openvino", marks=pytest.mark.slow)])
def test_backends_give_what_the_published_network_gives(backend):
    pytest.importorskip("openvino" if backend == "openvino" else "onnxruntime")
    engine = blazepose_person.person_engine(EngineOptions(backend))
    kept = json.loads(blazepose_person.EXPECTED.read_text(encoding="utf-8"))["outputs"]
    assert difference(sample(engine.run(blazepose_person.example())), kept) < 1e-4
    assert engine.backend == backend
    (found,) = BlazePosePersons(engine)(drawn_person())
    assert (found.crop.x, found.crop.y) == pytest.approx((128, 146), abs=12)  # the drawn hips
    assert found.radius == pytest.approx(110, abs=25)
    assert found.crop.angle == pytest.approx(0, abs=0.1)


def test_torch_leaves_the_network_to_another_backend(monkeypatch):
    opened = []
    monkeypatch.setattr(blazepose_person, "fetch_detector", lambda *_: Path("none"))
    monkeypatch.setattr(
        blazepose_person, "open_engine", lambda network, options: opened.append((network.name, options.backend))
    )
    for backend in ("torch", "auto", "openvino"):
        blazepose_person.person_engine(EngineOptions(backend))
    assert opened == [("blazepose_person", given) for given in ("auto", "auto", "openvino")]
