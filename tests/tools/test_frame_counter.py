"""The burnt-in number comes back, also out of a coded picture, and a picture without one has none."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import frame_counter


@pytest.mark.parametrize("number", [0, 1, 17, 255, 4095, 4096, 100_000])
def test_number_survives_coding(number):
    image = np.random.default_rng(0).integers(0, 256, (48, 320, 3), np.uint8)
    frame_counter.draw(image, number)
    coded = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_COLOR)
    assert frame_counter.read(image) == frame_counter.read(coded) == number % 4096


def test_other_pictures_have_no_number():
    assert frame_counter.read(np.zeros((48, 320, 3), np.uint8)) is None
    assert frame_counter.read(np.full((48, 320, 3), 255, np.uint8)) is None
    assert frame_counter.read(np.zeros((8, 320, 3), np.uint8)) is None
