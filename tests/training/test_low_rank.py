"""Convolutions of low rank that compute what those of full rank do."""

import numpy as np
import pytest
import torch

from sf_detect.models.slowfast_tiny import FrameConv, LowRankConv, slowfast_tiny
from sf_detect.training.jhmdb.views import Batch
from sf_detect.training.low_rank import OutputMoments, factorise, spatial_convs


def views(seed: int = 0) -> Batch:
    fast = torch.randn(2, 3, 8, 32, 48, generator=torch.Generator().manual_seed(seed))
    nothing = torch.zeros(2)
    return Batch(fast, torch.tensor([[0.0, 4, 4, 28, 28], [1, 0, 0, 32, 32]]), *[nothing] * 5)


@pytest.fixture
def network():
    torch.manual_seed(0)
    full = slowfast_tiny(3, folded=False, ranks={})
    for norm in full.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(norm.weight, 0.5, 2)
            torch.nn.init.uniform_(norm.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(norm.running_var, 0.5, 2)
    return full.eval()


@torch.inference_mode()
def logits(network, batch):
    return network(batch.pathways(4), batch.boxes)


def test_full_rank_changes_nothing(network):
    ranks = {"slow_2c": 192, "mixed_4c": 224}
    result = factorise(network, [views()], ranks)
    assert isinstance(result.slow_2c, LowRankConv)
    assert isinstance(result.slow["mixed_4d"].branch1, FrameConv)
    torch.testing.assert_close(logits(result, views(1)), logits(network, views(1)), atol=1e-4, rtol=1e-3)


def test_outputs_that_lie_in_a_subspace_stay_as_they_are(network):
    conv = network.slow["mixed_4b"].branch1
    with torch.no_grad():
        inner = torch.randn(16, conv.weight[0].numel()) * 0.05
        conv.weight.copy_((torch.randn(208, 16) @ inner).view_as(conv.weight))
    result = factorise(network, [views(), views(1)], {"mixed_4b": 16})
    assert result.slow["mixed_4b"].branch1.reduce.weight.shape[:2] == (16, 3)
    torch.testing.assert_close(logits(result, views(2)), logits(network, views(2)), atol=1e-3, rtol=1e-3)


def test_the_shipped_ranks_keep_most_and_cost_a_third_less(network):
    result = factorise(network, [views()])
    count = [sum(p.numel() for p in each.parameters()) for each in (network, result)]
    assert count[1] < 0.7 * count[0]
    kept = dict(result.state_dict())
    assert torch.equal(kept["classifier.weight"], network.classifier.weight)
    assert not result.training


def test_moments():
    norm = torch.nn.BatchNorm2d(2)
    moments = OutputMoments(norm)
    x = torch.randn(3, 2, 4, 5)
    norm(x)
    rows = x.movedim(1, -1).reshape(-1, 2).numpy()
    np.testing.assert_allclose(moments.mean, rows.mean(0), atol=1e-6)
    np.testing.assert_allclose(moments.covariance, np.cov(rows.T, bias=True), atol=1e-6)


def test_layers_are_called_by_name(network):
    found = spatial_convs(network, ["slow_2c", "mixed_4f"])
    assert found == {"slow_2c": network.slow_2c, "mixed_4f": network.slow["mixed_4f"].branch1}
