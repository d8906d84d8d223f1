"""Which detection continues which track: similarity of boxes, and the assignment that makes the most of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sf_detect import boxes as box_ops

Float64Array = npt.NDArray[np.float64]

_LEAST_DIAGONAL = 1e-7  # squared, in pixels; two equal boxes without an area are at no distance


def distance_iou(first: Float64Array, second: Float64Array) -> Float64Array:
    """Distance-IoU of every pair of boxes (Zheng et al. 2020, equation 7), which tells near from far without overlap.

    Args:
        first, second: (N, 4) and (M, 4) xyxy.

    Returns:
        (N, M), from -1 to 1: the IoU less the squared distance of the centres over the squared diagonal of the smallest
        box around both.
    """
    centres = [(boxes[:, :2] + boxes[:, 2:]) / 2 for boxes in (first, second)]
    distance = np.square(centres[0][:, None] - centres[1][None]).sum(axis=2)
    top_left = np.minimum(first[:, None, :2], second[None, :, :2])
    bottom_right = np.maximum(first[:, None, 2:], second[None, :, 2:])
    diagonal = np.square(bottom_right - top_left).sum(axis=2)
    return np.asarray(box_ops.iou(first, second)) - distance / (diagonal + _LEAST_DIAGONAL)


def assign(similarity: Float64Array, least: float = -np.inf) -> list[tuple[int, int]]:
    """Pairs of rows and columns whose similarities have the largest sum (Kuhn 1955).

    Computed by shortest augmenting paths (Jonker and Volgenant 1987), a row at a time.

    Args:
        similarity: (N, M), finite.
        least: Pairs of less are left out of the result; they take part in the sum.

    Returns:
        At most min(N, M) pairs (row, column), by row; no row and no column twice.
    """
    if similarity.shape[0] > similarity.shape[1]:
        pairs = sorted((row, column) for column, row in _assign(-similarity.T))
    else:
        pairs = _assign(-similarity)
    return [(row, column) for row, column in pairs if similarity[row, column] >= least]


def _assign(cost: Float64Array) -> list[tuple[int, int]]:
    """The pairs of least cost, one for every row; there are no more rows than columns."""
    rows, columns = cost.shape
    row_of = np.full(columns + 1, -1, np.intp)  # the last column is where a new row begins
    row_price, column_price = np.zeros(rows), np.zeros(columns + 1)
    for row in range(rows):
        row_of[columns] = row
        distance, before = np.full(columns, np.inf), np.full(columns, columns, np.intp)
        reached = np.zeros(columns + 1, bool)
        column = columns
        while row_of[column] >= 0:
            reached[column] = True
            source = row_of[column]
            offered = cost[source] - row_price[source] - column_price[:columns]
            shorter = ~reached[:columns] & (offered < distance)
            distance[shorter], before[shorter] = offered[shorter], column
            nearest = int(np.where(reached[:columns], np.inf, distance).argmin())
            step = distance[nearest]
            row_price[row_of[reached]] += step
            column_price[reached] -= step
            distance[~reached[:columns]] -= step
            column = nearest
        while column != columns:  # turn the pairs along the path
            row_of[column] = row_of[before[column]]
            column = before[column]
    found = [(int(row_of[column]), column) for column in range(columns) if row_of[column] >= 0]
    return sorted(found)
