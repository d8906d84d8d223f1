import json

import numpy as np
import pytest
import torch

from sf_detect.keypoints.appearance import AppearanceHead
from sf_detect.keypoints.efficientnet_lite import FEATURES
from sf_detect.keypoints.features import COLUMNS, GRID, MOVED
from sf_detect.keypoints.fusion import Fusion
from sf_detect.keypoints.posture_file import read_posture_file
from sf_detect.labels import shown_names
from sf_detect.training.postures import classifier
from sf_detect.training.postures.examples import collect
from sf_detect.training.postures.recipe import PostureRecipe
from sf_detect.training.postures.testing import facts

ACTIONS = ["clap", "sit"]
SMALL = classifier.ClassifierRecipe(
    width=8,
    networks={"postures": 2, "actions": 1},
    steps={"postures": 60, "actions": 60},
    biases=[0.0] * 9,
    batch=32,
    rate=0.02,
    dropout=0.0,
    feature_dropout=0.0,
    average=0.9,
)
SHARES = [1 / 9] * 9


def examples(count=60):
    """Feature 0 tells the posture (stand or sit), feature 1 the action."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(count):
        posture, action = rng.integers(2, size=2)
        x = np.zeros((len(GRID), COLUMNS))
        x[:, :4] = rng.normal(0, 0.1, (len(GRID), 4))
        x[:, MOVED[0]] = 0.2  # neither still nor leaving
        x[:, 0] += posture
        x[:, 1] += action
        rows.append((x, np.eye(9)[3 * posture], int(action), 1.0, number))
    return collect(rows)


@pytest.fixture(scope="module")
def networks():
    both = {task: examples() for task in classifier.TASKS}
    return classifier.train_classifier(both, len(ACTIONS), SMALL, SHARES)


def test_both_tasks_are_learned_by_networks_of_their_own(networks):
    given = examples()
    logits = classifier.logits_of(networks, given.features)
    assert (logits[:, :9].argmax(1) == given.postures.argmax(1)).mean() > 0.95
    assert (logits[:, 9:].argmax(1) == given.actions).mean() > 0.95
    assert len(networks) == 3
    assert not networks[0].head.weight[9:].any()
    assert not networks[2].head.weight[:9].any()


def test_numpy_computes_what_torch_computed(networks):
    x = examples(3).features.astype(np.float32)
    run = classifier.as_network(networks)
    found = np.stack([run.logits(row) for row in x])
    np.testing.assert_allclose(found, classifier.logits_of(networks, x), atol=0.02)  # half precision


def test_training_leaves_the_state_of_torch_alone(networks):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    classifier.train_classifier({task: examples(8) for task in classifier.TASKS}, 2, SMALL, SHARES)
    assert torch.rand(1) == expected


def test_the_file_is_read_as_a_run_reads_it(networks, tmp_path):
    fusion = Fusion(1.0, 0.6, 0.0, np.zeros(2, np.float32))
    recipe = PostureRecipe()
    recipe.thresholds.actions = {"clap": 0.7}
    classifier.write_classifier(networks, tmp_path / "p.safetensors", facts(ACTIONS, recipe, fusion))
    file = read_posture_file(tmp_path / "p.safetensors")
    assert file.thresholds == tuple(recipe.thresholds.postures)
    assert file.alone == ("walk", "run", "jump")
    labels = json.loads(file.metadata["labels"])
    assert [label["name"] for label in labels[8:]] == ["none", *shown_names(ACTIONS), "none"]
    read = Fusion.from_metadata(file.metadata, recipe.action_model, ACTIONS)
    assert read is not None
    np.testing.assert_allclose(read.thresholds, [0.7, recipe.thresholds.action])
    assert (read.action_weight, read.body_weight) == (1.0, 0.6)
    x = examples(1).features[0].astype(np.float32)
    np.testing.assert_allclose(file.network.logits(x), classifier.as_network(networks).logits(x), atol=1e-5)


def test_what_scores_pictures_is_written_beside_the_networks(networks, tmp_path):
    rng = np.random.default_rng(0)
    square = (9, 9)
    shapes = {"weight": (9, FEATURES), "bias": 9, "body": square, "picture": square, "offset": 9}
    head = AppearanceHead(**{name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()})
    known = facts(ACTIONS, PostureRecipe(), Fusion(1.0, 0.6, 0.0, np.zeros(2, np.float32)))
    classifier.write_classifier(networks, tmp_path / "p.safetensors", known, head)
    found = read_posture_file(tmp_path / "p.safetensors").appearance
    for name in shapes:
        np.testing.assert_allclose(getattr(found, name), getattr(head, name), atol=0.002)  # half precision
    classifier.write_classifier(networks, tmp_path / "q.safetensors", known)
    assert read_posture_file(tmp_path / "q.safetensors").appearance is None


def test_any_accepted_posture_will_do_and_unknown_ones_cost_nothing():
    logits = torch.zeros(3, 9 + 3)
    logits[:, 0] = 5
    accepted = torch.zeros(3, 9)
    accepted[0, [0, 8]], accepted[1, 8] = 1, 1
    loss = classifier.posture_loss(logits, accepted, 0.0)
    assert loss[0] < 0.1 < 4 < loss[1]
    assert loss[2] == 0
    assert classifier.action_loss(logits, torch.tensor([0, 2, -1]), 0.0)[2] == 0


def test_rare_postures_weigh_more():
    rows = [(np.zeros((5, COLUMNS)), np.eye(9)[0], 0, 1.0, 0)] * 9 + [(np.zeros((5, COLUMNS)), np.eye(9)[6], 0, 1.0, 0)]
    weights = classifier.posture_weights(collect(rows), [0.5, 0, 0, 0, 0, 0, 0.5, 0, 0])
    np.testing.assert_allclose(weights[[0, 9]], [0.5 / 0.9, 0.5 / 0.1], rtol=1e-5)
