"""COCO AP of a person detector."""

import sys

import numpy as np
import pytest

from sf_detect.errors import ConfigError, MissingExtraError
from sf_detect.evaluation.persons import person_ap
from sf_detect.structures import Detections

BOX = np.array([[10.0, 10, 60, 110]])  # medium


def _found(boxes: np.ndarray, *scores: float) -> Detections:
    return Detections(boxes, np.array(scores, np.float32))


def test_person_ap() -> None:
    pytest.importorskip("pycocotools")
    shifted = BOX + np.array([0, 0, 0, 25])  # IoU 0.8: a hit at 0.5 to 0.8, seven of ten thresholds
    result = person_ap([BOX, BOX], [_found(BOX, 0.9), _found(shifted, 0.8)])
    assert result["AP50"] == pytest.approx(1)
    assert result["AP75"] == pytest.approx(1)
    assert result["AP"] == pytest.approx((7 * 1 + 3 * 51 / 101) / 10)
    assert result["APm"] == pytest.approx(result["AP"])
    assert np.isnan(result["APs"])
    assert result["AR100"] == pytest.approx(0.85)


def test_crowds_are_neither_right_nor_wrong() -> None:
    pytest.importorskip("pycocotools")
    crowd = BOX + 200
    found = [_found(np.concatenate([crowd, BOX]), 0.9, 0.8)]
    assert person_ap([BOX], found)["AP50"] == pytest.approx(0.5)
    assert person_ap([BOX], found, [crowd])["AP50"] == pytest.approx(1)


def test_nothing_found() -> None:
    pytest.importorskip("pycocotools")
    assert person_ap([BOX], [Detections.empty()])["AP"] == 0
    assert np.isnan(person_ap([np.zeros((0, 4))], [_found(BOX, 0.5)])["AP"])


def test_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="for the same images, got 1, 2 and 1"):
        person_ap([BOX], [Detections.empty()] * 2)
    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sf_detect\[coco\]'"):
        person_ap([BOX], [Detections.empty()])
