"""Who moves alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sf_detect.archive.database import Database
from sf_detect.archive.files import ArchiveFiles
from sf_detect.archive.questions import Question
from sf_detect.archive.search import Search
from sf_detect.archive.similar import COLUMNS, Moment, find_alike
from sf_detect.errors import ConfigError, DataError
from tests.archive.archives import SPEC, keyframe, sink_for

WAVE, WALK, STAND = np.eye(6)[:3] * 3 + 1.0  # much is common to all
NOISE = np.eye(6)[3:] * 0.3


def write(folder, video, seconds, features, **options):
    """A video of some seconds in which each person, by track, moves in one way."""
    sink = sink_for(folder, video, features=True, **options)
    for index in range(0, seconds * 10, 5):
        sink.write(keyframe(index, {track: [0.1] * 3 for track in features}, features))
    sink.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    write(folder, "cam/a.mp4", 4, {1: WAVE, 2: WALK})
    write(folder, "cam/b.mp4", 2, {1: STAND, 5: WAVE + NOISE[0]})
    write(folder, "c:d.mp4", 2, {3: WALK + NOISE[1], 9: STAND + NOISE[2]})
    return folder


def alike(folder, text, **search):
    files = ArchiveFiles.find(folder)
    with Database(files) as database:
        answer = Question(Search(**search), like=Moment.parse(text)).ask(database, files)
        assert answer.columns == COLUMNS
        return list(answer.rows)


def test_the_most_alike_come_first(folder):
    rows = alike(folder, "cam/a.mp4:1.0:1")
    assert rows[0][:2] == ("cam/b.mp4", 5)
    assert rows[0][4] > 0.95
    assert all(row[4] < 0.9 for row in rows[1:])
    assert rows[0][2:4] == (0.0, 1.5)


def test_what_all_have_in_common_is_taken_off(folder, monkeypatch):
    monkeypatch.setattr("sf_detect.archive.similar._FEW", 0)
    rows = alike(folder, "cam/a.mp4:1.0:1")
    assert rows[0][:2] == ("cam/b.mp4", 5)
    assert all(row[4] < 0.3 for row in rows[1:])


def test_each_person_is_found_once_and_not_oneself(folder):
    persons = [row[:2] for row in alike(folder, "a:3.9:1")]
    assert len(persons) == len(set(persons)) == 5
    assert ("cam/a.mp4", 1) not in persons


def test_only_in_some_videos(folder):
    assert [row[:2] for row in alike(folder, "a:1:2", videos=["c:*"])] == [("c:d.mp4", 3), ("c:d.mp4", 9)]


def test_names_may_hold_colons(folder):
    assert alike(folder, "c:d.mp4:1:3")[0][:2] == ("cam/a.mp4", 2)


@pytest.mark.parametrize(
    "text", ["", "a.mp4", "a.mp4:3", "a.mp4:x:3", "a.mp4:3:x", ":1:2", "a.mp4:nan:1", "a.mp4:1:2.5"]
)
def test_what_is_no_moment(text):
    with pytest.raises(ConfigError, match="expected VIDEO:TIME:TRACK"):
        Moment.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("e.mp4:1:1", r"no video with features is called so\. Expected one of: c:d\.mp4, cam/a\.mp4"),
        ("a.mp4:1:7", r"cam/a\.mp4 has no person 7 at 1 s\. Persons there then: 1, 2"),
        ("a.mp4:99:1", "Persons there then: nobody"),
    ],
)
def test_who_is_not_there(folder, text, message):
    with pytest.raises(ConfigError, match=message):
        alike(folder, text)


def test_a_name_of_several_videos(tmp_path):
    write(tmp_path, "x/a.mp4", 1, {1: WAVE})
    write(tmp_path, "y/a.mp4", 1, {1: WAVE})
    with pytest.raises(ConfigError, match=r"several videos are called so\. Expected one of: x/a\.mp4, y/a\.mp4"):
        alike(tmp_path, "a.mp4:0:1")


def test_an_archive_without_features(tmp_path):
    sink_for(tmp_path, "a.mp4").close()
    with pytest.raises(DataError, match="Annotate with --features"):
        alike(tmp_path, "a.mp4:0:1")


@pytest.mark.parametrize("place", [0, 1])
def test_damaged_features(folder, tmp_path, place):
    write(tmp_path, "a.mp4", 1, {1: WAVE})
    write(tmp_path, "b.mp4", 1, {1: WAVE})
    ArchiveFiles.find(tmp_path).features.single[place].write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"can't be read: .*Delete that file"):
        alike(tmp_path, "a.mp4:0:1")


def test_features_of_another_size_are_not_compared(tmp_path):
    write(tmp_path, "a.mp4", 1, {1: WAVE})
    write(tmp_path, "b.mp4", 1, {1: WAVE[:4]})
    with pytest.raises(DataError, match="can't be read"):
        alike(tmp_path, "a.mp4:0:1")


def test_features_of_another_model_are_not_compared(tmp_path):
    write(tmp_path, "a.mp4", 1, {1: WAVE, 2: WALK})
    write(tmp_path, "b.mp4", 1, {1: WAVE}, spec=replace(SPEC, name="other"))
    assert [row[:2] for row in alike(tmp_path, "a.mp4:0:1")] == [("a.mp4", 2)]


def test_one_person_alone(tmp_path):
    write(tmp_path, "a.mp4", 1, {1: WAVE})
    assert alike(tmp_path, "a.mp4:0:1") == []


def test_rows_beyond_a_chunk_are_compared_too(folder, monkeypatch):
    expected = alike(folder, "a:1:1")
    monkeypatch.setattr("sf_detect.archive.similar._CHUNK", 1)
    found = alike(folder, "a:1:1")
    assert [row[:4] for row in found] == [row[:4] for row in expected]
    assert [row[4] for row in found] == pytest.approx([row[4] for row in expected], abs=1e-5)


def test_questions_that_do_not_go_together():
    moment = Moment("a", 0.0, 1)
    for options in ({"stats": True}, {"search": Search(labels=["wave"])}):
        with pytest.raises(ConfigError, match="--like goes with --video and --limit only"):
            Question(like=moment, **options)
    for options in ({"stats": True}, {"search": Search(labels=["wave"])}, {"like": moment}):
        with pytest.raises(ConfigError, match="--sql is the whole question"):
            Question(sql="SELECT 1", **options)


def test_a_limit(folder):
    files = ArchiveFiles.find(folder)
    with Database(files) as database:
        assert len(list(Question(like=Moment("a", 1.0, 1), limit=2).ask(database, files).rows)) == 2
        assert len(list(find_alike(files, Moment("a", 1.0, 1)).rows)) == 5
