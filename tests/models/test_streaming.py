"""A streaming model computes each slow step once and gives what the causal network gives over the whole video."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sf_detect.errors import ConfigError
from sf_detect.models.resnet3d import TemporalConv3d
from sf_detect.models.slowfast import LATERALS, SlowFast
from sf_detect.models.slowfast_tiny import slowfast_tiny
from sf_detect.models.streaming import StreamingModel
from sf_detect.models.streaming_layers import StreamedConv3d
from sf_detect.models.streaming_predictor import APPROXIMATION
from sf_detect.models.x3d import x3d_s

SIZE = 32
WINDOW = 3
BOXES = torch.tensor([[0.0, 0.0, 20.0, 30.0], [8.0, 4.0, 32.0, 31.0], [0.0, 0.0, 32.0, 32.0]])
FEW = settings(max_examples=6, deadline=None)

SLOWFAST = [
    {},
    {"lateral_kernel": 7},
    {"alpha": 8, "lateral_kernel": 5},
    {"lateral": "t_sample"},
    {"lateral": "time_to_channel_concat", "alpha": 2},
    {"lateral": "time_to_channel_sum"},
    {"lateral": None},
    {"pathways": "slow"},
    {"pathways": "fast"},
    {"pathways": "slow", "temporal_pool": 2, "slow_frames": 6, "slow_kernels": ((5,), (3,), (3, 1), (3, 1), (1, 3))},
    {"nonlocal_blocks": {3: (0,), 4: (0,)}},
    {"nonlocal_blocks": {4: (0,)}, "nonlocal_instantiation": "softmax", "nonlocal_pool": (2, 2, 2)},
    {"pathways": "slow", "nonlocal_blocks": {2: (0,)}, "slow_frames": 1},
    {"head": "classification"},
]


def randomised(network: torch.nn.Module) -> torch.nn.Module:
    """Every scale, shift and statistic away from the values that would hide a mistake."""
    for module in network.modules():
        if isinstance(module, (torch.nn.BatchNorm2d, torch.nn.BatchNorm3d)):
            torch.nn.init.uniform_(module.weight, 0.5, 1.0)
            torch.nn.init.uniform_(module.bias, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
        elif isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, std=0.3)
    return network.eval()


def slowfast(**options) -> SlowFast:
    torch.manual_seed(0)
    small = {"depth": (1, 1, 1, 1), "width": 8, "beta": 1 / 4, "alpha": 4, "slow_frames": WINDOW, "head": "roi"}
    return randomised(SlowFast(5, **{"causal": True, **small, **options}))


def tiny(**options):
    torch.manual_seed(0)
    return randomised(slowfast_tiny(5, **{"folded": False, **options}))


def video(frames: int, size: int = SIZE) -> torch.Tensor:
    return torch.randn(3, frames, size, size, generator=torch.Generator().manual_seed(frames))


@torch.inference_mode()
def whole(network, frames: torch.Tensor, window: int, boxes: torch.Tensor | None = BOXES) -> torch.Tensor:
    """The whole network over the whole video; the head averages the last `window` slow steps."""
    fast = frames.unsqueeze(0)
    rows = None if boxes is None else torch.cat([torch.zeros(len(boxes), 1), boxes], 1)
    if isinstance(network, SlowFast):
        step = (network.alpha or 1) * network.temporal_pool
        fast = fast[:, :, : fast.shape[2] // step * step]
        pathways = [fast] if network.alpha is None else [fast[:, :, network.alpha - 1 :: network.alpha], fast]
        steps = fast.shape[2] // step
        features = [x[:, :, -min(window, steps) * (x.shape[2] // steps) :] for x in network.features(pathways)]
        return network.head(features, rows)
    fast = fast[:, :, : fast.shape[2] // 4 * 4]
    maps = network.features([fast[:, :, 3::4], fast])
    maps = {name: x[:, -window:] for name, x in maps.items()}
    return network.classifier(network.pool(maps, rows))


def pushed(model: StreamingModel, frames: torch.Tensor, cuts) -> None:
    for part in frames.tensor_split(sorted(cuts), 1):
        model.push(part)


def assert_same(a: torch.Tensor, b: torch.Tensor) -> None:
    assert a.abs().max() > 1e-2  # of something, not of zeros
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("options", SLOWFAST, ids=str)
def test_streaming_slowfast_equals_the_network_over_the_whole_video(options):
    network = slowfast(**options)
    boxes = None if options.get("head") == "classification" else BOXES
    model = StreamingModel(network)
    assert model.exact
    frames = video(6 * model.step_frames + model.step_frames // 2)
    for start in range(0, frames.shape[1], 3):
        model.push(frames[:, start : start + 3])
    assert model.steps == 6
    assert_same(model.scores(boxes), whole(network, frames, model.window, boxes))


@FEW
@given(st.integers(4, 30), st.lists(st.integers(0, 30), max_size=8))
def test_any_way_of_cutting_a_slowfast_stream_gives_the_same(length, cuts):
    network = slowfast(nonlocal_blocks={4: (0,)})
    model, frames = StreamingModel(network, WINDOW), video(length, 16)
    pushed(model, frames, cuts)
    assert_same(model.scores(BOXES / 2), whole(network, frames, WINDOW, BOXES / 2))


@FEW
@given(st.integers(4, 22), st.lists(st.integers(0, 22), max_size=6))
def test_any_way_of_cutting_a_tiny_stream_gives_the_same(length, cuts):
    network = tiny()
    model, frames = StreamingModel(network, WINDOW), video(length)
    pushed(model, frames, cuts)
    assert_same(model.scores(BOXES), whole(network, frames, WINDOW))


@pytest.mark.parametrize("folded", [True, False])
def test_a_first_window_of_a_tiny_stream_is_a_clip(folded):
    network = tiny(folded=folded)
    model, frames = StreamingModel(network, 2), video(8)
    model.push(frames)
    rows = torch.cat([torch.zeros(3, 1), BOXES], 1)
    with torch.inference_mode():
        expected = network([frames[None, :, 3::4], frames[None]], rows)
        assert_same(model.scores(None), network([frames[None, :, 3::4], frames[None]]))
    assert_same(model.scores(BOXES), expected)


@pytest.mark.parametrize("build", [slowfast, tiny])
def test_after_a_reset_nothing_is_left_of_the_past(build):
    network = build()
    model, frames = StreamingModel(network, WINDOW), video(14)
    model.push(video(15) + 1)
    model.reset()
    assert (model.steps, model.state_bytes) == (0, 0)
    model.push(frames)
    assert_same(model.scores(BOXES), whole(network, frames, WINDOW))


def test_persons_come_and_go():
    network = slowfast()
    model, frames = StreamingModel(network), video(20)
    present = [[], [0], [0, 2], [2], [1]]
    for step, people in enumerate(present):
        model.push(frames[:, 4 * step : 4 * step + 4])
        scores = model.scores(BOXES[people])
        assert scores.shape == (len(people), 5)
        if people:
            assert_same(scores, whole(network, frames[:, : 4 * step + 4], WINDOW, BOXES[people]))


def test_scores_do_not_change_anything():
    model = StreamingModel(slowfast())
    model.push(video(6))
    first = model.scores(BOXES)
    assert torch.equal(first, model.scores(BOXES))
    assert model.push(video(1)) == 0
    assert torch.equal(first, model.scores(BOXES))
    assert model.push(video(1)) == 1
    assert not torch.equal(first, model.scores(BOXES))


@pytest.mark.parametrize("build", [slowfast, tiny])
def test_memory_is_constant(build):
    model = StreamingModel(build(), WINDOW)
    sizes = []
    for _ in range(3):
        model.push(video(4 * WINDOW + 8))
        sizes.append(model.state_bytes)
    assert sizes[0] == sizes[1] == sizes[2] > 0


def test_kept_tensors_do_not_hold_on_to_the_frames_they_were_cut_from():
    model = StreamingModel(slowfast(nonlocal_blocks={4: (0,)}), 2)
    model.push(video(41, 16))
    kept = [x for layer in model._layers for x in layer.kept()]
    kept += [x for step in model._maps for x in step] + [model._waiting]
    assert len(kept) > 10
    assert all(x.untyped_storage().nbytes() == x.numel() * x.element_size() for x in kept)


@pytest.mark.parametrize("build", [slowfast, tiny])
def test_weights_are_shared_and_the_network_stays_as_it_was(build):
    network = build()
    clip = [video(8)[None, :, 3::4], video(8)[None]]
    rows = torch.cat([torch.zeros(3, 1), BOXES], 1)
    with torch.inference_mode():
        before = network(clip, rows)
        model = StreamingModel(network)
        model.push(video(8))
        assert torch.equal(before, network(clip, rows))
    own = {p.data_ptr() for p in network.parameters()}
    assert {p.data_ptr() for p in model._twin.parameters()} == own


@pytest.mark.parametrize("lateral", LATERALS)
def test_a_centred_network_streams_as_its_causal_twin_and_says_so(lateral):
    options = {"lateral": lateral, "nonlocal_blocks": {4: (0,)}, "nonlocal_pool": (2, 2, 2)}
    centred, causal = slowfast(causal=False, **options), slowfast(**options)
    causal.load_state_dict(centred.state_dict())
    model, frames = StreamingModel(centred), video(20)
    assert not model.exact
    assert "approximation" in APPROXIMATION
    model.push(frames)
    assert_same(model.scores(BOXES), whole(causal, frames, WINDOW))


def test_a_centred_tiny_network_streams_as_its_causal_twin():
    centred, causal = tiny(causal=False), tiny()
    causal.load_state_dict(centred.state_dict())
    model, frames = StreamingModel(centred, WINDOW), video(16)
    assert not model.exact
    model.push(frames)
    assert_same(model.scores(BOXES), whole(causal, frames, WINDOW))


@pytest.mark.parametrize("lateral", LATERALS)
def test_a_still_video_makes_centred_and_causal_convolutions_agree(lateral):
    """Once the past is as long as the kernels reach; a non-local block would only see more of the same."""
    centred = slowfast(causal=False, lateral=lateral)
    still = video(1, 16).repeat(1, 64, 1, 1)
    model = StreamingModel(centred, 1)
    model.push(still)
    with torch.inference_mode():
        middle = [
            x[:, :, 8 * (x.shape[2] // 16)][:, :, None] for x in centred.features([still[None, :, ::4], still[None]])
        ]
        expected = centred.head(middle, torch.cat([torch.zeros(3, 1), BOXES / 2], 1))
    assert_same(model.scores(BOXES / 2), expected)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (5, 1), (5, 4), (7, 4), (5, 8), (3, 8)])
def test_a_streamed_convolution_equals_the_causal_one(kernel, stride):
    torch.manual_seed(0)
    conv = TemporalConv3d(2, 3, (kernel, 1, 1), (stride, 1, 1), causal=True)
    x = torch.randn(1, 2, 4 * stride, 2, 2)
    streamed = StreamedConv3d(conv)
    with torch.inference_mode():
        parts = [streamed(part) for part in x.split([stride, 2 * stride, stride], 2)]
        torch.testing.assert_close(torch.cat(parts, 2), conv(x))


def test_scores_before_the_first_step_say_what_is_missing():
    model = StreamingModel(slowfast())
    model.push(video(3))
    with pytest.raises(ConfigError, match="first slow step of 4 frames is complete, 3 frames are waiting"):
        model.scores(BOXES)


def test_refuses_frames_and_boxes_of_another_shape():
    model = StreamingModel(slowfast())
    with pytest.raises(ConfigError, match=r"\(3, n, H, W\), got \(1, 3, 4, 32, 32\)"):
        model.push(video(4)[None])
    model.push(video(4))
    with pytest.raises(ConfigError, match="16x16 after 32x32; call reset"):
        model.push(video(4, 16))
    with pytest.raises(ConfigError, match=r"\(N, 4\).*got \(3, 5\)"):
        model.scores(torch.zeros(3, 5))


def test_refuses_networks_without_a_streaming_form():
    with pytest.raises(ConfigError, match=r"X3D has no streaming form; .* Use clip inference"):
        StreamingModel(x3d_s(5))
    with pytest.raises(ConfigError, match="at least 1 slow step, got window=0"):
        StreamingModel(slowfast(), 0)
