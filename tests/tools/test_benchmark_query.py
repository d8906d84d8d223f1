"""The made-up archive is one that can be asked; nothing is timed here."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from sf_detect.archive.database import Database
from sf_detect.archive.files import ArchiveFiles
from sf_detect.archive.questions import Question
from sf_detect.archive.search import Search
from sf_detect.archive.similar import Moment

TOOL = Path(__file__).resolve().parents[2] / "tools" / "benchmark_query.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("benchmark_query", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_archive_holds_what_it_says(tool, tmp_path):
    tool.make_archive(tmp_path, files=3, rows=300, features=40)
    files = ArchiveFiles.find(tmp_path)
    with Database(files) as database:
        counts = [next(database.ask(f"SELECT count(*) FROM {t}").rows)[0] for t in ("persons", "segments", "labels")]
        assert counts == [300, 60, 1200]
        assert list(Question(Search(labels=tool.LABELS[:1], min_score=0.0)).ask(database, files).rows)
        alike = list(Question(like=Moment("video_00001", 1.0, 1)).ask(database, files).rows)
        assert len(alike) > 5
    assert tool.make_archive(tmp_path, files=3, rows=300, features=40) == tmp_path  # kept


def test_questions_are_asked_as_commands(tool, tmp_path, monkeypatch):
    tool.make_archive(tmp_path, files=2, rows=100, features=20)
    monkeypatch.setattr(tool, "QUESTIONS", {"unknown": tool.QUESTIONS["a label that never occurs"]})
    (row,) = tool.measure(tmp_path, repeat=1)
    assert (row["question"], row["exit"]) == ("unknown", 2)
