"""What is read: our own results, and annotations that people made with other tools."""

from __future__ import annotations

import json

import pytest

from sf_detect.convert import convert, kind_of
from sf_detect.convert import cvat as cvat_module
from sf_detect.convert import label_studio as label_studio_module
from sf_detect.convert.cvat import read_cvat, write_cvat
from sf_detect.convert.formats import Reading
from sf_detect.convert.label_studio import read_label_studio, write_label_studio
from sf_detect.convert.own_results import read_archive, read_lines
from sf_detect.errors import ConfigError, DataError, SinkError, UnknownNameError
from tests.archive.archives import doing, write_archive
from tests.convert.results import RECORDS, keyframe, person, videos, write_lines

CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
  <meta><task><name>My task</name><source>door.mp4</source>
    <original_size><width>200</width><height>100</height></original_size></task></meta>
  <track id="0" label="person">
    <box frame="0" outside="0" occluded="0" keyframe="1" xtl="10" ytl="20" xbr="30.5" ybr="90">
      <attribute name="action">wave, walk</attribute><attribute name="sits">true</attribute>
      <attribute name="hat">red</attribute></box>
    <box frame="10" outside="0" occluded="0" keyframe="1" xtl="20" ytl="20" xbr="40.5" ybr="90">
      <attribute name="action"></attribute><attribute name="sits">false</attribute></box>
    <box frame="15" outside="1" occluded="0" keyframe="1" xtl="20" ytl="20" xbr="40.5" ybr="90"/>
  </track>
  <track id="1" label="jump"><box frame="5" outside="0" xtl="0" ytl="0" xbr="9" ybr="9"/></track>
