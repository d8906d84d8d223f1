"""The SSDLite network: anchors, padding, loading, and agreement with the reference where the data is there."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from sf_detect import boxes as box_ops
from sf_detect.detection.selection import Selection
from sf_detect.detection.ssdlite import ConvUnit, SSDLite, conv_units
from sf_detect.detection.ssdlite_engine import load_ssdlite, torch_engine
from sf_detect.detection.ssdlite_layers import ConvLayer
from sf_detect.detection.ssdlite_person import SSDLitePersonDetector
from sf_detect.errors import WeightsFormatError, WeightsMismatchError
from sf_detect.weights.cache import CACHE_VARIABLE, cache_directory
from sf_detect.weights.detector_table import detector_entry
from tests.weights.graph_writer import constant


@pytest.fixture(scope="module")
def network() -> SSDLite:
    torch.manual_seed(0)
    return SSDLite().eval()


def random_constants(network: SSDLite) -> dict[str, np.ndarray]:
    """A graph's constants of the right shapes."""
    rng = np.random.default_rng(0)
    constants = {}
    for unit in conv_units(network):
        weights, *rest = unit.layer.constant_names()
        shape = tuple(unit.conv.weight.shape)
        order = (2, 3, 0, 1) if unit.layer.depthwise else (2, 3, 1, 0)
        scale = 1 / np.sqrt(np.prod(shape[1:]))
        constants[weights] = rng.normal(0, scale, [shape[axis] for axis in order]).astype(np.float32)
        for name in rest:
            constants[name] = rng.uniform(0.5, 1.5, shape[0]).astype(np.float32)
    return constants


def test_anchors(network: SSDLite) -> None:
    anchors = network.anchors.numpy()
    assert anchors.shape == (19 * 19 * 3 + (10 * 10 + 5 * 5 + 3 * 3 + 2 * 2 + 1) * 6, 4)
    np.testing.assert_allclose(anchors[0], [0.5 / 19, 0.5 / 19, 0.1, 0.1], rtol=1e-6)
    np.testing.assert_allclose(anchors[1, 2:], [0.2 * 2**0.5, 0.2 / 2**0.5], rtol=1e-6)
    np.testing.assert_allclose(anchors[3, :2], [1.5 / 19, 0.5 / 19], rtol=1e-6)  # x runs faster than y
    np.testing.assert_allclose(anchors[1083 + 5, 2:], [0.41833, 0.41833], rtol=1e-5)
    np.testing.assert_allclose(anchors[-1, 2:], [0.974679, 0.974679], rtol=1e-5)


def test_outputs(network: SSDLite) -> None:
    with torch.inference_mode():
        boxes, scores = network(torch.zeros(2, 3, 300, 300))
    assert boxes.shape == (2, 1917, 4)
    assert scores.shape == (2, 1917)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert (boxes[..., 2:] > boxes[..., :2]).all()


@pytest.mark.parametrize("size", [7, 8])
def test_padding_puts_the_odd_pixel_behind(size: int) -> None:
    unit = ConvUnit(ConvLayer(1, 1, "x", kernel=3, stride=2, activate=False))
    torch.nn.init.zeros_(unit.conv.bias)
    torch.nn.init.zeros_(unit.conv.weight)
    with torch.no_grad():
        unit.conv.weight[0, 0, 0, 0] = 1  # picks the pixel at the window's upper left
    image = torch.arange(size * size, dtype=torch.float32).reshape(1, 1, size, size)
    first = unit(image)[0, 0, 0].tolist()
    # Even: windows start at 0, nothing is padded in front. Odd: one row and column of zeros in front.
    assert first == ([0, 2, 4, 6] if size == 8 else [0, 0, 0, 0])


def test_batch_norm_is_folded() -> None:
    unit = ConvUnit(ConvLayer(2, 3, "layer", kernel=3, activate=False))
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(3, 3, 2, 3)).astype(np.float32)
    gamma, beta, mean, variance = rng.uniform(0.5, 2, (4, 3)).astype(np.float32)
    values = dict(zip(unit.layer.constant_names(), (weights, gamma, beta, mean, variance), strict=True))
    weight, bias = map(torch.from_numpy, unit.layer.folded(values))
    with torch.no_grad():
        unit.conv.weight.copy_(weight)
        unit.conv.bias.copy_(bias)
    image = torch.from_numpy(rng.normal(size=(1, 2, 5, 5)).astype(np.float32))
    plain = torch.nn.functional.conv2d(image, torch.from_numpy(weights.transpose(3, 2, 0, 1).copy()), padding=1)
    expected = torch.nn.functional.batch_norm(
        plain, *(torch.from_numpy(v) for v in (mean, variance, gamma, beta)), eps=0.001
    )
    torch.testing.assert_close(unit(image), expected, rtol=1e-4, atol=1e-4)


