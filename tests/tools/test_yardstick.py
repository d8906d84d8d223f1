"""The yardstick: its files, how people are matched, and how rates are counted."""

from __future__ import annotations

import csv
import hashlib
import importlib
import json
import sys
from collections import Counter
from pathlib import Path

import pytest

import sf_detect
from sf_detect.errors import ConfigError, DataError
from sf_detect.model_spec import ModelSpec
from sf_detect.structures import ClipSpec

TOOLS = Path(__file__).resolve().parents[2] / "tools"
JHMDB = ("brush_hair", "jump", "kick_ball", "sit", "stand", "walk")
LIMITS = (0.5,) * len(JHMDB)
CLIP = "a,a.mp4,owner/name,a.mp4,,MIT,{sha},3,100,100,30,9.0,choose,\n"
ROW = "a,1.0,10,10,50,90,walk,,clear,choose\n"


def _import(name):
    sys.path.insert(0, str(TOOLS))  # as `python tools/measure_yardstick.py` has it
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(TOOLS))


tool, labelled, measures = (_import(n) for n in ("measure_yardstick", "yardstick.labels", "yardstick.measures"))


def window(posture="walk", actions=(), visibility="clear", time=1.0, box=(10, 10, 50, 90), clip="a"):
    return labelled.Window(clip, time, box, posture, tuple(actions), visibility, "choose")


def person(box=(10, 10, 50, 90), **scores):
    return {"box": list(box), "actions": [{"label": k, "score": v} for k, v in scores.items()]}


def judge(windows, *people, time=1.0):
    return measures.judge(windows, [{"time": time, "persons": list(people)}], JHMDB, LIMITS)


@pytest.fixture
def folder(tmp_path):
    """A folder of labels: one clip, one person."""
    sha = hashlib.sha256(b"abc").hexdigest()
    (tmp_path / "clips.csv").write_text(",".join(labelled._CLIP_COLUMNS) + "\n" + CLIP.format(sha=sha))
    (tmp_path / "labels.csv").write_text(",".join(labelled._LABEL_COLUMNS) + "\n" + ROW)
    (tmp_path / "a.mp4").write_bytes(b"abc")
    return tmp_path


# The files that are committed


def test_committed_labels():
    clips = labelled.read_clips(labelled.HERE / "clips.csv")
    windows = labelled.read_windows(labelled.HERE / "labels.csv", clips)
    assert len(windows) >= 300
    assert {w.clip for w in windows} == {c.clip for c in clips}
    for split in labelled.SPLITS:
        mine = [w for w in windows if w.split == split]
        assert len(mine) >= 200
        assert {w.posture for w in mine} == {*labelled.POSTURES, *labelled.NO_POSTURE}
    assert len({c.sha256 for c in clips}) == len(clips)
    assert len({(w.clip, w.time, w.box) for w in windows}) == len(windows)


def test_committed_boxes_lie_in_their_frames():
    with open(labelled.HERE / "clips.csv", encoding="utf-8") as file:
        rows = {row["clip"]: row for row in csv.DictReader(file)}
    windows = labelled.read_windows(labelled.HERE / "labels.csv", labelled.read_clips(labelled.HERE / "clips.csv"))
    for w in windows:
        assert min(w.box) >= 0
        assert w.box[2] <= float(rows[w.clip]["width"])
        assert w.box[3] <= float(rows[w.clip]["height"])
        assert w.time <= float(rows[w.clip]["seconds"]) + 0.6
    assert all(row["licence"] and row["source"] and (row["commit"] or row["notes"]) for row in rows.values())


