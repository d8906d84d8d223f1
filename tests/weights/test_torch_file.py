"""PyTorch files: what they hold equals what torch reads; what could run code, or claims too much, is refused."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sf_detect.errors import WeightsFormatError, WeightsMismatchError
from sf_detect.pickles import Unread
from sf_detect.weights.checkpoint import load_into, read_checkpoint
from sf_detect.weights.torch_file import read_torch
from tests.weights.test_untrusted_files import rewritten, torch_bytes

BOTH = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


def saved(path: Path, content: object, zipped: bool = True, **options: Any) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=zipped, **options)
    return path


def assert_same(got: object, expected: object) -> None:
    if isinstance(expected, Tensor):
        assert isinstance(got, Tensor)
        assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
        assert torch.equal(got, expected.detach())
    elif isinstance(expected, dict):
        assert isinstance(got, dict)
        assert list(got) == list(expected)
        for key in expected:
            assert_same(got[key], expected[key])
    else:
        assert got == expected


@BOTH
def test_tensors_of_every_kind(tmp_path: Path, zipped: bool) -> None:
    base = torch.arange(24.0).reshape(2, 3, 4)
    types = [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8]
    content = {
        **{str(dtype): base.to(dtype) for dtype in types},
        "bool": base > 3,
        "complex": torch.complex(base, base + 1),
        "transposed": base.transpose(0, 2),
        "part": base[1:, ::2, 1:3],
        "whole": base,
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(base.clone()),
        "expanded": torch.ones(1).expand(7),
        "state": OrderedDict(a=torch.ones(2)),
        "size": torch.Size([2, 3]),
        "counts": Counter(a=2),
        "plain": {"epoch": 3, "lr": [0.1, None, True], "cfg": "text", "set": {1, 2}},
    }
    got = read_torch(saved(tmp_path / "w", content, zipped))
    assert_same(got, content)
    assert got["part"].untyped_storage().data_ptr() == got["whole"].untyped_storage().data_ptr()


def test_float8_and_unsigned_integers(tmp_path: Path) -> None:
    content = {"f8": torch.arange(4.0).to(torch.float8_e4m3fn), "u2": torch.arange(4).to(torch.uint16)}
    got = read_torch(saved(tmp_path / "w", content))
    assert got["f8"].float().tolist() == [0, 1, 2, 3]
    assert got["u2"].int().tolist() == [0, 1, 2, 3]


def test_what_is_not_built_is_left_unread(tmp_path: Path) -> None:
    content = {"sparse": torch.eye(3).to_sparse(), "device": torch.device("cpu"), "weight": torch.ones(2)}
    got = read_torch(saved(tmp_path / "w", content))
    assert isinstance(got["sparse"], Unread)
    assert isinstance(got["device"], Unread)
    assert got["weight"].tolist() == [1, 1]


def test_optimisers_and_checkpoints_of_training(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 3)
    optimiser = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    expected = optimiser.state_dict()
    assert_same(read_torch(saved(tmp_path / "w", {"optimiser": expected}))["optimiser"], expected)


def test_files_without_checksums_and_of_the_other_byte_order(tmp_path: Path) -> None:
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        path = saved(tmp_path / "w", {"a": torch.arange(5.0)})
    finally:
        torch.serialization.set_crc32_options(before)
    assert read_torch(path)["a"].tolist() == [0, 1, 2, 3, 4]
    saved(path, {"a": torch.arange(5.0)})

    def swap(name: str, data: bytes) -> tuple[str, bytes]:
        if name.endswith("byteorder"):
            return name, b"big"
        return name, np.frombuffer(data, "<f4").astype(">f4").tobytes() if "/data/0" in name else data

    path.write_bytes(rewritten(path.read_bytes(), swap))
    assert read_torch(path)["a"].tolist() == [0, 1, 2, 3, 4]


@BOTH
@pytest.mark.parametrize("beside", [np.float64(0.5), np.arange(3.0), {"a": [np.int64(1)]}, np.datetime64("2020-01-01")])
def test_numpy_beside_the_weights_is_ignored(tmp_path: Path, zipped: bool, beside: object) -> None:
    network = torch.nn.Linear(2, 3)
    path = saved(
        tmp_path / "w", {"model_state": network.state_dict(), "epoch": np.int64(4), "best_acc": beside}, zipped
    )
    other = torch.nn.Linear(2, 3)
    checkpoint = load_into(other, path)
    assert checkpoint.notes == ("ignored beside the weights: best_acc",)
    assert checkpoint.epoch == 4
    assert torch.equal(other.weight, network.weight)


def test_torchscript_gets_our_own_message(tmp_path: Path) -> None:
    content = torch_bytes({"a": torch.ones(1)})
    program = rewritten(content, lambda name, data: (name, data))
    stream = io.BytesIO(program)
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr(archive.namelist()[0].split("/")[0] + "/constants.pkl", b"\x80\x02).")
    (tmp_path / "w").write_bytes(stream.getvalue())
    with pytest.raises(WeightsFormatError, match=r"TorchScript program.*never run here.*state_dict\(\)") as caught:
        read_checkpoint(tmp_path / "w")
    assert "weights_only" not in str(caught.value)


@BOTH
@pytest.mark.parametrize("content", [torch.nn.Linear(2, 3), {"model": torch.nn.Linear(2, 3)}, pickle.Pickler])
def test_no_message_advises_to_run_code(tmp_path: Path, zipped: bool, content: object) -> None:
    with pytest.raises(WeightsFormatError, match="could run code") as caught:
        read_checkpoint(saved(tmp_path / "w", content, zipped))
    assert "weights_only" not in str(caught.value)


def tampered(path: Path, before: bytes, after: bytes) -> Path:
    """The pickle of a zip file with other bytes."""

    def change(name: str, data: bytes) -> tuple[str, bytes]:
        if name.endswith("data.pkl"):
            assert before in data
            data = data.replace(before, after)
        return name, data

    path.write_bytes(rewritten(path.read_bytes(), change))
    return path


@pytest.mark.parametrize(
    ("after", "message"),
    [
        (b"K\x01K\x05K\x07\x86K\x07K\x01\x86", "leaves its storage of 35"),  # offset
        (b"K\x00K\x05K\x08\x86K\x07K\x01\x86", "leaves its storage of 35"),  # size
        (b"K\x00K\x05K\x07\x86K\x08K\x01\x86", "leaves its storage of 35"),  # stride
        (b"K\x00K\x05K\x07\x86J\xff\xff\xff\xffK\x01\x86", "not numbers from 0"),
        (b"K\x00K\x05K\x07\x86K\x01\x85", "not numbers from 0"),  # one stride for two sizes
        (b"K\x00J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86K\x00K\x00\x86", "claims the size"),
        (b"K\x00K\x00J\xff\xff\xff\x7f\x86K\x00K\x00\x86", "claims the size"),
    ],
)
def test_tensors_that_leave_their_storage(tmp_path: Path, after: bytes, message: str) -> None:
    path = saved(tmp_path / "w", {"weight": torch.ones(5, 7)})
    with pytest.raises(WeightsFormatError, match=message):
        read_checkpoint(tampered(path, b"K\x00K\x05K\x07\x86q\x08K\x07K\x01\x86", after))


def test_storages_that_claim_another_size(tmp_path: Path) -> None:
    path = saved(tmp_path / "w", {"weight": torch.ones(5, 7)})
    with pytest.raises(WeightsFormatError, match="has 140 bytes, but 99 values"):
        read_checkpoint(tampered(path, b"K#", b"Kc"))


def test_repeated_tensors_cannot_claim_more_than_the_file(tmp_path: Path) -> None:
    one = torch.ones(1).expand(1 << 20)
    with pytest.raises(WeightsFormatError, match=r"claims \d+ values in 256 tensors, but has \d+ bytes"):
        read_checkpoint(saved(tmp_path / "w", {f"w{i}": one for i in range(256)}))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
def test_legacy_files_cut_short(tmp_path: Path, share: float) -> None:
    path = saved(tmp_path / "w", {"weight": torch.ones(50, 70), "bias": torch.ones(3)}, False)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(WeightsFormatError, match="cut short"):
        read_checkpoint(path)


def test_damaged_archives(tmp_path: Path) -> None:
    path = saved(tmp_path / "w", {"weight": torch.ones(50, 70)})
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsFormatError, match="Bad CRC-32"):
        read_checkpoint(path)


# Strict loading

REFUSED = (torch.bool, torch.complex64, torch.int8, torch.int64, torch.uint8)


@pytest.mark.parametrize("dtype", REFUSED)
def test_weights_that_are_no_floating_point_are_refused(tmp_path: Path, dtype: torch.dtype) -> None:
    state = {"weight": torch.ones(3, 2, dtype=dtype), "bias": torch.zeros(3)}
    with pytest.raises(WeightsMismatchError, match=r"1 of another type: weight \w+ instead of float32") as caught:
        load_into(torch.nn.Linear(2, 3), saved(tmp_path / "w", state))
    assert len(caught.value.wrong_type) == 1


@pytest.mark.parametrize("dtype", [torch.bool, torch.complex64])
def test_counters_that_are_no_numbers_are_refused(tmp_path: Path, dtype: torch.dtype) -> None:
    network = torch.nn.BatchNorm1d(3)
    state = {**network.state_dict(), "num_batches_tracked": torch.ones((), dtype=dtype)}
    with pytest.raises(WeightsMismatchError, match="num_batches_tracked"):
        load_into(network, saved(tmp_path / "w", state))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e5m2])
def test_weights_of_other_precision_are_taken(tmp_path: Path, dtype: torch.dtype) -> None:
    network = torch.nn.Linear(2, 3)
    load_into(network, saved(tmp_path / "w", {"weight": torch.ones(3, 2).to(dtype), "bias": torch.zeros(3).to(dtype)}))
    assert network.weight.dtype == torch.float32
    assert network.weight.min() == network.weight.max() == 1


TWICE = {
    "pytorchvideo": {
        "blocks.1.res_blocks.0.branch2.conv_a.weight": torch.ones(1),
        "model.blocks.1.res_blocks.0.branch2.conv_a.weight": torch.ones(1),
        "other": torch.ones(1),
    },
    "ours beside theirs": {
        "blocks.1.res_blocks.0.branch2.conv_a.weight": torch.ones(1),
        "s2.pathway0_res0.branch2.a.weight": torch.zeros(1),
    },
}


@pytest.mark.parametrize("kind", TWICE)
def test_two_names_of_one_parameter_are_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(WeightsFormatError, match=r"both '.*' and '.*' stand for the parameter s2\.pathway0_res0"):
        read_checkpoint(saved(tmp_path / "w", TWICE[kind]))


def test_two_blobs_of_one_parameter_are_refused(tmp_path: Path) -> None:
    blobs = {"conv1_w": np.ones(1), "s1.pathway0_stem.conv.weight": np.zeros(1)}
    (tmp_path / "w").write_bytes(pickle.dumps({"blobs": blobs}))
    with pytest.raises(WeightsFormatError, match=r"both 'conv1_w' and 's1\.pathway0_stem\.conv\.weight' stand for"):
        read_checkpoint(tmp_path / "w")


def test_devices_and_folders_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(WeightsFormatError, match="it is no file"):
        read_checkpoint(tmp_path)
