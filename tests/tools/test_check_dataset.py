import sys

import cv2
import numpy as np
import pytest
from tiny_jhmdb import write_tiny_jhmdb

from synthetic_video import write_video
from tools import check_dataset


@pytest.fixture
def call(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["check_dataset.py", *map(str, arguments)])
        code = check_dataset.main()
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_report_and_sheet(tmp_path, call):
    root = write_tiny_jhmdb(tmp_path / "data")
    code, out, err = call("jhmdb", f"root={root}", "split=test", "--sheet", tmp_path / "new" / "sheet.png")
    assert (code, err) == (0, "")
    assert "J-HMDB split 1 test: 2 samples" in out
    assert "No problem found." in out
    image = cv2.imread(str(tmp_path / "new" / "sheet.png"))
    assert image.shape[0] > 300
    assert len(np.unique(image)) > 50
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["sheet.png"]


def test_classification_on_the_sheet(tmp_path, call):
    write_video(tmp_path / "a b.mp4", 20, 10)
    (tmp_path / "train.csv").write_text("a b.mp4 7\n")
    assert call("kinetics", f"root={tmp_path}", "--sheet", tmp_path / "sheet.jpg", "--videos", "1")[0] == 0
    assert cv2.imread(str(tmp_path / "sheet.jpg")) is not None


def test_problems_give_exit_code_1(tmp_path, call):
    root = write_tiny_jhmdb(tmp_path)
    (root / "videos" / "walk" / "walk_003.mp4").unlink()
    code, out, _ = call("jhmdb", f"root={root}", "split=test")
    assert code == 1
    assert "Problem: 1 missing videos\n    walk_003" in out


def test_clips_that_do_not_decode_are_not_on_the_sheet(tmp_path, call):
    (tmp_path / "a.mp4").write_text("no video")
    (tmp_path / "train.csv").write_text("a.mp4 7\n")
    code, out, err = call("kinetics", f"root={tmp_path}", "--sheet", tmp_path / "sheet.png")
    assert code == 1
    assert "Problem: 1 videos that can't be opened" in out
    assert "not on the sheet" in err
    assert "none of the chosen clips decodes" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["avva"], "unknown dataset"),
        (["jhmdb", "root"], "'root' is not of the form key=value"),
        (["jhmdb"], "needs the option 'root'"),
    ],
)
def test_wrong_usage_gives_exit_code_2(call, arguments, message):
    code, _, err = call(*arguments)
    assert code == 2
    assert message in err


@pytest.mark.parametrize("arguments", [["jhmdb", "--sheet", "a.gif"], ["jhmdb", "--clips", "0"]])
def test_wrong_options_of_the_tool(call, arguments):
    with pytest.raises(SystemExit, match="2"):
        call(*arguments)
