import numpy as np
import pytest

from sf_detect.video.orientation import Orientation

IMAGE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
ONE = 1 << 16


def matrix(a: int, b: int, c: int, d: int) -> bytes:
    return np.array([a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30], np.int32).tobytes()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (matrix(1, 0, 0, 1), IMAGE),
        (matrix(0, 1, -1, 0), np.rot90(IMAGE, -1)),
        (matrix(-1, 0, 0, -1), np.rot90(IMAGE, 2)),
        (matrix(0, -1, 1, 0), np.rot90(IMAGE, 1)),
        (matrix(-1, 0, 0, 1), IMAGE[:, ::-1]),
        (matrix(1, 0, 0, -1), IMAGE[::-1]),
        (matrix(0, 1, 1, 0), IMAGE.transpose(1, 0, 2)),
        (matrix(0, -1, -1, 0), np.rot90(IMAGE, 2).transpose(1, 0, 2)),
    ],
    ids=["upright", "90", "180", "270", "mirrored", "upside down", "transposed", "antitransposed"],
)
def test_display_matrix(data: bytes, expected: np.ndarray) -> None:
    orientation = Orientation.from_display_matrix(data)
    shown = orientation(IMAGE)
    np.testing.assert_array_equal(shown, expected)
    assert shown.flags.c_contiguous
    assert orientation.size(3, 2) == expected.shape[1::-1]


@pytest.mark.parametrize("data", [b"", bytes(36), b"short"])
def test_a_matrix_that_says_nothing_is_upright(data: bytes) -> None:
    assert Orientation.from_display_matrix(data).is_upright
