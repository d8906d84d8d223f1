import json

import numpy as np
import pytest
import torch

from sf_detect import build
from sf_detect.box_regression import FEATURES, BoxRegression
from sf_detect.build_classifier import build_classifier, classifier_views
from sf_detect.config import ModelConfig, RunConfig
from sf_detect.errors import ConfigError, WeightsFormatError
from sf_detect.weights.checkpoint import write_safetensors
from sf_detect.zoo.table import ZOO, build_network, entry
from sf_detect.zoo.trained import read_box_regression, read_thresholds, read_trained

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
    assert predictor.spec.label_ids == (1, 2)
    assert (predictor.spec.clip_spec.num_frames, predictor.spec.clip_spec.keyframe) == (16, "last")
    assert predictor.preprocessing.short_side == 128
    assert predictor.preprocessing.slow_index == (3, 7, 11, 15)
    np.testing.assert_allclose(predictor.preprocessing.mean, [0.4, 0.5, 0.6])


def built_by_torch(weights_file):
    """A predictor whose network need not be converted first."""
    return build.build_predictor(RunConfig(model=ModelConfig(weights=str(weights_file)), backend="torch"))


def test_ids_that_an_earlier_version_counted_from_0_count_from_1(weights):
    predictor = built_by_torch(weights(label_ids="[0, 1]"))
    assert predictor.spec.label_ids == (1, 2)


def test_thresholds_are_read(weights):
    assert read_thresholds(weights(thresholds="[0.5, 0.25]")) == (0.5, 0.25)
    assert read_thresholds(weights()) is None


@pytest.mark.parametrize(
    "stated", ["0.5", "[0.5", "[]", '["x", 0]', "[0.5, NaN]", "[0.5, 25]", "[0.5]", "{}", "x" * 99]
)
def test_malformed_thresholds_are_refused(weights, stated):
    config = RunConfig(model=ModelConfig(weights=str(weights(thresholds=stated))))
    with pytest.raises(WeightsFormatError, match=r"mine\.safetensors states thresholds.*got '.*JSON list of 2 num"):
        build.build_predictor(config)


def test_a_box_regression_is_read(weights):
    stated = BoxRegression("some_detector", np.ones((FEATURES, 4)))
    found = built_by_torch(weights(box_regression=stated.to_json())).spec.box_regression
    assert found.detector == "some_detector"
    np.testing.assert_array_equal(found.weights, stated.weights)
    assert read_box_regression(weights()) is None
    assert read_box_regression(ZOO[NAME].shipped).detector == "ssdlite_person"


@pytest.mark.parametrize("stated", ["", "[1]", '{"detector": "d", "weights": [[1]]}'])
def test_a_malformed_box_regression_is_refused(weights, stated):
    with pytest.raises(WeightsFormatError, match=r"mine\.safetensors states a box regression.*Expected JSON"):
        read_box_regression(weights(box_regression=stated))


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
    with pytest.raises(WeightsFormatError, match="its metadata can't be understood"):
        read_trained(weights(**changes))


def test_a_trained_classifier_is_refused_for_persons(weights):
    with pytest.raises(ConfigError, match="classifies whole clips"):
        build.build_predictor(RunConfig(model=ModelConfig(weights=str(weights(model="k400_slowfast_4x16_r50")))))


@pytest.fixture
def classifier(tmp_path):
    """Weights of a small classifier of two classes, with more or other statements about its input."""

    def write(**more):
        options = {"depth": [1, 1, 1, 1], "width": 8, "slow_frames": 4}
        network = build_network(entry("k400_slow_4x16_r50"), 2, **options)
        said = metadata(model="k400_slow_4x16_r50", options=json.dumps(options))
        said["input"] = json.dumps({**json.loads(said["input"]), "num_frames": 4, "alpha": None, **more})
        write_safetensors(network.state_dict(), tmp_path / "own.safetensors", said)
        return str(tmp_path / "own.safetensors")

    return write


def test_a_trained_classifier_brings_labels_and_input(classifier):
    built = build_classifier(weights=classifier(crop=96, whole_video=True, view_scores="max"))
    assert (built.labels, built.name) == (("clap", "wave"), "own")
    assert (built.clip_spec.num_frames, built.clip_spec.sampling_rate) == (4, 2)
    assert (built.whole_video, built.view_scores) == (True, "max")
    own = read_trained(classifier(crop=96)).entry
    assert (own.crop, own.short_side, own.whole_video) == (96, 128, False)


def test_squares_are_no_larger_than_the_pictures(classifier, weights):
    assert read_trained(classifier()).entry.crop is None  # the whole shorter side
    assert read_trained(weights(model="k400_tsn_bninception")).entry.crop == 128  # 224 otherwise


def test_other_labels_for_a_trained_classifier(classifier, tmp_path):
    (tmp_path / "names.txt").write_text("a\nb\n")
    assert build_classifier(weights=classifier(), labels=tmp_path / "names.txt").labels == ("a", "b")
    (tmp_path / "names.txt").write_text("a\nb\nc\n")
    with pytest.raises(ConfigError, match=r"names\.txt holds 3 labels; k400_slow_4x16_r50 has 2 classes"):
        build_classifier(weights=classifier(), labels=tmp_path / "names.txt")


def test_nobody_published_a_figure_of_trained_weights(classifier):
    with pytest.raises(ConfigError, match=r"no figure of .*own\.safetensors was measured"):
        classifier_views("k400_slow_4x16_r50", "published", classifier())


def test_trained_weights_that_score_persons_are_refused_for_whole_videos(weights):
    with pytest.raises(ConfigError, match="scores persons, not whole videos"):
        build_classifier(weights=weights())
