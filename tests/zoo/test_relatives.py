"""The entries of Inception-I3D and its kin, C3D and TSN."""

from __future__ import annotations

import pytest
import torch

from sf_detect import build
from sf_detect.weights.checkpoint import load_into, read_checkpoint
from sf_detect.zoo.entry import ZooEntry
from sf_detect.zoo.relatives import RELATIVES
from sf_detect.zoo.table import ZOO

ENTRIES = {entry.name: entry for entry in RELATIVES}


def inputs(entry: ZooEntry) -> list[torch.Tensor]:
    frames, side = entry.clip_spec.num_frames, entry.crop
    fast = torch.empty(1, 2 if entry.fast_input == "flow" else 3, frames, side, side)
    return [fast] if entry.slow_index is None else [torch.empty(1, 3, len(entry.slow_index), side, side), fast]


@pytest.mark.parametrize("name", ENTRIES)
def test_the_network_takes_what_its_entry_says(name):
    entry = ENTRIES[name]
    assert ZOO[name] is entry
    with torch.device("meta"):
        network = entry.builder().eval()
        logits = network(inputs(entry))
    assert logits.flatten().shape == (entry.num_classes,)
    assert network.alpha == entry.alpha


@pytest.mark.parametrize("name", ENTRIES)
def test_other_numbers_of_classes_can_be_built(name):
    builder = ENTRIES[name].builder
    with torch.device("meta"):
        network = builder.func(*builder.args[:2], 5, **builder.keywords).eval()
        assert network(inputs(ENTRIES[name])).flatten().shape == (5,)


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("k400_convnet_lstm", 5),
        ("k400_convnet_3d", 0.64),
        ("k400_two_stream", 0.4),
        ("k400_fused_two_stream", 2),
        ("k400_two_stream_i3d", 2.56),
    ],
)
def test_the_published_footprint_in_time(name, seconds):
    assert ENTRIES[name].clip_spec.duration == pytest.approx(seconds)


def test_rgb_frames_lie_where_their_flow_starts():
    assert ENTRIES["k400_fused_two_stream"].slow_index == (0, 10, 20, 30, 40)
    assert ENTRIES["k400_two_stream"].slow_index == (0,)
    assert ENTRIES["k400_two_stream_i3d"].slow_index == tuple(range(64))


def mmaction_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    theirs = {}
    for name, value in state.items():
        layer, leaf = name.split(".")
        if layer.startswith("conv"):
            layer = f"backbone.{layer}{'' if layer[-1] in 'ab' else 'a'}.conv"
        else:
            layer = "cls_head.fc_cls" if layer == "fc8" else f"backbone.{layer}"
        theirs[f"{layer}.{leaf}"] = value
    return theirs


def test_the_public_c3d_file_is_read_by_its_names(tmp_path):
    from sf_detect.models.c3d import C3D

    network, other = C3D(5, width=32), C3D(5, width=32)
    torch.save({"meta": {"epoch": 45}, "state_dict": mmaction_names(network.state_dict())}, tmp_path / "c3d.pth")
    checkpoint = load_into(other, tmp_path / "c3d.pth")
    assert checkpoint.format == "mmaction2"
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in network.state_dict().items())


def test_a_file_of_ones_own_loads(tmp_path):
    from sf_detect.models.convnet_lstm import convnet_lstm

    state = convnet_lstm().state_dict()
    torch.save(state, tmp_path / "own.pth")
    network = build.load_model("k400_convnet_lstm", tmp_path / "own.pth")
    assert not network.training
    assert torch.equal(network.classifier.weight, state["classifier.weight"])
    assert read_checkpoint(tmp_path / "own.pth").format == "state_dict"
