import json

import numpy as np
import pytest

from sf_detect.box_regression import FEATURES, BoxRegression
from sf_detect.structures import Detections

SIZE = (240, 320)


def persons(count=200, seed=0):
    rng = np.random.default_rng(seed)
    corner, sides = rng.uniform(20, 100, (count, 2)), rng.uniform(20, 100, (count, 2))
    return Detections(np.concatenate([corner, corner + sides], 1), rng.uniform(0.1, 1, count), np.arange(count))


def test_what_all_boxes_have_too_much_is_taken_away():
    seen = persons()
    width = seen.boxes[:, 2] - seen.boxes[:, 0]
    truth = seen.boxes + np.stack([0.1 * width, 0 * width, -0.1 * width, 0 * width], 1)
    moved = BoxRegression.fit("d", [(seen, truth, SIZE)])(persons(seed=1), SIZE)
    other = persons(seed=1)
    share = (moved.boxes - other.boxes) / (other.boxes[:, 2:3] - other.boxes[:, :1])
    np.testing.assert_allclose(share[:, [0, 2]], np.tile([0.1, -0.1], (200, 1)), atol=0.02)
    np.testing.assert_allclose(share[:, [1, 3]], 0, atol=0.02)
    assert (moved.track_ids == other.track_ids).all()
    assert (moved.scores == other.scores).all()


def test_a_fit_without_examples_moves_nothing():
    moved = BoxRegression.fit("d", [])(persons(), SIZE)
    np.testing.assert_allclose(moved.boxes, persons().boxes, rtol=1e-6)


def test_boxes_of_any_shape_stay_boxes_inside_the_picture():
    odd = np.array([[0, 0, 320, 1], [0, 0, 1, 240], [5, 5, 5, 5], [300, 200, 320, 240]], np.float32)
    wild = BoxRegression("d", np.full((FEATURES, 4), 50.0))
    for regression in (wild, BoxRegression("d", -wild.weights), BoxRegression("d", wild.weights * [1, 1, -1, -1])):
        boxes = regression(Detections(odd, np.ones(4)), SIZE).boxes
        assert (boxes >= 0).all()
        assert (boxes <= [320, 240, 320, 240]).all()
        assert (boxes[[0, 1, 3], 2:] > boxes[[0, 1, 3], :2]).all()


def test_nobody_stays_nobody():
    assert len(BoxRegression.fit("d", [])(Detections.empty(), SIZE)) == 0


def test_text_and_back():
    regression = BoxRegression("d", np.random.default_rng(0).normal(size=(FEATURES, 4)).round(5))
    again = BoxRegression.from_json(regression.to_json())
    assert again.detector == "d"
    np.testing.assert_array_equal(again.weights, regression.weights)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "3",
        "[" * 100_000,
        json.dumps({"detector": "d"}),
        json.dumps({"detector": "d", "weights": [[1.0]]}),
        json.dumps({"detector": "d", "weights": [[float("nan")] * 4] * FEATURES}),
        json.dumps({"detector": "d", "weights": "x"}),
    ],
)
def test_other_text_is_refused(text):
    with pytest.raises(ValueError, match=r"\w"):
        BoxRegression.from_json(text)


def test_only_the_detector_it_was_fitted_on_is_moved():
    found = BoxRegression("ssdlite_person", np.zeros((FEATURES, 4)))
    assert found.fits("ssdlite_person")
    assert not found.fits("faster_rcnn")
