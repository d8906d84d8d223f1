"""What a person's picture says: the square around them, the layer's scores, and how often who is looked at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sf_detect.errors import WeightsFormatError
from sf_detect.keypoints.appearance import APART, AppearanceHead, PictureNetwork, TrackPictures, square_picture
from sf_detect.keypoints.efficientnet_lite import FEATURES, SIDE
from sf_detect.structures import Detections, Frame

GREY = 114


def spot(size, centre, radius):
    """A black picture (H, W) with a white square."""
    image = np.zeros((*size, 3), np.uint8)
    x, y = centre
    image[y - radius : y + radius, x - radius : x + radius] = 255
    return image


@pytest.mark.parametrize("scale", [1, 4, 8, 16])  # the square has a side of 58 to 928 pixels: large ones are averaged
def test_a_square_picture_shows_the_person_in_its_middle(scale):
    image = spot((100 * scale, 120 * scale), (70 * scale, 50 * scale), 4 * scale)
    found = square_picture(image, np.array([60, 30, 80, 70]) * scale)
    assert found.shape == (SIDE, SIDE, 3)
    assert found.dtype == np.uint8
    y, x = np.nonzero(found[..., 0] > 127)
    assert (x.mean(), y.mean()) == pytest.approx((63.5, 63.5), abs=0.75)
    assert np.ptp(x) + 1 == pytest.approx(8 / 58 * SIDE, abs=1.5)


@pytest.mark.parametrize("scale", [1, 10])
def test_a_square_picture_is_grey_where_there_is_none(scale):
    image = np.full((40 * scale, 40 * scale, 3), 255, np.uint8)
    found = square_picture(image, np.array([0, 0, 20, 40]) * scale)
    assert (found[:, :20] == GREY).all()
    assert (found[:10] == GREY).all()
    assert (found[30:100, 60:110] == 255).all()
    for outside in ([500, 500, 540, 540], [-900, -900, -860, -860], [-60, -60, -20, -20]):
        assert (square_picture(image, np.array(outside) * scale) == GREY).all()


def test_a_box_without_size_has_a_picture():
    assert square_picture(spot((50, 50), (25, 25), 5), [25, 25, 25, 25]).shape == (SIDE, SIDE, 3)


class Fixed:
    """An engine whose features are all the mean of the picture."""

    def __init__(self):
        self.seen = []

    def run(self, inputs):
        self.seen.append(inputs["images"])
        return {"features": np.full((1, FEATURES), inputs["images"].mean(), np.float64)}


def test_a_picture_becomes_the_features_of_its_square():
    engine = Fixed()
    found = PictureNetwork(engine)(np.full((90, 90, 3), 60, np.uint8), np.array([30.0, 30.0, 50.0, 50.0]))
    assert [seen.shape for seen in engine.seen] == [(1, SIDE, SIDE, 3)]
    assert found.shape == (FEATURES,)
    assert found.dtype == np.float32
    assert found[0] == 60


def arrays(**changes):
    """Those of a file whose pictures sit the more the larger the first feature; None leaves one out."""
    weight = np.zeros((9, FEATURES), np.float32)
    weight[3, 0] = 2
    found = AppearanceHead.product(weight, np.zeros(9, np.float32), 0.5).arrays()
    found |= {f"appearance.{name}": array for name, array in changes.items()}
    return {"std": np.ones(3), **{name: array for name, array in found.items() if array is not None}}


def head():
    return AppearanceHead.from_arrays(arrays())


def test_pictures_are_scored_with_probabilities():
    features = np.zeros(FEATURES, np.float32)
    features[0] = 1.5
    said = head()(features)
    assert np.exp(said).sum() == pytest.approx(1)
    assert said[3] - said[0] == pytest.approx(3)


def test_a_file_without_what_scores_pictures_has_none():
    assert AppearanceHead.from_arrays({"std": np.ones(3)}) is None


def test_half_precision_is_read_as_single():
    found = AppearanceHead.from_arrays({name: array.astype(np.float16) for name, array in arrays().items()})
    assert {array.dtype for array in found.arrays().values()} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(found.picture, 0.5 * np.eye(9))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"weight": None}, "weight"),
        ({"offset": None, "bias": None}, "bias, offset"),
        ({"other": np.zeros(1)}, "other"),
        ({"weight": np.zeros((9, 7), np.float16)}, r"weight float16 \(9, 7\)"),
        ({"body": np.zeros((9, 8), np.float32)}, r"body float32 \(9, 8\)"),
        ({"bias": np.zeros(9, np.int64)}, r"bias int64 \(9,\)"),
        ({"picture": np.full((9, 9), np.nan, np.float32)}, r"picture float32 \(9, 9\)"),
        ({"offset": np.full(9, np.inf, np.float32)}, r"offset float32 \(9,\)"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes, problem):
    with pytest.raises(WeightsFormatError, match=rf"does not fit: {problem}\. Expected .*Take the file that ships"):
        AppearanceHead.from_arrays(arrays(**changes))


def even(posture=None):
    """Log-probabilities of somebody of whom nothing is known, or one more for a posture."""
    return np.log(np.full(9, 1 / 9, np.float32)) + (0 if posture is None else np.eye(9, dtype=np.float32)[posture])


def test_a_product_adds_the_share_of_pictures_to_what_landmarks_tell():
    logits = np.arange(12, dtype=np.float32)
    joined = head().joined(logits, [even(0), even(1)])
    way = (joined - logits)[:9] - (joined - logits)[8]
    np.testing.assert_allclose(way, [0.25, 0.25, *[0] * 7], atol=1e-5)  # half of the mean of both
    np.testing.assert_array_equal(joined[9:], logits[9:])
    np.testing.assert_array_equal(logits, np.arange(12))
    assert head().joined(logits, []) is logits


def test_each_opinion_on_a_posture_may_count_for_another():
    zero, one = np.zeros((9, 9), np.float32), np.zeros((9, 9), np.float32)
    one[2, 4] = 1
    alone = replace(head(), body=zero, picture=one, offset=np.arange(9, dtype=np.float32))
    joined = alone.joined(np.zeros(9, np.float32), [even(4)])
    np.testing.assert_allclose(joined, np.arange(9) + (1 - np.log(9)) * np.eye(9)[2], atol=1e-5)
    swapped = replace(alone, body=one, picture=zero).joined(even(4), [even()])
    expected = np.arange(9) + (1 - np.log(8 + np.e)) * np.eye(9)[2]
    np.testing.assert_allclose(swapped, expected, atol=1e-5)


def test_persons_of_a_keyframe_are_joined_unless_their_landmarks_are_unknown():
    body = np.zeros(12, np.float32)
    found = TrackPictures(Looks(), head(), 8).joined(0.0, [1, 2, None], [body, None, body], [[even(0)], [even(0)], []])
    assert found[0][0] - found[0][1] == pytest.approx(0.5)
    assert found[1] is None
    np.testing.assert_array_equal(found[2], body)


class Looks:
    """Features of a picture whose first is the time of the frame; remembers the boxes."""

    def __init__(self):
        self.boxes = []

    def __call__(self, image, box):
        self.boxes.append(box.tolist())
        return np.eye(1, FEATURES, dtype=np.float32)[0] * image[0, 0, 0]


def frame(pts):
    return Frame(np.full((100, 100, 3), round(10 * pts), np.uint8), round(100 * pts), pts)


def persons(*boxes, ids=None):
    numbers = np.arange(1, len(boxes) + 1) if ids is None else np.array(ids, np.int64)
    return Detections(np.array(boxes, np.float32).reshape(-1, 4), np.full(len(boxes), 0.9), numbers)


SMALL, LARGE, LARGEST = [0, 0, 10, 20], [20, 0, 50, 60], [50, 0, 99, 99]


def test_a_track_is_looked_at_now_and_then():
    looks = Looks()
    pictures = TrackPictures(looks, head(), 8)
    seen = []
    for number in range(20):
        before = len(looks.boxes)
        pictures.look(frame(number * 0.25), persons(LARGE))
        seen += [number * 0.25] * (len(looks.boxes) - before)
    assert APART == 1.4
    assert seen == [0, 1.5, 3, 4.5]


def test_the_largest_persons_are_looked_at_and_nobody_without_a_box_in_the_picture():
    looks = Looks()
    pictures = TrackPictures(looks, head(), 2)
    pictures.look(frame(0.0), persons(SMALL, LARGE, LARGEST))
    assert looks.boxes == [LARGEST, LARGE]
    nowhere = persons([200, 200, 300, 300], [np.nan] * 4, [np.nan, 0, 50, 60], [0, 0, np.inf, 60])
    TrackPictures(looks, head(), 4).look(frame(0.0), nowhere)
    assert len(looks.boxes) == 2


def test_what_was_said_since_a_time_is_told_and_forgotten_after_a_while():
    pictures = TrackPictures(Looks(), head(), 8)
    for pts in (0.0, 1.5):
        pictures.look(frame(pts), persons(LARGE, ids=[4]))
    first, second = pictures.since(4, -np.inf)
    assert second[3] > first[3]
    assert [said is second for said in pictures.since(4, 0.5)] == [True]
    assert pictures.since(4, 2.0) == pictures.since(5, 0.0) == pictures.since(None, 0.0) == []
    pictures.look(frame(1.75), persons())
    assert len(pictures.since(4, -np.inf)) == 1
    pictures.look(frame(3.25), persons())
    assert pictures.since(4, -np.inf) == []


def test_a_reset_forgets_and_persons_without_tracks_are_not_looked_at():
    looks = Looks()
    pictures = TrackPictures(looks, head(), 8)
    pictures.look(frame(0.0), persons(LARGE))
    pictures.reset()
    assert pictures.since(1, -np.inf) == []
    pictures.look(frame(0.0), replace(persons(LARGE), track_ids=None))
    assert len(looks.boxes) == 1
