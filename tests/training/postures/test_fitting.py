import numpy as np
import pytest

from sf_detect.training.postures.fitting import FusionRecipe, cross_fitted, fit_fusion

ACTIONS = 3


def told(columns, sure, seed):
    """Probabilities (N, 4) of actions and none that favour `columns` where `sure`."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0.5, 1.0, (len(columns), ACTIONS + 1))
    scores[np.flatnonzero(sure), columns[sure]] += 6
    return scores / scores.sum(1, keepdims=True)


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, ACTIONS + 1, 200)
    logits = np.concatenate([np.zeros((200, 9)), np.log(told(truth, np.arange(200) % 2 == 0, 1))], axis=1)
    return told(truth, np.arange(200) % 2 == 1, 2)[:, :ACTIONS], logits.astype(np.float32), truth


def test_two_that_know_different_halves_know_more_together(case):
    scores, logits, truth = case
    found = cross_fitted(scores, logits, truth, np.arange(200) % 4, FusionRecipe())
    acted = truth < ACTIONS
    alone = (scores.argmax(1) == truth)[acted].mean()
    assert (found.argmax(1) == truth)[acted].mean() > alone + 0.2


def test_whoever_knows_nothing_weighs_nothing(case):
    _, logits, truth = case
    noise = np.random.default_rng(3).normal(0, 3, logits.shape).astype(np.float32)
    fusion = fit_fusion(told(truth, np.ones(200, bool), 4)[:, :ACTIONS], noise, truth, FusionRecipe())
    assert fusion.body_weight == min(FusionRecipe().body_weights)


def test_weights_of_a_fold_come_from_the_others(case):
    scores, logits, truth = case
    folds = np.arange(200) % 2
    found = cross_fitted(scores, logits, truth, folds, FusionRecipe())
    spoiled = truth.copy()
    spoiled[folds == 0] = 0  # what is true of a fold changes nothing there
    again = cross_fitted(scores, logits, spoiled, folds, FusionRecipe())
    np.testing.assert_array_equal(found[folds == 0], again[folds == 0])
