from dataclasses import replace

import numpy as np
import pytest

from sf_detect.keypoints.features import ANKLES, GRID, MOVED, features, movement, vertical_range
from sf_detect.keypoints.looks import Window
from tests.keypoints.plain_features import plain_features


def window(times, seed=0, size=(480, 640)) -> Window:
    """A person that walks to the right, one metre high in 100 pixels."""
    rng = np.random.default_rng(seed)
    count = len(times)
    metres = rng.normal(0, 0.4, (1, 33, 3)).repeat(count, 0)
    right = 100 * np.asarray(times)[:, None]
    points = np.concatenate([metres[..., :2] * 100 + 200, rng.uniform(0, 1, (1, 33, 1)).repeat(count, 0)], axis=2)
    points[..., 0] += right
    boxes = np.tile([150.0, 100.0, 250.0, 300.0], (count, 1))
    boxes[:, [0, 2]] += right
    as32 = [array.astype(np.float32) for array in (points, metres, np.ones(count), boxes)]
    return Window(np.asarray(times, np.float64), *as32, size)


def some_window(seed: int) -> Window:
    """Anything: one look or many, at regular times or not, a tiny body or a huge one, boxes that have no size."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 12))
    times = np.arange(count) * 0.25 if seed % 2 else np.sort(rng.uniform(0, 1.05, count))
    metres = rng.normal(0, 10 ** rng.uniform(-5, 2), (count, 33, 3))
    metres[0, :12] *= seed % 3  # landmarks in one place have no direction
    points = np.concatenate([rng.normal(200, 100, (count, 33, 2)), rng.uniform(0, 1, (count, 33, 1))], axis=2)
    boxes = np.tile(rng.uniform(0, 300, 4), (count, 1)) + rng.normal(0, 20, (count, 4))
    as32 = [array.astype(np.float32) for array in (points, metres, rng.uniform(0, 1, count), boxes)]
    size = 480, int(rng.integers(1, 1000))
    places = np.concatenate([rng.normal(0, 50, (count, 2)), rng.integers(0, 2, (count, 1)) // (1 + seed % 2)], axis=1)
    return Window(times + 1000 * seed, *as32, size, places if seed % 4 else None)


@pytest.mark.parametrize("seed", range(12))
def test_the_features_are_those_computed_one_number_at_a_time(seed):
    given = some_window(seed)
    np.testing.assert_allclose(features(given), plain_features(given), atol=1e-5, rtol=0)


def test_walker_whom_the_camera_follows_moves_against_the_background():
    followed = window([0.0, 0.5, 1.0])
    right = followed.boxes[:, :1] - followed.boxes[0, 0]
    followed.boxes[:, [0, 2]] -= right
    followed.points[..., 0] -= right
    assert movement(features(followed)) == pytest.approx(0, abs=1e-6)  # of the camera nothing is known
    camera = np.concatenate([-right, 0 * right, 0 * right], axis=1)
    assert movement(features(replace(followed, camera=camera))) == pytest.approx(0.5, rel=1e-5)


def test_who_stands_before_a_turning_camera_does_not_move():
    passing = window([0.0, 0.5, 1.0])
    right = passing.boxes[:, :1] - passing.boxes[0, 0]
    camera = np.concatenate([right, 0 * right, 0 * right], axis=1)
    assert movement(features(passing)) == pytest.approx(0.5, rel=1e-5)
    assert movement(features(replace(passing, camera=camera))) == pytest.approx(0, abs=1e-6)
    camera[0, 2] = 5  # a cut, after which only part of the way is known
    assert movement(features(replace(passing, camera=camera))) == pytest.approx(0.5, rel=1e-5)


def test_two_looks_at_the_same_time_are_no_movement_between():
    given = window([0.0, 0.5, 0.5, 1.0, 1.0])
    given.metres[:, 0, 0] = [0, 1, 2, 3, 4]
    np.testing.assert_allclose(features(given)[:, 0], [0, 0.5, 2, 2.5, 4], rtol=1e-6)


def test_the_grid_does_not_depend_on_how_often_the_person_was_looked_at():
    often, seldom = features(window(np.arange(0, 1.01, 0.05))), features(window(np.arange(0, 1.01, 0.25)))
    np.testing.assert_allclose(often, seldom, atol=1e-5)


def test_one_look_is_repeated_and_said_to_be_one():
    one, all_known = features(window([5.0])), features(window(np.arange(4, 5.01, 0.25)))
    assert one.shape == all_known.shape == (len(GRID), one.shape[1])
    np.testing.assert_array_equal(one[:, -1], [0, 0, 0, 0, 1])
    np.testing.assert_array_equal(all_known[:, -1], 1)
    np.testing.assert_array_equal(one[0, :-2], one[-1, :-2])


def test_a_swinging_leg_shows_however_the_person_stands():
    still, swinging = window([0.0, 0.25, 0.5, 0.75, 1.0]), window([0.0, 0.25, 0.5, 0.75, 1.0])
    swinging.metres[1::2, 27, 0] += 0.5  # an ankle goes to and fro
    changed = np.flatnonzero(np.abs(features(still) - features(swinging))[-1] > 0.4)
    assert len(changed) >= 2  # from the other ankle, and from the hip


def test_columns_that_training_reads_are_what_they_are_called():
    moving, still = window([0.0, 0.5, 1.0]), window([0.0, 0.5, 1.0])
    moving.metres[1, 27, 0] += 0.7
    still.boxes[:], still.points[:] = still.boxes[:1], still.points[:1]
    np.testing.assert_allclose(features(moving)[-1, ANKLES], 0.7, rtol=1e-5)
    np.testing.assert_allclose(features(moving)[-1, list(MOVED)], 0.5, rtol=1e-5)  # a height is 200 pixels
    np.testing.assert_allclose(features(still)[-1, list(MOVED)], 0, atol=1e-6)


def test_a_squat_shows_as_the_vertical_range_of_the_hips():
    level, squat = window([0.0, 0.5, 1.0]), window([0.0, 0.5, 1.0])
    squat.points[1, 23:25, 1] += 40  # down and up again; a height is 200 pixels
    assert vertical_range(features(level)) == pytest.approx(0, abs=1e-6)
    assert vertical_range(features(squat)) == pytest.approx(0.2, rel=1e-5)


def test_neither_the_place_in_the_picture_nor_its_scale_counts():
    here = window([0.0, 0.5, 1.0])
    points = here.points * np.array([2, 2, 1], np.float32) + np.array([40, 30, 0], np.float32)
    boxes = here.boxes * 2 + np.tile(np.array([40, 30], np.float32), 2)
    there = Window(here.times, points, here.metres, here.presence, boxes, (960, 1280))
    np.testing.assert_allclose(features(here), features(there), atol=1e-4)


def test_a_walk_to_the_right_shows():
    moving, still = features(window([0.0, 0.5, 1.0])), features(window([1.0]))
    assert np.abs(moving[0] - still[0]).max() == pytest.approx(1, abs=0.51)  # 0.5 heights in a second


@pytest.mark.parametrize("value", [0.0, 1e30, -1e30])
def test_whatever_the_network_says_the_features_are_finite(value):
    count = 3
    strange = Window(
        np.array([0.0, 0.2, 0.4]),
        np.full((count, 33, 3), value, np.float32),
        np.full((count, 33, 3), value, np.float32),
        np.zeros(count, np.float32),
        np.full((count, 4), value, np.float32),
        (1, 1),
    )
    found = features(strange)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert np.abs(found).max() <= 6
