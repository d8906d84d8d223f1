"""Reading checkpoints: formats by content, names, strictness, and files that must be refused."""

from __future__ import annotations

import io
import pickle
import struct
from collections import OrderedDict
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sf_detect.errors import WeightsFormatError, WeightsMismatchError
from sf_detect.models.slowfast import SlowFast
from sf_detect.models.x3d import X3D
from sf_detect.weights import naming
from sf_detect.weights.array_pickles import load_arrays
from sf_detect.weights.checkpoint import load_into, read_checkpoint


def tiny(**options) -> SlowFast:
    return SlowFast(3, depth=(1, 1, 1, 1), width=8, beta=1 / 4, nonlocal_blocks={4: (0,)}, **options)


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return {
        k: torch.rand(v.shape, generator=generator) if v.is_floating_point() else v
        for k, v in tiny().state_dict().items()
    }


def loaded_from(path: Path) -> dict[str, torch.Tensor]:
    network = tiny()
    load_into(network, path)
    return network.state_dict()


def assert_same(got: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(got[name], value), name


# Formats


@pytest.mark.parametrize("zipped", [True, False])
def test_pyslowfast_checkpoints(state, tmp_path, zipped):
    path = tmp_path / "weights.pkl"  # public ones carry this suffix too
    content = {"epoch": 12, "model_state": OrderedDict(state), "optimizer_state": {}, "cfg": "text"}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    checkpoint = read_checkpoint(path)
    assert (checkpoint.format, checkpoint.epoch) == ("pyslowfast", 12)
    assert checkpoint.notes == ("ignored beside the weights: optimizer_state, cfg",)
    assert checkpoint.num_parameters == sum(p.numel() for p in tiny().parameters())
    assert_same(loaded_from(path), state)


def test_plain_and_nested_state_dicts(state, tmp_path):
    for content in (state, {"state_dict": state}, {"model_state": {f"module.{k}": v for k, v in state.items()}}):
        torch.save(content, tmp_path / "w")
        assert_same(loaded_from(tmp_path / "w"), state)


def averaged(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What `torch.optim.swa_utils.AveragedModel` saves."""
    network = torch.optim.swa_utils.AveragedModel(tiny())
    network.module.load_state_dict(state)
    network.n_averaged.fill_(5)
    return network.state_dict()


def prefixed(prefix: str, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {prefix + name: value for name, value in state.items()}


WRAPPED = {
    "ddp": (lambda s: prefixed("module.", s), "'module.' of data-parallel training"),
    "compiled": (lambda s: prefixed("_orig_mod.", s), "'_orig_mod.' of torch.compile"),
    "compiled in part": (
        lambda s: {k.replace("s3.", "s3._orig_mod."): v for k, v in s.items()},
        "'_orig_mod.' of torch.compile",
    ),
    "compiled ddp": (lambda s: prefixed("_orig_mod.module.", s), "'module.' of data-parallel"),
    "lightning": (
        lambda s: {"state_dict": prefixed("model.", s), "epoch": 3, "pytorch-lightning_version": "2", "loops": {}},
        "'model.' of an enclosing module",
    ),
    "ema only": (lambda s: {"model_ema": s, "step": 4}, "took the weights from 'model_ema', the only ones there"),
    "ema beside": (
        lambda s: {"model": s, "ema": {k: v + 1 for k, v in s.items()}},
        "ignored beside the weights: ema",
    ),
    "swa": (averaged, "averaged over 5 steps (torch.optim.swa_utils); left out their counter"),
    "tutorial": (lambda s: {"model_state_dict": s, "optimizer_state_dict": {"state": {}}}, "optimizer_state_dict"),
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_what_training_tools_wrap_around_weights(state, tmp_path, kind):
    wrap, note = WRAPPED[kind]
    torch.save(wrap(state), tmp_path / "w")
    assert note in "; ".join(read_checkpoint(tmp_path / "w").notes)
    assert_same(loaded_from(tmp_path / "w"), state)


def test_wrapped_safetensors(state, tmp_path):
    save_file(prefixed("_orig_mod.", state), tmp_path / "w")
    assert read_checkpoint(tmp_path / "w").notes == ("removed the prefix '_orig_mod.' of torch.compile",)
    assert_same(loaded_from(tmp_path / "w"), state)


def test_wrapped_parts_beside_the_network_are_listed(state, tmp_path):
    content = {"state_dict": {**prefixed("model.", state), "ema.s1.w": torch.zeros(1), "metric.tp": torch.zeros(1)}}
    torch.save(content, tmp_path / "w")
    with pytest.raises(WeightsMismatchError, match=r"2 unexpected: ema\.s1\.w, metric\.tp"):
        load_into(tiny(), tmp_path / "w")


def test_names_that_would_fall_together_are_kept_apart(state, tmp_path):
    torch.save({**state, **prefixed("module.", state)}, tmp_path / "w")
    with pytest.raises(WeightsMismatchError, match=f"{len(state)} unexpected: module"):
        load_into(tiny(), tmp_path / "w")


def test_several_sets_of_weights_without_a_usual_name(state, tmp_path):
    torch.save({"teacher": state, "student": state}, tmp_path / "w")
    with pytest.raises(WeightsFormatError, match="got several, under teacher, student; save the one"):
        read_checkpoint(tmp_path / "w")


@pytest.mark.parametrize("task", ["roi", "clip"])
def test_a_head_of_another_task_is_refused_with_advice(tmp_path, task):
    small = {"depth": (1, 1, 1, 1), "width": 8}
    kinds = {"roi": SlowFast(5, head="roi", **small), "clip": SlowFast(3, **small)}
    other = kinds.pop("roi" if task == "clip" else "clip")
    torch.save({"model_state": kinds[task].state_dict()}, tmp_path / "w")
    with pytest.raises(WeightsMismatchError, match=r"head\.projection\.bias.*weights info FILE.*part=backbone"):
        load_into(other, tmp_path / "w")


def test_safetensors_keep_their_metadata(state, tmp_path):
    save_file(state, tmp_path / "w.pth", metadata={"epoch": "4", "note": "x"})
    checkpoint = read_checkpoint(tmp_path / "w.pth")
    assert (checkpoint.format, checkpoint.epoch, checkpoint.metadata["note"]) == ("safetensors", 4, "x")
    assert_same(loaded_from(tmp_path / "w.pth"), state)


CAFFE2_NAMES = {
    "conv1_w": "s1.pathway0_stem.conv.weight",
    "res_conv1_bn_riv": "s1.pathway0_stem.bn.running_var",
    "t_conv1_w": "s1.pathway1_stem.conv.weight",
    "t_res_conv1_bn_rm": "s1.pathway1_stem.bn.running_mean",
    "t_pool1_subsample_w": "s1_fuse.conv_f2s.weight",
    "t_pool1_subsample_bn_s": "s1_fuse.bn.weight",
    "t_res2_2_branch2c_bn_subsample_w": "s2_fuse.conv_f2s.weight",
    "t_res4_22_branch2c_bn_subsample_bn_b": "s4_fuse.bn.bias",
    "res2_0_branch2a_w": "s2.pathway0_res0.branch2.a.weight",
    "res2_0_branch1_bn_b": "s2.pathway0_res0.branch1_bn.bias",
    "t_res5_2_branch2c_bn_s": "s5.pathway1_res2.branch2.c_bn.weight",
    "nonlocal_conv4_6_theta_w": "s4.pathway0_nonlocal6.conv_theta.weight",
    "nonlocal_conv4_6_out_b": "s4.pathway0_nonlocal6.conv_out.bias",
    "nonlocal_conv4_13_bn_s": "s4.pathway0_nonlocal13.bn.weight",
    "pred_w": "head.projection.weight",
    "conv1_xy_w": "s1.pathway0_stem.conv_xy.weight",
    "res3_2_branch2b_bn_fc1_b": "s3.pathway0_res2.branch2.se.fc1.bias",
    "conv_5_bn_s": "head.conv_5_bn.weight",
    "lin_5_w": "head.lin_5.weight",
}


@pytest.mark.parametrize("name", CAFFE2_NAMES)
def test_caffe2_names(name):
    assert naming.from_caffe2(name) == CAFFE2_NAMES[name]


def caffe2_name(name: str) -> str:
    """The blob of one of our names, by searching the names above's patterns on the tiny network."""
    return next(blob for blob in candidates(name) if naming.from_caffe2(blob) == name)


def candidates(name: str) -> list[str]:
    stage, rest = name.split(".", 1)
    leaf = {"weight": ["w", "bn_s"], "bias": ["b", "bn_b"], "running_mean": ["bn_rm"], "running_var": ["bn_riv"]}
    number = stage[1]
    prefix = "t_" if "pathway1" in rest else ""
    stems = ["pred", f"{prefix}conv1", f"{prefix}res_conv1", "t_pool1_subsample"]
    stems += [f"t_res{number}_0_branch2c_bn_subsample", f"{prefix}res{number}_0_branch1"]
    stems += [f"{prefix}res{number}_0_branch2{x}" for x in "abc"]
    stems += [f"nonlocal_conv{number}_0"] + [f"nonlocal_conv{number}_0_{x}" for x in ("theta", "phi", "g", "out")]
    return [f"{s}_{suffix}" for s in stems for suffix in leaf[name.rsplit(".", 1)[1]]]


@pytest.fixture(scope="module")
def blobs(state) -> dict[str, np.ndarray]:
    return {caffe2_name(k): v.numpy() for k, v in state.items() if not k.endswith("num_batches_tracked")}


@pytest.mark.parametrize("protocol", range(6))
def test_caffe2_pickles_of_any_protocol(state, blobs, tmp_path, protocol):
    path = tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps({"blobs": blobs}, protocol=protocol))
    assert read_checkpoint(path).format == "caffe2"
    assert_same(loaded_from(path), state)


class Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2 did: as a string of 8-bit characters."""

    def save_bytes(self, obj):
        self.write(pickle.BINSTRING + struct.pack("<i", len(obj)) + obj)
        self.memoize(obj)

    dispatch = {**pickle._Pickler.dispatch, bytes: save_bytes}  # noqa: RUF012


def test_caffe2_pickles_written_by_python_2(state, blobs, tmp_path):
    stream = io.BytesIO()
    Python2Pickler(stream, protocol=2).dump({"blobs": blobs})
    assert b"_codecs" not in stream.getvalue()
    (tmp_path / "w").write_bytes(stream.getvalue())
    assert_same(loaded_from(tmp_path / "w"), state)


def test_optimiser_blobs_are_ignored_by_name_and_reported(state, blobs, tmp_path):
    extra = {"conv1_w_momentum": np.zeros(3), "lr": np.float64(0.1), "model_iter": np.int64(5)}
    (tmp_path / "w").write_bytes(pickle.dumps({"blobs": {**blobs, **extra}}, protocol=2))
    assert read_checkpoint(tmp_path / "w").notes == (
        "ignored 3 blobs of the optimiser: conv1_w_momentum, lr, model_iter",
    )
    assert_same(loaded_from(tmp_path / "w"), state)


def test_caffe2_matrices_become_convolutions_of_one_pixel(state, blobs, tmp_path):
    name = "nonlocal_conv4_0_theta_w"
    flat = {**blobs, name: blobs[name].reshape(blobs[name].shape[:2])}
    (tmp_path / "w").write_bytes(pickle.dumps({"blobs": flat}, protocol=2))
    assert_same(loaded_from(tmp_path / "w"), state)


# PyTorchVideo


PTV_LAYERS = {
    "branch1.": "branch1_conv.",
    "branch1_bn.": "branch1_norm.",
    **{f"branch2.{x}.": f"branch2.conv_{x}." for x in "abc"},
    **{f"branch2.{x}_bn.": f"branch2.norm_{x}." for x in "abc"},
}


def as_pytorchvideo(state: dict[str, torch.Tensor], two: bool, pooled: bool, detection: bool) -> dict:
    """The names that PyTorchVideo's networks have, built from ours independently of the renaming."""
    renamed = {}
    for name, value in state.items():
        stage, rest = name.split(".", 1)
        index = "" if stage == "head" else int(stage[1]) - 1
        if pooled and index != "" and index > 1:
            index += 1
        block = f"blocks.{index}"
        if stage == "head":
            layer = "detection_head.proj" if detection else f"blocks.{6 if two or pooled else 5}.proj"
            renamed[layer + rest.removeprefix("projection")] = value
            continue
        if stage.endswith("_fuse"):
            new = f"{block}.multipathway_fusion.{rest.replace('conv_f2s', 'conv_fast_to_slow').replace('bn.', 'norm.')}"
        else:
            pathway, rest = rest.split("_", 1)
            block += f".multipathway_blocks.{pathway[-1]}" if two else ""
            place, layer = rest.split(".", 1)
            if place == "stem":
                new = f"{block}.{layer.replace('bn.', 'norm.')}"
            else:
                ours = max((k for k in PTV_LAYERS if layer.startswith(k)), key=len)
                new = f"{block}.res_blocks.{place[3:]}.{PTV_LAYERS[ours]}{layer.removeprefix(ours)}"
        renamed[f"model.{new}" if detection else new] = value
    return renamed


@pytest.mark.parametrize(
    ("options", "pooled"),
    [
        ({}, False),
        ({"head": "roi"}, False),
        ({"pathways": "slow"}, False),
        ({"pathways": "slow", "head": "roi"}, False),
        ({"pathways": "slow", "temporal_pool": 2}, True),
    ],
)
def test_pytorchvideo_checkpoints(tmp_path, options, pooled):
    network = SlowFast(3, depth=(2, 1, 1, 1), width=8, beta=1 / 4, **options)
    state = {k: torch.rand(v.shape) if v.is_floating_point() else v for k, v in network.state_dict().items()}
    theirs = as_pytorchvideo(state, "pathways" not in options, pooled, "head" in options)
    torch.save({"model_state": theirs}, tmp_path / "w")
    checkpoint = load_into(network, tmp_path / "w")
    assert checkpoint.format == "pytorchvideo"
    assert_same(network.state_dict(), state)


def test_pytorchvideo_x3d():
    network = X3D(3, width=1.0, depth=1.0, features=16)
    layers = {
        "s1.pathway0_stem.conv_xy.": "blocks.0.conv.conv_t.",
        "s1.pathway0_stem.conv.": "blocks.0.conv.conv_xy.",
        "s1.pathway0_stem.bn.": "blocks.0.norm.",
        "head.conv_5.": "blocks.5.pool.pre_conv.",
        "head.conv_5_bn.": "blocks.5.pool.pre_norm.",
        "head.lin_5.": "blocks.5.pool.post_conv.",
        "head.projection.": "blocks.5.proj.",
    }
    inner = {
        **PTV_LAYERS,
        "branch2.b_bn.": "branch2.norm_b.0.",
        "branch2.se.fc1.": "branch2.norm_b.1.block.0.",
        "branch2.se.fc2.": "branch2.norm_b.1.block.2.",
    }
    for stage in range(2, 6):
        for block in range(5):
            layers |= {
                f"s{stage}.pathway0_res{block}.{ours}": f"blocks.{stage - 1}.res_blocks.{block}.{theirs}"
                for ours, theirs in inner.items()
            }
    state = network.state_dict()
    theirs = {}
    for name, value in state.items():
        prefix = max((p for p in layers if name.startswith(p)), key=len)
        theirs[layers[prefix] + name.removeprefix(prefix)] = value
    first_norm = [k for k in theirs if k.startswith("blocks.1.res_blocks.0.branch1_norm.")]
    for name in first_norm:  # their first shortcut has none
        del theirs[name]
    assert naming.is_pytorchvideo(theirs)
    renamed = naming.from_pytorchvideo(theirs)
    counters = {k for k in state if k.endswith("num_batches_tracked")}
    assert renamed.keys() | counters == state.keys()
    stand_in = torch.nn.BatchNorm3d(16).eval()
    prefix = "s2.pathway0_res0.branch1_bn."
    stand_in.load_state_dict({k.removeprefix(prefix): v for k, v in renamed.items() if k.startswith(prefix)}, False)
    x = torch.rand(1, 16, 1, 2, 2)
    torch.testing.assert_close(stand_in(x), x, rtol=0, atol=1e-6)


# Strictness


def test_every_difference_is_listed_and_nothing_is_loaded(state, tmp_path):
    network = tiny()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    changed = dict(state)
    del changed["s1_fuse.bn.weight"]
    changed["s6.extra"] = torch.zeros(1)
    changed["head.projection.bias"] = torch.zeros(9)
    torch.save(changed, tmp_path / "w")
    with pytest.raises(WeightsMismatchError) as caught:
        load_into(network, tmp_path / "w")
    error = caught.value
    assert error.missing == ["s1_fuse.bn.weight"]
    assert error.unexpected == ["s6.extra"]
    assert error.wrong_shape == ["head.projection.bias (9,) instead of (3,)"]
    assert str(tmp_path / "w") in str(error)
    assert_same(network.state_dict(), before)


def test_blobs_that_no_rule_knows_are_unexpected(blobs, tmp_path):
    (tmp_path / "w").write_bytes(pickle.dumps({"blobs": {**blobs, "mystery_w": np.zeros(2)}}, protocol=2))
    with pytest.raises(WeightsMismatchError, match="1 unexpected: mystery_w"):
        load_into(tiny(), tmp_path / "w")


def test_networks_on_the_meta_device_take_the_tensors_over(state, tmp_path):
    torch.save({k: v.half() if v.is_floating_point() else v for k, v in state.items()}, tmp_path / "w")
    with torch.device("meta"):
        network = tiny()
    load_into(network, tmp_path / "w")
    assert {v.dtype for v in network.parameters()} == {torch.float32}
    assert not any(v.is_meta for v in network.state_dict().values())
    assert all(p.requires_grad for p in network.parameters())


def test_values_that_are_not_finite_are_noted(state, tmp_path):
    odd = {**state, "head.projection.bias": torch.tensor([1, float("nan"), 2])}
    odd["s1_fuse.bn.running_var"] = -odd["s1_fuse.bn.running_var"]
    torch.save(odd, tmp_path / "w")
    notes = " ".join(read_checkpoint(tmp_path / "w").notes)
    assert "1 tensors hold values that are not finite: head.projection.bias" in notes
    assert "1 running variances are negative: s1_fuse.bn.running_var" in notes


# Refusals


class Payload:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


def test_a_pickle_that_would_run_code_is_refused_by_name(tmp_path):
    path = tmp_path / "w.pkl"
    path.write_bytes(pickle.dumps({"blobs": {"conv1_w": Payload(tmp_path / "ran")}}, protocol=2))
    with pytest.raises(WeightsFormatError, match=r"asks for \S+, which is not a NumPy array"):
        read_checkpoint(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pytorch_file_that_would_run_code_is_refused_by_name(tmp_path, zipped):
    torch.save({"model_state": Fraction(1, 2)}, tmp_path / "w", _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsFormatError, match=r"asks for fractions\.Fraction, which could run code"):
        read_checkpoint(tmp_path / "w")


def test_only_latin1_bytes_are_decoded():
    stream = b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00rot13\x86R."
    with pytest.raises(WeightsFormatError, match="rot13"):
        load_arrays(stream)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"<html>404</html>", "looks like a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"hello world, this is text", "starts with .*hello"),
        (pickle.dumps({"weights": 1}), r"pickle without 'blobs' \(got \['weights'\]\)"),
        (
            pickle.dumps({"model": {}, "__author__": "x"}),
            "detectron2's model zoo.*--set detector.weights=FILE",
        ),
        (pickle.dumps([1, 2]), r"pickle without 'blobs' \(got list\)"),
        (pickle.dumps({"blobs": {"conv1_w": "text"}}), "blob 'conv1_w' .* not an array of numbers"),
        (pickle.dumps({"blobs": {"conv1_w": np.zeros(9)}}, protocol=2)[:-40], "not a readable pickle"),
        (b"PK\x03\x04 cut off", "cannot read the PyTorch file"),
        (struct.pack("<Q", 40) + b'{"a":{"dtype":"F32","shape":[2]', "not readable as safetensors"),
    ],
)
def test_files_that_are_no_checkpoint(tmp_path, content, message):
    (tmp_path / "w").write_bytes(content)
    with pytest.raises(WeightsFormatError, match=message):
        read_checkpoint(tmp_path / "w")


def test_pytorch_files_without_weights(tmp_path):
    torch.save({"cfg": "text", "epoch": 1}, tmp_path / "w")
    with pytest.raises(WeightsFormatError, match=r"without weights.*\['cfg', 'epoch'\]"):
        read_checkpoint(tmp_path / "w")


def test_truncated_pytorch_files(state, tmp_path):
    torch.save(state, tmp_path / "w")
    data = (tmp_path / "w").read_bytes()
    (tmp_path / "w").write_bytes(data[: len(data) // 2])
    with pytest.raises(WeightsFormatError, match="cannot read the PyTorch file"):
        read_checkpoint(tmp_path / "w")


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(WeightsFormatError, match=r"cannot read the weights .*nothing"):
        read_checkpoint(tmp_path / "nothing")
    with pytest.raises(WeightsFormatError, match="cannot read the weights"):
        read_checkpoint(tmp_path)
