"""tools/posture_data: cells are of their kind, every label has a provenance, and nothing of the yardstick is in it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
POSTURES = {"stand", "walk", "run", "sit", "bend", "crouch", "lie", "jump", "none", "unclear"}
RIGHTS = {"licensed", "unclear", "unlicensed", "generated", "third-party"}
FILE = {
    "file": "a/b.png",
    "kind": "still",
    "sha256": "0" * 64,
    "rights": "licensed",
    "split_hint": "train",
    "licence": "MIT",
}
LABEL = {"file": "a/b.png", "time": "", "x1": "1", "y1": "1", "x2": "9", "y2": "9", "posture": "walk", "actions": ""}


def rows_of(name):
    with (TOOLS / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def wrong_files(files, measured):
    """Rows of provenance.csv that are not as they should be; `measured` are the hashes of the yardstick."""
    seen = set()
    for row in files:
        sound = row["kind"] in ("still", "clip") and row["rights"] in RIGHTS and len(row["sha256"]) == 64
        split = row["split_hint"] == "calibrate" or (row["split_hint"] == "train" and row["rights"] != "third-party")
        if not (sound and split and row["licence"]) or row["file"] in seen or row["sha256"] in measured:
            yield row["file"]
        seen.add(row["file"])


def wrong_labels(labels, files):
    """Rows of labels.csv that are not as they should be, or whose file has no provenance."""
    kinds = {row["file"]: row["kind"] for row in files}
    for row in labels:
        x1, y1, x2, y2 = (float(row[k]) for k in ("x1", "y1", "x2", "y2"))
        timed = bool(row["time"]) == (kinds.get(row["file"]) == "clip")
        if (
            row["file"] not in kinds
            or row["posture"] not in POSTURES
            or not timed
            or not (0 <= x1 < x2 and 0 <= y1 < y2)
        ):
            yield row["file"]


def test_the_files_are_sound_and_none_is_measured_on():
    files, labels = rows_of("posture_data/provenance.csv"), rows_of("posture_data/labels.csv")
    measured = {row["sha256"] for row in rows_of("yardstick/clips.csv")}
    assert len(labels) > 1000
    assert list(wrong_files(files, measured)) == []
    assert list(wrong_labels(labels, files)) == []
    assert {row["file"] for row in labels} == {row["file"] for row in files}


@pytest.mark.parametrize(
    ("change", "measured"),
    [
        ({"rights": "mine"}, ()),
        ({"kind": "film"}, ()),
        ({"licence": ""}, ()),
        ({"rights": "third-party"}, ()),
        ({"split_hint": "test"}, ()),
        ({}, ("0" * 64,)),
    ],
)
def test_a_wrong_file_is_noticed(change, measured):
    assert list(wrong_files([FILE], ())) == []
    assert list(wrong_files([{**FILE, **change}], measured)) == ["a/b.png"]


@pytest.mark.parametrize("change", [{"posture": "fly"}, {"x2": "0"}, {"time": "1.0"}, {"file": "c.png"}])
def test_a_wrong_label_is_noticed(change):
    assert list(wrong_labels([LABEL], [FILE])) == []
    assert list(wrong_labels([{**LABEL, **change}], [FILE])) == [{**LABEL, **change}["file"]]
