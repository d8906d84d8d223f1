"""X3D networks."""

from __future__ import annotations

import pytest
import torch

from sf_detect.errors import ConfigError
from sf_detect.models.resnet3d import count_parameters
from sf_detect.models.x3d import X3D, round_channels, x3d_l, x3d_m, x3d_s


@pytest.mark.parametrize(("build", "millions"), [(x3d_s, 3.79), (x3d_m, 3.79), (x3d_l, 6.15)])
def test_published_parameter_counts(build, millions):
    with torch.device("meta"):
        network = build()
    assert count_parameters(network) / 1e6 == pytest.approx(millions, abs=0.01)


def test_positions_of_larger_inputs_are_kept():
    network = X3D(7, width=1.0, depth=1.0, features=16, window=1).eval()
    assert network([torch.zeros(1, 3, 4, 64, 64)]).shape == (1, 1, 2, 2, 7)


def test_only_one_clip_is_taken():
    network = X3D(7, width=1.0, depth=1.0, features=16)
    with pytest.raises(ConfigError, match="one pathway"):
        network([torch.zeros(1, 3, 4, 64, 64)] * 2)
    with pytest.raises(ConfigError, match=r"\(3, 4, 64, 64\)"):
        network([torch.zeros(3, 4, 64, 64)])


def test_rounding_never_loses_more_than_a_tenth():
    assert [round_channels(c) for c in (1, 3.375, 12, 13.5, 26)] == [8, 8, 16, 16, 24]
    assert round_channels(18) == 24  # 16 would be 11 % less


def test_it_can_be_trained():
    torch.manual_seed(0)
    network = X3D(3, width=1.0, depth=1.0, features=16, window=1, dropout=0.0).train()
    clip, target = torch.rand(2, 3, 4, 32, 32), torch.tensor([0, 2])
    optimiser = torch.optim.SGD(network.parameters(), 0.05)
    losses = []
    for _ in range(4):
        loss = torch.nn.functional.cross_entropy(network([clip]).flatten(1), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    before = {name: value.clone() for name, value in network.named_buffers()}
    network.eval()([clip])
    assert all(torch.equal(value, before[name]) for name, value in network.named_buffers())


def test_dropout_is_of_training_alone():
    torch.manual_seed(0)
    network = X3D(3, width=1.0, depth=1.0, features=16, window=1)
    clip = torch.rand(2, 3, 4, 32, 32)
    assert not torch.equal(network([clip]), network([clip]))
    network.eval()
    assert torch.equal(network([clip]), network([clip]))
