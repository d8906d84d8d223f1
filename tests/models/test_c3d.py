"""C3D."""

from __future__ import annotations

import pytest
import torch

from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.models.c3d import C3D, LAYERS, STAGES, video_descriptor
from sf_detect.models.complexity import multiply_adds
from sf_detect.models.resnet3d import count_parameters


def small() -> C3D:
    torch.manual_seed(0)
    return C3D(5, width=32)


CLIP = (1, 3, 16, 112, 112)


def test_the_published_network():
    with torch.device("meta"):
        network, smaller, clip = C3D(), C3D(101), torch.empty(CLIP)
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
