"""JSON Lines become an archive that can be asked."""

from __future__ import annotations

import pytest

from sf_detect.archive.database import Database
from sf_detect.archive.files import ArchiveFiles
from sf_detect.archive.search import Search, find
from sf_detect.convert import convert
from sf_detect.errors import DataError
from sf_detect.sinks import EventsCsvSink, JsonLinesSink
from tests.archive.archives import LABELS, SPEC, STRIDE, doing
from tests.archive.archives import keyframe as result
from tests.convert.results import keyframe, person, write_lines


def segments(folder):
    with Database(ArchiveFiles.find(folder)) as database:
        return [row[:6] for row in find(database, Search()).rows]


def test_persons_and_segments(tmp_path):
    convert(write_lines(tmp_path / "r.jsonl"), "archive", tmp_path / "a")
    assert sorted(segments(tmp_path / "a"), key=lambda row: row[3]) == [
        ("cam/a.mp4", 1, "posture", "stand", 0.25, 0.75),
        ("cam/a.mp4", 1, "action", "walk", 0.0, 1.75),  # a gap of a second is joined
        ("cam/a.mp4", 1, "action", "wave", 0.0, 0.75),
    ]
    with Database(ArchiveFiles.find(tmp_path / "a")) as database:
        assert list(database.ask("SELECT count(*), count(track_id) FROM persons").rows) == [(6, 4)]
        rows = database.ask("SELECT video, keyframes, labels FROM videos ORDER BY video").rows
        assert list(rows)[1] == ("cam/a.mp4", 4, {"action": ["walk", "wave"], "posture": ["stand"]})


def test_events_are_those_of_the_run(tmp_path):
    """What `run --out-jsonl --out-events` wrote, against the segments that are made of the JSON Lines alone."""
    from sf_detect.events import EventRules

    lines = JsonLinesSink(tmp_path / "v.jsonl", "v", LABELS, thresholds=SPEC.thresholds)
    events = EventsCsvSink(tmp_path / "v.csv", EventRules("v", LABELS, SPEC.thresholds, stride=STRIDE), 10)
    scores = {**doing("wave", 0, 2, score=0.5), **doing("wave", 2, 4, score=0.9), **doing("walk", 6, 9, track=3)}
    for seconds, persons in scores.items():
        for sink in (lines, events):
            sink.write(result(round(seconds * 10), persons))
    lines.close()
    events.close()
    convert(tmp_path / "v.jsonl", "archive", tmp_path / "a")
    expected = [row.split(",") for row in (tmp_path / "v.csv").read_text().splitlines()[1:]]
    found = segments(tmp_path / "a")
    assert [(str(r[1]), r[3]) for r in found] == [(r[1], r[2]) for r in expected]
    for row, own in zip(found, expected, strict=True):
        # The end of the video is not in JSON Lines.
        assert row[4:6] == (pytest.approx(float(own[3]), abs=1e-3), pytest.approx(float(own[4]), abs=STRIDE / 2))


def test_lines_of_earlier_versions_count_from_a_score(tmp_path):
    records = [keyframe("v", i * 5, person(1, (0, 0, 9, 9), wave=0.4)) for i in range(4)]
    for record in records:
        del record["persons"][0]["actions"][0]["above_threshold"]
    source = write_lines(tmp_path / "r.jsonl", records)
    convert(source, "archive", tmp_path / "a")
    convert(source, "archive", tmp_path / "b", min_score=0.5)
    assert len(segments(tmp_path / "a")) == 1
    assert segments(tmp_path / "b") == []


def test_numbers_that_cannot_be(tmp_path):
    source = write_lines(tmp_path / "r.jsonl", [keyframe("v", 0, person(1, (0, 0, float("inf"), 9)))])
    with pytest.raises(DataError, match="a number that can't be"):
        convert(source, "archive", tmp_path / "a")
    assert not list((tmp_path / "a").rglob("*.parquet"))
