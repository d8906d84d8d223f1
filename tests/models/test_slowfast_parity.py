"""Logits and stage statistics equal the references, through both public checkpoint formats."""

from __future__ import annotations

import gzip
import importlib.util
import json
import pickle
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from sf_detect.models.classification_head import activate, clip_scores
from sf_detect.weights.checkpoint import check_fit
from sf_detect.weights.naming import from_caffe2
from sf_detect.zoo.table import entry, load_network

QUICK = ["ava_slow_4x16_r50", "k400_slowfast_nl_4x16_r50", "k400_x3d_s"]
THOROUGH = [
    "ava_slowfast_8x8_r50",
    "ava_slowfast_8x8_r101_nl",
    "charades_slowfast_16x8_r50",
    "k400_c2d_8x8_r50",
    "k400_i3d_8x8_r50",
    "k400_slow_8x8_r50",
    "k400_slowfast_4x16_r50",
    "k400_slowfast_8x8_r50",
]


def reference(shared: Path, name: str) -> dict[str, Any]:
    with gzip.open(shared / "parity" / f"{name}.json.gz") as file:
        return json.load(file)


def deterministic(shared: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("deterministic", shared / "parity" / "deterministic.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def save(shared: Path, data: dict[str, Any], kind: str, folder: Path) -> Path:
    """The deterministic weights as a public checkpoint; the suffix says nothing."""
    values = {k: deterministic(shared).parameter(k, s) for k, s in data["shapes"].items()}
    path = folder / "weights.bin"
    if kind == "pyslowfast":
        state = {k: torch.from_numpy(np.asarray(v)) for k, v in values.items()}
        torch.save({"epoch": 195, "model_state": state, "optimizer_state": {"state": {}}, "cfg": "TRAIN: {}"}, path)
    else:
        blobs = {data["caffe2_names"][k]: v for k, v in values.items() if k in data["caffe2_names"]}
        blobs |= {"lr": np.float32(0.1), "model_iter": np.int64(7), "conv1_w_momentum": np.zeros(3, np.float32)}
        path.write_bytes(pickle.dumps({"blobs": blobs}, protocol=2))
    return path


def check(shared: Path, name: str, kind: str, folder: Path) -> None:
    data = reference(shared, name)
    network = load_network(name, save(shared, data, kind, folder))
    assert sum(p.numel() for p in network.parameters()) == data["parameters"]
    stages: dict[str, list[torch.Tensor]] = {}
    for stage in data["stages"]:
        network.get_submodule(stage).register_forward_hook(
            lambda _, __, out, stage=stage: stages.__setitem__(stage, out if isinstance(out, list) else [out])
        )
    clip = torch.from_numpy(deterministic(shared).clip("clip", (3, data["num_frames"], data["size"], data["size"])))
    index = entry(name).slow_index
    if index is not None:
        assert list(index) == data["slow_index"]
    pathways = [clip[None]] if index is None else [clip[None, :, list(index)], clip[None]]
    boxes = None if data["boxes"] is None else torch.tensor(data["boxes"])
    with torch.inference_mode():
        logits = network(pathways, boxes)
    expected = torch.tensor(data["logits"]).reshape(data["logits_shape"])
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-4)
    activation = entry(name).activation
    output = activate(logits, activation) if boxes is not None else clip_scores(logits, activation)
    torch.testing.assert_close(output, torch.tensor(data["output"]).reshape(output.shape), rtol=0, atol=1e-5)
    for stage, pathway_statistics in data["stages"].items():
        for x, statistics in zip(stages[stage], pathway_statistics, strict=True):
            assert list(x.shape) == statistics["shape"]
            assert x.double().mean().item() == pytest.approx(statistics["mean"], abs=1e-5)
            assert x.double().std().item() == pytest.approx(statistics["std"], rel=1e-4)


@pytest.mark.parametrize("name", QUICK)
def test_parity(shared, name, tmp_path):
    check(shared, name, "pyslowfast", tmp_path)


def test_parity_from_caffe2(shared, tmp_path):
    check(shared, "ava_slow_4x16_r50", "caffe2", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pyslowfast", "caffe2"])
@pytest.mark.parametrize("name", THOROUGH)
def test_parity_of_every_reference(shared, name, kind, tmp_path):
    check(shared, name, kind, tmp_path)


def test_every_reference_network_has_its_names_and_shapes(shared):
    for path in sorted((shared / "parity").glob("*.json.gz")):
        data = json.loads(gzip.decompress(path.read_bytes()))
        if "shapes" not in data:
            continue
        with torch.device("meta"):
            network = entry(path.name.removesuffix(".json.gz")).builder()
        assert {k: list(v.shape) for k, v in network.state_dict().items()} == data["shapes"]


# Networks whose reference values are kept back; each consists of parts of references that are there: the reference
# that gives the names, the one that gives the slow pathway's non-local blocks, and the classes.
KEPT_BACK = {
    "ava_slowfast_16x8_r101_nl": ("ava_slowfast_8x8_r101_nl", "ava_slowfast_8x8_r101_nl", 80),
    "k400_slowfast_8x8_r101": ("ava_slowfast_8x8_r101_nl", None, 400),
    "k400_slowfast_16x8_r101": ("ava_slowfast_8x8_r101_nl", None, 400),
    "k400_slowfast_nl_16x8_r101": ("ava_slowfast_8x8_r101_nl", "ava_slowfast_8x8_r101_nl", 400),
    "k400_slow_4x16_r50": ("k400_slow_8x8_r50", None, 400),
    "k400_slow_nl_8x8_r50": ("k400_slow_8x8_r50", "k400_slowfast_nl_4x16_r50", 400),
    "k400_i3d_nl_8x8_r50": ("k400_i3d_8x8_r50", "k400_slowfast_nl_4x16_r50", 400),
    "ssv2_slowfast_16x8_r50": ("charades_slowfast_16x8_r50", None, 174),
}


def assembled(shared: Path, name: str) -> tuple[dict[str, list[int]], dict[str, str]]:
    """Shapes and Caffe2 names of a network that is kept back."""
    base, attention, classes = KEPT_BACK[name]
    shapes, blobs = {}, {}
    for origin, nonlocal_part in ((base, False), (attention, True)):
        if origin is None:
            continue
        data = reference(shared, origin)
        chosen = {k: s for k, s in data["shapes"].items() if ("nonlocal" in k) == nonlocal_part}
        shapes |= chosen
        blobs |= {k: data["caffe2_names"][k] for k in chosen if k in data["caffe2_names"]}
    for leaf in ("weight", "bias"):
        shapes[f"head.projection.{leaf}"] = [classes, *shapes[f"head.projection.{leaf}"][1:]]
    return shapes, blobs


@pytest.mark.parametrize("name", KEPT_BACK)
def test_networks_that_are_kept_back_load_both_namings(shared, name, tmp_path):
    shapes, blobs = assembled(shared, name)
    with torch.device("meta"):
        network = entry(name).builder().eval()
    assert {k: list(v.shape) for k, v in network.state_dict().items()} == shapes
    check_fit(
        {from_caffe2(blobs[k]): torch.empty(s, device="meta") for k, s in shapes.items() if k in blobs}, network, name
    )
    assert {k for k in shapes if k not in blobs} == {k for k in shapes if k.endswith("num_batches_tracked")}

    frames, side = entry(name).clip_spec.num_frames, 64
    index = entry(name).slow_index or range(frames)
    counts = [len(index), frames] if entry(name).alpha else [frames]
    clip = [torch.empty(1, 3, count, side, side, device="meta") for count in counts]
    logits = network(clip, torch.zeros(2, 5, device="meta") if entry(name).task == "detection" else None)
    assert logits.flatten(0, -2).shape == (2 if entry(name).task == "detection" else 1, entry(name).num_classes)

    # One value stands for each tensor, so that no file of a quarter of a gigabyte is written.
    values = {k: torch.ones((), dtype=v.dtype).expand(v.shape) for k, v in network.state_dict().items()}
    torch.save({"model_state": values}, tmp_path / "w")
    loaded = load_network(name, tmp_path / "w").state_dict()
    assert all(v.shape == loaded[k].shape and v.flatten()[0] == 1 for k, v in values.items())
