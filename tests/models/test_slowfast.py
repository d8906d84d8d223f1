"""The SlowFast constructor: what each option does, on networks small enough to run in milliseconds."""

from __future__ import annotations

import pytest
import torch

from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.models.classification_head import clip_scores
from sf_detect.models.resnet3d import TemporalConv3d, count_parameters
from sf_detect.models.slowfast import (
    C2D_KERNELS,
    I3D_KERNELS,
    LATERALS,
    LateralConnection,
    SlowFast,
    c2d_r50,
    fast_r50,
    i3d_r50,
    slow_r50,
    slowfast_r50,
    slowfast_r101,
)

SMALL = {"depth": (1, 1, 1, 1), "width": 8, "beta": 1 / 4, "alpha": 4, "slow_frames": 2}


def small(classes: int = 5, **options) -> SlowFast:
    torch.manual_seed(0)
    network = SlowFast(classes, **{**SMALL, **options}).eval()
    for module in network.modules():  # the zero-initialised scales would hide what the branches do
        if isinstance(module, torch.nn.BatchNorm3d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.0)
    return network


def pathways(frames: int = 8, size: int = 32, channels: int = 3, fast_size: int | None = None) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    fast = torch.randn(1, channels, frames, fast_size or size, fast_size or size, generator=generator)
    slow = torch.randn(1, 3, frames // 4, size, size, generator=generator)
    return [slow, fast]


@pytest.mark.parametrize("lateral", [*LATERALS, None])
def test_every_lateral_connection_gives_logits(lateral):
    network = small(lateral=lateral)
    assert network(pathways()).shape == (1, 1, 1, 1, 5)
    assert hasattr(network, "s4_fuse") == (lateral is not None)


@pytest.mark.parametrize("lateral", LATERALS)
def test_a_lateral_connection_reaches_the_slow_pathway(lateral):
    network = small(lateral=lateral)
    slow, fast = pathways()
    before, after = network.features([slow, fast])[0], network.features([slow, fast + 1])[0]
    assert not torch.allclose(before, after)


def test_without_laterals_the_slow_pathway_ignores_the_fast_one():
    network = small(lateral=None)
    slow, fast = pathways()
    assert torch.equal(network.features([slow, fast])[0], network.features([slow, fast + 1])[0])


def test_t_sample_takes_one_frame_of_each_group():
    fast = torch.arange(8.0).reshape(1, 1, 8, 1, 1)
    first, last = LateralConnection("t_sample", 4, 1, 4), LateralConnection("t_sample", 4, 1, 4, causal=True)
    assert first.lateral(fast).flatten().tolist() == [0, 4]
    assert last.lateral(fast).flatten().tolist() == [3, 7]


def test_time_to_channel_packs_the_frames_of_a_group_into_channels():
    fast = torch.arange(16.0).reshape(1, 2, 8, 1, 1)
    packed = LateralConnection("time_to_channel_concat", 4, 2, 4).lateral(fast)
    assert packed.shape == (1, 8, 2, 1, 1)
    assert sorted(packed[0, :, 0].flatten().tolist()) == [0, 1, 2, 3, 8, 9, 10, 11]


def test_time_to_channel_sum_needs_beta_to_be_one_over_alpha():
    with pytest.raises(ConfigError, match="beta = 1 / alpha"):
        small(lateral="time_to_channel_sum", beta=1 / 8)


def test_single_pathways():
    assert small(pathways="slow")(pathways()[:1]).shape == (1, 1, 1, 1, 5)
    assert small(pathways="fast")(pathways()[1:]).shape == (1, 1, 1, 1, 5)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_weaker_fast_inputs(channels):
    assert small(fast_input_channels=channels)(pathways(channels=channels)).shape == (1, 1, 1, 1, 5)


@pytest.mark.parametrize("lateral", ["t_conv", "t_sample", "time_to_channel_sum"])
def test_half_resolution_fast_pathway(lateral):
    network = small(lateral=lateral)
    assert network(pathways(size=64, fast_size=32)).shape == (1, 1, 1, 1, 5)


def test_classification_keeps_positions_of_larger_inputs():
    network = small(window=2)
    logits = network(pathways(size=96))
    assert logits.shape == (1, 1, 2, 2, 5)
    scores = clip_scores(logits)
    torch.testing.assert_close(scores, logits.softmax(-1).mean((1, 2, 3)))
    assert scores.sum().item() == pytest.approx(1, abs=1e-5)


def test_clip_scores_knows_its_activations():
    with pytest.raises(UnknownNameError, match="softmax"):
        clip_scores(torch.zeros(1, 1, 1, 1, 2), "tanh")


def test_roi_head_scores_each_box():
    network = small(head="roi")
    boxes = torch.tensor([[0, 0, 0, 16, 32], [0, 16, 0, 32, 32], [0, 0, 0, 16, 32.0]])
    logits = network(pathways(size=32), boxes)
    assert logits.shape == (3, 5)
    assert torch.equal(logits[0], logits[2])
    assert not torch.allclose(logits[0], logits[1])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lateral": "time_to_channel_concat", "causal": True},
        {"head": "roi", "nonlocal_blocks": {4: (0,)}},
        {"pathways": "slow", "slow_kernels": I3D_KERNELS, "temporal_pool": 2},
        {"pathways": "slow", "slow_kernels": C2D_KERNELS},
        {"pathways": "fast"},
    ],
)
def test_it_can_be_trained(options):
    network = small(3, dropout=0.0, **options).train()
    slow, fast = (torch.cat([x, -x]) for x in pathways())
    clips = {"slow": [slow], "fast": [fast]}.get(options.get("pathways", ""), [slow, fast])
    boxes = torch.tensor([[0, 4.0, 4, 24, 28], [1, 0, 0, 32, 32]]) if "head" in options else None
    target = torch.tensor([0, 2])
    optimiser = torch.optim.SGD(network.parameters(), 0.02)
    losses = []
    for _ in range(4):
        loss = torch.nn.functional.cross_entropy(network(clips, boxes).flatten(1), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(p.grad is not None for p in network.parameters())
    before = {name: value.clone() for name, value in network.named_buffers()}
    network.eval()(clips, boxes)
    assert all(torch.equal(value, before[name]) for name, value in network.named_buffers())


@pytest.mark.parametrize("head", ["classification", "roi"])
def test_dropout_is_of_training_alone(head):
    network, clips = small(3, head=head, dropout=0.5).train(), [torch.cat([x, -x]) for x in pathways()]
    boxes = torch.tensor([[0, 4.0, 4, 24, 28]])
    assert not torch.equal(network(clips, boxes), network(clips, boxes))
    network.eval()
    assert torch.equal(network(clips, boxes), network(clips, boxes))


def test_roi_head_accepts_no_person():
    assert small(head="roi")(pathways(), torch.zeros(0, 5)).shape == (0, 5)


def test_roi_head_says_what_is_wrong_with_boxes():
    network = small(head="roi")
    with pytest.raises(ConfigError, match="got boxes=None"):
        network(pathways())
    with pytest.raises(ConfigError, match=r"got \(2, 4\)"):
        network(pathways(), torch.zeros(2, 4))


def test_detection_keeps_the_resolution_of_res4():
    slow, _ = small(head="roi").features(pathways(size=64))
    assert slow.shape[-1] == 4


def test_nonlocal_blocks_sit_where_asked_and_change_the_result():
    network = small(nonlocal_blocks={4: (0,)})
    assert hasattr(network.s4, "pathway0_nonlocal0")
    x = pathways(size=64)
    before = network(x)
    torch.nn.init.zeros_(network.s4.pathway0_nonlocal0.bn.weight)
    torch.nn.init.zeros_(network.s4.pathway0_nonlocal0.bn.bias)
    assert not torch.allclose(before, network(x))


def test_temporal_kernels_stop_after_the_blocks_asked_for():
    network = SlowFast(2, depth=(1, 1, 3, 1), width=8, temporal_blocks=(1, 1, 2, 1))
    kernels = [network.s4.get_submodule(f"pathway0_res{i}").branch2.a.kernel_size[0] for i in range(3)]
    assert kernels == [3, 3, 1]


@pytest.mark.parametrize("frames", [4, 8, 12])
def test_the_network_takes_any_number_of_frames(frames):
    assert small()(pathways(frames)).shape == (1, 1, 1, 1, 5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pathways": "both"}, "slowfast"),
        ({"head": "dense"}, "roi"),
        ({"lateral": "conv"}, "t_conv"),
        ({"depth": 34}, "depth is one of 50, 101"),
        ({"temporal_pool": 2}, "temporal_pool=2"),
    ],
)
def test_options_that_do_not_exist_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        small(**options)


