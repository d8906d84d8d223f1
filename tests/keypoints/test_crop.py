"""Squares are cut where the rule says, and points find their way back."""

import math

import numpy as np
import pytest

from sf_detect.keypoints.crop import SIDE, Crop, trunk_angle


def picture_of_places(width: int = 640, height: int = 480) -> np.ndarray:
    """Red tells x and green tells y, in units of 4 pixels."""
    y, x = np.mgrid[:height, :width]
    return np.stack([(x + 0.5) / 4, (y + 0.5) / 4, np.full_like(x, 255)], -1).astype(np.uint8)


def test_the_square_has_a_quarter_more_than_the_longer_side():
    assert Crop.around([100, 50, 140, 130], 0.3) == Crop(120, 90, 100, 0.3)
    assert Crop.around([0, 0, 200, 20]).side == 250
    assert Crop.around([5, 5, 5, 5]).side > 0  # a box without extent


@pytest.mark.parametrize("angle", [0.0, 0.4, -1.2, math.pi / 2, math.pi])
@pytest.mark.parametrize("box", [(200, 100, 300, 350), (250, 200, 290, 230), (-50, -20, 700, 500)])
def test_points_of_the_square_lie_where_they_were_cut_from(angle, box):
    crop = Crop.around(box, angle)
    cut = crop.cut(picture_of_places())
    inside = np.argwhere(cut[..., 2] == 255)[::97]
    assert len(inside) > 100
    places = crop.to_picture((inside[:, ::-1] + 0.5).astype(np.float32))
    seen = 4 * cut[inside[:, 0], inside[:, 1], :2].astype(np.float32) + 2
    assert np.abs(places - seen).max() <= max(4.1, crop.side / SIDE * 2)


def test_the_picture_ends_in_black():
    cut = Crop.around([-100, -100, 100, 100]).cut(picture_of_places())
    assert (cut[: SIDE // 2 - 2, : SIDE // 2 - 2] == 0).all()
    assert cut[-1, -1, 2] == 255


def body(angle: float, trunk: float = 100, confidence: float = 0.9) -> np.ndarray:
    """Landmarks of somebody whose shoulders lie `trunk` pixels from the hips, `angle` to the right of upwards."""
    points = np.zeros((33, 3), np.float32)
    points[:, 2] = confidence
    points[[23, 24], :2] = [[290, 300], [310, 300]]
    points[[11, 12], :2] = points[[23, 24], :2] + trunk * np.array([math.sin(angle), -math.cos(angle)])
    return points


@pytest.mark.parametrize("angle", [0.0, 0.5, -0.5, 1.6, -3.0])
def test_the_next_square_stands_upright(angle):
    points = body(angle)
    found = trunk_angle(points, 0.9, 300)
    assert found == pytest.approx(angle, abs=1e-6)
    crop = Crop.around([150, 150, 450, 450], found)
    # What lies over the hips in the person's own sense is straight over them in the square.
    square = np.array([[SIDE / 2, SIDE / 2], [SIDE / 2, 0]], np.float32)
    hips, head = crop.to_picture(square)
    direction = (head - hips) / np.linalg.norm(head - hips)
    assert direction == pytest.approx([math.sin(angle), -math.cos(angle)], abs=1e-5)


@pytest.mark.parametrize(
    ("points", "presence", "side"),
    [
        (body(1.0), 0.4, 300),
        (body(1.0, confidence=0.4), 0.9, 300),
        (body(1.0, trunk=40), 0.9, 300),
        (body(1.0, trunk=0), 0.9, 300),
    ],
)
def test_an_uncertain_trunk_turns_nothing(points, presence, side):
    assert trunk_angle(points, presence, side) == 0


def test_metres_follow_the_picture_again():
    angle = 0.7
    over = np.zeros((33, 3), np.float32)
    over[:, 1], over[:, 2] = -1, 0.25  # a metre over the hips along the square's sides
    turned = Crop(0, 0, 100, angle).turned_back(over)
    assert turned[0] == pytest.approx([math.sin(angle), -math.cos(angle), 0.25], abs=1e-6)
