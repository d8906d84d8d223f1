"""JSON Lines of `sf-detect run` as AVA rows."""

import csv
import json
from pathlib import Path

import pytest

from sf_detect.errors import DataError
from sf_detect.evaluation.command import evaluate_ava
from sf_detect.evaluation.records import ava_rows_of_records
from sf_detect.evaluation.tube_files import frames_of_records
from sf_detect.labels import LabelMap, label_set

LABELS = LabelMap(("run", "walk"), (3, 7))
PERSON = {"box": [-20, 24, 100, 72], "score": 0.9, "track_id": 1, "actions": [{"label": "walk", "score": 0.25}]}
RECORD = {"schema": "sf-detect/1", "video": "a", "frame": 15, "time": 2.5, "width": 200, "height": 96}


def rows(persons, labels=LABELS, **more):
    return list(ava_rows_of_records(Path("d.jsonl"), [{**RECORD, "persons": persons, **more}], labels))


def test_a_row_per_action_cut_to_the_frame_the_best_first():
    other = {**PERSON, "box": [0, 0, 200, 96], "actions": [{"label": "run", "score": 0.5}]}
    outside = {**PERSON, "box": [210, 0, 220, 96]}
    assert rows([PERSON, outside, other]) == [
        "a,2.500000,0.000000,0.000000,1.000000,1.000000,3,0.5\n",
        "a,2.500000,0.000000,0.250000,0.500000,0.750000,7,0.25\n",
    ]


def test_whole_seconds_and_names_with_marks():
    (row,) = csv.reader(rows([PERSON], time=902.0, video='a "b", c'))
    assert row[:2] == ['a "b", c', "902"]


def test_all_of_ava_is_known_beside_its_60():
    unscored = next(name for name in label_set("ava80") if name not in label_set("ava60").names)
    person = {**PERSON, "actions": [{"label": unscored, "score": 0.5}]}
    assert len(rows([person], label_set("ava60"))) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"actions": [{"label": "wolk", "score": 0.5}]}, r"d\.jsonl:1: .*unknown label 'wolk'\. Did you mean 'walk'"),
        ({"box": [0, 0, 1]}, "expected finite numbers"),
        ({"box": [0, 0, 1, float("nan")]}, "expected finite numbers"),
        ({"actions": None}, "not a record"),
    ],
)
def test_bad_records(change, message):
    with pytest.raises(DataError, match=message):
        rows([{**PERSON, **change}])


def test_evaluation(tmp_path):
    (tmp_path / "g.csv").write_text("a,2.5,0,0.25,0.5,0.75,7\n")
    (tmp_path / "labels.csv").write_text("id,name\n3,run\n7,walk\n")
    (tmp_path / "d.jsonl").write_text(json.dumps({**RECORD, "persons": [PERSON]}) + "\n")
    result = evaluate_ava(tmp_path / "g.csv", tmp_path / "d.jsonl", None, tmp_path / "labels.csv")
    assert result.to_json() == {"mAP": 1.0, "per_class": {"run": None, "walk": 1.0}}
    with pytest.raises(DataError, match="unknown label 'walk'"):
        evaluate_ava(tmp_path / "g.csv", tmp_path / "d.jsonl", None, "ucf24")


@pytest.mark.parametrize("box", [[100, 72, 20, 24], [210, 0, 220, 96]])
def test_boxes_that_are_left_out_give_a_note(tmp_path, box):
    (tmp_path / "g.csv").write_text("a,2.5,0,0.25,0.5,0.75,7\n")
    (tmp_path / "d.jsonl").write_text(json.dumps({**RECORD, "persons": [{**PERSON, "box": box}]}) + "\n")
    result = evaluate_ava(tmp_path / "g.csv", tmp_path / "d.jsonl", None, LABELS)
    assert result.notes[0].startswith(f"1 detections of {tmp_path / 'd.jsonl'} have a box without area in the frame")
    assert result.notes[1] == "the file of detections has no rows"


def test_names_that_people_read_are_those_of_the_data_set():
    """`sit down` is J-HMDB's sit; a posture of the same name is none of its actions."""
    labels = label_set("jhmdb21")
    actions = [
        {"label": "sit down", "score": 0.5, "group": "action"},
        {"label": "stand", "score": 0.4},  # of a file of an earlier version
        {"label": "sit", "score": 0.9, "group": "posture"},
    ]
    person = {**PERSON, "box": [0, 0, 100, 72], "actions": actions}
    assert [row.split(",")[6] for row in rows([person], labels)] == [
        str(labels.ids[labels.index(name)]) for name in ("sit", "stand")
    ]
    table = frames_of_records("d.jsonl", [{**RECORD, "persons": [person]}], labels)
    assert len(table.boxes) == 2
