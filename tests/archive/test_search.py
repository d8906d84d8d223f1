"""Where does X happen."""

from __future__ import annotations

import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sf_detect.archive.database import Database
from sf_detect.archive.files import ArchiveFiles
from sf_detect.archive.schema import SEGMENTS, VERSION, VideoFacts
from sf_detect.archive.search import Search, find, seconds_per_label
from sf_detect.errors import ConfigError, DataError, UnknownNameError
from tests.archive.archives import doing, write_archive

VIDEOS = {
    "cam1/door.mp4": doing("wave", 0, 3) | doing("walk", 5, 8),
    "cam2/door_b.avi": doing("wave", 2, 9, track=4, score=0.6),
    "it's here.mp4": doing("stand", 0, 2),
    "empty.mp4": {},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_archive(tmp_path_factory.mktemp("archive"), VIDEOS)


@pytest.fixture(scope="module")
def database(folder):
    with Database(ArchiveFiles.find(folder)) as opened:
        yield opened


def found(database, **search):
    answer = find(database, Search(**search))
    return [(row[0], row[3]) for row in answer.rows]


EVERYTHING = [
    ("cam1/door.mp4", "wave"),
    ("cam1/door.mp4", "walk"),
    ("cam2/door_b.avi", "wave"),
    ("it's here.mp4", "stand"),
]


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ({}, EVERYTHING),
        ({"labels": ["wave"]}, [EVERYTHING[0], EVERYTHING[2]]),
        ({"labels": ["wave", "walk"]}, EVERYTHING[:3]),
        ({"labels": ["wave"], "min_score": 0.7}, [EVERYTHING[0]]),
        ({"min_score": 0.8}, [EVERYTHING[0], EVERYTHING[1], EVERYTHING[3]]),  # a float32 of 0.8 is 0.8
        ({"min_duration": 2.75}, EVERYTHING[:3]),
        ({"min_duration": 2.8}, EVERYTHING[1:3]),
        ({"tracks": [4]}, [EVERYTHING[2]]),
        ({"after": 7.6}, [EVERYTHING[2]]),
        ({"before": 2.0}, [EVERYTHING[0], EVERYTHING[3]]),
        ({"after": 3, "before": 4}, [EVERYTHING[2]]),
        ({"group": "action"}, EVERYTHING),
        ({"videos": ["door"]}, EVERYTHING[:2]),
        ({"videos": ["door*"]}, EVERYTHING[:3]),
        ({"videos": ["door.mp4"]}, EVERYTHING[:2]),
        ({"videos": ["cam2/*"]}, [EVERYTHING[2]]),
        ({"videos": ["*_?.avi", "it's here"]}, EVERYTHING[2:]),
        ({"videos": ["nothing'; DROP VIEW segments"]}, []),
        ({"labels": ["stand"], "videos": ["door*"]}, []),
    ],
)
def test_segments_are_found(database, search, expected):
    assert found(database, **search) == expected


def test_a_label_that_never_occurred_is_known(database, folder):
    with Database(ArchiveFiles.find(folder)) as other:
        other.ask("SELECT 1")
    assert found(database, labels=["stand"], min_score=0.99) == []


def test_a_label_that_no_segment_has_is_known_by_the_model(tmp_path):
    write_archive(tmp_path, {"a.mp4": doing("wave", 0, 3)})
    with Database(ArchiveFiles.find(tmp_path)) as database:
        assert found(database, labels=["walk"]) == []
        assert [row[2] for row in seconds_per_label(database, Search(labels=["walk"])).rows] == []


def test_unknown_labels_are_told_with_the_nearest(database):
    with pytest.raises(UnknownNameError, match=r"unknown label 'wavee'\. Did you mean 'wave'\?"):
        find(database, Search(labels=["wavee"]))
    with pytest.raises(UnknownNameError, match="unknown label group 'posture'"):
        seconds_per_label(database, Search(group="posture"))


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"min_score": 1.5}, "--min-score is between 0 and 1, got 1.5"),
        ({"min_score": float("nan")}, "--min-score"),
        ({"min_duration": -1}, "--min-duration is a number of seconds"),
        ({"after": float("inf")}, "--after"),
        ({"after": 3, "before": 3}, "--before is 3, which is not later than --after"),
    ],
)
def test_searches_that_make_no_sense(search, message):
    with pytest.raises(ConfigError, match=message):
        Search(**search)


