import pytest
import torch

from sf_detect.errors import ConfigError
from sf_detect.models.inception_i3d import InceptionI3D, Unit3D
from sf_detect.models.slowfast_tiny import (
    ALPHA,
    STRIDES,
    FrameConv,
    deflate,
    initialise_from_i3d,
    pool_frames,
    slowfast_tiny,
    stack_delayed,
)


def clip(batch=1, slow=2, height=32, width=48):
    fast = torch.randn(batch, 3, ALPHA * slow, height, width, generator=torch.Generator().manual_seed(0))
    return [fast[:, :, ALPHA - 1 :: ALPHA], fast]


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return slowfast_tiny(5).eval()


@torch.inference_mode()
def test_scores_each_box(network):
    boxes = torch.tensor([[0, 0.0, 0.0, 20.0, 20.0], [1, 8.0, 4.0, 40.0, 30.0], [1, 0.0, 0.0, 48.0, 32.0]])
    logits = network(clip(batch=2), boxes)
    assert logits.shape == (3, 5)
    assert torch.isfinite(logits).all()
    torch.testing.assert_close(network(clip(batch=2), boxes[1:2]), logits[1:2], atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_no_boxes_give_no_rows(network):
    assert network(clip(batch=2), torch.zeros(0, 5)).shape == (0, 5)


@torch.inference_mode()
def test_without_boxes_the_whole_frame_is_scored(network):
    assert network(clip(batch=2)).shape == (2, 5)


@torch.inference_mode()
@pytest.mark.parametrize(("height", "width"), [(17, 33), (32, 32), (45, 31)])
def test_accepts_any_size(network, height, width):
    box = torch.tensor([[0, 0.0, 0.0, width, height]])
    assert network(clip(height=height, width=width), box).shape == (1, 5)


def test_refuses_pathways_that_do_not_fit(network):
    slow, fast = clip()
    with pytest.raises(ConfigError, match="8 here; got 7"):
        network([slow, fast[:, :, 1:]])


@torch.inference_mode()
def test_causal_network_does_not_see_later_frames(network):
    slow, fast = clip(slow=3)
    later = fast.clone()
    later[:, :, 2 * ALPHA :] += 1
    first = network.features([slow, fast])
    second = network.features([later[:, :, ALPHA - 1 :: ALPHA], later])
    for name in STRIDES:
        torch.testing.assert_close(first[name][:, :2], second[name][:, :2])
        assert not torch.allclose(first[name][:, 2], second[name][:, 2])


@torch.inference_mode()
def test_centred_network_sees_later_frames():
    network = slowfast_tiny(2, causal=False).eval()
    slow, fast = clip(slow=3)
    later = fast.clone()
    later[:, :, 2 * ALPHA :] += 1
    first = network.features([slow, fast])["slow"]
    second = network.features([later[:, :, ALPHA - 1 :: ALPHA], later])["slow"]
    assert not torch.allclose(first[:, 1], second[:, 1])


@torch.inference_mode()
def test_folding_keeps_the_output():
    torch.manual_seed(0)
    network = slowfast_tiny(3, folded=False)
    network.train()(clip(batch=2))  # so that statistics are not the initial ones
    before = network.eval()(clip())
    torch.testing.assert_close(network.fold_batch_norm()(clip()), before, atol=1e-4, rtol=1e-4)
    assert set(network.state_dict()) == set(slowfast_tiny(3).state_dict())


def test_stacks_the_past_oldest_first():
    x = torch.arange(1.0, 5.0).reshape(4, 1, 1, 1)
    stacked = stack_delayed(x, 4, 3, causal=True)
    assert stacked.flatten(1).tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4]]
    assert stack_delayed(x, 4, 3, causal=False).flatten(1).tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 0]]


@torch.inference_mode()
@pytest.mark.parametrize(("causal", "expected"), [(True, [[0, 1, 2], [2, 3, 4]]), (False, [[1, 2, 3], [3, 4, 0]])])
def test_time_strided_convolution_keeps_the_newest_of_each_group(causal, expected):
    conv = FrameConv(1, 3, taps=3, step=2, causal=causal, folded=True)
    conv.weight.copy_(torch.eye(3).reshape(3, 3, 1, 1, 1))
    x = torch.arange(1.0, 5.0).reshape(4, 1, 1, 1)
    assert conv(x, 4).flatten(1).tolist() == expected


@torch.inference_mode()
def test_temporal_convolution_equals_conv3d():
    torch.manual_seed(0)
    conv = FrameConv(3, 4, 3, taps=3, causal=False, folded=True)
    x = torch.randn(2, 3, 5, 6, 7)
    frames = x.movedim(2, 1).flatten(0, 1)
    expected = torch.nn.functional.conv3d(x, conv.weight.transpose(1, 2), conv.bias, padding=1).relu()
    torch.testing.assert_close(conv(frames, 5).unflatten(0, (2, 5)).movedim(1, 2), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("size", [(8, 8), (7, 8), (7, 7)])
def test_pooling_halves_rounding_up(size):
    x = torch.rand(1, 2, *size)
    assert pool_frames(x, 3, 2).shape[2:] == ((size[0] + 1) // 2, (size[1] + 1) // 2)
    assert pool_frames(x, 2, 2).shape[2:] == ((size[0] + 1) // 2, (size[1] + 1) // 2)


@torch.inference_mode()
def test_deflated_unit_equals_the_original_on_a_still_clip():
    torch.manual_seed(0)
    original = Unit3D(3, 4, 3).eval()
    original.bn.running_mean.uniform_(-0.1, 0.1)
    state = {f"unit.{name}": tensor for name, tensor in original.state_dict().items()}
    conv = FrameConv(5, 4, 3).eval()  # two more input channels, for a lateral
    deflate(state, ["unit"], conv)
    still = torch.randn(1, 3, 1, 6, 6).expand(1, 3, 5, 6, 6)
    frames = torch.cat([still[0, :, 2], torch.randn(2, 6, 6)])[None]
    torch.testing.assert_close(conv(frames, 1)[0], original(still)[0, :, 2], atol=1e-5, rtol=1e-4)


def test_slow_pathway_starts_from_i3d():
    network = slowfast_tiny(2, folded=False, ranks={})
    teacher = InceptionI3D(2)
    initialise_from_i3d(network, teacher)
    ours, theirs = network.slow["mixed_4c"], teacher.stages["mixed_4c"]
    assert torch.equal(ours.branch1.weight.transpose(1, 2), theirs.branch1[1].conv.weight)
    assert torch.equal(ours.entry.weight[-24:, 0], theirs.branch2[0].conv.weight[:, :, 0])
    lateral = network.slow["mixed_4b"].entry.weight[:, :, 480:]
    assert lateral.shape[2] > 0
    assert not lateral.any()
