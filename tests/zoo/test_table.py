"""The zoo table."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys

import pytest
import torch

from sf_detect.errors import ConfigError, UnknownNameError, WeightsMismatchError
from sf_detect.labels import label_set
from sf_detect.models.activation import ACTIVATIONS
from sf_detect.models.classifier import JOINING
from sf_detect.models.video_views import Views
from sf_detect.weights.detector_table import DETECTORS, TORCHVISION, detector_entry
from sf_detect.zoo import table as zoo
from sf_detect.zoo.table import ZOO, entry, load_network

PARITY_NAMES = [
    "ava_slowfast_8x8_r50",
    "ava_slowfast_8x8_r101_nl",
    "ava_slowfast_16x8_r101_nl",
    "ava_slow_4x16_r50",
    "k400_slowfast_4x16_r50",
    "k400_slowfast_8x8_r50",
    "k400_slowfast_8x8_r101",
    "k400_slowfast_16x8_r101",
    "k400_slowfast_nl_16x8_r101",
    "k400_slowfast_nl_4x16_r50",
    "k400_slow_4x16_r50",
    "k400_slow_8x8_r50",
    "k400_slow_nl_8x8_r50",
    "k400_i3d_8x8_r50",
    "k400_i3d_nl_8x8_r50",
    "k400_c2d_8x8_r50",
    "charades_slowfast_16x8_r50",
    "ssv2_slowfast_16x8_r50",
    "k400_x3d_s",
]


def meta(name: str) -> torch.nn.Module:
    with torch.device("meta"):
        return entry(name).builder()


def test_every_published_name_exists():
    assert set(PARITY_NAMES) <= set(ZOO)


def test_the_names_of_the_parity_table_exist(shared):
    table = (shared / "parity" / "README.md").read_text()
    names = re.findall(r"^\| ((?:ava|k400|charades|ssv2)_\w+)", table, re.MULTILINE)
    assert len(names) == len(PARITY_NAMES)
    assert set(names) <= set(ZOO)


@pytest.mark.parametrize("name", ZOO)
def test_entries_are_consistent(name):
    e = entry(name)
    assert e.name == name
    assert e.task in ("detection", "classification")
    assert e.activation in ACTIVATIONS
    assert e.fast_input in ("rgb", "flow")
    assert (e.aligned is None) == (e.task == "classification")
    assert e.task == "detection" or e.detector_threshold is None
    assert bool(e.urls) <= bool(e.licence and e.metric and e.metric_source)
    assert all(url.startswith("https://") for url in e.urls)
    if e.alpha is not None:
        assert len(e.slow_index) * e.alpha == e.clip_spec.num_frames
    with pytest.raises(dataclasses.FrozenInstanceError):
        e.mean = (0, 0, 0)


@pytest.mark.parametrize("name", ZOO)
def test_entries_are_complete(name):
    e = entry(name)
    published = bool(e.urls or e.shipped or e.sdist)
    assert published == bool(e.licence)
    assert not published or (e.metric and e.metric_source)
    assert published or e.remark  # says that there are none, or which ones it is for
    assert bool(e.metric) == bool(e.metric_source)
    assert e.file_format in ("caffe2", "pyslowfast", "pytorchvideo", "mmaction2", "flax", "safetensors")
    assert len(e.mean) == len(e.std) == 3
    assert all(0 <= m < 1 for m in e.mean)
    assert all(0 < s < 1 for s in e.std)
    assert e.channel_order in ("rgb", "bgr")
    assert e.short_side >= (e.crop or 0) > 0 or e.crop is None
    if e.task == "detection":
        assert e.aligned is not None
        assert (e.detector_threshold is None) == ("true boxes" in e.metric)


@pytest.mark.parametrize("name", DETECTORS)
def test_detector_entries_are_complete(name):
    e = detector_entry(name)
    assert e.licence
    assert e.classes
    assert bool(e.metric) == bool(e.metric_source)
    assert e.metric or name == "ssdlite_person"  # nothing was published for it


def test_figures_of_torchvisions_detectors():
    from torchvision.models import get_model_weights

    for name, box_ap in TORCHVISION.items():
        assert get_model_weights(name).DEFAULT.meta["_metrics"]["COCO-val2017"]["box_map"] == box_ap


@pytest.mark.parametrize("name", ZOO)
def test_the_label_set_has_a_name_for_every_class(name):
    assert len(label_set(entry(name).labels)) == entry(name).num_classes


@pytest.mark.parametrize("name", [name for name in ZOO if entry(name).task == "classification"])
def test_how_a_classifier_is_tested(name):
    e = entry(name)
    assert e.view_scores in JOINING
    if e.views:
        views = Views.parse(e.views)
        assert views.clips == 1 or not e.whole_video


def test_the_published_protocols_of_charades_and_something_something():
    charades, ssv2 = entry("charades_slowfast_16x8_r50"), entry("ssv2_slowfast_16x8_r50")
    assert (charades.views, charades.view_scores, charades.activation) == ("10x3", "max", "sigmoid")
    assert (ssv2.views, ssv2.view_scores, ssv2.whole_video) == ("1x1", "mean", True)
    # Both were trained on pictures read as BGR and then turned round (DATA.REVERSE_INPUT_CHANNEL).
    assert charades.channel_order == ssv2.channel_order == "rgb"


@pytest.mark.parametrize("name", ["ava_slowfast_8x8_r50", "k400_i3d_nl_8x8_r50", "k400_x3d_s"])
def test_the_network_fits_its_entry(name):
    e, network = entry(name), meta(name)
    assert network.alpha == e.alpha
    assert network.head.projection.out_features == e.num_classes


def test_clip_lengths_of_the_published_models():
    assert entry("ava_slowfast_8x8_r50").clip_spec.duration == pytest.approx(64 / 30)
    assert entry("k400_slowfast_16x8_r101").clip_spec.duration == pytest.approx(128 / 30)
    assert entry("k400_slowfast_4x16_r50").slow_index == (0, 10, 20, 31)


def test_an_unknown_name_gives_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'k400_slow_8x8_r50'"):
        entry("k400_slow_8x8_r5")


def small_entry(name: str, classes: int) -> zoo.ZooEntry:
    from sf_detect.models.slowfast import SlowFast
    from sf_detect.structures import ClipSpec

    def build(**options):
        return SlowFast(classes, depth=(1, 1, 1, 1), width=8, **options)

    return zoo.ZooEntry(name, build, ClipSpec(32, 2), classes, "ava80", alpha=4)


@pytest.fixture
def small_zoo(monkeypatch):
    entries = {e.name: e for e in (small_entry("a", 2), small_entry("b", 3), small_entry("c", 3))}
    monkeypatch.setattr(zoo, "ZOO", entries)
    return entries


def test_a_network_is_loaded_strictly_and_ready_to_use(small_zoo, tmp_path):
    state = small_zoo["a"].builder().state_dict()
    torch.save({"model_state": state}, tmp_path / "w")
    network = load_network("a", tmp_path / "w", causal=True)
    assert not network.training
    assert network.causal
    assert torch.equal(network.head.projection.weight, state["head.projection.weight"])
    with pytest.raises(WeightsMismatchError, match=r"head.projection.bias \(2,\) instead of \(3,\)"):
        load_network("b", tmp_path / "w")


def test_without_weights_the_network_is_random(small_zoo):
    assert load_network("a").head.projection.weight.abs().sum() > 0


def test_listing_the_zoo_needs_no_torch():
    code = "import sys; from sf_detect.zoo.table import ZOO; assert ZOO; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_builder_options_as_configuration_files_and_json_write_them():
    network = zoo.build_network(
        zoo.entry("k400_slow_8x8_r50"), 3, depth=[1, 2, 1, 1], width=8, nonlocal_blocks={"3": [1]}, slow_frames=2
    )
    assert "s3.pathway0_nonlocal1.conv_theta.weight" in network.state_dict()
    assert network.head.projection.out_features == 3
    with pytest.raises(ConfigError, match="can't be built with the options"):
        zoo.build_network(zoo.entry("k400_slow_8x8_r50"), widht=8)
