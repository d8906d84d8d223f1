"""Answers as text."""

from __future__ import annotations

import csv
import datetime
import io
import json
from decimal import Decimal

import pytest

from sf_detect.archive.database import Answer
from sf_detect.archive.tables import TABLE_ROWS, as_text
from sf_detect.errors import UnknownNameError

ROW = ("a\x1b[31m\nb", 3, 0.8000000119, None, [1, float("nan")], {"k": Decimal("1.5")}, datetime.date(2026, 1, 2), True)
NAMES = ("text", "whole", "real", "nothing", "list", "map", "date", "flag")


def text(format, rows=(ROW,), columns=NAMES, limit=None):
    return "".join(as_text(Answer(columns, iter(rows)), format, limit))


def test_json_is_an_array_of_objects():
    (row,) = json.loads(text("json"))
    assert row == {
        "text": "a\x1b[31m\nb",
        "whole": 3,
        "real": 0.8,
        "nothing": None,
        "list": [1, None],
        "map": {"k": "1.5"},
        "date": "2026-01-02",
        "flag": True,
    }
    assert json.loads(text("json", rows=())) == []
    assert len(json.loads(text("json", rows=[ROW] * 5, limit=3))) == 3


def test_times_keep_their_microseconds():
    assert text("csv", rows=[(36000.123456, 1e-9, 464.8299865722656)], columns=("a", "b", "c")).splitlines()[1] == (
        "36000.123456,1e-09,464.829987"
    )


def test_csv_has_a_header():
    header, row = csv.reader(io.StringIO(text("csv")))
    assert tuple(header) == NAMES
    assert row == ["a\x1b[31m\nb", "3", "0.8", "", "[1, null]", '{"k": "1.5"}', "2026-01-02", "True"]
    assert text("csv", rows=()) == ",".join(NAMES) + "\n"


def test_a_table_is_for_people():
    shown = text("table", rows=[("a", 1.0, None), ("long name", 20.5, 3)], columns=("name", "score", "id"))
    assert shown == "name        score  id\na           1.000   -\nlong name  20.500   3\n"
    assert text("table", rows=()) == "nothing found\n"


def test_a_table_obeys_no_terminal_codes_and_breaks_no_line():
    shown = text("table")
    assert "\x1b" not in shown
    assert shown.count("\n") == 2
    assert len(text("table", rows=[("x" * 1000,)], columns=("a",)).splitlines()[1]) == 60


def test_a_long_table_says_that_there_is_more():
    rows = [(i,) for i in range(TABLE_ROWS + 1)]
    assert "there are more than 100" in text("table", rows=rows, columns=("a",))
    assert "more" not in text("table", rows=rows[:-1], columns=("a",))
    assert "there are more than 2" in text("table", rows=rows, columns=("a",), limit=2)


def test_unknown_formats():
    with pytest.raises(UnknownNameError, match=r"unknown format 'cvs'\. Did you mean 'csv'"):
        as_text(Answer((), iter(())), "cvs")
