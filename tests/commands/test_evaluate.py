import json
from functools import partial

import pytest

TRUTH = "v,0902,0.1,0.1,0.5,0.5,12,1\nv,0903,0.1,0.1,0.5,0.5,12,1\nv,0902,0.6,0.6,0.9,0.9,80,2\n"
FOUND = "v,0902,0.1,0.1,0.5,0.5,12,0.9\nv,0903,0.6,0.1,0.9,0.5,12,0.8\n"


@pytest.fixture
def command(sf_detect, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return partial(sf_detect, "evaluate")


@pytest.fixture
def evaluate(command, tmp_path):
    (tmp_path / "g.csv").write_text(TRUTH)
    (tmp_path / "d.csv").write_text(FOUND)
    return partial(command, "ava", "--groundtruth", "g.csv", "--detections", "d.csv")


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


def test_json_lines_are_detections_too(evaluate, tmp_path, capsys):
    person = {"box": [10, 10, 50, 50], "score": 1, "track_id": 1, "actions": [{"label": "stand", "score": 0.9}]}
    record = {"schema": "sf-detect/1", "video": "v", "frame": 0, "time": 902, "width": 100, "height": 100}
    (tmp_path / "d.jsonl").write_text(json.dumps({**record, "persons": [person]}) + "\n")
    assert evaluate("--detections", "d.jsonl", "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["per_class"]["stand"] == pytest.approx(0.5)
    assert evaluate("--detections", "d.jsonl", "--label-map", "ucf24") == 1
    assert "d.jsonl:1: not a record of `sf-detect run`: unknown label 'stand'" in capsys.readouterr().err


def test_detections_of_other_videos_give_a_note(evaluate, tmp_path, capsys):
    assert evaluate() == 0
    assert "note" not in capsys.readouterr().err
    (tmp_path / "d.csv").write_text(FOUND.replace("v,", "w,"))
    assert evaluate() == 0
    assert "none of the 2 detections is on a keyframe and of a class that is scored" in capsys.readouterr().err


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


def test_plots(evaluate, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    assert evaluate("--plots", "plots", "--quiet") == 0
    names = ["ap_bars.png", "precision_recall.png", "report.html"]
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == names
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [f"wrote plots/{name}" for name in names]


HEADER = "video,frame,x1,y1,x2,y2,label,score"


def _walk(label: str = "walk") -> str:
    rows = [f"v,{frame},{frame},0,{frame + 30},40,{label},0.9" for frame in range(20)]
    return "\n".join([HEADER, *rows]) + "\n"


def test_tubes(command, tmp_path, capsys):
    (tmp_path / "g.csv").write_text(_walk())
    arguments = ("tubes", "--groundtruth", "g.csv", "--detections", "g.csv", "--convention", "yowo")
    assert command(*arguments, "--json", "r.json") == 0
    result = json.loads((tmp_path / "r.json").read_text())
    assert result["frame_mAP"] == pytest.approx(1)
    assert result["video_mAP"]["0.5:0.95"] == pytest.approx(1, abs=1e-3)
    out = capsys.readouterr().out
    assert "frame-mAP@0.5 (yowo)" in out
    assert "video-mAP@0.75" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--convention", "voc"), "unknown convention of frame-mAP and video-mAP 'voc'"),
        (("--linking", "nearest"), "unknown linking 'nearest'"),
        (("--split", "1"), "a split needs a list of its videos"),
        (("--label-map", "ava80"), "g.csv:2: unknown label 'walk_'"),
    ],
)
def test_bad_tube_options(command, tmp_path, capsys, arguments, message):
    (tmp_path / "g.csv").write_text(_walk("walk_" if "--label-map" in arguments else "walk"))
    assert command("tubes", "--groundtruth", "g.csv", "--detections", "g.csv", *arguments) in (1, 2)
    assert message in capsys.readouterr().err


def test_tubes_of_json_lines(command, tmp_path, capsys):
    (tmp_path / "g.csv").write_text(_walk())
    person = {"box": [5, 0, 35, 40], "score": 0.9, "track_id": None, "actions": [{"label": "walk", "score": 0.8}]}
    record = {"schema": "sf-detect/1", "video": "v", "frame": 5, "time": 0.2, "width": 90, "height": 90}
    (tmp_path / "d.jsonl").write_text(json.dumps({**record, "persons": [person]}) + "\n")
    assert command("tubes", "--groundtruth", "g.csv", "--detections", "d.jsonl") == 0
    assert "scored on 1 of 20 frames with ground truth" in capsys.readouterr().out
    (tmp_path / "p.csv").write_text("video,frame,x1,y1,x2,y2\nv,5,5,0,35,40\nv,6,5,0,35,40\n")
    assert command("persons", "--groundtruth", "p.csv", "--detections", "d.jsonl", "--json", "-") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["AP50"], result["images"], result["persons"], result["detections"]) == (pytest.approx(1), 1, 1, 1)
    (tmp_path / "p.csv").write_text("video,frame,x1,y1,x2,y2\nw,5,5,0,35,40\n")
    assert command("persons", "--groundtruth", "p.csv", "--detections", "d.jsonl") == 1
    assert "d.jsonl: none of its frames is in p.csv" in capsys.readouterr().err
    (tmp_path / "d.jsonl").write_text("{}\n")
    assert command("tubes", "--groundtruth", "g.csv", "--detections", "d.jsonl") == 1
    assert "d.jsonl:1: expected an object with schema" in capsys.readouterr().err


def test_kinetics(command, tmp_path, capsys):
    (tmp_path / "g.csv").write_text("a.mp4 0\nb.mp4 5\n")
    (tmp_path / "s.txt").write_text("a 9 1 2 3 4 5\nb 9 1 2 3 4 5\n")
    arguments = ("kinetics", "--groundtruth", "g.csv", "--scores", "s.txt")
    assert command(*arguments, "--views", "1", "--json", "-") == 0
    assert json.loads(capsys.readouterr().out) == {"top1": 0.5, "top5": 1.0, "videos": 2, "missing": 0}
    assert command(*arguments) == 2
    assert "2 of 2 videos do not have 30 views: 'a' has 1" in capsys.readouterr().err
    (tmp_path / "s.txt").write_text("a 9 1 2 3 4 5\nb 9 1 x 3 4 5\n")
    assert command(*arguments) == 1
    assert "s.txt:2: expected a video and its scores" in capsys.readouterr().err


def test_charades(command, tmp_path, capsys):
    (tmp_path / "g.csv").write_text("id,actions\nA,c000 0.0 1.0;c003 2.0 9.5\nB,c003 0.0 1.0\n")
    scores = [[1, 0, 0, 1] + [0] * 153, [0, 0, 0, 1] + [0] * 153]
    (tmp_path / "s.txt").write_text(
        "".join(f"{v} {' '.join(map(str, s))}\n" for v, s in zip("AB", scores, strict=True))
    )
    arguments = ("charades", "--groundtruth", "g.csv", "--scores", "s.txt", "--views", "1")
    assert command(*arguments) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[-1].split() == ["mean", "100.00", "3"]
    assert command(*arguments, "--protocol", "coco") == 2
    assert "unknown protocol of multi-label mAP 'coco'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["ava", "tubes", "kinetics", "charades", "persons"])
def test_help_has_examples(command, capsys, name):
    assert command(name, "--help") == 0
    assert f"sf-detect evaluate {name} --groundtruth" in " ".join(capsys.readouterr().out.split())
