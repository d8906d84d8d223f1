import numpy as np
import pytest

from sf_detect.evaluation.plausibility import corner_notes, pixel_notes, share_notes, with_notes

PIXELS = np.array([[10.0, 20, 200, 230], [0, 0, 300, 200]])
SHARES = PIXELS / 320
NONE = np.zeros((0, 4))


@pytest.mark.parametrize(
    ("truth", "found", "start"),
    [
        (PIXELS, SHARES, "boxes of the detections are at most 0.9375, like shares of the frame; expected pixels"),
        (SHARES, PIXELS, "boxes of the ground truth are at most 0.9375"),
        (PIXELS, PIXELS / 3.2, "boxes of the detections are at most 93.75, like percent of the frame"),
    ],
)
def test_pixels_are_due(truth, found, start):
    (note,) = pixel_notes(truth, found)
    assert note.startswith(start)


def test_both_in_shares_where_pixels_are_due():
    assert len(pixel_notes(SHARES, SHARES)) == 2  # with a pixel added to every edge they would all overlap


@pytest.mark.parametrize("notes", [pixel_notes, share_notes])
def test_nothing_to_note(notes):
    assert notes(PIXELS, PIXELS + 3) == []
    assert notes(PIXELS, NONE) == notes(NONE, PIXELS) == notes(NONE, NONE) == []
    assert notes(PIXELS, np.concatenate([PIXELS, np.zeros((1, 4))])) == []


def test_corners_in_another_order():
    (note,) = corner_notes("detections", np.concatenate([PIXELS, PIXELS[:1, [2, 3, 0, 1]]]))
    assert note.startswith("1 of 3 boxes of the detections have no area")
    assert corner_notes("detections", PIXELS) == []


def test_a_result_has_the_key_only_where_there_are_notes():
    assert with_notes({"mAP": 1}, []) == {"mAP": 1}
    assert with_notes({"mAP": 0}, ["why"]) == {"mAP": 0, "notes": ["why"]}
