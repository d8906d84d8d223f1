import json
import sys

import pytest

from sf_detect import cli

TRUTH = "v,0902,0.1,0.1,0.5,0.5,12,1\nv,0903,0.1,0.1,0.5,0.5,12,1\nv,0902,0.6,0.6,0.9,0.9,80,2\n"
FOUND = "v,0902,0.1,0.1,0.5,0.5,12,0.9\nv,0903,0.6,0.1,0.9,0.5,12,0.8\n"


@pytest.fixture
def evaluate(monkeypatch, tmp_path):
    (tmp_path / "g.csv").write_text(TRUTH)
    (tmp_path / "d.csv").write_text(FOUND)
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> int:
        argv = ["sf-detect", "evaluate", "ava", "--groundtruth", "g.csv", "--detections", "d.csv", *arguments]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code or 0

    return command


def test_writes_json_and_prints_a_table(evaluate, tmp_path, capsys):
    assert evaluate("--json", "r.json") == 0
    result = json.loads((tmp_path / "r.json").read_text())
    # Class 12: one hit of two truths, then a miss. Class 80: a truth and no detection.
    assert result["per_class"]["stand"] == pytest.approx(0.5)
    assert result["per_class"]["watch (a person)"] == 0
    assert result["mAP"] == pytest.approx(0.25)
    assert result["per_class"]["dance"] is None
    assert "mean" in capsys.readouterr().out


def test_json_on_standard_output_is_alone_there(evaluate, capsys):
    assert evaluate("--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["mAP"] == pytest.approx(0.25)


def test_exclusion(evaluate, tmp_path, capsys):
    (tmp_path / "e.csv").write_text("v,0903\n")
    assert evaluate("--exclude", "e.csv", "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["per_class"]["stand"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--protocol", "coco"), "coco"),
        (("--label-map", "ava61"), "ava60"),
        (("--exclude", "none.csv"), "none.csv"),
        (("--json", "/proc/none/r.json"), "/proc/none"),
    ],
)
def test_bad_arguments(evaluate, capsys, arguments, message):
    assert evaluate(*arguments) in (1, 2)
    assert message in capsys.readouterr().err


def test_malformed_row_names_file_and_line(evaluate, tmp_path, capsys):
    (tmp_path / "d.csv").write_text("v,0902,0.1,0.1,0.5,0.5,12,0.9\nv,0902,0.1,oops,0.5,0.5,12,0.9\n")
    assert evaluate() == 1
    assert "d.csv:2" in capsys.readouterr().err