def test_pathways_that_do_not_fit_are_refused():
    slow, fast = pathways()
    with pytest.raises(ConfigError, match=r"takes 2 pathway\(s\)"):
        small()([fast])
    with pytest.raises(ConfigError, match="alpha=4 times the slow one's frames, got 2 slow and 7 fast"):
        small()([slow, fast[:, :, :7]])


# Causal networks


CAUSAL = [
    {"lateral": "t_conv", "lateral_kernel": 7},
    {"lateral": "t_conv", "lateral_kernel": 3},  # shorter than the stride
    {"lateral": "t_sample"},
    {"lateral": "time_to_channel_concat"},
    {"lateral": None, "nonlocal_blocks": {3: (0,), 4: (0,)}},
    {"nonlocal_blocks": {4: (0,)}, "nonlocal_instantiation": "softmax", "nonlocal_pool": (2, 2, 2)},
]


@pytest.mark.parametrize("options", CAUSAL)
def test_a_causal_network_never_sees_a_later_frame(options):
    network = small(causal=True, **options)
    slow, fast = pathways(16)
    whole = network.features([slow, fast])
    for steps in (1, 2, 3):
        prefix = network.features([slow[:, :, :steps], fast[:, :, : 4 * steps]])
        for a, b in zip(prefix, whole, strict=True):
            torch.testing.assert_close(a, b[:, :, : a.shape[2]], rtol=1e-4, atol=1e-5)


