"""`sf-detect query` as it is typed."""

from __future__ import annotations

import json
import shutil
from functools import partial

import numpy as np
import pytest

from sf_detect.commands import query as command
from sf_detect.structures import Detections
from synthetic_video import write_video
from tests.archive.archives import doing, write_archive


@pytest.fixture
def query(sf_detect):
    return partial(sf_detect, "query")


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    videos = {"cam1/door.mp4": doing("wave", 0, 3), "cam2/hall.mp4": doing("walk", 0, 4)}
    return write_archive(tmp_path_factory.mktemp("archive"), videos)


def test_a_table_on_standard_output(query, archive, capsys):
    assert query(archive, "--label", "wave", "--min-score", 0.6, "--min-duration", 1, "--video", "door*") == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split()[:4] == ["video", "track_id", "label_group", "label"]
    assert row.split()[:4] == ["cam1/door.mp4", "1", "action", "wave"]


def test_nothing_found_is_no_failure(query, archive, capsys):
    assert query(archive, "--label", "wave", "--min-score", 0.99) == 0
    assert capsys.readouterr().out == "nothing found\n"
    assert query(archive, "--label", "wave", "--min-score", 0.99, "--format", "json") == 0
    assert json.loads(capsys.readouterr().out) == []
    assert query(archive, "--label", "stand", "--format", "csv") == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_an_unknown_label_is_wrong_usage(query, archive, capsys):
    assert query(archive, "--label", "wavee") == 2
    assert "unknown label 'wavee'. Did you mean 'wave'?" in capsys.readouterr().err


def test_the_ending_of_the_output_tells_its_format(query, archive, tmp_path):
    assert query(archive, "--stats", "--out", tmp_path / "stats.json") == 0
    assert [row["seconds"] for row in json.loads((tmp_path / "stats.json").read_text())] == [2.6, 3.6]
    assert query(archive, "--out", tmp_path / "all.csv") == 0
    assert (tmp_path / "all.csv").read_text().startswith("video,track_id,")


def test_sql(query, archive, capsys):
    assert query(archive, "--sql", "SELECT label, count(*) AS n FROM segments GROUP BY label ORDER BY label") == 0
    assert capsys.readouterr().out.split() == ["label", "n", "walk", "1", "wave", "1"]


@pytest.mark.parametrize(
    "sql", ["COPY segments TO 'x.csv'", "SELECT * FROM read_text('/etc/passwd')", "SELECT 1; SELECT 2", ""]
)
def test_sql_that_is_refused(query, archive, sql, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert query(archive, "--sql", sql) == 2
    assert "Expected one SELECT" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--sql", "SELECT 1", "--label", "wave"), "--sql is the whole question"),
        (("--sql", "SELECT 1", "--stats"), "--sql is the whole question"),
        (("--timeout", 0), "--timeout is a number of seconds above 0"),
        (("--timeout", "nan"), "--timeout is a number of seconds above 0"),
        (("--format", "xml"), "unknown format 'xml'"),
        (("--min-score", 3), "--min-score is between 0 and 1"),
        (("--stats", "--cut", "x"), "--stats counts seconds"),
        (("--sheet", "x.gif"), "ends in '.gif'"),
        (("--anonymise", "face"), "--anonymise is head or person"),
        (("--copy", "--anonymise", "head"), "--copy takes pictures as they are"),
        (("--margin", -1), "--margin is a number of seconds"),
    ],
)
def test_wrong_usage(query, archive, options, message, capsys):
    assert query(archive, *options) == 2
    assert message in capsys.readouterr().err


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    """An archive of a video that is there, and of one that is not."""
    folder = tmp_path_factory.mktemp("filmed")
    (folder / "videos").mkdir()
    video = write_video(folder / "videos" / "door.mp4", num_frames=60, fps=10)
    write_archive(folder / "a", {"door.mp4": doing("wave", 1, 3)}, source=str(video))
    write_archive(folder / "a", {"gone.mp4": doing("walk", 1, 3)}, source="/nowhere/gone.mp4")
    return folder


def test_clips_and_a_sheet(query, filmed, tmp_path, capsys):
    arguments = ("--label", "wave", "--cut", tmp_path / "clips", "--sheet", tmp_path / "s.jpg")
    assert query(filmed / "a", *arguments) == 0
    told = capsys.readouterr()
    assert "door.mp4" in told.out
    assert "wrote 1 clip(s) below" in told.err
    assert "with 1 part(s)" in told.err
    assert [path.name for path in (tmp_path / "clips").iterdir()] == ["door_00001.000-00002.600_wave_1.mp4"]
    assert (tmp_path / "s.jpg").stat().st_size


def test_persons_are_hidden_with_a_look_at_each_frame(query, filmed, tmp_path, monkeypatch):
    looked = []

    def detector(images):
        looked.append(len(images))
        return [Detections(np.array([[0, 0, 64, 48]], np.float32), np.ones(1, np.float32))]

    monkeypatch.setattr("sf_detect.build.build_detector", lambda *_: detector)
    assert query(filmed / "a", "--label", "wave", "--cut", tmp_path, "--margin", 0, "--anonymise", "person") == 0
    assert len(looked) == 16


def test_part_of_the_videos_is_gone(query, filmed, tmp_path, capsys):
    assert query(filmed / "a", "--cut", tmp_path) == 3
    assert "--videos-root" in capsys.readouterr().err
    assert query(filmed / "a", "--label", "walk", "--cut", tmp_path) == 1
    shutil.copy(filmed / "videos" / "door.mp4", tmp_path / "gone.mp4")
    assert query(filmed / "a", "--label", "walk", "--cut", tmp_path / "c", "--videos-root", tmp_path) == 0


def test_rows_of_sql_can_be_cut(query, filmed, tmp_path, capsys):
    sql = "SELECT 'door.mp4' AS video, 1 AS start_time, 1.5 AS end_time"
    assert query(filmed / "a", "--sql", sql, "--cut", tmp_path, "--copy") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["door_00001.000-00001.500.mp4"]
    assert query(filmed / "a", "--sql", "SELECT 1 AS n", "--cut", tmp_path) == 2
    assert "the answer lacks video, start_time, end_time" in capsys.readouterr().err


def test_nothing_to_cut(query, filmed, tmp_path, capsys):
    sheet = tmp_path / "s.png"
    assert query(filmed / "a", "--label", "stand", "--cut", tmp_path / "clips", "--sheet", sheet) == 0
    assert "wrote 0 clip(s)" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_persons_who_move_alike_need_features(query, archive, capsys):
    assert query(archive, "--like", "door.mp4:1:1") == 1
    assert "Annotate with --features" in capsys.readouterr().err
    assert query(archive, "--like", "door.mp4") == 2
    assert "expected VIDEO:TIME:TRACK" in capsys.readouterr().err


def test_a_folder_without_an_archive(query, tmp_path, capsys):
    assert query(tmp_path) == 1
    assert "holds no archive" in capsys.readouterr().err


def test_a_question_that_does_not_let_go_ends_the_process(monkeypatch, capsys):
    ended = []
    monkeypatch.setattr(command, "_GRACE_SECONDS", 0.0)
    monkeypatch.setattr(command.os, "_exit", ended.append)
    with command._ended_in_time(0.001) as timer:
        timer.join()
    assert ended == [2]
    assert "took longer than 0.001 s" in capsys.readouterr().err