@pytest.mark.parametrize(("split", "clear"), [("fresh", 220), ("unseen", 200), ("held", 190)])
def test_later_splits_share_no_repository(split, clear):
    with open(labelled.HERE / "clips.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with open(TOOLS / "posture_data" / "provenance.csv", encoding="utf-8") as file:
        trained = {row["repository"] for row in csv.DictReader(file)}
    own = [row for row in rows if row["split"] == split]
    assert not {row["source"] for row in own} & ({r["source"] for r in rows if r["split"] != split} | trained)
    assert len(own) >= 40
    assert len({row["source"] for row in own}) >= 25
    windows = labelled.read_windows(labelled.HERE / "labels.csv", labelled.read_clips(labelled.HERE / "clips.csv"))
    per_clip = Counter(w.clip for w in windows if w.split == split)
    assert max(per_clip.values()) <= 12
    assert sum(w.split == split and w.visibility == "clear" for w in windows) >= clear


def test_choose_is_the_split_by_default(call, folder):
    path = folder / "clips.csv"
    path.write_text(path.read_text().replace(",choose,", ",fresh,"))
    labels = folder / "labels.csv"
    labels.write_text(labels.read_text().replace("clear,choose", "clear,fresh"))
    assert call()[0] == 2
    code, out, _ = call("--split", "fresh")
    assert (code, "split fresh: 1 clips, 1 people" in out) == (0, True)


# Checks of the files


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("walk,,", "hop,,", "posture is one of"),
        ("walk,,", "walk,wave;golfing,", "action is one of"),
        ("clear", "bright", "visibility is one of"),
        ("clear,choose", "clear,measure", "split is one of choose"),
        ("a,1.0", "b,1.0", "clip is one of a"),
        ("1.0", "one", "time and box are numbers"),
        ("10,10,50,90", "10,10,10,90", "x1 < x2"),
        ("1.0", "-1", "time >= 0"),
        ("1.0", "nan", "time >= 0"),
        ("walk,,", "walk,", "expected 10 cells"),
        ("walk,,", "walk,,,", "expected 10 cells"),
        ("posture", "pose", "expected the columns"),
    ],
)
def test_a_wrong_label_is_refused(folder, old, new, message):
    path = folder / "labels.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        labelled.read_windows(path, labelled.read_clips(folder / "clips.csv"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("a.mp4,owner", "../a.mp4,owner", "without a folder"),
        (",choose,", ",both,", "split is one of"),
        ("ba7816bf", "xx", "64 hexadecimal"),
    ],
)
def test_a_wrong_clip_is_refused(folder, old, new, message):
    path = folder / "clips.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        labelled.read_clips(path)


def test_a_clip_that_stands_there_twice(folder):
    path = folder / "clips.csv"
    path.write_text(path.read_text() + path.read_text().splitlines()[1] + "\n")
    with pytest.raises(DataError, match="twice"):
        labelled.read_clips(path)


def test_files_that_cannot_be_read(folder):
    with pytest.raises(DataError, match="cannot be read"):
        labelled.read_clips(folder / "none.csv")
    (folder / "clips.csv").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(DataError, match="not text"):
        labelled.read_clips(folder / "clips.csv")


def test_a_clip_is_found_by_name_and_hash(folder):
    (clip,) = labelled.read_clips(folder / "clips.csv")
    assert labelled.find_clip(clip, folder) == folder / "a.mp4"
    assert labelled.find_clip(clip, folder / "elsewhere") is None
    (folder / "a.mp4").write_bytes(b"abd")
    with pytest.raises(DataError, match="other bytes"):
        labelled.find_clip(clip, folder)


def test_splits():
    assert labelled.check_split("all") == ("choose", "measure", "fresh", "unseen", "held")
    assert labelled.check_split("measure") == ("measure",)
    assert labelled.check_split("fresh") == ("fresh",)
    with pytest.raises(ConfigError, match="choose, measure, fresh, unseen, held or all"):
        labelled.check_split("test")


# What a label means


def test_sit_and_stand_of_jhmdb_are_movements():
    assert labelled.meaning("sit", JHMDB) == "sit down"
    assert labelled.meaning("stand", JHMDB) == "stand up"
    assert labelled.meaning("walk", JHMDB) == "walk"
    assert labelled.meaning("sit down", ("brush_hair", "sit down")) == "sit down"
    assert labelled.meaning("sit", ("brush_hair", "sit down")) == "sit"
    assert labelled.meaning("sit", ("sit", "watch (a person)")) == "sit"
    assert labelled.meaning("crouch/kneel", ("crouch/kneel",)) == "crouch"
    assert labelled.meaning("watch (a person)", ("sit", "watch (a person)")) is None


