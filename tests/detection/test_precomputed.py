"""Persons looked up in AVA proposal files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sf_detect.detection import PrecomputedDetector, Selection
from sf_detect.errors import ConfigError, DataError
from sf_detect.interfaces import TimedDetector

ROWS = """\
abc,0902,0.1,0.2,0.5,0.9,,0.9
abc,0902,0.5,0.2,0.6,0.9,,0.97
abc,0903,0.0,0.0,1.0,1.0,,0.5
xyz,1.5,0.25,0.25,0.75,0.75
"""


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "proposals.csv"
    file.write_text(text)
    return file


def test_boxes_at_a_time_in_pixels(tmp_path: Path) -> None:
    detector = PrecomputedDetector(write(tmp_path, ROWS))
    assert isinstance(detector, TimedDetector)
    assert detector.videos == ["abc", "xyz"]
    persons = detector.at("abc", 902.0, (100, 200))
    np.testing.assert_allclose(persons.boxes, [[100, 20, 120, 90], [20, 20, 100, 90]])
    np.testing.assert_allclose(persons.scores, [0.97, 0.9])
    assert persons.track_ids is None


def test_the_nearest_time_within_the_tolerance(tmp_path: Path) -> None:
    detector = PrecomputedDetector(write(tmp_path, ROWS), tolerance=0.5)
    assert len(detector.at("abc", 902.4, (10, 10))) == 2
    assert len(detector.at("abc", 902.6, (10, 10))) == 1
    assert len(detector.at("abc", 901.5, (10, 10))) == 2
    assert len(detector.at("abc", 901.4, (10, 10))) == 0
    assert len(detector.at("abc", 1e9, (10, 10))) == 0


def test_a_person_with_several_actions_is_one(tmp_path: Path) -> None:
    rows = "v,1,0.1,0.1,0.2,0.9,12\nv,1,0.1,0.1,0.2,0.9,80\nv,1,0.3,0.1,0.4,0.9,80\n"
    persons = PrecomputedDetector(write(tmp_path, rows)).at("v", 1, (100, 100))
    assert len(persons) == 2
    np.testing.assert_array_equal(persons.scores, [1, 1])


def test_an_empty_keyframe_is_not_its_neighbour(tmp_path: Path) -> None:
    detector = PrecomputedDetector(write(tmp_path, "v,1,0.1,0.1,0.2,0.9\nv,2\nv,3,,,,,,\n\n"), tolerance=2)
    assert len(detector.at("v", 1, (9, 9))) == 1
    assert len(detector.at("v", 2, (9, 9))) == 0
    assert len(detector.at("v", 3, (9, 9))) == 0


def test_selection_applies(tmp_path: Path) -> None:
    persons = PrecomputedDetector(write(tmp_path, ROWS), selection=Selection(0.95, nms_iou=1)).at("abc", 902, (9, 9))
    assert len(persons) == 1


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("v,1,0.1,0.1,0.2", "5 fields, expected video_id,timestamp,x1,y1,x2,y2"),
        ("v,1,0.1,0.1,0.2,0.2,1,0.5,9", "9 fields"),
        ("v,one,0.1,0.1,0.2,0.2", "timestamp is 'one', expected a number"),
        ("v,1,0.1,0.1,nan,0.2", "x2 is 'nan', expected a number"),
        ("v,1,0.1,0.1,320,240", "expected fractions of the frame"),
        ("v,1,0.5,0.1,0.2,0.2", "expected fractions of the frame"),
        ("v,1,0.1,0.1,0.2,0.2,1,17", "score 17.0, expected a number from 0 to 1"),
        ("video_id,timestamp,x1,y1,x2,y2", "timestamp is 'timestamp'"),
    ],
)
def test_malformed_rows_carry_file_and_line(tmp_path: Path, row: str, problem: str) -> None:
    file = write(tmp_path, ROWS + row + "\n")
    with pytest.raises(DataError) as caught:
        PrecomputedDetector(file)
    assert str(caught.value).startswith(f"{file}:5: ")
    assert problem in str(caught.value)


def test_files_that_are_no_csv(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        PrecomputedDetector(tmp_path / "none.csv")
    file = tmp_path / "binary.csv"
    file.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(DataError, match="is not a csv file"):
        PrecomputedDetector(file)


@pytest.mark.parametrize("name", ["abc.mp4", "cam1/abc.mp4", "cam1/abc"])
def test_a_video_of_an_archive(tmp_path: Path, name: str) -> None:
    assert len(PrecomputedDetector(write(tmp_path, ROWS)).at(name, 902.0, (10, 10))) == 2


def test_a_video_that_is_not_in_the_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no boxes for the video 'other'; the file has: abc, xyz"):
        PrecomputedDetector(write(tmp_path, ROWS)).at("other", 1, (9, 9))


def test_negative_tolerance(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="time tolerance of precomputed boxes is -1"):
        PrecomputedDetector(write(tmp_path, ROWS), tolerance=-1)
