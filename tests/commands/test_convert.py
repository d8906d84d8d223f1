"""`sf-detect convert` as it is typed."""

from __future__ import annotations

import json
from functools import partial

import pytest

from tests.convert.results import write_lines


@pytest.fixture
def convert(sf_detect):
    return partial(sf_detect, "convert")


def test_a_file(convert, tmp_path, capsys):
    source = write_lines(tmp_path / "r.jsonl")
    assert convert(source, "--to", "coco", "--out", tmp_path / "c.json") == 0
    assert "wrote" in capsys.readouterr().err
    assert len(json.loads((tmp_path / "c.json").read_text())["annotations"]) == 5


def test_a_folder(convert, tmp_path, capsys):
    assert convert(write_lines(tmp_path / "r.jsonl"), "--to", "cvat", "--out", tmp_path / "x") == 0
    assert "wrote 2 files below" in capsys.readouterr().err


def test_there_and_back(convert, tmp_path):
    assert convert(write_lines(tmp_path / "r.jsonl"), "--to", "cvat", "--out", tmp_path / "x") == 0
    xml = tmp_path / "x" / "cam" / "a.mp4.xml"
    assert convert(xml, "--fps", 10, "--to", "training", "--out", tmp_path / "t" / "train.csv", "--video", "d.mp4") == 0
    assert (tmp_path / "t" / "train.csv").read_text().splitlines()[1].startswith("d,0.000,")
    assert (tmp_path / "t" / "labels.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("nothing.jsonl", "--to", "coco", "--out", "c.json"), 1, "is not there"),
        (("r.jsonl", "--to", "coo", "--out", "c.json"), 2, "unknown format 'coo'. Did you mean 'coco'?"),
        (("r.jsonl", "--to", "coco", "--out", "c.txt"), 2, "ends in '.txt'"),
        (("r.jsonl", "--to", "coco", "--out", "c.json", "--from", "cvat"), 2, "--fps"),
        (("r.jsonl", "--to", "coco", "--out", "c.json", "--from", "label-studio"), 1, "is not JSON"),
    ],
)
def test_what_goes_wrong(convert, tmp_path, monkeypatch, capsys, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    write_lines(tmp_path / "r.jsonl")
    assert convert(*arguments) == code
    assert message in capsys.readouterr().err
    assert not (tmp_path / "c.json").exists()
