"""`sf-detect query` as it is typed."""

from __future__ import annotations

import json
import sys

import pytest

from sf_detect import cli
from sf_detect.commands import query as command
from tests.archive.archives import doing, write_archive


@pytest.fixture
def query(monkeypatch):
    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["sf-detect", "query", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code or 0

    return run


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
    ],
)
def test_wrong_usage(query, archive, options, message, capsys):
    assert query(archive, *options) == 2
    assert message in capsys.readouterr().err


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
