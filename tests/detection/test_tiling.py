"""Tile layout, and joining what several views show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sf_detect.detection import tiling
from sf_detect.errors import ConfigError


def test_auto_looks_again_in_the_mirror_where_it_does_not_tile() -> None:
    assert tiling.resolve((480, 640), "auto") == "mirror"
    assert tiling.resolve((720, 1280), "auto") == tiling.resolve((1280, 720), "auto") == "on"
    assert tiling.resolve((720, 1280), "off") == "off"


def test_auto_tiles_wide_and_tall_frames_only() -> None:
    assert len(tiling.windows((480, 640))) == 1
    assert len(tiling.windows((576, 768))) == 1
    assert len(tiling.windows((720, 1280))) == 3
    assert len(tiling.windows((1280, 720))) == 3


def test_layouts() -> None:
    assert tiling.windows((720, 1280), "on") == [(0, 0, 1280, 720), (0, 0, 720, 720), (560, 0, 1280, 720)]
    assert tiling.windows((1280, 720), "on")[1:] == [(0, 0, 720, 720), (0, 560, 720, 1280)]
    assert tiling.windows((720, 1280), "off") == [(0, 0, 1280, 720)]
    assert tiling.windows((300, 300), "on") == [(0, 0, 300, 300)]
    assert len(tiling.windows((720, 1280), "fine")) == 1 + 2 * 4


@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from(tiling.MODES))
def test_tiles_lie_inside_the_frame_cover_it_and_overlap(height: int, width: int, mode: str) -> None:
    whole, *tiles = tiling.windows((height, width), mode)
    assert whole == (0, 0, width, height)
    if not tiles:
        return
    sides = tiles[0][2] - tiles[0][0], tiles[0][3] - tiles[0][1]
    assert sides[0] == sides[1] or max(width, height) > 4 * min(width, height)
    for x1, y1, x2, y2 in tiles:
        assert (x2 - x1, y2 - y1) == sides
        assert 0 <= x1 < x2 <= width
        assert 0 <= y1 < y2 <= height
    for axis, length in ((0, width), (1, height)):
        starts = sorted({tile[axis] for tile in tiles})
        assert starts[0] == 0
        assert starts[-1] + sides[axis] == length
        gaps = np.diff(starts)
        assert (gaps <= sides[axis] * (1 - tiling.OVERLAP) + 1).all()


@pytest.mark.parametrize(("mode", "most"), [("auto", 5), ("on", 5), ("fine", 18)])
@pytest.mark.parametrize("size", [(100, 400), (8, 2000), (2000, 8), (1, 100_000), (100_000, 3), (999, 4001)])
def test_a_frame_of_extreme_proportions_has_no_more_tiles_than_one_of_4_to_1(
    size: tuple[int, int], mode: str, most: int
) -> None:
    assert len(tiling.windows(size, mode)) <= 1 + most


def test_long_tiles_overlap_and_mark_fragments_by_their_own_length() -> None:
    whole, first, second, *_ = views = tiling.windows((8, 2000), "on")
    assert (first, second) == ((0, 0, 500, 8), (375, 0, 875, 8))
    cut = np.array([[380.0, 0, 495, 8]], np.float32)  # ends 5 of 500 pixels before the inner edge of the first tile
    inner = np.array([[380.0, 0, 520, 8]], np.float32)
    none = np.zeros((0, 4), np.float32)
    found = [none, cut, inner, none, none, none]
    boxes, _ = tiling.merge(views, found, [np.full(len(b), 0.5) for b in found], (8, 2000))
    assert boxes.tolist() == inner.tolist()
    assert whole == (0, 0, 2000, 8)


def test_unknown_mode() -> None:
    with pytest.raises(
        ConfigError, match="tile mode 'always' is not known, expected one of auto, mirror, on, fine, off"
    ):
        tiling.require_mode("always")


SIZE = (100, 180)
WHOLE, LEFT, RIGHT = VIEWS = tiling.windows(SIZE, "on")


def merge(*found: list[tuple[list[float], float]]) -> tuple[list[list[float]], list[float]]:
    """Merges (box, score) per view."""
    boxes = [np.array([box for box, _ in view], np.float32).reshape(-1, 4) for view in found]
    scores = [np.array([score for _, score in view], np.float32) for view in found]
    merged, kept = tiling.merge(VIEWS, boxes, scores, SIZE)
    return merged.tolist(), [round(float(score), 3) for score in kept]


def test_a_person_cut_by_a_tile_is_replaced_by_the_whole_one() -> None:
    whole, fragment = [70, 10, 130, 90], [70, 10, 100, 90]
    assert LEFT[2] == 100
    assert merge([(whole, 0.4)], [(fragment, 0.9)], []) == ([whole], [0.4])


def test_the_whole_person_may_come_from_the_other_tile() -> None:
    whole, fragment = [82, 10, 110, 90], [82, 10, 100, 90]
    assert merge([], [(fragment, 0.9)], [(whole, 0.8)]) == ([whole], [0.8])


def test_a_fragment_that_is_all_there_is_stays_and_the_larger_wins() -> None:
    small, large = [90, 10, 100, 90], [80.5, 10, 99.5, 90]
    assert merge([], [(small, 0.9)], []) == ([small], [0.9])
    assert merge([], [(small, 0.9), (large, 0.5)], []) == ([large], [0.5])


def test_the_frames_own_edge_cuts_nobody() -> None:
    small, large = [0, 10, 20, 60], [0, 5, 40, 100]
    assert merge([], [(small, 0.9), (large, 0.8)], []) == ([small, large], [0.9, 0.8])


def test_nothing_found() -> None:
    assert merge([], [], []) == ([], [])
