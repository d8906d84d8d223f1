import sys

import pytest

from synthetic_video import write_video
from tools import prepare_ava


@pytest.fixture
def call(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["prepare_ava.py", *map(str, arguments)])
        code = prepare_ava.main()
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_makes_and_reports(tmp_path, call):
    films, root = tmp_path / "films", tmp_path / "ava"
    films.mkdir()
    write_video(films / "one.mp4", 30, 10)
    (root / "annotations").mkdir(parents=True)
    (root / "annotations" / "ava_train_v2.2.csv").write_text("one,0902,0.1,0.2,0.5,0.9,12,0\ntwo,0902\n")
    (root / "annotations" / "ava_train_excluded_timestamps_v2.2.csv").write_text("three,0902\n")
    arguments = (films, root, "--source-start", "899", "--short-side", "32", "--workers", "1")
    code, out, _ = call(*arguments)
    assert code == 1
    assert "[2/2]" in out
    assert "2 films: 1 short, 1 missing\n  short   one" in out
    assert (root / "videos" / "one.mp4").is_file()
    code, _, err = call(*arguments, "--check", "--list", films / "list.txt")
    assert code == 1
    assert "list.txt: does not exist" in err


def test_check_without_lists_takes_the_films(tmp_path, call):
    write_video(tmp_path / "one.mp4", 10, 10)
    code, out, _ = call(tmp_path, tmp_path / "ava", "--check")
    assert code == 1
    assert "1 films: 1 missing" in out


def test_no_films(tmp_path, call):
    code, _, err = call(tmp_path, tmp_path / "ava")
    assert code == 1
    assert "holds no video; expected the films" in err


@pytest.mark.parametrize("options", [("--no-videos",), ("--workers", "0")])
def test_wrong_usage(tmp_path, call, options):
    with pytest.raises(SystemExit, match="2"):
        call(tmp_path, tmp_path, *options)