def test_seconds_of_each_label(database):
    answer = seconds_per_label(database, Search(videos=["door"]))
    assert answer.columns == ("video", "label_group", "label", "segments", "persons", "seconds", "best_score")
    assert [(*row[:6], round(row[6], 3)) for row in answer.rows] == [
        ("cam1/door.mp4", "action", "walk", 1, 1, 2.85, 0.8),
        ("cam1/door.mp4", "action", "wave", 1, 1, 2.75, 0.8),
    ]


def test_what_is_known_of_videos(database):
    rows = list(database.ask_user("SELECT video, source, fps, duration, width FROM videos ORDER BY video").rows)
    assert rows[0] == ("cam1/door.mp4", "/videos/cam1/door.mp4", 10.0, 10.0, 64)
    assert [row[0] for row in rows] == sorted(VIDEOS)


def test_labels_of_keyframes(database):
    rows = database.ask_user(
        "SELECT label, label_group, max(score)::DOUBLE, count(*) FROM labels GROUP BY ALL ORDER BY 1"
    ).rows
    assert [(r[0], r[1], round(r[2], 3)) for r in rows] == [
        ("stand", "action", 0.8),
        ("walk", "action", 0.8),
        ("wave", "action", 0.8),
    ]


def test_facts_of_videos(database):
    found = database.facts(["empty.mp4", "it's here.mp4", "nothing"])
    assert found.keys() == {"empty.mp4", "it's here.mp4"}
    assert (found["empty.mp4"].source, found["empty.mp4"].fps) == ("/videos/empty.mp4", 10.0)
    assert database.facts([]) == {}


def test_hidden_files_are_unfinished(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy/parquet/segments/.staging").mkdir()
    (tmp_path / "copy/parquet/segments/.staging/x.parquet").write_text("half")
    (tmp_path / "copy/parquet/segments/.x.parquet").write_text("half")
    with Database(ArchiveFiles.find(tmp_path / "copy")) as database:
        assert found(database) == EVERYTHING


def test_an_archive_of_nothing(tmp_path):
    (tmp_path / "parquet/segments").mkdir(parents=True)
    with Database(ArchiveFiles.find(tmp_path)) as database:
        assert found(database) == []
        for table in ("segments", "persons", "labels", "videos"):
            assert list(database.ask_user(f"SELECT * FROM {table}").rows) == []


@pytest.mark.parametrize("content", [b"", b"PAR1 and no end", b"PAR1" * 100])
@pytest.mark.parametrize("place", [0, 1])
def test_a_damaged_file_is_named(tmp_path, content, place):
    write_archive(tmp_path, {"a.mp4": doing("wave", 0, 3), "b.mp4": doing("wave", 0, 3)})
    damaged = ArchiveFiles.find(tmp_path).segments.single[place]
    damaged.write_bytes(content)
    with pytest.raises(DataError, match=rf"{damaged.name}"), Database(ArchiveFiles.find(tmp_path)) as database:
        find(database, Search())


def test_a_table_of_something_else(tmp_path):
    (tmp_path / "parquet/segments").mkdir(parents=True)
    pq.write_table(pa.table({"a": [1]}), tmp_path / "parquet/segments/a.parquet")
    with (
        pytest.raises(DataError, match=r"a\.parquet: is no table of an archive"),
        Database(ArchiveFiles.find(tmp_path)) as database,
    ):
        database.ask("SELECT 1")


def test_a_newer_version_is_refused(tmp_path):
    (tmp_path / "parquet/segments").mkdir(parents=True)
    content = VideoFacts("a", "b", 1, 1).to_metadata("segments")
    newer = {key: value.replace(b'"version": %d' % VERSION, b'"version": 99') for key, value in content.items()}
    pq.write_table(SEGMENTS.empty_table().replace_schema_metadata(newer), tmp_path / "parquet/segments/a.parquet")
    with (
        pytest.raises(DataError, match=r"has version 99 of the tables, and this sf_detect reads up to 1"),
        Database(ArchiveFiles.find(tmp_path)) as opened,
    ):
        opened.ask("SELECT 1")


def test_what_is_no_archive(tmp_path):
    with pytest.raises(DataError, match="is no folder"):
        ArchiveFiles.find(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"holds no archive: expected parquet/segments/\*\.parquet"):
        ArchiveFiles.find(tmp_path)
    (tmp_path / "a.jsonl").write_text("")
    with pytest.raises(DataError, match=r"holds JSON Lines \(a\.jsonl\), but no tables.*convert"):
        ArchiveFiles.find(tmp_path)


def test_columns_of_one_name_are_told_apart(database):
    assert database.ask_user("SELECT 1 AS a, 2 AS a, 3 AS a_2").columns == ("a", "a_2", "a_2_2")
