"""Any readable checkpoint as safetensors."""

from __future__ import annotations

import pytest
import torch

from sf_detect.errors import WeightsFormatError
from sf_detect.weights.checkpoint import read_checkpoint
from sf_detect.zoo.conversion import convert_checkpoint

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}


def test_conversion_keeps_weights_and_epoch(tmp_path):
    torch.save({"epoch": 3, "model_state": STATE}, tmp_path / "w.pyth")
    written = convert_checkpoint(tmp_path / "w.pyth", tmp_path / "w.safetensors")
    checkpoint = read_checkpoint(tmp_path / "w.safetensors")
    assert (checkpoint.format, checkpoint.epoch) == ("safetensors", 3)
    assert checkpoint.metadata == written.metadata == {"converted_from": "pyslowfast", "epoch": "3"}
    assert checkpoint.state.keys() == STATE.keys()
    assert all(torch.equal(checkpoint.state[k], v) for k, v in STATE.items())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["w.pyth", "w.safetensors"]


def test_conversion_to_a_place_that_does_not_exist(tmp_path):
    torch.save(STATE, tmp_path / "w")
    with pytest.raises(WeightsFormatError, match="cannot write the weights"):
        convert_checkpoint(tmp_path / "w", tmp_path / "nowhere" / "w.safetensors")