def test_an_action_is_shown_from_its_threshold_on_and_a_posture_otherwise():
    shown = measures.shown_labels(person(walk=0.6, jump=0.5, kick_ball=0.4), JHMDB, LIMITS)
    assert shown == ["walk", "jump"]
    assert measures.shown_labels(person(walk=0.6, jump=0.55), JHMDB, LIMITS, top_k=1) == ["walk"]
    lies = {"label": "lie", "score": 0.9, "group": "posture"}
    names, limits = [*JHMDB, "lie"], [*LIMITS, 0.5]
    silent, walks = ({"actions": [lies, *person(walk=score)["actions"]]} for score in (0.4, 0.6))
    assert measures.shown_labels(silent, names, limits) == ["lie"]
    assert measures.shown_labels(silent, names, [*LIMITS, 0.95]) == []
    assert measures.shown_labels(walks, names, limits) == ["walk"]


# Matching


def test_each_person_is_matched_once_by_the_greatest_overlap():
    windows = [window("walk"), window("run", box=(14, 10, 54, 90))]
    first, second = judge(windows, person((15, 10, 55, 90), jump=0.9), person((10, 10, 50, 90), walk=0.9))
    assert (first.true, second.shown, second.true) == ({"walk"}, {"jump"}, set())
    assert [j.found for j in judge(windows, person((12, 10, 52, 90)))] == [True, False]


def test_far_boxes_and_far_times_do_not_match():
    assert not judge([window()], person((40, 10, 80, 90), walk=0.9))[0].found
    assert not judge([window()], person(walk=0.9), time=1.4)[0].found
    assert judge([window()], person(walk=0.9), time=1.25)[0].found
    assert not measures.judge([window()], [], JHMDB, LIMITS)[0].found


def test_people_are_judged_at_their_own_time():
    windows = [window("walk", time=2.0), window("jump", time=1.0)]
    records = [{"time": t, "persons": [person(**{a: 0.9})]} for t, a in ((1.0, "jump"), (1.5, "sit"), (2.0, "walk"))]
    assert [j.true for j in measures.judge(windows, records, JHMDB, LIMITS)] == [{"walk"}, {"jump"}]


@pytest.mark.parametrize(
    ("truth", "label", "shown", "true"),
    [
        (window("walk"), "walk", 1, 1),
        (window("stand"), "walk", 1, 0),
        (window("none"), "walk", 1, 0),
        (window("unclear"), "walk", 0, 0),
        (window("unclear", ["walk"]), "walk", 1, 1),
        (window("unclear"), "kick_ball", 1, 0),
        (window("stand", ["kick_ball"]), "kick_ball", 1, 1),
        (window("sit"), "sit", 1, 0),
        (window("sit", ["sit down"]), "sit", 1, 1),
        (window("stand"), "stand", 1, 0),
    ],
)
def test_what_is_true(truth, label, shown, true):
    (judged,) = judge([truth], person(**{label: 0.9}))
    assert (len(judged.shown), len(judged.true)) == (shown, true)


# Rates


def test_rates():
    people = [
        *judge([window("walk")], person(walk=0.9)),
        *judge([window("stand")], person(walk=0.9)),
        *judge([window("sit")], person()),
        *judge([window("sit", visibility="small")]),
        *judge([window("none")], person()),
        *judge([window("unclear")], person(walk=0.9)),
    ]
    assert {rate: measures.total(rate, people) for rate in measures.RATES} == {
        "people found": (5, 6),
        "clear people found": (5, 5),
        "clear people given any label": (3, 5),
        "clear people given a true label": (1, 3),
        "shown labels that are true": (1, 2),
    }
    assert measures.per_class(people)["walk"] == {"people": 1, "said": 1, "shown": 2, "true": 1}
    assert measures.per_class(people)["sit"] == {"people": 1, "said": 0, "shown": 0, "true": 0}
    assert "lie" not in measures.per_class(people)


def test_labels_of_no_class_here_are_counted_apart():
    foreign = {"box": [10, 10, 50, 90], "actions": [{"label": "talk to", "score": 0.9}]}
    (judged,) = measures.judge([window()], [{"time": 1.0, "persons": [foreign]}], ["talk to"], [0.5])
    assert (judged.shown, judged.foreign) == (frozenset(), 1)
    assert measures.total("clear people given any label", [judged]) == (1, 1)


