import numpy as np
import pytest

from sf_detect import boxes


def test_iou_of_known_pairs():
    a = np.array([[0, 0, 2, 2], [0, 0, 0, 5]], float)
    b = np.array([[1, 0, 3, 2], [5, 5, 6, 6], [0, 0, 2, 2]], float)
    assert np.allclose(boxes.iou(a, b), [[1 / 3, 0, 1], [0, 0, 0]])


def test_clip_and_scale():
    box = np.array([[-4.0, 2.0, 30.0, 9.0]])
    assert boxes.clip(box, (8, 20)).tolist() == [[0, 2, 20, 8]]
    assert boxes.scale(np.array([[2.0, 4.0, 6.0, 8.0]]), (100, 200), (50, 400)).tolist() == [[4, 2, 12, 4]]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((480, 640), (128, 170)),
        ((640, 480), (170, 128)),
        ((8, 2000), (128, 512)),
        ((2000, 8), (512, 128)),
        ((1, 10**6), (128, 512)),
        ((100, 400), (128, 512)),
        ((3, 6), (128, 256)),
    ],
)
def test_size_for_a_network_has_a_longest_side(size, expected):
    assert boxes.network_size(size, 128) == expected


def test_nms_keeps_the_best_and_is_stable():
    b = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30], [0, 0, 10, 10]], float)
    assert boxes.nms(b, np.array([0.5, 0.9, 0.1, 0.5]), 0.5).tolist() == [1, 2]
    assert boxes.nms(b[[0, 3]], np.array([0.5, 0.5]), 0.5).tolist() == [0]
    assert boxes.nms(np.zeros((0, 4)), np.zeros(0), 0.5).tolist() == []


def test_area_of_an_inverted_box_is_zero():
    assert boxes.area(np.array([[4, 4, 2, 8], [0, 0, 2, 3]], float)).tolist() == [0, 6]
