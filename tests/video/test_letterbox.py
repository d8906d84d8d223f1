import numpy as np
import pytest

from sf_detect.video.letterbox import letterbox


def test_a_picture_of_the_size_is_itself() -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    assert letterbox(image, (4, 6)) is image


@pytest.mark.parametrize(
    ("shape", "size", "filled"),
    [
        ((50, 100), (100, 100), (25, 75, 0, 100)),
        ((200, 100), (100, 100), (0, 100, 25, 75)),
        ((40, 40), (20, 60), (0, 20, 20, 40)),
        ((1, 5000), (48, 64), (23, 24, 0, 64)),
    ],
)
def test_it_fits_and_keeps_its_shape(
    shape: tuple[int, int], size: tuple[int, int], filled: tuple[int, int, int, int]
) -> None:
    fitted = letterbox(np.full((*shape, 3), 200, np.uint8), size)
    expected = np.zeros((*size, 3), np.uint8)
    top, bottom, left, right = filled
    expected[top:bottom, left:right] = 200
    assert np.array_equal(fitted, expected)
