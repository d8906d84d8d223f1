"""Joining what a picture and its mirror image show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from sf_detect.detection import mirroring
from sf_detect.detection.selection import Selection
from sf_detect.detection.ssdlite_engine import torch_engine
from sf_detect.detection.ssdlite_person import SSDLitePersonDetector
from sf_detect.engines import Engine
from sf_detect.engines.engine import Arrays

NOBODY = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)


def found(*persons: tuple[list[float], float]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([box for box, _ in persons], np.float32), np.array([score for _, score in persons], np.float32)


def test_both_looks_show_a_person() -> None:
    boxes, scores = mirroring.agree(*found(([0, 0, 40, 80], 0.3)), *found(([4, 0, 44, 80], 0.9)))
    np.testing.assert_allclose(boxes, [[3, 0, 43, 80]], atol=1e-5)
    np.testing.assert_allclose(scores, [0.9])


def test_what_one_look_shows_counts_less() -> None:
    boxes, scores = mirroring.agree(*found(([0, 0, 10, 10], 0.5)), *found(([50, 0, 60, 10], 1.0)))
    assert boxes.tolist() == [[0, 0, 10, 10], [50, 0, 60, 10]]
    np.testing.assert_allclose(scores, [0.5 * mirroring.SEEN_ONCE, mirroring.SEEN_ONCE])


def test_a_box_has_one_partner() -> None:
    one, two = ([0.0, 0.0, 40.0, 80.0], 0.5), ([2.0, 0.0, 42.0, 80.0], 0.8)
    boxes, scores = mirroring.agree(*found(one), *found(one, two))
    assert len(boxes) == 2
    np.testing.assert_allclose(scores, [0.8, 0.5 * mirroring.SEEN_ONCE])


def test_nobody() -> None:
    for first, second in ((NOBODY, NOBODY), (found(([0, 0, 9, 9], 0.5)), NOBODY), (NOBODY, found(([0, 0, 9, 9], 0.5)))):
        boxes, scores = mirroring.agree(*first, *second)
        assert boxes.shape == (len(first[0]) + len(second[0]), 4)
        assert boxes.dtype == scores.dtype == np.float32


@pytest.mark.parametrize(
    ("scores", "doubt"),
    [
        ([], True),
        ([0.95], False),
        ([0.9, 0.99], False),
        ([0.89], True),
        ([0.95, 0.5], True),
        ([0.95, 0.2], True),
        ([0.95, 0.19], False),
        ([0.1], True),
    ],
)
def test_a_second_look_is_for_what_is_not_sure(scores: list[float], doubt: bool) -> None:
    assert mirroring.leaves_doubt(np.array(scores, np.float32)) is doubt


class Counted:
    """An engine that counts the pictures it is given."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.pictures = engine, 0

    def run(self, inputs: Arrays) -> dict[str, Any]:
        self.pictures += len(inputs["images"])
        return self.engine.run(inputs)


def test_a_sure_frame_is_looked_at_once() -> None:
    sure, doubtful = np.zeros((2, 300, 400, 3), np.uint8)
    sure[:, :200] = doubtful[:, 200:] = 255
    counted: Any = Counted(torch_engine(SeesTheBrightHalf()))
    detector = SSDLitePersonDetector(counted, Selection(0.2), "mirror")
    alone = detector([sure])
    assert counted.pictures == 1
    both = detector([doubtful, sure, doubtful])
    assert counted.pictures == 1 + 5
    np.testing.assert_allclose([len(one) for one in both], 1)
    np.testing.assert_array_equal(both[1].boxes, alone[0].boxes)
    np.testing.assert_allclose(both[0].boxes, [[240, 30, 400, 270]], atol=1e-3)
    np.testing.assert_array_equal(both[2].boxes, both[0].boxes)


class SeesTheBrightHalf(torch.nn.Module):
    """Puts a person where the picture is bright, surely so if that is on the left."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        left = x[..., :150].mean((1, 2, 3)) > x[..., 150:].mean((1, 2, 3))
        places = {True: [0.0, 0.1, 0.4, 0.9], False: [0.6, 0.1, 1.0, 0.9]}
        boxes = torch.tensor([[places[bool(one)]] for one in left])
        return boxes, torch.where(left, 0.9, 0.3)[:, None]


@pytest.mark.parametrize(("tile", "score"), [("off", 0.3), ("mirror", 0.9), ("auto", 0.9)])
def test_the_detector_looks_again_in_the_mirror(tile: str, score: float) -> None:
    image = np.zeros((300, 400, 3), np.uint8)
    image[:, 200:] = 255
    detector = SSDLitePersonDetector(torch_engine(SeesTheBrightHalf()), Selection(0.2), tile)
    persons, again = detector([image, image])
    np.testing.assert_allclose(persons.boxes, [[240, 30, 400, 270]], atol=1e-3)
    np.testing.assert_allclose(persons.scores, [score])
    np.testing.assert_allclose(again.boxes, persons.boxes)
