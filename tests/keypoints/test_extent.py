"""The box around landmarks."""

from __future__ import annotations

import numpy as np
import pytest

from sf_detect.keypoints.extent import extent, inside

SIZE = (200, 200)


def points(confidence=0.9, **places):
    """A trunk of 20 x 40 pixels with its head, everything else on the left hip; `places`: landmarks by number."""
    found = np.zeros((33, 3), np.float32)
    found[:] = (90, 80, confidence)
    found[[7, 8], :2] = (100, 30)
    found[[11, 12], :2] = [(110, 40), (90, 40)]
    for name, place in places.items():
        found[int(name[1:])] = place
    return found


def test_the_box_holds_the_landmarks_the_crown_and_a_margin():
    box = extent(points(), SIZE)
    crown = 30 - 0.7 * 10  # ears 10 above the shoulders
    margin = 0.04 * (80 - crown)
    np.testing.assert_allclose(box, [90 - margin, crown - margin, 110 + margin, 80 + margin], rtol=1e-5)


def test_a_head_that_lies_has_its_crown_at_the_side():
    lying = points()
    lying[:, :2] = lying[:, 1::-1]  # the picture's axes exchanged: the head to the left
    np.testing.assert_allclose(extent(lying, SIZE), extent(points(), SIZE)[[1, 0, 3, 2]])


def test_landmarks_that_are_unsure_or_outside_do_not_count():
    odd = points(l31=(0, 0, 0.2), l32=(100, 250, 0.9), l20=(-5, 50, 0.9))
    assert inside(odd, SIZE).sum() == 30
    np.testing.assert_allclose(extent(odd, SIZE), extent(points(), SIZE))


def test_without_a_sure_head_there_is_no_crown():
    box = extent(points(l7=(100, 30, 0.1), l8=(100, 30, 0.1)), SIZE)
    assert box[1] == pytest.approx(40 - 0.04 * 40)


def test_the_box_ends_with_the_picture():
    wide = points(l15=(0, 50, 0.9), l16=(200, 50, 0.9))
    assert extent(wide, SIZE)[[0, 2]].tolist() == [0, 200]
