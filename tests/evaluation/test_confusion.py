"""Confusion matrix and its picture, and the examples in docstrings."""

import doctest
from pathlib import Path

import numpy as np
import pytest

import sf_detect.evaluation.confusion
import sf_detect.evaluation.mean_ap
from sf_detect.errors import ConfigError, SinkError
from sf_detect.evaluation.confusion import confusion
from sf_detect.evaluation.plots import plot_confusion


@pytest.mark.parametrize("module", [sf_detect.evaluation.confusion, sf_detect.evaluation.mean_ap])
def test_docstring_examples(module) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


def test_rows_are_true_classes() -> None:
    matrix = confusion(np.array([0, 0, 2, 2, 2]), np.array([0, 1, 2, 0, 0], np.int32), 4)
    assert matrix.tolist() == [[1, 1, 0, 0], [0, 0, 0, 0], [2, 0, 1, 0], [0, 0, 0, 0]]
    assert matrix.dtype == np.int64
    assert confusion(np.zeros(0), np.zeros(0), 2).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("targets", "predictions", "message"),
    [
        ([0, 1], [0], r"both have shape \(N,\), got \(2,\) and \(1,\)"),
        ([[0]], [0], r"both have shape \(N,\), got \(1, 1\) and \(1,\)"),
        ([0], [3], r"predictions lie in 0\.\.2 for 3 classes, got 3\.\.3"),
        ([-1], [0], r"targets lie in 0\.\.2 for 3 classes, got -1"),
        ([0.5], [0], r"targets are class numbers \(integers\), got float64"),
    ],
)
def test_errors(targets, predictions, message) -> None:
    with pytest.raises(ConfigError, match=message):
        confusion(np.array(targets), np.array(predictions), 3)


def test_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    matrix = confusion(np.array([0, 1, 1]), np.array([0, 1, 0]), 3)  # class 2 has no clip
    path = plot_confusion(matrix, ["walk", "run", "sit"], tmp_path / "new" / "confusion.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(ConfigError, match=r"of 2 classes is square of that size, got \(3, 3\)"):
        plot_confusion(matrix, ["walk", "run"], path)
    with pytest.raises(SinkError, match="cannot write"):
        plot_confusion(matrix, ["walk", "run", "sit"], path / "c.png")
