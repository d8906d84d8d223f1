import pytest
import torch

from sf_detect.errors import ConfigError, UnknownNameError, WeightsMismatchError
from sf_detect.models.slowfast import slowfast_r50
from sf_detect.models.two_stream import LateFusion
from sf_detect.training.initialisation import initialise
from sf_detect.weights.checkpoint import write_safetensors

SMALL = {"depth": (1, 1, 1, 1), "width": 8, "slow_frames": 2}


@pytest.fixture
def kinetics(tmp_path):
    """Weights of a classifier, and its network."""
    network = slowfast_r50(400, **SMALL)
    write_safetensors(network.state_dict(), tmp_path / "k.safetensors", {})
    return str(tmp_path / "k.safetensors"), network


def test_a_detector_starts_from_a_classifier_and_says_what_it_left_out(kinetics):
    path, classifier = kinetics
    detector, said = slowfast_r50(5, head="roi", **SMALL), []
    before = detector.head.projection.weight.clone()
    initialise(detector, path, "backbone", said.append)
    assert torch.equal(detector.s5.pathway0_res0.branch2.a.weight, classifier.s5.pathway0_res0.branch2.a.weight)
    assert torch.equal(detector.head.projection.weight, before)
    assert said[1] == (
        "left out head.projection.bias, head.projection.weight; fresh: head.projection.bias, head.projection.weight"
    )


def test_the_backbone_is_strict(kinetics):
    path, _ = kinetics
    other = slowfast_r50(5, head="roi", **{**SMALL, "width": 16})
    with pytest.raises(WeightsMismatchError, match="of another shape"):
        initialise(other, path, "backbone", print)
    with pytest.raises(WeightsMismatchError, match=r"head\.projection"):
        initialise(slowfast_r50(5, head="roi", **SMALL), path, "all", print)


def test_names_and_parts(kinetics):
    path, network = kinetics
    with pytest.raises(UnknownNameError, match="backbone"):
        initialise(network, path, "spine", print)
    with pytest.raises(ConfigError, match="neither a file nor a model"):
        initialise(network, "none", "all", print)
    with pytest.raises(ConfigError, match="has no part called head"):
        initialise(torch.nn.Linear(2, 2), path, "backbone", print)


def test_each_stream_of_two_modalities_has_a_head(tmp_path):
    def streams(classes):
        return LateFusion(
            *(
                torch.nn.ModuleDict({"trunk": torch.nn.Linear(2, 2), "classifier": torch.nn.Linear(2, classes)})
                for _ in "12"
            )
        )

    pretrained, network, said = streams(4), streams(3), []
    write_safetensors(pretrained.state_dict(), tmp_path / "w.safetensors", {})
    initialise(network, str(tmp_path / "w.safetensors"), "backbone", said.append)
    assert torch.equal(network.flow["trunk"].weight, pretrained.flow["trunk"].weight)
    assert said[1].startswith("left out flow.classifier.bias, flow.classifier.weight, rgb.classifier.bias")
