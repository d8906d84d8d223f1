"""The recipe from end to end on six tiny clips, with networks that see everybody stand, in pictures that are alike."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_landmarks import Standing
from tiny_jhmdb import write_tiny_jhmdb

from sf_detect import detection
from sf_detect.commands.train import load_recipe
from sf_detect.keypoints.efficientnet_lite import FEATURES
from sf_detect.keypoints.posture_file import read_posture_file
from sf_detect.model_spec import ModelSpec
from sf_detect.structures import ActionDetections, ClipSpec, Detections
from sf_detect.training.postures import recipe, testing
from sf_detect.training.recipes import RECIPES

CONFIG = Path(__file__).parents[3] / "configs" / "jhmdb" / "postures.yaml"
ACTOR = Detections(np.array([[15, 8, 45, 44]]), np.array([0.9]))


class Undecided:
    """An action model, and its stream, that cannot tell `catch` from `walk`."""

    spec = ModelSpec("slowfast_tiny_jhmdb", ("catch", "walk"), ClipSpec(8, 1), 32)

    def __call__(self, clips):
        return [self._said(c.persons, c.keyframe_pts) for c in clips]

    def open_stream(self):
        return self

    def push(self, frame):
        pass

    def reset(self):
        pass

    def score(self, persons, pts, image_size):
        return self._said(persons, pts)

    @staticmethod
    def _said(persons, pts):
        return ActionDetections(pts, persons, np.full((len(persons), 2), 0.4, np.float32), pts)


@pytest.fixture
def settings(tmp_path, monkeypatch):
    write_tiny_jhmdb(tmp_path / "data")
    for module in (recipe, testing):
        monkeypatch.setattr(module, "load_predictor", lambda name: Undecided())
    monkeypatch.setattr(recipe.Work, "network", Standing())
    monkeypatch.setattr(recipe.Work, "pictures", staticmethod(lambda image, box: np.ones(FEATURES, np.float32)))
    monkeypatch.setattr(detection, "build_detector", lambda *_, **__: lambda images: [ACTOR for _ in images])
    labels = {
        f"{action}_{n:03d}": "WWW" if action == "walk" else "SSS" for action in ("catch", "walk") for n in (1, 2, 3)
    }
    monkeypatch.setattr(recipe.made, "read_jhmdb_postures", lambda: labels)
    changes = [
        f"data={tmp_path / 'data'}",
        f"work={tmp_path / 'work'}",
        "classifier.steps={'postures': 4, 'actions': 4}",
        "classifier.width=8",
        "appearance.steps=4",
    ]
    changes += ["fusion.action_weights=[1.0]", "fusion.body_weights=[0.5]", "fusion.none_biases=[0.0]"]
    return load_recipe(CONFIG, changes)[1]


def test_a_trained_file_is_measured_alone_and_fused(settings, tmp_path):
    kind, said = RECIPES["postures"], []
    path = kind.train(settings, said.append)
    file = read_posture_file(path)
    assert file.network.sizes.actions == 2
    assert file.appearance is not None
    assert any("examples of lying" in line for line in said)
    assert "64 pictures of 0 people and 4 actors" in said
    figures = kind.test(settings, None, said.append)
    assert figures["clips"] == 2
    assert figures["postures"] == 6
    for name in ("accuracy_middle_action_model", "accuracy_middle_fused", "accuracy_trailing_cross_fitted"):
        assert 0 <= figures[name] <= 1
    for name in ("frame_map_act_smoothed", "frame_map_act_smoothed_fused", "frame_map_act_streaming_smoothed_fused"):
        assert 0 <= figures[name] <= 1
    stored = json.loads((tmp_path / "work" / "test_postures_split1.json").read_text())
    assert stored == figures


def test_the_recipe_states_the_defaults_of_the_code(settings):
    assert settings.examples == recipe.ExamplesRecipe()
    assert replace(settings.appearance, steps=recipe.AppearanceRecipe().steps) == recipe.AppearanceRecipe()
    assert settings.thresholds.postures == list(read_posture_file().thresholds)


def test_a_recipe_without_pictures_looks_at_none(settings, monkeypatch):
    monkeypatch.setattr(recipe.Work, "pictures", staticmethod(pytest.fail))
    settings.appearance.share = 0.0
    assert recipe.train_appearance(recipe.Work(settings, print)) is None