def test_every_layer_takes_its_constants(network: SSDLite) -> None:
    fresh = SSDLite()
    fresh.load_constants(random_constants(fresh))
    changed = [not torch.equal(a, b) for a, b in zip(fresh.parameters(), network.parameters(), strict=True)]
    assert all(changed)
    assert len(fresh.layers.constant_names()) == 404


def test_missing_constants(network: SSDLite) -> None:
    constants = random_constants(network)
    del constants["BoxPredictor_0/ClassPredictor/biases"]
    with pytest.raises(WeightsMismatchError, match="1 missing: BoxPredictor_0/ClassPredictor/biases"):
        SSDLite().load_constants(constants)


def test_constants_of_another_shape(network: SSDLite) -> None:
    constants = random_constants(network)
    constants["BoxPredictor_0/ClassPredictor/biases"] = np.zeros(273, np.float32)
    with pytest.raises(WeightsMismatchError, match=r"1 of another shape: BoxPredictor_0/ClassPredictor .*\(273,\)"):
        SSDLite().load_constants(constants)


def test_weights_from_a_file(tmp_path: Path) -> None:
    constants = random_constants(SSDLite())
    file = tmp_path / "graph.pb"
    file.write_bytes(b"".join(constant(name, array) for name, array in constants.items()))
    unit = load_ssdlite(file).predictors[0].label
    np.testing.assert_array_equal(unit.conv.bias.detach(), constants["BoxPredictor_0/ClassPredictor/biases"])
    file.write_bytes(constant("other", np.zeros(1, np.float32)))
    with pytest.raises(WeightsFormatError, match="lacks 404 expected constants"):
        load_ssdlite(file)


def published_weights(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cached weights; the test is skipped where nobody has fetched them."""
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    path = cache_directory() / detector_entry("ssdlite_person").cache_name
    if not path.is_file():
        pytest.skip("needs the published weights in the cache: sf-detect weights pull ssdlite_person")
    return path


def frames_of(clip: Path, indices: list[int]) -> dict[int, np.ndarray]:
    capture = cv2.VideoCapture(str(clip))
    frames = {}
    for index in range(max(indices) + 1):
        if not capture.grab():
            break
        if index in indices:
            frames[index] = cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2RGB)
    capture.release()
    return frames


def test_agrees_with_the_reference(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Boxes within a pixel and scores within 0.002 of the graph run by TensorFlow."""
    network = torch_engine(load_ssdlite(published_weights(monkeypatch)))
    detector = SSDLitePersonDetector(network, Selection(0.05), tile="off")
    reference = json.loads((shared / "parity" / "ssdlite_person.json").read_text())["frames"]
    for clip in {entry["clip"] for entry in reference}:
        entries = {entry["frame"]: entry for entry in reference if entry["clip"] == clip}
        images = frames_of(shared / "data" / "clips" / clip, list(entries))
        for found, entry in zip(detector([images[i] for i in entries]), entries.values(), strict=True):
            expected = np.array(entry["detections"], np.float32).reshape(-1, 5)
            assert len(found) == len(expected), f"{clip} frame {entry['frame']}"
            np.testing.assert_allclose(found.boxes, expected[:, :4], atol=1.0)
            np.testing.assert_allclose(found.scores, expected[:, 4], atol=0.002)


def test_tiles_find_the_person_that_the_whole_wide_frame_hides(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = torch_engine(load_ssdlite(published_weights(monkeypatch)))
    frame = frames_of(shared / "data" / "clips" / "intel_one-by-one-person-detection.mp4", [400])[400]
    assert len(SSDLitePersonDetector(network, tile="off")([frame])[0]) == 0
    (person,) = SSDLitePersonDetector(network, tile="auto")([frame])[0].boxes
    assert box_ops.iou(person[None], np.array([[382, 7, 538, 371]], np.float32)) > 0.8
