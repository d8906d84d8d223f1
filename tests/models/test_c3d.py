"""C3D."""

from __future__ import annotations

import pytest
import torch

from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.models.c3d import C3D, LAYERS, STAGES, c3d, convnet_3d, video_descriptor
from sf_detect.models.complexity import multiply_adds
from sf_detect.models.resnet3d import count_parameters


def small() -> C3D:
    torch.manual_seed(0)
    return C3D(5, width=32)


CLIP = (1, 3, 16, 112, 112)


def test_the_published_network():
    with torch.device("meta"):
        network, smaller, clip = c3d(), c3d(101), torch.empty(CLIP)
    assert len(STAGES) == 8
    assert count_parameters(network) / 1e6 == pytest.approx(79.99, abs=0.01)
    assert count_parameters(smaller) / 1e6 == pytest.approx(78.4, abs=0.05)  # as published for UCF-101
    assert multiply_adds(network, [clip]) / 1e9 == pytest.approx(38.5, rel=0.01)
    assert network.features([clip], "pool5").shape == (1, 8192)
    assert [network.features([clip], layer).shape for layer in LAYERS[1:]] == [(1, 4096)] * 2
    assert network([clip]).shape == (1, 1, 1, 1, 487)


def test_features_and_logits_follow_from_each_other():
    network = small().eval()
    clip = torch.randn(CLIP)
    fc6, fc7 = network.features([clip]), network.features([clip], "fc7")
    torch.testing.assert_close(network.fc7(fc6).relu(), fc7)
    torch.testing.assert_close(network.fc8(fc7), network([clip]).flatten(1))
    assert (fc6 >= 0).all()


def test_it_can_be_trained():
    network = small()
    optimiser = torch.optim.SGD(network.parameters(), 0.01)
    clip, target = torch.randn(2, *CLIP[1:]), torch.tensor([1, 3])
    losses = []
    for _ in range(6):
        optimiser.zero_grad()
        network.eval()  # without dropout, so that the loss falls every time
        loss = torch.nn.functional.cross_entropy(network([clip]).flatten(1), target)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_the_descriptor_of_a_video_has_length_one():
    descriptor = video_descriptor(torch.rand(7, 16))
    assert descriptor.shape == (16,)
    assert descriptor.norm().item() == pytest.approx(1)


def test_other_clips_and_layers_are_refused():
    with pytest.raises(ConfigError, match=r"\(B, 3, 16, 112, 112\), got \[\(1, 3, 8, 112, 112\)\]"):
        small()([torch.zeros(1, 3, 8, 112, 112)])
    with pytest.raises(UnknownNameError, match="fc6"):
        small().features([torch.zeros(CLIP)], "fc9")


def test_the_batch_normalised_form_of_quo_vadis():
    with torch.device("meta"):
        network, clip = convnet_3d(), torch.empty(CLIP)
        assert network.eval().features([clip], "pool5").shape == (1, 8192)
        assert network([clip]).shape == (1, 1, 1, 1, 400)
    assert count_parameters(network) / 1e6 == pytest.approx(79, rel=0.01)
    assert len([m for m in network.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]) == 10


def test_the_batch_normalised_form_can_be_trained():
    torch.manual_seed(0)
    network = convnet_3d(5, width=32, dropout=0.0).train()
    optimiser = torch.optim.SGD(network.parameters(), 0.1)
    clip, target = torch.randn(2, *CLIP[1:]), torch.tensor([1, 3])
    losses = []
    for _ in range(4):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(network([clip]).flatten(1), target)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    mean = network.fc6_bn.running_mean.clone()
    assert network.eval()([clip[:1]]).shape == (1, 1, 1, 1, 5)
    assert torch.equal(network.fc6_bn.running_mean, mean)
    with pytest.raises(ConfigError, match="training needs at least 2, got 1"):
        network.train()([clip[:1]])


def test_the_first_pooling_has_a_stride_of_one_or_two():
    with pytest.raises(ConfigError, match="1 or 2 over time, got 3"):
        C3D(5, width=32, first_time_stride=3)
