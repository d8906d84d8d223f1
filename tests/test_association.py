"""Assignments are the best there are; distance-IoU is that of the paper."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from sf_detect.association import assign, distance_iou


def best_sum(similarity: np.ndarray) -> float:
    """By trying every assignment."""
    wide = similarity if similarity.shape[0] <= similarity.shape[1] else similarity.T
    rows = np.arange(len(wide))
    return max(float(wide[rows, list(columns)].sum()) for columns in permutations(range(wide.shape[1]), len(wide)))


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1), (3, 3), (2, 5), (5, 2), (5, 5), (6, 4)])
@pytest.mark.parametrize("values", ["real", "ties", "equal"])
def test_no_assignment_is_better(shape: tuple[int, int], values: str) -> None:
    rng = np.random.default_rng(3)
    for _ in range(8):
        similarity = rng.normal(size=shape) if values == "real" else rng.integers(0, 3, shape).astype(float)
        if values == "equal":
            similarity[:] = 0.25
        pairs = assign(similarity)
        assert len(pairs) == min(shape)
        assert pairs == sorted(pairs)
        assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == min(shape)
        assert sum(similarity[pair] for pair in pairs) == pytest.approx(best_sum(similarity))


def test_it_is_that_of_scipy() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(4)
    for shape in [(0, 0), (1, 30), (30, 1), (30, 30), *rng.integers(0, 30, (60, 2))]:
        similarity = rng.normal(size=shape)
        expected = optimize.linear_sum_assignment(similarity, maximize=True)
        assert assign(similarity) == list(zip(*map(np.ndarray.tolist, expected), strict=True))


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nothing_to_assign(shape: tuple[int, int]) -> None:
    assert assign(np.zeros(shape)) == []


def test_pairs_that_are_too_different_are_left_out_afterwards() -> None:
    similarity = np.array([[0.9, 0.8], [0.8, -0.5]])
    assert assign(similarity) == [(0, 1), (1, 0)]  # 1.6 rather than 0.4
    assert assign(np.array([[0.9, 0.1], [0.2, -0.5]]), 0.0) == [(0, 0)]
    assert assign(np.array([[0.3]]), 0.3) == [(0, 0)]


def test_distance_iou() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [10, 0, 20, 10], [5, 5, 5, 5]])
    found = distance_iou(boxes, boxes)
    np.testing.assert_allclose(np.diag(found), [1, 1, 0])  # a point has no area to share
    np.testing.assert_allclose(found[0, 1], -100 / 500)
    np.testing.assert_allclose(found[0, 2], 0)
    np.testing.assert_allclose(found, found.T)
    part = distance_iou(np.array([[0.0, 0, 4, 4]]), np.array([[2.0, 0, 6, 8]]))  # centres (2, 2) and (4, 4)
    np.testing.assert_allclose(part, [[8 / 40 - 8 / 100]])
    assert distance_iou(boxes[:0], boxes).shape == (0, 3)
