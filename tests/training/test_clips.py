"""The recipe kind `clips` from end to end, on a small SlowFast and six tiny videos."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tiny_actions import tiny, write_custom, write_list

from sf_detect.config_files import load_config
from sf_detect.errors import ConfigError, DataError, MissingExtraError, TrainingError, WeightsError
from sf_detect.training import clips
from sf_detect.training.clips_evaluation import Evaluator, Measured
from sf_detect.training.clips_recipe import ClipsRecipe
from sf_detect.training.report import Report

ROOT = Path(__file__).parents[2]
#: Two shapes of two crops: 8 and 16 frames, 23 and 32 pixels.
MULTIGRID = {
    "network.num_frames": 16,
    "multigrid.long_cycle": True,
    "multigrid.long_shapes": "[[0.5, 1], [1, 1]]",
    "multigrid.short_cycle": True,
    "multigrid.short_crops": "[0.7071]",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_custom(tmp_path_factory.mktemp("actions") / "data")


@pytest.fixture
def recipe(data, tmp_path):
    def make(folder="work", **more):
        return load_config(ClipsRecipe, None, tiny(tmp_path / folder, data, **more))

    return make


def run(recipe):
    said = []
    return clips.train(recipe, said.append), said


def log(recipe, name="loss"):
    lines = [json.loads(line) for line in (Path(recipe.work) / "log.jsonl").read_text().splitlines()]
    return [line[name] for line in lines if name in line]


def test_learns_tests_and_describes_its_weights(recipe):
    chosen = recipe(epochs=3)
    weights, said = run(chosen)
    assert weights.name == "best.safetensors"
    assert said[-2].startswith("epoch 3 of 3, loss 0.")
    assert log(chosen)[-1] < log(chosen)[0]
    before = (Path(chosen.work) / "log.jsonl").read_bytes()
    measured = clips.test(chosen, None, said.append)
    assert (Path(chosen.work) / "log.jsonl").read_bytes() == before
    assert measured.figures == {"frame_mAP": 1.0, "accuracy": 1.0}
    result = json.loads((weights.parent / "test.json").read_text())
    assert result["per_class"] == {"stand": 1.0, "wave": 1.0}
    rows = (weights.parent / result["detections"]).read_text().splitlines()
    assert len(rows) == 32  # 16 persons, 2 classes
    assert rows[0].startswith("v0,0.300000,0.100000,0.100000,0.700000,0.900000,")
    assert not list(weights.parent.glob("*.part*"))


def test_weights_say_what_they_need(recipe):
    weights, _ = run(recipe(epochs=1))
    with safe_open(weights, "pt") as file:
        facts = file.metadata()
    assert facts["model"] == "ava_slowfast_8x8_r50"
    assert json.loads(facts["labels"]) == ["stand", "wave"]
    described = json.loads(facts["input"])
    assert (described["num_frames"], described["short_side"], described["activation"]) == (8, 40, "sigmoid")


@pytest.mark.parametrize("name", ["k400_inception_i3d_flow", "k400_two_stream"])
def test_networks_that_see_flow_are_trained_and_classify(data, tmp_path, sf_detect, capsys, name):
    write_list(tmp_path / "list", data)
    settings = {"data.name": "kinetics", "data.root": tmp_path / "list", "data.classes": data / "labels.txt"}
    settings |= {"network.name": name, "network.options": "{}", "network.num_frames": 10, "views.test_crop": 32}
    weights, _ = run(load_config(ClipsRecipe, None, tiny(tmp_path / "work", "", epochs=1, **settings)))
    video = data / "videos" / "v1.mp4"
    assert sf_detect("classify", video, "--weights", weights, "--views", "1x1", "--json", "-") == 0
    assert {row["label"] for row in json.loads(capsys.readouterr().out)["top"]} == {"stand", "wave"}


def test_nothing_is_left_to_do_after_the_end(recipe):
    chosen = recipe(epochs=1)
    weights, _ = run(chosen)
    before = weights.stat().st_mtime_ns
    again, said = run(chosen)
    assert again == weights
    assert weights.stat().st_mtime_ns == before
    assert said == [f"continues {weights.parent}/checkpoint.pt at epoch 2, step 3"]


@pytest.mark.parametrize(
    ("stop", "more"),
    [(2, {}), (4, {"precise_batch_norm": 2}), (2, {**MULTIGRID, "batch": 1}), (4, {**MULTIGRID, "batch": 1})],
)
def test_an_interrupted_run_goes_on_as_if_it_had_not_been(recipe, monkeypatch, stop, more):
    settings = {"save_every": 1, "optimiser.average": 0.9, "evaluation.every": 0, **more}
    settings["network.options"] = "{depth: [1, 1, 1, 1], width: 8, slow_frames: 2, dropout: 0.5}"
    whole, parted = recipe("whole", **settings), recipe("parted", **settings)
    run(whole)
    usual = Report.log

    def interrupt(self, step, figures, **more):
        usual(self, step, figures, **more)
        if step == stop:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Report, "log", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(parted)
    weights, said = run(parted)
    assert said[0].endswith(f"step {stop - 1}")
    assert log(parted) == log(whole)
    expected = load_file(Path(whole.work) / "last.safetensors")
    for name, value in load_file(weights).items():
        assert torch.equal(value, expected[name]), name


@pytest.mark.parametrize(("batch", "more"), [(2, {}), (1, MULTIGRID)])
def test_accumulated_batches_are_one_large_batch(recipe, batch, more):
    frozen = {"freeze_batch_norm": True, "optimiser.rate": 0.01, "evaluation.every": 0, **more}
    large, small = recipe("large", batch=2 * batch, **frozen), recipe("small", batch=batch, accumulate=2, **frozen)
    run(large)
    run(small)
    assert log(small) == pytest.approx(log(large), rel=1e-4)


def test_an_interrupted_evaluation_leaves_no_files_of_its_own(recipe, monkeypatch):
    def interrupted(*_):
        assert not list(Path(chosen.work).glob("detections.[0-9].part"))  # a name that others could take first
        raise KeyboardInterrupt

    chosen = recipe(epochs=1)
    monkeypatch.setattr(Evaluator, "_scores", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(chosen)
    assert [path.name for path in Path(chosen.work).iterdir()] == ["log.jsonl"]


def test_a_run_that_diverges_stops_and_keeps_its_checkpoint(recipe):
    run(recipe(epochs=1, save_every=0))
    checkpoint = Path(recipe().work) / "checkpoint.pt"
    before = checkpoint.read_bytes()
    with pytest.raises(TrainingError, match=r"at step [34]; .*Lower the learning rate.*last checkpoint"):
        run(recipe(epochs=2, save_every=0, **{"optimiser.rate": 1e30, "optimiser.clip_norm": 1e30}))
    assert checkpoint.read_bytes() == before


@pytest.mark.timeout(600)  # three processes that load torch: slow where the machine is busy
def test_two_processes_train_as_one(recipe, tmp_path):
    """The same loss curve, weights and result; persons are spread unevenly over the processes.

    Steps of several shapes, the recipe's own among them, and precise statistics at the end of each epoch.
    """
    common = {"sync_batch_norm": True, "optimiser.rate": 0.02, **MULTIGRID, "precise_batch_norm": 3}
    alone, together = recipe("alone", batch=2, **common), recipe("together", batch=1, **common)
    run(alone)
    overrides = tiny(tmp_path / "together", together.data["root"], batch=1, **common)
    (tmp_path / "recipe.yaml").write_text("recipe: clips\n")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "sf_detect"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "train", str(tmp_path / "recipe.yaml"), *overrides],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 1 of 2") == 1  # only one process speaks
    assert len(log(together)) == 6
    assert log(together) == pytest.approx(log(alone), rel=2e-4)
    assert log(together, "frame_mAP") == pytest.approx(log(alone, "frame_mAP"), abs=1e-6)
    expected = load_file(Path(alone.work) / "last.safetensors")
    for name, value in load_file(Path(together.work) / "last.safetensors").items():
        torch.testing.assert_close(value, expected[name], rtol=1e-3, atol=1e-4, msg=name)


def test_a_single_value_can_not_be_normalised(classification):
    options = "{depth: [1, 1, 1, 1], width: 8}"
    chosen = classification("k400_slow_8x8_r50", **{"network.num_frames": 1, "network.options": options})
    with pytest.raises(ConfigError, match=r"can't be trained on 1 clips of 1 frames of 32x32: .*Raise batch"):
        run(chosen)


@pytest.fixture
def classification(data, tmp_path):
    write_list(tmp_path / "list", data)

    def make(name, **more):
        settings = {"data.name": "kinetics", "data.root": tmp_path / "list", "data.classes": data / "labels.txt"}
        settings |= {"network.name": name, "batch": 1, "views.test_crop": 32, **more}
        return load_config(ClipsRecipe, None, tiny(tmp_path / "work", "", **settings))

    return make


def test_multigrid_says_and_logs_its_shapes(classification):
    options = "{depth: [1, 1, 1, 1], width: 8}"
    sizes = {"network.num_frames": 2, "views.crop": 64, "views.scales": "[64, 64]"}
    chosen = classification("k400_slow_8x8_r50", **{**MULTIGRID, **sizes, "network.options": options})
    _, said = run(chosen)
    assert said[:3] == [
        "multigrid, 6 steps in all, 12 without it:",
        "  epoch 1: 1 frames at rate 8 to 16, crops 45, 64, steps of 4, 2 clips, 2 an epoch, learning rate x2",
        "  epoch 2: 2 frames at rate 8, crops 45, 64, steps of 2, 1 clips, 4 an epoch, learning rate x1",
    ]
    assert log(chosen, "frames") == [1, 1, 2, 2, 2, 2]
    assert log(chosen, "crop") == [45, 64] * 3
    assert log(chosen, "learning_rate") == pytest.approx([0.1, 0.0853553, 0.025, 0.0154329, 0.0073223, 0.0019030], 1e-4)


def test_other_shapes_start_the_epoch_over(recipe, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Report, "progress", lambda self, text, done, total: 1 / (2 - done))
        with pytest.raises(ZeroDivisionError):
            run(recipe(save_every=1))
    _, said = run(recipe(**{"multigrid.short_cycle": True, "multigrid.short_crops": "[0.7071]"}))
    assert said[0].endswith("at epoch 1, step 1")
    assert "  with other settings than before: save_every, multigrid, shapes of batches, so the epoch" in said[1]


def test_a_network_of_one_size_is_refused_before_it_is_trained(classification):
    chosen = classification(
        "ucf101_c3d",
        **{"network.options": "{width: 32}", "network.num_frames": 16, "views.crop": 112, "views.scales": "[112, 112]"},
        **{"multigrid.short_cycle": True, "multigrid.short_crops": "[0.7071]"},
    )
    with pytest.raises(ConfigError, match=r"can't be shown 16 frames of 79 pixels \(C3D takes one clip"):
        run(chosen)


def test_precise_statistics_are_of_what_is_written_alone(recipe):
    """Training goes on as without them; frozen parts keep theirs."""
    common = {"optimiser.average": 0.9, "freeze": "[s1]", "evaluation.every": 0}
    usual, precise = recipe("usual", **common), recipe("precise", precise_batch_norm=2, **common)
    run(usual)
    weights, _ = run(precise)
    assert log(precise) == log(usual)
    expected = load_file(Path(usual.work) / "last.safetensors")
    found = load_file(weights)
    changed = {name for name, value in found.items() if not torch.equal(value, expected[name])}
    assert changed == {n for n in found if n.endswith(("running_mean", "running_var", "tracked")) and n[:3] != "s1."}


def test_other_settings_are_named_when_a_run_goes_on(recipe):
    run(recipe(epochs=1))
    _, said = run(recipe(epochs=2, batch=3))
    assert said[1] == "  with other settings than before: epochs, batch, global batch, so the epoch starts over"


def test_a_checkpoint_of_another_network_is_refused(recipe):
    run(recipe(epochs=1))
    with pytest.raises(WeightsError, match="does not continue this run"):
        run(recipe(epochs=2, **{"network.options": "{depth: [1, 1, 1, 1], width: 16, slow_frames: 2}"}))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"network.name": "k400_slowfast_8x8_r50"}, "is for classification"),
        ({"network.num_classes": 5}, "has 2 classes"),
        ({"network.options": "{widht: 8}"}, "can't be built with the options"),
        ({"data.name": "avo"}, "Did you mean 'ava'"),
        ({"views.crop": 64}, "crop <= smallest"),
        ({"views.scales": "[48]"}, "smallest and the largest"),
        ({"views.sampling": "dense"}, "segments"),
        ({"accumulate": 9}, "an epoch has 3 batches"),
        ({"multigrid.long_cycle": True}, "0.25 of 8 frames is 2, expected a multiple of alpha=4"),
        ({"multigrid.short_cycle": True}, "an epoch has 3 steps' worth of clips"),
        ({"multigrid.shrot_cycle": True}, "multigrid.short_cycle"),
        ({"precise_batch_norm": 2, "freeze_batch_norm": True}, "no batch normalisation of .* learns statistics"),
        ({"precise_batch_norm": -1}, "precise_batch_norm is a number of batches"),
        ({"schedule.kind": "linear"}, "cosine"),
        ({"optimiser.kind": "lion"}, "adamw"),
        ({"optimiser.layers": "{s9: 0.1}"}, "optimiser.layers"),
        ({"freeze": "[s9]"}, "freeze"),
        ({"loss.kind": "hinge"}, "sigmoid"),
        ({"loss.kind": "softmax", "views.background": 1}, "softmax knows no background"),
        ({"evaluation.pooling": "median"}, "mean"),
        ({"device": "cuda:99"}, "sees 0 CUDA"),
        ({"device": "abacus"}, "Expected auto"),
        ({"precision": "fp8"}, "bf16"),
        ({"initialise.weights": "none.pyth"}, "neither a file nor a model"),
    ],
)
def test_settings_that_are_not_accepted(recipe, more, message):
    with pytest.raises(ConfigError, match=message):
        run(recipe(**more))


def test_bf16_on_a_cpu_is_full_precision(recipe):
    full, half = recipe("full", epochs=1), recipe("half", epochs=1, precision="bf16")
    run(full)
    _, said = run(half)
    assert said[0] == "precision=bf16 is for GPUs: on a CPU, where its gradients can be wrong, fp32 is used"
    assert log(half) == log(full)


def test_clips_without_an_action(recipe, data, tmp_path):
    rows = ["youtube_id,time_start,time_end,split", "v0,0,1,test", "v1,0,1,test"]
    (tmp_path / "test.csv").write_text("\n".join(rows))
    chosen = recipe(**{"network.name": "k400_slowfast_8x8_r50"})
    chosen.data = {"name": "kinetics", "root": str(tmp_path), "media": str(data), "split": "test"}
    chosen.data["classes"] = str(data / "labels.txt")
    with pytest.raises(ConfigError, match=r"2 of 2 clips of .* have no action"):
        run(chosen)


def test_data_without_a_name(recipe):
    chosen = recipe()
    del chosen.data["name"]
    with pytest.raises(ConfigError, match=r"data\.name is missing"):
        run(chosen)


def test_there_is_something_to_test(recipe):
    with pytest.raises(ConfigError, match="train first"):
        clips.test(recipe(), None, print)
    chosen = recipe()
    chosen.validation = {}
    with pytest.raises(ConfigError, match="set `validation` or `test`"):
        clips.test(chosen, None, print)


def test_without_validation_the_last_weights_are_the_result(recipe):
    chosen = recipe(epochs=1)
    chosen.validation = {}
    weights, said = run(chosen)
    assert weights.name == "last.safetensors"
    assert len(said) == 1


def test_of_equal_epochs_the_later_is_kept(recipe, monkeypatch):
    scores = iter([0.5, 0.7, 0.7, 0.6])
    monkeypatch.setattr(Evaluator, "__call__", lambda *_: Measured("frame_mAP", {"frame_mAP": next(scores)}))
    weights, _ = run(recipe(epochs=4))
    with safe_open(weights, "pt") as file:
        assert file.metadata()["epoch"] == "3"


def test_videos_are_held_out_and_the_test_side_is_tested(recipe):
    chosen = recipe(epochs=1, held_out=0.3)
    chosen.validation, chosen.test = {}, {"split": "val"}
    weights, said = run(chosen)
    assert weights.name == "best.safetensors"
    rows = {line.split(",")[0] for line in (weights.parent / "detections.csv").read_text().splitlines()}
    assert len(rows) == 2  # a video of each class
    assert not any("test side" in line for line in said)
    measured = clips.test(chosen, None, said.append)
    result = json.loads((weights.parent / "test.json").read_text())
    assert (result["dataset"], result["chosen_on"]) == ("data val", "data train, held out")
    assert not result["chosen_on_same_data"]
    assert len((weights.parent / "test_detections.csv").read_text().splitlines()) == 32
    assert not any("chosen on the same data" in line for line in said)
    assert measured.figures.keys() == {"frame_mAP", "accuracy"}
    chosen.held_out = 0
    shutil.rmtree(chosen.work)
    assert run(chosen)[0].name == "last.safetensors"  # nothing to choose on


def test_weights_that_were_chosen_on_the_test_side_say_so(recipe, data):
    chosen = recipe(epochs=1)
    (data / "test.csv").write_text((data / "val.csv").read_text())
    chosen.validation = {"split": "test"}
    weights, said = run(chosen)
    assert "the best epoch is chosen on data test, the test side" in said[0]
    assert said[-1].endswith("(chosen on the test side)")
    assert log(chosen, "chosen_on_test_side") == [True]
    clips.test(chosen, None, said.append)
    assert json.loads((weights.parent / "test.json").read_text())["chosen_on_same_data"]
    assert any("was chosen on the same data, data test: the figures are the best of several tries" in t for t in said)


def test_held_out_videos_are_looked_for_in_the_training_side(recipe, data):
    (data / "other.csv").write_text("v9,0.3,0.1,0.1,0.7,0.9,stand,1\n")
    (data / "videos" / "v9.mp4").write_bytes((data / "videos" / "v0.mp4").read_bytes())
    chosen = recipe(held_out=0.3)
    chosen.validation = {"split": "other"}
    with pytest.raises(ConfigError, match="none of the 2 videos that are held out is in data other"):
        run(chosen)


def test_tensorboard_is_an_extra(recipe, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtraError, match=r"sf_detect\[train\]"):
        run(recipe(tensorboard=True))


def test_a_foreign_log_is_left_alone(recipe):
    chosen = recipe()
    Path(chosen.work).mkdir()
    (Path(chosen.work) / "log.jsonl").write_text("hello\n")
    with pytest.raises(DataError, match=r"log\.jsonl:1: is no line of a training log"):
        run(chosen)


def test_clips_that_do_not_decode_are_told_and_replaced(recipe, tmp_path):
    data = write_custom(tmp_path / "spoilt", videos=3)
    (data / "videos" / "v1.mp4").write_bytes(b"no video")
    chosen = recipe(epochs=1, batch=2)
    chosen.data["root"] = str(data)
    _, said = run(chosen)
    assert any("stands in" in line and "v1.mp4" in line for line in said)
    assert any("can't be decoded, such as" in line for line in said)
    for video in ("v0", "v2"):
        (data / "videos" / f"{video}.mp4").write_bytes(b"no video")
    with pytest.raises(ConfigError, match="in a row can't be decoded"):
        run(recipe("other", **{"data.root": data}))
