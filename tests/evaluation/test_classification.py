"""Top-k accuracy, pooling of views and multi-label mAP, by hand."""

import numpy as np
import pytest

from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.evaluation.classification import ViewPool, multilabel_map, topk_accuracy
from sf_detect.labels import LabelMap

LABELS = LabelMap.of(["a", "b", "c"])


def test_topk() -> None:
    scores = np.array([[0.9, 0.05, 0.05], [0.2, 0.5, 0.3], [0.2, 0.5, 0.3], [0.1, 0.1, 0.8]])
    assert topk_accuracy(scores, np.array([0, 1, 2, 0]), (1, 2, 3)) == {1: 0.5, 2: 1.0, 3: 1.0}
    assert topk_accuracy(np.zeros((2, 3)), np.array([0, 2]), (1, 3)) == {1: 0.5, 3: 1.0}  # the first of equals leads
    assert np.isnan(topk_accuracy(np.zeros((0, 3)), np.zeros(0), (1,))[1])


@pytest.mark.parametrize(
    ("scores", "labels", "ks", "message"),
    [
        (np.zeros((2, 3)), [0], (1,), r"scores have shape \(N, C\) and labels \(N,\), got \(2, 3\) and \(1,\)"),
        (np.zeros((1, 3)), [3], (1,), r"labels lie in 0\.\.2, got 3\.\.3"),
        (np.zeros((1, 3)), [0], (1, 5), r"k of top-k lies in 1\.\.3, the number of classes, got \[1, 5\]"),
    ],
)
def test_topk_errors(scores: np.ndarray, labels: list[int], ks: tuple[int, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        topk_accuracy(scores, np.array(labels), ks)


def test_views() -> None:
    for pooling, expected in (("mean", [[2, 2], [1, 5]]), ("max", [[3, 4], [1, 5]])):
        pool = ViewPool(2, pooling)
        pool.add("v", np.array([1, 4]))
        pool.add("w", np.array([[1, 5], [1, 5]]))
        pool.add("v", np.array([3, 0]))
        videos, scores = pool.result()
        assert videos == ["v", "w"]
        assert scores.tolist() == expected


def test_views_are_counted() -> None:
    pool = ViewPool()
    pool.add("v", np.zeros((29, 2)))
    with pytest.raises(ConfigError, match="1 of 1 videos do not have 30 views: 'v' has 29"):
        pool.result()
    with pytest.raises(UnknownNameError, match="unknown pooling of views 'sum'"):
        ViewPool(1, "sum")


def test_multilabel_map() -> None:
    scores = np.array([[0.9, 0.1, 0], [0.8, 0.2, 0], [0.7, 0.3, 0], [0.95, 0.4, 0]])
    targets = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 0]])
    charades = multilabel_map(scores, targets, LABELS)
    assert charades.per_class["a"] == pytest.approx((1 + 2 / 3) / 2)  # the video without labels stands last
    assert charades.per_class["b"] == pytest.approx(1 / 2)
    assert np.isnan(charades.per_class["c"])
    assert charades.mean_ap == pytest.approx((5 / 6 + 1 / 2) / 2)
    assert charades.truths == {"a": 2, "b": 1, "c": 0}
    plain = multilabel_map(scores, targets, LABELS, "pyslowfast")
    assert plain.per_class["a"] == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert plain.per_class["b"] == pytest.approx(1 / 3)


def test_multilabel_map_of_equal_scores() -> None:
    scores, targets = np.full((4, 1), 0.5), np.array([[1], [0], [1], [0]])
    one = LabelMap.of(["a"])
    assert multilabel_map(scores, targets, one, "pyslowfast").mean_ap == pytest.approx(0.5)
    assert multilabel_map(scores + 1, np.ones((4, 1)), one).mean_ap == 1


def test_multilabel_errors() -> None:
    with pytest.raises(ConfigError, match=r"scores and targets have shape \(N, 3\), got \(1, 2\) and \(1, 2\)"):
        multilabel_map(np.zeros((1, 2)), np.zeros((1, 2)), LABELS)
    with pytest.raises(UnknownNameError, match="unknown protocol of multi-label mAP 'coco'"):
        multilabel_map(np.zeros((1, 3)), np.zeros((1, 3)), LABELS, "coco")
