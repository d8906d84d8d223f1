import numpy as np
import pytest

from sf_detect.data import augmentation as aug


def marked(x, y, height=40, width=60):
    """A black frame with one white pixel block of 4 x 4 at (x, y)."""
    frame = np.zeros((1, height, width, 3), np.uint8)
    frame[0, y : y + 4, x : x + 4] = 255
    return frame, np.array([[x, y, x + 4, y + 4]], float)


@pytest.mark.parametrize("flip", [False, True])
def test_box_follows_the_pixels(flip):
    frame, boxes = marked(22, 14)
    view = aug.View(10.0, 5.0, 30.0, flip)
    image, box = view.images(frame, 60)[0], view.boxes(boxes, 60)[0]
    rows, columns = np.nonzero(image[..., 0] > 127)
    found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_allclose(box, found, atol=1)


def test_boxes_end_at_the_border():
    view = aug.View(10.0, 5.0, 30.0, False)
    np.testing.assert_allclose(view.boxes(np.array([[0.0, 0.0, 100.0, 20.0]]), 60)[0], [0, 0, 60, 30])


def test_view_keeps_a_box_that_fits():
    rng = np.random.default_rng(0)
    box = np.array([30.0, 5.0, 50.0, 25.0])
    for _ in range(50):
        view = aug.random_view(rng, 80, 40, box, (0.7, 1.0))
        assert view.x <= 30.001
        assert view.x + view.size >= 49.999
        assert view.y <= 5.001
        assert view.y + view.size >= 24.999
        assert view.x >= 0
        assert view.x + view.size <= 80.001


def test_view_larger_than_the_frame_is_black_outside():
    view = aug.random_view(np.random.default_rng(0), 40, 40, np.array([5.0, 5.0, 30.0, 30.0]), (1.5, 1.5))
    image = view.images(np.full((1, 40, 40, 3), 255, np.uint8), 60)[0]
    assert 0.35 < (image[..., 0] > 127).mean() < 0.55


def test_colour_changes_alike_in_every_frame():
    frames = np.repeat(np.random.default_rng(1).integers(0, 256, (1, 6, 8, 3), np.uint8), 3, 0)
    changed = aug.colour_jitter(np.random.default_rng(0), frames, 1.0)
    assert changed.shape == frames.shape
    assert changed.dtype == np.uint8
    assert (changed != frames).any()
    assert (changed == changed[:1]).all()
    assert (aug.colour_jitter(np.random.default_rng(0), frames, 0.0) == frames).mean() > 0.99


def test_erases_at_most_the_share():
    frames = np.zeros((2, 30, 30, 3), np.uint8)
    for seed in range(20):
        erased = aug.random_erase(np.random.default_rng(seed), frames.copy(), 0.25) == 128
        assert erased.mean() <= 0.25
        assert (erased[0] == erased[1]).all()


def test_background_avoids_the_actor():
    rng = np.random.default_rng(0)
    for _ in range(50):
        box = aug.background_box(rng, np.array([0.0, 0.0, 50.0, 96.0]), 96)
        if box is not None:
            assert min(50, box[2]) - box[0] < 0.1 * (box[2] - box[0])


def test_no_background_beside_a_full_frame_actor():
    assert aug.background_box(np.random.default_rng(0), np.array([0.0, 0.0, 96.0, 96.0]), 96) is None


def test_box_jitter_is_bounded():
    box = aug.jitter_box(np.random.default_rng(0), np.array([10.0, 10.0, 30.0, 50.0]), 0.1, 96)
    assert np.abs(box - [10, 10, 30, 50]).max() <= 4
    assert np.abs(box - [10, 10, 30, 50])[[0, 2]].max() <= 2


def test_window_is_clamped_and_holds_the_keyframe():
    assert aug.window_indices(10, 4, 4, 2).tolist() == [2, 3, 4, 5]
    assert aug.window_indices(3, 0, 4, 2).tolist() == [0, 0, 0, 1]
    assert aug.window_indices(10, 9, 4, 3, speed=2.0).tolist() == [3, 5, 7, 9]


def test_resize_averages_areas():
    frames = np.zeros((1, 4, 4, 3), np.uint8)
    frames[0, :2, :2] = 200
    assert aug.resize(frames, 2, 2)[0, :, :, 0].tolist() == [[200, 0], [0, 0]]
