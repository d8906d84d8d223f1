"""Temporal segment networks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.models.bn_inception import BNInception
from sf_detect.models.inflation import across_modalities
from sf_detect.models.tsn import CHANNELS, TSN, SegmentalConsensus, fuse_streams


@pytest.fixture(scope="module")
def network() -> TSN:
    torch.manual_seed(0)
    return TSN(4, segments=2)


def test_the_published_size_of_the_backbone():
    with torch.device("meta"):
        backbone = BNInception()
    classifier = 1024 * 1000 + 1000
    assert sum(p.numel() for p in backbone.parameters()) + classifier == 11_295_240


def test_the_backbone_keeps_the_public_names():
    with torch.device("meta"):
        state = BNInception().state_dict()
    assert state["inception_3a_double_3x3_1.weight"].shape == (96, 64, 3, 3)
    assert state["inception_4d_1x1.weight"].shape == (96, 608, 1, 1)
    assert state["inception_5a_pool_proj_bn.running_var"].shape == (128,)
    assert "inception_4e_1x1.weight" not in state


@pytest.mark.parametrize("modality", CHANNELS)
def test_every_modality_gives_logits(modality):
    with torch.device("meta"):
        network = TSN(4, modality=modality).eval()
        assert network([torch.empty(2, CHANNELS[modality], 3, 64, 64)]).shape == (2, 1, 1, 1, 4)


def test_the_consensus_of_a_network_is_that_of_its_snippets(network):
    clip = torch.rand(1, 3, 3, 32, 32)
    network.eval()
    with torch.no_grad():
        single = [network([clip[:, :, k : k + 1]]).flatten() for k in range(3)]
        together = network([clip]).flatten()
    torch.testing.assert_close(together, torch.stack(single).mean(0), rtol=1e-4, atol=1e-5)


def test_consensus_functions():
    scores = torch.tensor([[[1.0, 5.0], [3.0, 1.0]]])
    assert SegmentalConsensus("average", 2)(scores).tolist() == [[2, 3]]
    assert SegmentalConsensus("max", 2)(scores).tolist() == [[3, 5]]
    weighted = SegmentalConsensus("weighted", 2)
    assert weighted(scores).tolist() == [[2, 3]]
    weighted(scores).sum().backward()
    assert weighted.weight.grad.tolist() == [6, 4]
    with pytest.raises(ConfigError, match="learnt 2 segments' weights, got 3"):
        weighted(torch.zeros(1, 3, 2))
    with pytest.raises(UnknownNameError, match="weighted"):
        SegmentalConsensus("median", 2)


def test_partial_bn_updates_the_first_normalisation_only(network):
    network.train()
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms[0].training
    assert not any(m.training for m in norms[1:])
    before = [m.running_mean.clone() for m in norms]
    network([torch.rand(2, 3, 2, 32, 32)])
    changed = [not torch.equal(a, m.running_mean) for a, m in zip(before, norms, strict=True)]
    assert changed == [True] + [False] * (len(norms) - 1)
    network.eval()
    assert not norms[0].training


def test_one_step_of_training_lowers_the_loss(network):
    network.train()
    network.dropout.p = 0.0
    clip, target = torch.rand(2, 3, 2, 32, 32), torch.tensor([0, 2])
    optimiser = torch.optim.SGD(network.parameters(), 0.05)
    losses = []
    for _ in range(3):
        loss = nn.functional.cross_entropy(network([clip]).flatten(1), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_a_flow_network_starts_from_the_rgb_network(network):
    flow = TSN(4, modality="flow", segments=2)
    flow.load_state_dict(across_modalities(network.state_dict(), 10))
    assert torch.equal(flow.new_fc.weight, network.new_fc.weight)


def test_cross_modality_initialisation():
    state = {"base_model.conv1_7x7_s2.weight": torch.rand(64, 3, 7, 7), "other": torch.ones(2)}
    moved = across_modalities(state, 10)
    weight = moved["base_model.conv1_7x7_s2.weight"]
    assert weight.shape == (64, 10, 7, 7)
    torch.testing.assert_close(weight[:, 4], state["base_model.conv1_7x7_s2.weight"].mean(1))
    assert moved["other"] is state["other"]
    with pytest.raises(ConfigError, match="starts from an RGB network"):
        across_modalities(moved, 10)


def test_late_fusion():
    rgb, flow = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 1.0])
    fused = fuse_streams({"rgb": rgb, "flow": flow}, {"rgb": 1, "flow": 1.5})
    torch.testing.assert_close(fused, 0.4 * rgb.softmax(-1) + 0.6 * flow.softmax(-1))
    with pytest.raises(ConfigError, match=r"got \['rgb'\] and \['flow'\]"):
        fuse_streams({"rgb": rgb}, {"flow": 1})


def test_wrong_inputs_are_refused(network):
    with pytest.raises(ConfigError, match=r"\(B, 3, K, H, W\), got \[\(1, 10, 3, 32, 32\)\]"):
        network([torch.zeros(1, 10, 3, 32, 32)])
    with pytest.raises(UnknownNameError, match="warped_flow"):
        TSN(4, modality="depth")
