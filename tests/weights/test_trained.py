import json

import numpy as np
import pytest
import torch

from sf_detect import build
from sf_detect.config import ModelConfig, RunConfig
from sf_detect.errors import ConfigError, WeightsFormatError
from sf_detect.weights.checkpoint import write_safetensors
from sf_detect.weights.trained import read_trained
from sf_detect.weights.zoo import ZOO, build_network, entry

NAME = "slowfast_tiny_jhmdb"


def metadata(**changes):
    base = entry(NAME)
    described = {
        "num_frames": 16,
        "sampling_rate": 2,
        "fps": 25.0,
        "keyframe": "last",
        "alpha": base.alpha,
        "slow_index_rule": "last",
        "short_side": 128,
        "mean": [0.4, 0.5, 0.6],
        "std": [0.2, 0.2, 0.2],
        "channel_order": "rgb",
        "activation": "softmax",
    }
    said = {"model": NAME, "options": "{}", "labels": '["clap", "wave"]', "label_ids": "[1, 2]"}
    return {**said, "input": json.dumps(described), **changes}


@pytest.fixture
def weights(tmp_path):
    def write(**changes):
        network = build_network(entry(NAME), 2)
        write_safetensors(network.state_dict(), tmp_path / "mine.safetensors", metadata(**changes))
        return tmp_path / "mine.safetensors"

    return write


def test_a_file_brings_network_input_and_labels(weights):
    predictor = build.build_predictor(RunConfig(model=ModelConfig(weights=str(weights()))))
    assert predictor.labels == ("clap", "wave")
    assert predictor.label_ids == (1, 2)
    assert (predictor.clip_spec.num_frames, predictor.clip_spec.keyframe) == (16, "last")
    assert predictor.preprocessing.short_side == 128
    assert predictor.preprocessing.slow_index == (3, 7, 11, 15)
    np.testing.assert_allclose(predictor.preprocessing.mean, [0.4, 0.5, 0.6])


def test_weights_of_other_origin_say_nothing(tmp_path):
    assert read_trained(ZOO[NAME].shipped) is None
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.pth")
    assert read_trained(tmp_path / "a.pth") is None
    assert read_trained(tmp_path / "gone") is None


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "slowfast_huge"},
        {"labels": "[1"},
        {"label_ids": "[1]"},
        {"input": "{}"},
        {"input": "[]"},
        {"options": "3"},
    ],
)
def test_what_cannot_be_understood_is_told(weights, changes):
    with pytest.raises(WeightsFormatError, match="says of itself what can't be understood"):
        read_trained(weights(**changes))


def test_a_trained_classifier_is_refused_for_persons(weights):
    with pytest.raises(ConfigError, match="classifies whole clips"):
        build.build_predictor(RunConfig(model=ModelConfig(weights=str(weights(model="k400_slowfast_4x16_r50")))))