def test_wilson_interval():
    assert measures.wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert measures.wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert measures.wilson(0, 0) is None


def test_interval_over_clips():
    good, bad = judge([window()], person(walk=0.9)), judge([window()], person())
    rate = "clear people given a true label"
    assert measures.by_clip_interval(rate, {"a": good, "b": good}) == (1.0, 1.0)
    assert measures.by_clip_interval(rate, {"a": good, "b": bad}) == (0.0, 1.0)
    many = measures.by_clip_interval(rate, {str(i): good if i % 2 else bad for i in range(100)})
    assert 0.35 < many[0] < 0.45 < 0.55 < many[1] < 0.65
    assert measures.by_clip_interval(rate, {str(i): good if i % 2 else bad for i in range(100)}) == many
    assert measures.interval(rate, {"a": good, "b": good}) == pytest.approx((0.3424, 1.0), abs=1e-4)
    assert measures.interval(rate, {"a": good, "b": bad}) == (0.0, 1.0)
    assert measures.interval(rate, {}) is measures.by_clip_interval(rate, {}) is None
    assert measures.by_clip_interval("shown labels that are true", {"a": bad}) is None


# The command


@pytest.fixture
def call(folder, monkeypatch, capsys):
    def run(*arguments):
        paths = [str(folder), "--results", str(folder / "results"), "--labels", str(folder)]
        monkeypatch.setattr(sys, "argv", ["measure_yardstick.py", *paths, *arguments])
        code = tool.main()
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    class Annotator:
        def __init__(self, config):
            self.spec = ModelSpec("m", tuple(JHMDB), ClipSpec(8, 2), thresholds=tuple(LIMITS))

    def annotate(path, out_jsonl, config):
        record = {"schema": "sf-detect/1", "video": "a", "frame": 30, "time": 1.0, "width": 100, "height": 100}
        someone = {**person(walk=0.6, jump=0.4), "score": 0.9, "track_id": 1}
        out_jsonl.write_text(json.dumps({**record, "persons": [someone]}) + "\n")

    monkeypatch.setattr(sf_detect, "Annotator", Annotator)
    monkeypatch.setattr(sf_detect, "annotate_video", annotate)
    return run


def test_tables(call):
    code, out, err = call()
    assert (code, err) == (0, "running a.mp4\n")
    assert "split choose: 1 clips, 1 people" in out
    assert "shown labels that are true         1.000     1 of 1" in out
    assert "walk                  1     1      1     1  1.00 (0.21 to 1.00)" in out
    code, out, err = call("--threshold", "0.7")
    assert (code, err) == (0, "")
    assert "clear people given any label       0.000     0 of 1" in out


def test_json(call):
    report = json.loads(call("--json", "--threshold", "0.3")[1])
    assert report["rates"]["shown labels that are true"]["share"] == 0.5
    assert report["per clip"]["a"]["people found"] == [1, 1]
    assert report["missing"] == []


def test_results_of_different_weights_are_kept_apart(call, folder):
    call()
    call("--weights", str(folder / "mine.safetensors"))
    call("--postures", "off")
    call("--posture-weights", str(folder / "p.safetensors"))
    assert sorted(p.name for p in (folder / "results").iterdir()) == [
        "a.mine.jsonl",
        "a.slowfast_tiny_jhmdb.jsonl",
        "a.slowfast_tiny_jhmdb.postures-off.jsonl",
        "a.slowfast_tiny_jhmdb.postures-p.jsonl",
    ]


def test_messages(call, folder):
    code, _, err = call("--split", "test")
    assert (code, "choose, measure, fresh, unseen, held or all" in err) == (2, True)
    code, _, err = call("--split", "measure")
    assert (code, "holds none of the 0 clips of this split" in err) == (2, True)
    (folder / "a.mp4").write_bytes(b"abd")
    code, _, err = call()
    assert (code, "other bytes" in err) == (1, True)


def test_missing_clips_are_named(call, folder):
    path = folder / "clips.csv"
    path.write_text(path.read_text() + CLIP.format(sha="0" * 64).replace("a,a.mp4", "b,b.mp4"))
    assert "not measured, not in the folder: b" in call()[1]
