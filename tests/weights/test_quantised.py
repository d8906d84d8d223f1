import json

import pytest
import torch
from safetensors import safe_open

from sf_detect.errors import WeightsFormatError
from sf_detect.weights.arrays import read_arrays
from sf_detect.weights.checkpoint import read_checkpoint, write_safetensors
from sf_detect.weights.quantised import SCALE, dequantise, quantise, rewrite_metadata


def state():
    generator = torch.Generator().manual_seed(0)
    return {
        "conv.weight": torch.randn(16, 4, 8, 8, generator=generator),
        "conv.bias": torch.randn(16, generator=generator),
        "small.weight": torch.randn(4, 4, generator=generator),
    }


def test_large_weights_keep_eight_bits_of_each_row():
    stored = quantise(state())
    assert stored["conv.weight"].dtype == torch.int8
    assert stored["conv.weight" + SCALE].shape == (16,)
    assert stored["conv.bias"].dtype == stored["small.weight"].dtype == torch.float16
    back = dequantise(stored)
    assert set(back) == set(state())
    error = (back["conv.weight"] - state()["conv.weight"]).abs().flatten(1).amax(1)
    assert torch.all(error <= stored["conv.weight" + SCALE] * 0.51)


def test_a_file_is_read_as_if_it_were_float(tmp_path):
    path = tmp_path / "net.safetensors"
    write_safetensors(quantise(state()), path, {"format": "pt"})
    found = read_checkpoint(path).state
    assert set(found) == set(state())
    assert found["conv.weight"].dtype == torch.float32


def test_metadata_is_added_and_tensors_stay(tmp_path):
    path = tmp_path / "net.safetensors"
    write_safetensors(quantise(state()), path, {"format": "pt"})
    rewrite_metadata(path, thresholds=json.dumps([0.5]))
    with safe_open(str(path), "pt") as file:
        assert file.metadata() == {"format": "pt", "thresholds": "[0.5]"}
        assert file.get_tensor("conv.weight").dtype == torch.int8


def test_metadata_of_no_file(tmp_path):
    with pytest.raises(WeightsFormatError, match="not readable as safetensors"):
        rewrite_metadata(tmp_path / "none.safetensors", a="b")


@pytest.mark.parametrize(
    "scale",
    [torch.ones(4), torch.ones(()), torch.ones(3, 1), torch.full((3,), float("nan")), torch.ones(3, dtype=torch.int64)],
)
def test_scales_that_do_not_fit_are_refused(tmp_path, scale):
    stored = {"weight": torch.ones(3, 2, dtype=torch.int8), "weight" + SCALE: scale}
    write_safetensors(stored, tmp_path / "net.safetensors", {})
    with pytest.raises(WeightsFormatError, match=r"scale weight\.int8_scale .*one finite number for each row"):
        read_checkpoint(tmp_path / "net.safetensors")
    with pytest.raises(WeightsFormatError, match=r"scale weight\.int8_scale .*finite number for each row"):
        read_arrays(tmp_path / "net.safetensors")


def test_a_scale_of_other_numbers_than_eight_bits_is_refused(tmp_path):
    stored = {"weight": torch.ones(3, 2), "weight" + SCALE: torch.ones(3)}
    with pytest.raises(WeightsFormatError, match="expected int8 values"):
        dequantise(stored)
    write_safetensors(stored, tmp_path / "net.safetensors", {})
    with pytest.raises(WeightsFormatError, match="expected floating point or eight bits"):
        read_arrays(tmp_path / "net.safetensors")
