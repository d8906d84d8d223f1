"""Networks of RGB and optical flow."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sf_detect.errors import ConfigError
from sf_detect.models.inception_i3d import InceptionV1
from sf_detect.models.inflation import across_channels, initialise_from_image
from sf_detect.models.resnet3d import count_parameters
from sf_detect.models.two_stream import (
    LateFusion,
    SnippetInception,
    fused_two_stream,
    stack_frames,
    two_stream,
    two_stream_i3d,
)

#: Builder, RGB and flow frames of a training clip, millions of parameters (table 1 of the paper).
PUBLISHED = [(two_stream, 1, 10, 12), (fused_two_stream, 5, 50, 39), (two_stream_i3d, 64, 64, 25)]


def inputs(rgb: int, flow: int, size: int = 32, batch: int = 2) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((batch, 3, rgb, size, size), (batch, 2, flow, size, size))
    return [torch.rand(shape, generator=generator) * 2 - 1 for shape in shapes]


@pytest.mark.parametrize(("build", "rgb", "flow", "millions"), PUBLISHED)
def test_the_published_size(build, rgb, flow, millions):
    with torch.device("meta"):
        network = build()
        pathways = [torch.empty(1, 3, rgb, 224, 224), torch.empty(1, 2, flow, 224, 224)]
        assert network.eval()(pathways).flatten().shape == (400,)
    assert count_parameters(network) / 1e6 == pytest.approx(millions, rel=0.025)
    assert network.alpha * rgb == flow


@pytest.mark.parametrize(
    ("build", "rgb", "flow"), [(two_stream, 1, 10), (fused_two_stream, 2, 20), (two_stream_i3d, 8, 8)]
)
def test_it_can_be_trained(build, rgb, flow):
    torch.manual_seed(0)
    network, pathways, target = build(3, dropout=0.0).train(), inputs(rgb, flow), torch.tensor([0, 2])
    optimiser = torch.optim.SGD(network.parameters(), 0.002)
    losses = []
    for _ in range(8):  # statistics of two clips jump at first, and by how much depends on the processor
        loss = nn.functional.cross_entropy(network(pathways).flatten(1), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    trained = [name for name, p in network.named_parameters() if p.requires_grad]
    assert all(network.get_parameter(name).grad is not None for name in trained)


@pytest.mark.parametrize(("build", "rgb", "flow"), [(two_stream, 1, 10), (fused_two_stream, 1, 10)])
def test_dropout_and_statistics_are_of_training_alone(build, rgb, flow):
    torch.manual_seed(0)
    network, pathways = build(3, dropout=0.5), inputs(rgb, flow)
    assert not torch.equal(network(pathways), network(pathways))
    network.eval()
    before = {name: value.clone() for name, value in network.named_buffers()}
    assert torch.equal(network(pathways), network(pathways))
    assert all(torch.equal(value, before[name]) for name, value in network.named_buffers())


def test_frames_are_stacked_with_their_channels_together():
    clip = torch.arange(2 * 6, dtype=torch.float32).reshape(1, 2, 6, 1, 1)  # x: 0 to 5, y: 6 to 11
    stacked = stack_frames(clip, 3)
    assert stacked[0, :, 0].flatten().tolist() == [0, 6, 1, 7, 2, 8]
    assert stacked[0, :, 1].flatten().tolist() == [3, 9, 4, 10, 5, 11]
    with pytest.raises(ConfigError, match=r"multiple of 4 frames, got \(1, 2, 6, 1, 1\)"):
        stack_frames(clip, 4)


class Fixed(nn.Module):
    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = torch.tensor([logits])

    def forward(self, pathways: list[torch.Tensor]) -> torch.Tensor:
        return self.logits


def test_late_fusion_adds_weighted_logits():
    pathways = inputs(1, 1, 4, 1)
    assert LateFusion(Fixed([1.0, 2.0]), Fixed([4.0, 0.0]))(pathways).tolist() == [[5, 2]]
    mean = LateFusion(Fixed([1.0, 2.0]), Fixed([4.0, 0.0]), weights=(0.5, 0.5))
    assert mean(pathways).tolist() == [[2.5, 1]]


def test_several_snippets_keep_their_positions():
    network = SnippetInception(3).eval()
    (clip, _) = inputs(2, 2)
    with torch.no_grad():
        both = network([clip])
        single = [network([clip[:, :, k : k + 1]]) for k in range(2)]
    assert both.shape == (2, 2, 1, 1, 3)
    torch.testing.assert_close(both, torch.cat(single, 1), rtol=1e-4, atol=1e-5)


def test_both_streams_start_from_images(image_state):
    network = fused_two_stream(3)
    untouched = initialise_from_image(network, image_state)
    assert {name.split(".")[0] for name in untouched} == {"fusion", "classifier"}
    first = image_state["conv1.conv.weight"]
    assert torch.equal(network.rgb.stages["conv_1a"].conv.weight[:, :, 0], first)
    torch.testing.assert_close(network.flow.stages["conv_1a"].conv.weight[:, :, 0], across_channels(first, 20))


@pytest.fixture
def image_state() -> dict[str, torch.Tensor]:
    import torchvision

    return torchvision.models.googlenet(weights=None, aux_logits=False, init_weights=False).state_dict()


def test_other_inputs_are_refused():
    with torch.device("meta"):
        network = two_stream(3)
    rgb, flow = inputs(1, 10, 8)
    for given in ([rgb], [flow, rgb], [rgb, flow[:, :, :5]], [rgb, flow[:1]], [rgb[:, :, 0], flow]):
        with pytest.raises(ConfigError, match=r"takes \[rgb, flow\].*10 \* T"):
            network(given)


def test_the_trunk_keeps_every_frame_unless_it_is_inflated():
    with torch.device("meta"):
        frames = InceptionV1(inflated=False).features(torch.empty(1, 3, 5, 224, 224))["mixed_5c"]
        clip = InceptionV1().features(torch.empty(1, 3, 64, 224, 224))["mixed_5c"]
    assert (frames.shape, clip.shape) == ((1, 1024, 5, 7, 7), (1, 1024, 8, 7, 7))
