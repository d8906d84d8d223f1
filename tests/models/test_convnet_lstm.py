"""An image network followed by a batch-normalised LSTM."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sf_detect.errors import ConfigError
from sf_detect.models.convnet_lstm import BatchNormLSTM, ConvNetLSTM, StepNorm, convnet_lstm
from sf_detect.models.resnet3d import count_parameters


def test_the_published_size():
    with torch.device("meta"):
        network = convnet_lstm()
        assert network.eval()([torch.empty(1, 3, 25, 224, 224)]).shape == (1, 1, 1, 1, 400)
    assert count_parameters(network) / 1e6 == pytest.approx(9, rel=0.01)


def test_every_step_has_its_own_statistics():
    norm = StepNorm(2, 2).train()
    batch = torch.tensor([[1.0, 0.0], [3.0, 0.0]])
    normalised = norm(batch, 0)
    torch.testing.assert_close(normalised[:, 0], torch.tensor([-0.1, 0.1]), atol=1e-4, rtol=0)
    assert norm.running_mean[0].tolist() == pytest.approx([0.2, 0])
    assert norm.running_mean[1].tolist() == [0, 0]
    norm(batch, 7)  # later steps share the last one's
    assert norm.running_mean[1].tolist() == pytest.approx([0.2, 0])


def test_without_normalisation_it_is_an_lstm():
    """With scales that undo the statistics the outputs are torch's."""
    torch.manual_seed(0)
    ours, theirs = BatchNormLSTM(5, 4, 3).eval(), nn.LSTM(5, 4, batch_first=True)
    with torch.no_grad():
        for norm in (ours.input_norm, ours.recurrent_norm, ours.cell_norm):
            norm.weight.fill_((1 + 1e-5) ** 0.5)
        order = (1, 0, 3, 2)  # theirs: take, forget, new, give
        for mine, name in ((ours.input.weight, "weight_ih_l0"), (ours.recurrent.weight, "weight_hh_l0")):
            getattr(theirs, name).copy_(torch.cat([mine.chunk(4)[i] for i in order]))
        theirs.bias_ih_l0.copy_(torch.cat([ours.bias.chunk(4)[i] for i in order]))
        theirs.bias_hh_l0.zero_()
        x = torch.randn(2, 6, 5)
        torch.testing.assert_close(ours(x), theirs(x)[0], rtol=1e-4, atol=1e-5)


@pytest.fixture
def network() -> ConvNetLSTM:
    torch.manual_seed(0)
    return ConvNetLSTM(3, hidden=16, frames=4)


def test_training_sees_every_step_and_evaluation_the_last(network):
    clip = torch.rand(2, 3, 4, 32, 32)
    assert network.train()([clip]).shape == (2, 4, 1, 1, 3)
    network.eval()
    with torch.no_grad():
        last = network([clip])
        longer = network([clip.repeat(1, 1, 2, 1, 1)])
    assert last.shape == longer.shape == (2, 1, 1, 1, 3)
    assert torch.equal(last, network([clip]))


def test_it_can_be_trained(network):
    network.train()
    clip, target = torch.rand(2, 3, 4, 32, 32), torch.tensor([0, 2])
    optimiser = torch.optim.SGD(network.parameters(), 0.5)
    losses = []
    for _ in range(4):
        logits = network([clip]).flatten(0, 3)
        loss = nn.functional.cross_entropy(logits, target.repeat_interleave(4))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert network.trunk.stages["conv_1a"].conv.weight.grad.abs().sum() > 0


def test_the_order_of_frames_counts():
    torch.manual_seed(0)
    lstm, x = BatchNormLSTM(5, 4, 3).eval(), torch.randn(1, 3, 5)
    with torch.no_grad():
        assert not torch.allclose(lstm(x)[:, -1], lstm(x.flip(1))[:, -1], rtol=1e-2)


def test_other_inputs_are_refused(network):
    with pytest.raises(ConfigError, match=r"\(B, 3, T, H, W\), got \[\(1, 2, 4, 32, 32\)\]"):
        network([torch.zeros(1, 2, 4, 32, 32)])
    with pytest.raises(ConfigError, match="at least 2, got 1"):
        network.train()([torch.zeros(1, 3, 4, 32, 32)])