</annotations>"""


def shown(video):
    """Frame, track, first x and labels of everybody."""
    return [
        (record["frame"], person["track_id"], person["box"][0], [entry["label"] for entry in person["actions"]])
        for record in video.records
        for person in record["persons"]
    ]


def test_lines_of_several_videos(tmp_path):
    found = list(read_lines(write_lines(tmp_path / "r.jsonl")))
    assert [(video.video, len(video.records)) for video in found] == [("cam/a.mp4", 4), ("b.mp4", 1)]
    assert found[0].records == RECORDS[:4]


def test_a_folder_of_lines(tmp_path):
    (tmp_path / "x").mkdir()
    write_lines(tmp_path / "x" / "one.jsonl", RECORDS[:2])
    write_lines(tmp_path / "two.ndjson", RECORDS[:1])
    write_lines(tmp_path / "three.jsonl", RECORDS[4:])
    (tmp_path / ".hidden.jsonl").write_text("half")
    assert sorted(video.video for video in read_lines(tmp_path)) == ["b.mp4", "two", "x/one"]  # two of one name


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([*RECORDS, *RECORDS], "comes back to a video after another"),
        ([RECORDS[1], RECORDS[0]], "comes before another"),
        ([{**RECORDS[0], "time": "soon"}], "a number that can't be"),
        ([{**RECORDS[0], "time": float("nan")}], "a number that can't be"),
        ([{**RECORDS[0], "frame": -1}], "a number that can't be"),
        ([{**RECORDS[0], "width": 0}], "a number that can't be"),
        ([keyframe("v", 0, {**person(1, (0, 0, 1, 1)), "box": [1, 2, 3]})], "a number that can't be"),
    ],
)
def test_lines_that_make_no_sense(tmp_path, records, message):
    with pytest.raises(DataError, match=message):
        list(read_lines(write_lines(tmp_path / "r.jsonl", records)))


def test_a_folder_without_lines(tmp_path):
    with pytest.raises(DataError, match="holds no JSON Lines"):
        list(read_lines(tmp_path))


def test_an_archive(tmp_path):
    write_archive(tmp_path, {"cam/a.mp4": doing("wave", 1, 2, track=4), "empty.mp4": {}})
    (video,) = read_archive(tmp_path)
    assert (video.video, video.source, video.fps, video.duration) == ("cam/a.mp4", "/videos/cam/a.mp4", 10.0, 10.0)
    assert shown(video) == [(10, 4, 0.0, ["wave", "stand", "walk"]), (15, 4, 0.0, ["wave", "stand", "walk"])]
    assert video.records[0]["persons"][0]["actions"][0] == {
        "label": "wave",
        "score": 0.8,
        "group": "action",
        "above_threshold": True,
    }


def test_cvat(tmp_path):
    (tmp_path / "a.xml").write_text(CVAT)
    video = read_cvat(tmp_path / "a.xml", 10.0)
    assert (video.video, video.size, video.fps) == ("door.mp4", (200, 100), 10.0)
    assert shown(video) == [
        (0, 0, 10.0, ["wave", "walk", "sits"]),
        (5, 0, 15.0, ["wave", "walk", "sits"]),
        (5, 1, 0.0, ["jump"]),
        (10, 0, 20.0, []),
    ]
    assert [record["time"] for record in video.records] == [0.0, 0.5, 1.0]
    assert len(read_cvat(tmp_path / "a.xml", 10.0, every=0).records) == 15
    assert read_cvat(tmp_path / "a.xml", 10.0, "other").video == "other"


def test_cvat_there_and_back(tmp_path):
    path = write_cvat(next(videos()), tmp_path / "a.xml", None)
    assert shown(read_cvat(path, 10.0)) == [
        (0, 1, 10.0, ["walk", "wave"]),
        (0, 2, 100.0, []),
        (5, 1, 20.0, ["posture:stand", "wave"]),
        (10, 1, 30.0, ["posture:stand", "wave"]),  # interpolated, as CVAT does
        (15, 1, 40.0, ["walk"]),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no XML"),
        ("<annotations>", "is no XML"),
        ("<other/>", "is <other>; expected <annotations>"),
        ("<annotations/>", "original_size"),
        (CVAT.replace("<width>200", "<width>0"), "original_size is 0x100"),
        (CVAT.replace("<width>200", "<width>many"), "the original_size is 'many'"),
        (CVAT.replace('xtl="10"', 'xtl="nan"'), "a corner of a box is 'nan'"),
        (CVAT.replace('xtl="10"', 'xtl="1e999"'), "a corner of a box"),
        (CVAT.replace('frame="10"', 'frame="-1"'), "the frame of a box is '-1'"),
        (CVAT.replace('frame="10"', 'frame="900000000"').replace('frame="15"', 'frame="900000001"'), "expected fewer"),
        (CVAT.replace('id="0"', 'id="x"'), "the id of a track is 'x'"),
        (CVAT.replace("<track", "<image/><track"), 'is "CVAT for images"'),
        (CVAT.split("<track")[0] + "</annotations>", "holds no box"),
        ("<annotations>" + "<a>" * 200 + "</a>" * 200 + "</annotations>", "nested too deeply"),
    ],
)
def test_cvat_that_is_none(tmp_path, text, message):
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(DataError, match=message):
        read_cvat(tmp_path / "a.xml", 10.0)


@pytest.mark.parametrize(
    "declaration",
    [
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>',
        '<!DOCTYPE a SYSTEM "http://localhost/a.dtd">',
    ],
)
def test_no_entity_is_expanded_and_nothing_is_fetched(tmp_path, declaration):
    (tmp_path / "a.xml").write_text(CVAT.replace("<annotations>", f"{declaration}<annotations>", 1))
    with pytest.raises(DataError, match="is no XML that is read"):
        read_cvat(tmp_path / "a.xml", 10.0)


@pytest.mark.parametrize("fps", [None, 0, -1, float("nan"), float("inf")])
def test_cvat_without_a_frame_rate(tmp_path, fps):
    with pytest.raises(ConfigError, match="give it with --fps"):
        read_cvat(tmp_path / "a.xml", fps)


def test_files_that_are_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(cvat_module, "MOST_BYTES", 10)
    monkeypatch.setattr(label_studio_module, "MOST_BYTES", 10)
    (tmp_path / "a.xml").write_text(CVAT)
    (tmp_path / "a.json").write_text("[" + " " * 20 + "]")
    with pytest.raises(DataError, match="is larger than"):
        read_cvat(tmp_path / "a.xml", 10.0)
    with pytest.raises(DataError, match="is larger than"):
        list(read_label_studio(tmp_path / "a.json"))


def look(frame, x, enabled=True, **more):
    return {"frame": frame, "x": x, "y": 10, "width": 20, "height": 50, "enabled": enabled, **more}


def region(labels, *sequence, **more):
    value = {"framesCount": 100, "duration": 10.0, "sequence": list(sequence), "labels": labels}
    return {"type": "videorectangle", "id": "r", "value": value, **more}


def tasks(*regions, **more):
    return [
        {"data": {"video": "/data/upload/3/0a1b2c3d-door.mp4?x=1"}, "annotations": [{"result": list(regions)}], **more}
    ]


def test_label_studio(tmp_path):
    (tmp_path / "a.json").write_text(
        json.dumps(
            tasks(
                region(["wave"], look(1, 0), look(11, 10), look(21, 10, enabled=False)),
                region(["person"], look(6, 50, enabled=False)),
                {"type": "choices", "value": {}},
            )
        )
    )
    (video,) = read_label_studio(tmp_path / "a.json")
    assert (video.video, video.fps) == ("door.mp4", 10.0)
    first = 1_000_000_000
    assert shown(video) == [
        (0, first, 0.0, ["wave"]),
        (5, first, 50.0, ["wave"]),
        (5, first + 1, 500.0, []),
        (10, first, 100.0, ["wave"]),
        (15, first, 100.0, ["wave"]),
        (20, first, 100.0, ["wave"]),
    ]


def test_label_studio_there_and_back(tmp_path):
    (path,) = write_label_studio(videos(), tmp_path / "a.json", None)
    first, second = read_label_studio(path)
    assert shown(first) == [
        (0, 1, 10.0, ["walk", "wave"]),
        (0, 2, pytest.approx(100.0), []),
        (5, 1, 20.0, ["stand", "wave"]),
        (15, 1, 40.0, ["walk"]),
    ]
    assert first.size == (200, 100)
    assert len(second.records) == 1


def test_the_last_annotation_that_was_not_cancelled_counts(tmp_path):
    content = tasks(region(["walk"], look(1, 0)))
    content[0]["annotations"] += [
        {"result": [region(["wave"], look(1, 0))]},
        {"result": [region(["jump"], look(1, 0))], "was_cancelled": True},
    ]
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert shown(next(read_label_studio(tmp_path / "a.json")))[0][3] == ["wave"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("{}", "is no list of tasks"),
        ("[1]", "is no list of tasks"),
        ("[]", "holds no rectangle on a video"),
        (json.dumps([{"video": "a.mp4", "box": []}]), "holds no rectangle on a video"),  # JSON_MIN
        (json.dumps(tasks(region(["a"], look("x", 0)))), "task 1 is none of Label Studio"),
        (json.dumps(tasks(region(["a"], look(-5, 0)))), "task 1 is none"),
        (json.dumps(tasks(region(["a"], look(1, None)))), "task 1 is none"),
        (json.dumps(tasks(region(["a"], look(1, float("inf"))))), "not finite"),
        (json.dumps(tasks(region(["a"], look(1, 0), look(10**12, 0)))), "more than|task 1 is none"),
        (json.dumps(tasks({"type": "videorectangle"})), "task 1 is none"),
        (json.dumps([{"annotations": 3}]), "task 1 is none"),
    ],
)
def test_label_studio_that_is_none(tmp_path, content, message, monkeypatch):
    monkeypatch.setattr(label_studio_module, "_MOST_LOOKS", 1000)
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DataError, match=message):
        list(read_label_studio(tmp_path / "a.json"))


def test_label_studio_without_a_frame_rate(tmp_path):
    content = tasks(region(["a"], look(1, 0)))
    del content[0]["annotations"][0]["result"][0]["value"]["duration"]
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="give it with --fps"):
        list(read_label_studio(tmp_path / "a.json"))
    assert next(read_label_studio(tmp_path / "a.json", 20.0)).fps == 20.0


def test_kinds_of_inputs(tmp_path):
    for name, kind in {"a.jsonl": "jsonl", "a.xml": "cvat", "a.JSON": "label-studio"}.items():
        (tmp_path / name).write_text("")
        assert kind_of(tmp_path / name) == kind
    assert kind_of(tmp_path) == "jsonl"
    (tmp_path / "parquet").mkdir()
    assert kind_of(tmp_path) == "archive"
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(ConfigError, match=r"ends in '\.txt'"):
        kind_of(tmp_path / "a.txt")
    with pytest.raises(DataError, match="is not there"):
        kind_of(tmp_path / "b")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"to": "cocoo"}, UnknownNameError, "Did you mean 'coco'"),
        ({"kind": "csv"}, UnknownNameError, "kind of input"),
        ({"min_score": 2}, ConfigError, "--min-score"),
        ({"out": "x.csv"}, ConfigError, r"coco is a file that ends in \.json"),
        ({"to": "cvat", "out": "r.jsonl"}, ConfigError, "cvat is a folder of files"),
        ({"how": Reading(every=-1)}, ConfigError, "--every"),
        ({"out": "r.jsonl/c.json"}, SinkError, "can't be written: .* free some space or choose another place"),
    ],
)
def test_conversions_that_make_no_sense(tmp_path, options, error, message):
    source = write_lines(tmp_path / "r.jsonl")
    chosen = {"to": "coco", "out": "c.json", **options}
    with pytest.raises(error, match=message):
        convert(source, chosen.pop("to"), tmp_path / chosen.pop("out"), **chosen)
    assert [path.name for path in tmp_path.iterdir()] == ["r.jsonl"]


@pytest.mark.parametrize("to", ["archive", "coco", "cvat", "label-studio", "supervision", "training"])
def test_every_format_from_lines(tmp_path, to):
    out = tmp_path / {"coco": "o.json", "label-studio": "o.json", "supervision": "o.csv", "training": "o.csv"}.get(
        to, "o"
    )
    written = convert(write_lines(tmp_path / "r.jsonl"), to, out)
    assert all(path.stat().st_size for path in written)
    assert not [path for path in tmp_path.rglob(".*") if path.is_file()]


def test_names_of_videos_do_not_lead_out_of_the_folder(tmp_path):
    source = write_lines(tmp_path / "r.jsonl", [keyframe("../../evil", 0, person(1, (0, 0, 9, 9), wave=0.9))])
    for to in ("archive", "cvat"):
        convert(source, to, tmp_path / "deep" / "out" / to)
    assert {path.name for path in tmp_path.iterdir()} == {"r.jsonl", "deep"}
    assert {path.name for path in (tmp_path / "deep").iterdir()} == {"out"}
