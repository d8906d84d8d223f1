import pytest
import torch
from torch import nn

from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.training.optimisation import Freezing, build_optimiser, parameter_groups


def network():
    return nn.ModuleDict({"stem": nn.Conv2d(3, 4, 3), "norm": nn.BatchNorm2d(4), "head": nn.Linear(4, 2)})


def test_groups_by_rate_and_decay():
    groups = parameter_groups(network(), 0.1, 1e-4, 0.0, {"stem": 0.5, "stem.bias": 2.0})
    found = {(group["lr"], group["weight_decay"]): len(group["params"]) for group in groups}
    assert found == {(0.05, 1e-4): 1, (0.2, 0.0): 1, (0.1, 0.0): 3, (0.1, 1e-4): 1}


def test_parts_must_exist_and_something_must_learn():
    with pytest.raises(UnknownNameError, match="Did you mean 'head'"):
        parameter_groups(network(), 0.1, 0.0, 0.0, {"haed": 0.1})
    frozen = network().requires_grad_(False)
    with pytest.raises(ConfigError, match="every part of the network is frozen"):
        parameter_groups(frozen, 0.1, 0.0, 0.0, {})


def test_frozen_parts_and_statistics_stay():
    net = network()
    freezing = Freezing(net, ["stem"], batch_norm=True)
    freezing.train(net)
    assert not net["stem"].weight.requires_grad
    assert not net["norm"].weight.requires_grad
    assert not net["norm"].training
    assert net["head"].training
    assert freezing.moving_statistics(net) == []
    assert Freezing(net, ["stem"]).moving_statistics(net) == ["norm"]
    assert Freezing(net, ["norm"]).moving_statistics(net) == []


def test_optimisers():
    groups = parameter_groups(network(), 0.1, 0.0, 0.0, {})
    assert build_optimiser("sgd", groups, 0.9, True).defaults["nesterov"]
    assert isinstance(build_optimiser("adamw", groups, 0.9, True), torch.optim.AdamW)
    with pytest.raises(UnknownNameError):
        build_optimiser("lamb", groups, 0.9, True)
