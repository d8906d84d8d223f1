"""Detectors by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from sf_detect.detection import (
    PrecomputedDetector,
    WholeFrameDetector,
    build_detector,
    coco,
    detector_names,
    names,
    ssdlite_engine,
    ssdlite_person,
)
from sf_detect.detection.ssdlite import SSDLite
from sf_detect.detection.ssdlite_person import SSDLitePersonDetector
from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.weights import detector_table


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssdlite_engine, "ssdlite_engine", lambda *of: ssdlite_engine.torch_engine(SSDLite()))


def test_the_default_and_its_options(no_weights: None) -> None:
    detector = build_detector()
    assert isinstance(detector, SSDLitePersonDetector)
    assert detector.selection == ssdlite_person.DEFAULT_SELECTION
    assert detector.tile == "auto"
    detector = build_detector(score_threshold=0.7, min_size=20, max_persons=3, nms_iou=0.4, tile="off")
    assert isinstance(detector, SSDLitePersonDetector)
    chosen = detector.selection
    assert (chosen.score_threshold, chosen.min_size, chosen.max_persons, chosen.nms_iou) == (0.7, 20, 3, 0.4)
    assert detector.tile == "off"


def test_detectors_without_weights(tmp_path: Path) -> None:
    assert isinstance(build_detector("whole_frame"), WholeFrameDetector)
    file = tmp_path / "boxes.csv"
    file.write_text("v,1,0.1,0.1,0.2,0.9,,0.1\n")
    detector = build_detector(f"precomputed:{file}", tolerance=0.1)
    assert isinstance(detector, PrecomputedDetector)
    assert detector.tolerance == 0.1
    assert len(detector.at("v", 1, (9, 9))) == 1


def test_unknown_names_get_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'ssdlite_person'"):
        build_detector("ssdlite_persons")
    with pytest.raises(UnknownNameError, match="Did you mean 'retinanet_resnet50_fpn'"):
        build_detector("retinanet_resnet50")


def test_all_names_are_listed() -> None:
    assert detector_names()[:3] == ["ssdlite_person", "whole_frame", "precomputed:FILE.csv"]
    assert "fasterrcnn_resnet50_fpn_v2" in detector_names()


def test_the_table_that_needs_no_torch_lists_torchvisions_names() -> None:
    assert set(detector_table.TORCHVISION) <= set(coco.names())
    assert set(detector_table.DETECTORS) <= set(detector_names())


def test_tracks_start_where_detectors_are_sure() -> None:
    assert names.track_score("ssdlite_person") > ssdlite_person.DEFAULT_SELECTION.score_threshold
    assert names.track_score("precomputed:x.csv") == 0


def test_weak_scores_are_below_what_the_default_detector_reports_by_itself() -> None:
    weak = names.weak_scores("ssdlite_person")
    assert weak is not None
    lowest, least = weak
    assert 0 < lowest < least == ssdlite_person.DEFAULT_SELECTION.score_threshold < names.track_score("ssdlite_person")
    for name in ("precomputed:x.csv", "whole_frame", "fasterrcnn_resnet50_fpn"):
        assert names.weak_scores(name) is None


def test_values_are_checked_before_weights_are_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("weights were fetched")

    monkeypatch.setattr(ssdlite_engine, "ssdlite_engine", refuse)
    with pytest.raises(ConfigError, match="tile mode"):
        build_detector(tile="always")
    with pytest.raises(ConfigError, match="score threshold"):
        build_detector(score_threshold=2)
