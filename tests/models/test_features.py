"""What the classifier sees of each person, where it is asked for: the same numbers from every backend."""

from __future__ import annotations

from concurrent.futures import Future

import numpy as np
import pytest
import torch
from torch import nn

from sf_detect.config import ModelConfig, PipelineConfig, RunConfig, check_config
from sf_detect.errors import ConfigError
from sf_detect.models.predictor import EnginePredictor, model_spec
from sf_detect.models.preprocessing import Preprocessing
from sf_detect.models.torch_action_engines import TorchActionEngines
from sf_detect.smoothing import ScoreSmoothing
from sf_detect.structures import ActionDetections, Clip, ClipSpec, Detections, Frame
from sf_detect.timeline import Timeline
from sf_detect.tracking import interpolate
from tests.engines.test_backends import backend, shipped, unchecked  # noqa: F401 (backend is a fixture)

PLAIN = Preprocessing(short_side=12, mean=(0.0,) * 3, std=(1.0,) * 3)


class Sees(nn.Module):
    """Its classifier sees the boxes."""

    def __init__(self) -> None:
        super().__init__()
        self.early, self.classifier = nn.Linear(2, 2), nn.Linear(5, 3)

    def forward(self, pathways, boxes=None):
        return self.classifier(boxes)


def clip(persons: int, size: tuple[int, int] = (12, 16)) -> Clip:
    boxes = np.array([[i, 0, i + 4, 6] for i in range(persons)], np.float32).reshape(-1, 4)
    people = Detections(boxes, np.ones(persons), np.arange(persons))
    return Clip(np.zeros((8, *size, 3), np.uint8), np.arange(8) / 15, 0.5, people, size)


def predictor(features: bool, network: nn.Module | None = None) -> EnginePredictor:
    engines = TorchActionEngines(network or Sees(), PLAIN, 8, features=features)
    return EnginePredictor(engines, model_spec(("a", "b", "c"), ClipSpec(8, 2), PLAIN), PLAIN, "sigmoid")


def test_each_person_has_what_the_classifier_saw_of_them():
    first, empty, second = predictor(True)([clip(2), clip(0), clip(1)])
    assert first.features is not None
    assert second.features is not None
    assert first.features.tolist() == [[0, 0, 0, 4, 6], [0, 1, 0, 5, 6]]
    assert second.features.tolist() == [[1, 0, 0, 4, 6]]
    assert first.features.dtype == np.float32
    assert empty.features is None


def test_nobody_pays_who_did_not_ask():
    network = Sees()
    found = predictor(False, network)([clip(2)])[0]
    assert found.features is None
    assert not network.classifier._forward_pre_hooks
    with_features = predictor(True, network)([clip(2)])[0]
    assert np.array_equal(found.scores, with_features.scores)
    assert not network.classifier._forward_pre_hooks  # taken off again


def test_smoothing_keeps_them():
    kept = ScoreSmoothing(1.0)(predictor(True)([clip(2)])[0])
    assert kept.features is not None
    assert kept.features.shape == (2, 5)


def test_a_network_without_a_classifier_is_refused():
    with pytest.raises(ConfigError, match="no linear classifier"):
        TorchActionEngines(nn.Identity(), PLAIN, 8, features=True)


def test_there_is_a_row_for_each_person():
    with pytest.raises(ValueError, match=r"features have shape \(2, D\), got \(1, 4\)"):
        ActionDetections(0.0, clip(2).persons, np.zeros((2, 3)), features=np.zeros((1, 4), np.float32))


def test_converted_networks_give_those_of_torch(backend, monkeypatch):  # noqa: F811
    network = shipped()
    form = network.form("clip_features")
    example = form.example()
    found = network.open_clip(unchecked(backend, monkeypatch), features=True).run(example)
    with torch.inference_mode():
        expected = form.torch().run(example)
    assert found["features"].shape == expected["features"].shape == (3, 3456)
    assert np.abs(found["features"] - expected["features"]).max() < 1e-4
    assert np.abs(found["logits"] - expected["logits"]).max() < 1e-4


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (RunConfig(model=ModelConfig(features=True), pipeline=PipelineConfig(inference="streaming")), "clip form"),
        (RunConfig(model=ModelConfig(name="none", features=True)), "needs an action model"),
    ],
)
def test_settings_that_have_no_features(config, message):
    with pytest.raises(ConfigError, match=message):
        check_config(config)


def test_between_keyframes_each_person_has_their_own():
    """On frames between, the tracks that only the other keyframe has are filled up from it."""
    line = Timeline(interpolate, stride=0.5)
    for index, track in ((0, 1), (1, None), (2, None), (3, 2)):
        frame = Frame(np.zeros((6, 8, 3), np.uint8), index, index / 4)
        if track is None:
            line.add(frame, None, None)
            continue
        persons = Detections(np.array([[0, 0, 2, 4]]), np.ones(1), np.array([track]))
        scoring: Future[ActionDetections] = Future()
        features = np.full((1, 2), track, np.float32)
        scoring.set_result(ActionDetections(frame.pts, persons, np.zeros((1, 1)), features=features))
        line.add(frame, persons, scoring)
    line.end()
    for result in line.release():
        assert result.actions is not None
        assert result.actions.features is not None
        assert result.actions.persons.track_ids is not None
        assert result.actions.features[:, 0].tolist() == result.actions.persons.track_ids.tolist()