def test_a_centred_network_does_see_later_frames():
    network = small()
    slow, fast = pathways(16)
    prefix, whole = network.features([slow[:, :, :2], fast[:, :, :8]])[0], network.features([slow, fast])[0]
    assert not torch.allclose(prefix, whole[:, :, :2])


def test_causal_and_centred_networks_have_the_same_parameters():
    shapes = {k: v.shape for k, v in small().state_dict().items()}
    assert shapes == {k: v.shape for k, v in small(causal=True).state_dict().items()}


def test_causal_attention_is_limited_to_its_window():
    network = small(causal=True, pathways="slow", nonlocal_blocks={2: (0,)}, slow_kernels=((1,),) * 5)
    x = torch.randn(1, 3, 5, 32, 32)
    changed = x.clone()
    changed[:, :, 0] += 1
    same = (network.features([x])[0] - network.features([changed])[0]).abs().amax((0, 1, 3, 4)) < 1e-6
    assert same.tolist() == [False, False, True, True, True]  # slow_frames is 2


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (5, 1), (5, 4), (7, 4), (5, 8), (3, 8)])
def test_a_causal_convolution_ends_with_the_last_frame_of_its_group(kernel, stride):
    conv = TemporalConv3d(1, 1, (kernel, 1, 1), (stride, 1, 1), causal=True)
    torch.nn.init.ones_(conv.weight)
    x = torch.arange(1.0, 17).reshape(1, 1, 16, 1, 1)
    ends = range(stride, 17, stride)
    assert conv(x).flatten().tolist() == [sum(range(max(1, end - kernel + 1), end + 1)) for end in ends]


# Published sizes; the meta device computes no values. The 0.53 M of Fast-only are met without a classifier (0.51).


@pytest.mark.parametrize(
    ("build", "millions"),
    [
        (lambda: slowfast_r50(400), 34.57),
        (lambda: slowfast_r50(400, slow_frames=4, alpha=8), 34.48),
        (lambda: slowfast_r101(400), 53.77),
        (lambda: slowfast_r101(400, temporal_blocks=None), 62.83),
        (lambda: slow_r50(400), 32.45),
        (lambda: slow_r50(80, head="roi"), 31.80),
        (lambda: fast_r50(1), 0.51),
        (lambda: i3d_r50(400), 28.04),
        (lambda: c2d_r50(400), 24.33),
    ],
)
def test_published_parameter_counts(build, millions):
    with torch.device("meta"):
        network = build()
    assert count_parameters(network) / 1e6 == pytest.approx(millions, abs=0.01)
