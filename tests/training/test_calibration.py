import numpy as np

from sf_detect.training.calibration import FALSE_LABELS, HIGHEST, class_thresholds


def test_a_separable_class_gets_a_threshold_between_its_scores():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 50)
    scores = rng.uniform(0, 0.2, (100, 2))
    scores[np.arange(100), labels] = rng.uniform(0.6, 1.0, 100)
    thresholds = class_thresholds(scores, labels, rng.uniform(0, 0.2, (40, 2)))
    assert np.all((thresholds > 0.2) & (thresholds <= 0.62))


def test_thresholds_rise_until_few_negatives_are_labelled():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 90)
    scores = rng.uniform(0, 1, (90, 3))
    negatives = rng.uniform(0, 0.8, (200, 3))
    thresholds = class_thresholds(scores, labels, negatives)
    assert (negatives > thresholds).any(1).mean() <= FALSE_LABELS


def test_only_classes_that_label_negatives_rise_and_not_beyond_the_highest():
    labels = np.repeat([0, 1], 30)
    scores = np.eye(2)[labels] * 0.8
    quiet = class_thresholds(scores, labels, np.zeros((50, 2)))
    loud = class_thresholds(scores, labels, np.tile([0.0, 0.99], (50, 1)))
    assert loud[0] == quiet[0]
    assert loud[1] == HIGHEST


def test_works_without_negatives():
    thresholds = class_thresholds(np.eye(2), np.array([0, 1]), np.zeros((0, 2)))
    assert thresholds.shape == (2,)
