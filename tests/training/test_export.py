import json

import pytest
import torch
from safetensors import safe_open

from sf_detect.errors import WeightsError
from sf_detect.models.slowfast_tiny import slowfast_tiny
from sf_detect.training.export import INPUT, export, load_shipped
from sf_detect.zoo import table as zoo


@torch.inference_mode()
def test_file_gives_the_network_back(tmp_path):
    torch.manual_seed(0)
    network = slowfast_tiny(3, folded=False).eval()
    path = tmp_path / "net.safetensors"
    export(network, path, ["a", "b", "c"], {"scores": {"split 1": 0.5}})
    assert any(name.endswith("bn.weight") for name in network.state_dict()), "the trained network stays as it was"
    fast = torch.randn(1, 3, 8, 32, 32)
    pathways = [fast[:, :, 3::4], fast]
    loaded = load_shipped(path, 3)
    torch.testing.assert_close(loaded(pathways), network(pathways), atol=5e-2, rtol=5e-2)
    assert all(tensor.dtype == torch.float32 for tensor in loaded.state_dict().values())
    with safe_open(str(path), "pt") as file:
        metadata = file.metadata()
    assert json.loads(metadata["labels"]) == ["a", "b", "c"]
    assert json.loads(metadata["input"]) == INPUT
    assert json.loads(metadata["scores"]) == {"split 1": 0.5}


def test_another_width_is_refused(tmp_path):
    path = tmp_path / "net.safetensors"
    export(slowfast_tiny(3, folded=False), path, ["a", "b", "c"], {})
    with pytest.raises(WeightsError, match="classifier"):
        load_shipped(path)


def test_shipped_file_is_small_and_says_what_it_is():
    path = zoo.entry("slowfast_tiny_jhmdb").shipped
    assert path.stat().st_size <= 12_000_000
    with safe_open(str(path), "pt") as file:
        metadata = file.metadata()
        assert {file.get_slice(name).get_dtype() for name in file.keys()} == {"F16", "F32", "I8"}  # noqa: SIM118
        assert len(json.loads(metadata["thresholds"])) == 21
    assert len(json.loads(metadata["labels"])) == 21
    assert path.with_suffix(".md").is_file()
