"""Where the background goes under a camera that rests, turns, is cut or sees nothing to hold on to."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sf_detect.keypoints.camera_motion import LONGEST, CameraMotion, CameraPlace

NOBODY = np.zeros((0, 4), np.float32)


def scene(seed: int = 0) -> np.ndarray:
    """A wide picture with corners everywhere."""
    coarse = np.random.default_rng(seed).integers(0, 255, (40, 80, 3), np.uint8)
    return cv2.resize(coarse, (1280, 640), interpolation=cv2.INTER_LINEAR)


def view(wide: np.ndarray, x: int, y: int = 100) -> np.ndarray:
    """What a camera that looks at this place sees, (240, 320, 3)."""
    return np.ascontiguousarray(wide[y : y + 240, x : x + 320])


def test_background_goes_where_the_camera_comes_from() -> None:
    camera, wide = CameraMotion(), scene()
    path = ((0.0, 300, 100), (0.25, 324, 96), (0.5, 350, 90))
    first, *places = [camera.update(view(wide, x, y), NOBODY, time) for time, x, y in path]
    assert {place.sequence for place in places} == {first.sequence}
    assert [place.x for place in places] == pytest.approx([-24, -50], abs=1)
    assert [place.y for place in places] == pytest.approx([4, 10], abs=1)


def test_resting_background_stays_whatever_persons_do() -> None:
    camera, picture = CameraMotion(), view(scene(), 300)
    rng = np.random.default_rng(1)
    places = []
    for step in range(4):
        image, x = picture.copy(), 40 + 40 * step
        image[40:220, x : x + 80] = rng.integers(0, 255, (180, 80, 3), np.uint8)
        places.append(camera.update(image, np.array([[x, 40, x + 80, 220]], np.float32), step / 4))
    assert [(place.x, place.y) for place in places[1:]] == [(0, 0)] * 3


def test_person_who_fills_half_the_picture_is_not_the_background() -> None:
    camera, wide, other = CameraMotion(), scene(), scene(2)
    box = np.array([[80, 0, 240, 240]], np.float32)
    for step in range(3):
        image = view(wide, 300 + 20 * step)
        image[:, 80:240] = view(other, 300)[:, 80:240]
        place = camera.update(image, box, step / 4)
    assert (place.x, place.y) == pytest.approx((-40, 0), abs=1.5)


@pytest.mark.parametrize(
    ("image", "time"),
    [
        (view(scene(3), 300), 0.25),  # a cut
        (np.full((240, 320, 3), 90, np.uint8), 0.25),  # nothing to hold on to, after much
        (view(scene(), 310), LONGEST + 0.1),
        (view(scene(), 310), -1.0),
        (view(scene(), 310)[:200], 0.25),
    ],
)
def test_lost_background_begins_another_sequence(image: np.ndarray, time: float) -> None:
    camera = CameraMotion()
    first = camera.update(view(scene(), 300), NOBODY, 0.0)
    lost = camera.update(np.ascontiguousarray(image), NOBODY, time)
    assert lost == CameraPlace(0.0, 0.0, first.sequence + 1)


def test_reset_begins_another_sequence() -> None:
    camera, picture = CameraMotion(), view(scene(), 300)
    first = camera.update(picture, NOBODY, 0.0)
    camera.reset()
    assert camera.update(picture, NOBODY, 0.25).sequence > first.sequence


def test_boxes_that_are_no_numbers_or_outside_hide_nothing() -> None:
    camera, wide = CameraMotion(), scene()
    boxes = np.array([[np.nan, 0, 320, 240], [-500, -500, -100, -100]], np.float32)
    camera.update(view(wide, 300), boxes, 0.0)
    assert camera.update(view(wide, 320), boxes, 0.25).x == pytest.approx(-20, abs=1)


def test_tiny_picture_is_taken() -> None:
    camera, dot = CameraMotion(), np.zeros((2, 3, 3), np.uint8)
    camera.update(dot, NOBODY, 0.0)
    assert camera.update(dot, NOBODY, 0.25).x == 0
