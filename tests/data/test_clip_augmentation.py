import numpy as np
import pytest

from sf_detect.data.clip_augmentation import Augmentation, augment, boxes_in, cut, random_part
from sf_detect.errors import ConfigError

VARIANTS = [
    Augmentation(48, (56, 90)),
    Augmentation(48, (48, 200), flip=False),
    Augmentation(40, (48, 200), area=(0.08, 1.0)),
    Augmentation(40, (48, 200), area=(0.9, 1.0), aspect=(4, 5)),  # fits no frame of 4:3
]


def clip_with_a_bright_box(box, size=(96, 128)):
    frames = np.zeros((2, *size, 3), np.uint8)
    x1, y1, x2, y2 = box
    frames[:, y1:y2, x1:x2] = 255
    return frames, np.array([box], np.float32)


@pytest.mark.parametrize("options", VARIANTS)
@pytest.mark.parametrize("seed", range(6))
def test_boxes_stay_on_their_pixels(options, seed):
    frames, boxes = clip_with_a_bright_box((40, 24, 88, 72))
    images, moved, kept = augment(np.random.default_rng(seed), frames, boxes, options)
    assert images.shape == (2, options.crop, options.crop, 3)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images[0], images[1])
    if not len(kept):
        assert images.max() == 0
        return
    rows, columns = np.nonzero(images[0, :, :, 0] > 127)
    seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_allclose(moved[0], seen, atol=1)


def test_boxes_outside_are_dropped_and_those_on_the_border_cut():
    boxes = np.array([[0, 0, 10, 10], [20, 20, 60, 60], [90, 0, 100, 10]], np.float32)
    moved = boxes_in(boxes, (30, 30, 50, 50), 100, flip=False)
    np.testing.assert_allclose(moved[1], [0, 0, 60, 60])
    frames = np.zeros((1, 100, 100, 3), np.uint8)
    for seed in range(20):
        _, found, kept = augment(np.random.default_rng(seed), frames, boxes, Augmentation(20, (40, 40)))
        assert len(found) == len(kept) <= 2
        assert (found[:, 2:] - found[:, :2] >= 1).all()


def test_flip_mirrors_boxes_and_pixels():
    frames = np.arange(10, dtype=np.uint8).reshape(1, 1, 10, 1).repeat(10, 1).repeat(3, 3)
    np.testing.assert_array_equal(cut(frames, (0, 0, 10, 10), 10, True), frames[:, :, ::-1])
    np.testing.assert_allclose(boxes_in(np.array([[1, 2, 3, 4]], np.float32), (0, 0, 10, 10), 10, True), [[7, 2, 9, 4]])


def test_scale_jitter_covers_the_published_range():
    rng = np.random.default_rng(0)
    sides = [random_part(rng, 340, 256, Augmentation())[2] for _ in range(500)]
    assert min(sides) == pytest.approx(224 * 256 / 320, abs=2)
    assert max(sides) == pytest.approx(224, abs=2)


def test_same_seed_same_view_and_no_boxes_for_classification():
    frames = np.random.default_rng(1).integers(0, 256, (3, 60, 80, 3), np.uint8)
    options = Augmentation(32, (40, 60), colour=0.5)
    first, boxes, kept = augment(np.random.default_rng(7), frames, np.zeros((0, 4), np.float32), options)
    second, *_ = augment(np.random.default_rng(7), frames, np.zeros((0, 4), np.float32), options)
    np.testing.assert_array_equal(first, second)
    assert boxes.shape == (0, 4)
    assert kept.shape == (0,)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"crop": 300}, "crop <= smallest"),
        ({"scales": (320, 256)}, "crop <= smallest"),
        ({"area": (0, 1)}, "area"),
        ({"aspect": (2, 1)}, "aspect"),
        ({"colour": 2}, "colour strength"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(ConfigError, match=message):
        Augmentation(**settings)
