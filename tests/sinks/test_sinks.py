import csv
import io
import json
import os
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from sf_detect.errors import ConfigError, SinkError
from sf_detect.events import EventRules
from sf_detect.records import read_json_lines
from sf_detect.sinks import AvaCsvSink, EventsCsvSink, JsonLinesSink, SinkGroup, VideoSink
from sf_detect.sinks.ava_csv import ava_timestamp
from sf_detect.structures import ActionDetections, Detections, Frame, FrameResult, VideoInfo

LABELS = ("stand", "carry_hold", "wave")
BOXES = [[1.239, 2, 11, 20], [30, 8, 70, 44]]
SCORES = [[0.123456, 0.9, 0.001], [0.0, 0.5, 0.7]]


def result(index=0, pts=None, boxes=BOXES, scores=SCORES, ids=(7, 8), is_keyframe=True):
    persons = Detections(np.reshape(boxes, (-1, 4)), np.linspace(0.95, 0.8, len(boxes)), None if ids is None else ids)
    pts = index / 10 if pts is None else pts
    actions = None if scores is None else ActionDetections(pts, persons, np.reshape(scores, (len(boxes), -1)))
    return FrameResult(Frame(np.zeros((48, 64, 3), np.uint8), index, pts), persons, actions, is_keyframe)


def empty(index=0):
    return result(index, boxes=[], scores=None, ids=())


def rows(path):
    return list(csv.reader(io.StringIO(path.read_text())))


class FullDisk:
    """A file that takes `room` bytes and then reports a full disk, in the middle of a write."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        part = bytes(data)[: self.room]
        if not part:
            raise OSError(28, "No space left on device")
        self.room -= len(part)
        return self.file.write(part)

    def __getattr__(self, name):
        return getattr(self.file, name)


def fill_disk(sink, room):
    sink._output._file = FullDisk(sink._output._file, room)


def test_json_record_is_the_documented_one(tmp_path):
    path = tmp_path / "a.jsonl"
    sink = JsonLinesSink(path, "a.mp4", LABELS)
    sink.write(result(45, 1.50000049))
    sink.close()
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {
            "schema": "sf-detect/1",
            "video": "a.mp4",
            "frame": 45,
            "time": 1.5,
            "width": 64,
            "height": 48,
            "persons": [
                {
                    "box": [1.24, 2.0, 11.0, 20.0],
                    "score": 0.95,
                    "track_id": 7,
                    "actions": [{"label": "carry_hold", "score": 0.9}, {"label": "stand", "score": 0.12346}],
                },
                {
                    "box": [30.0, 8.0, 70.0, 44.0],
                    "score": 0.8,
                    "track_id": 8,
                    "actions": [{"label": "wave", "score": 0.7}, {"label": "carry_hold", "score": 0.5}],
                },
            ],
        }
    ]


def test_json_min_score_zero_writes_every_label_and_top_k_the_best(tmp_path):
    for kwargs, expected in (({"min_score": 0.0}, 3), ({"min_score": 0.0, "top_k": 1}, 1)):
        sink = JsonLinesSink(tmp_path / "a.jsonl", "a", LABELS, **kwargs)
        sink.write(result())
        sink.close()
        (record,) = read_json_lines(tmp_path / "a.jsonl")
        assert [len(person["actions"]) for person in record["persons"]] == [expected, expected]
        assert record["persons"][0]["actions"][0]["label"] == "carry_hold"


def test_json_keyframes_only_and_empty_ones_too(tmp_path):
    sink = JsonLinesSink(tmp_path / "a.jsonl", "a", LABELS)
    for item in (empty(0), result(1, is_keyframe=False), result(2, ids=None), result(3, scores=None)):
        sink.write(item)
    sink.close()
    records = list(read_json_lines(tmp_path / "a.jsonl"))
    assert [r["frame"] for r in records] == [0, 2, 3]
    assert records[0]["persons"] == []
    assert [p["track_id"] for p in records[1]["persons"]] == [None, None]
    assert [p["actions"] for p in records[2]["persons"]] == [[], []]


def part_of(path):
    """The file that becomes `path` when it is complete."""
    (part,) = path.parent.glob(f"{path.name}.*.part")
    return part


def test_json_lines_are_on_disk_as_they_are_written(tmp_path):
    sink = JsonLinesSink(tmp_path / "a.jsonl", "a", LABELS)
    for index in range(3):
        sink.write(result(index))
        assert len(list(read_json_lines(part_of(tmp_path / "a.jsonl")))) == index + 1
    sink.close()
    assert [p.name for p in tmp_path.iterdir()] == ["a.jsonl"]


def test_json_of_odd_names_is_plain_ascii(tmp_path):
    name = os.fsdecode(b"caf\xe9 \xf0\x9f\x98\x80.mp4")
    sink = JsonLinesSink(tmp_path / "a.jsonl", name, LABELS)
    sink.write(empty())
    sink.close()
    assert (tmp_path / "a.jsonl").read_text(encoding="utf-8").isascii()
    # The byte that is not UTF-8 is shown as everywhere else; a lone surrogate would break other readers of JSON.
    assert next(read_json_lines(tmp_path / "a.jsonl"))["video"] == "caf\\xe9 \U0001f600.mp4"


@pytest.mark.parametrize("kind", [JsonLinesSink, AvaCsvSink])
def test_a_number_that_is_not_finite_is_an_error(tmp_path, kind):
    sink = kind(tmp_path / "a", "a", LABELS)
    sink.write(result(0))
    with pytest.raises(SinkError, match=r"frame 3 has a box or score that is not a finite number"):
        sink.write(result(3, scores=[[np.nan, 0.5, 0.5], [0.1, 0.1, 0.1]]))
    sink.close()
    assert (tmp_path / "a").read_text().count("\n") > 0


@pytest.mark.parametrize("kind", [JsonLinesSink, AvaCsvSink])
def test_wrong_label_count_is_an_error(tmp_path, kind):
    sink = kind(tmp_path / "a", "a", LABELS[:2])
    with pytest.raises(ConfigError, match="given 2 labels, but the result scores 3 classes"):
        sink.write(result())
    sink.close()


def test_ava_rows(tmp_path):
    path = tmp_path / "a.csv"
    sink = AvaCsvSink(path, "vid", LABELS, min_score=0.1)
    for item in (result(0, 902.0), empty(1), result(2, 903.5), result(3, 904.0, is_keyframe=False)):
        sink.write(item)
    sink.close()
    found = rows(path)
    assert [row[1] for row in found] == ["0902"] * 4 + ["903.500000"] * 4
    assert found[:2] == [
        ["vid", "0902", "0.019359", "0.041667", "0.171875", "0.416667", "2", "0.900000"],
        ["vid", "0902", "0.468750", "0.166667", "1.000000", "0.916667", "3", "0.700000"],
    ]
    assert [float(row[7]) for row in found[:4]] == sorted((float(row[7]) for row in found[:4]), reverse=True)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(902.0, "0902"), (902.0000004, "0902"), (902.000001, "902.000001"), (0.1 + 0.2, "0.300000"), (1e5, "100000")],
)
def test_ava_timestamps_have_the_key_of_the_official_evaluator(seconds, text):
    assert ava_timestamp(seconds) == text
    assert f"{Decimal(text):.6f}" == f"{Decimal(seconds):.6f}"


def test_ava_ids_offset_and_video_ids_with_commas(tmp_path):
    path, name = tmp_path / "a.csv", 'a, "b".mp4'
    sink = AvaCsvSink(path, name, LABELS, label_ids=[4, 9, 80], min_score=0.6, time_offset=900)
    sink.write(result(0, 2.0))
    sink.close()
    assert [(row[0], row[1], row[6]) for row in rows(path)] == [(name, "0902", "9"), (name, "0902", "80")]


def test_ava_leaves_out_boxes_outside_the_frame(tmp_path):
    path = tmp_path / "a.csv"
    sink = AvaCsvSink(path, "v", LABELS)
    sink.write(result(boxes=[[-20, 0, -1, 10], [-5, 0, 5, 99]]))
    sink.close()
    assert {tuple(row[2:6]) for row in rows(path)} == {("0.000000", "0.000000", "0.078125", "1.000000")}


def test_ava_needs_as_many_ids_as_labels(tmp_path):
    with pytest.raises(ConfigError, match="got 2 label ids for 3 labels"):
        AvaCsvSink(tmp_path / "a.csv", "v", LABELS, label_ids=[1, 2])
    with pytest.raises(ConfigError, match="label ids count from 1, got 0; add 1 to every id"):
        AvaCsvSink(tmp_path / "a.csv", "v", LABELS, label_ids=[0, 1, 2])


@pytest.mark.parametrize("kind", [JsonLinesSink, AvaCsvSink])
def test_outputs_that_cannot_be_opened(tmp_path, kind):
    with pytest.raises(SinkError, match="it is a directory; give the name of a file in it"):
        kind(tmp_path, "a", LABELS)
    (tmp_path / "file").write_text("kept")
    with pytest.raises(SinkError, match="because a file is in its place"):
        kind(tmp_path / "file" / "a.jsonl", "a", LABELS)
    with pytest.raises(SinkError, match=r"cannot write .*too long"):
        kind(tmp_path / ("n" * 300), "a", LABELS)
    assert (tmp_path / "file").read_text() == "kept"


def test_missing_folders_are_made(tmp_path):
    JsonLinesSink(tmp_path / "x" / "y" / "a.jsonl", "a", LABELS).close()
    assert (tmp_path / "x" / "y" / "a.jsonl").read_text() == ""


@pytest.mark.parametrize("kind", [JsonLinesSink, AvaCsvSink])
def test_full_disk_keeps_whole_lines(tmp_path, kind):
    path = tmp_path / "a"
    sink = kind(path, "a", LABELS)
    sink.write(result(0))
    part = part_of(path)
    before = part.read_bytes()
    fill_disk(sink, 20)
    with pytest.raises(SinkError, match=r"the disk is full.* Complete lines kept in '.*a\.[0-9a-f]+\.part': \d"):
        sink.write(result(1))
    assert part.read_bytes() == before
    with pytest.raises(SinkError, match="is closed"):
        sink.write(result(2))
    sink.close()
    assert not path.exists()


def test_a_full_device():
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    sink = JsonLinesSink("/dev/full", "a", LABELS)
    with pytest.raises(SinkError, match=r"the disk is full.* Complete lines written before: 0"):
        sink.write(empty())
    sink.close()


def test_a_failing_rename_says_where_the_lines_are(tmp_path):
    sink = JsonLinesSink(tmp_path / "a.jsonl", "a", LABELS)
    sink.write(empty())
    (tmp_path / "a.jsonl").mkdir()
    with pytest.raises(SinkError, match=r"Complete lines kept in '.*a\.jsonl\.[0-9a-f]+\.part': 1"):
        sink.close()
    assert len(list(read_json_lines(part_of(tmp_path / "a.jsonl")))) == 1


def test_stdout(capfd):
    sink = JsonLinesSink("-", "a", LABELS)
    sink.write(empty())
    assert json.loads(capfd.readouterr().out)["frame"] == 0
    sink.close()
    print("still open")
    assert capfd.readouterr().out == "still open\n"


def test_stdout_that_is_no_file(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    sink = JsonLinesSink("-", "a", LABELS)
    sink.write(empty())
    sink.close()
    assert json.loads(stream.getvalue())["frame"] == 0


def test_a_reader_that_went_away():
    reader, writer = os.pipe()
    os.close(reader)
    sink = JsonLinesSink(f"/dev/fd/{writer}", "a", LABELS)
    with pytest.raises(SinkError, match="the program that read it has ended"):
        sink.write(empty())
    sink.close()
    os.close(writer)


def test_killed_run_leaves_whole_lines(tmp_path):
    code = (
        "import os, signal, sys; sys.path.insert(0, sys.argv[2]); from test_sinks import *;"
        "sink = JsonLinesSink(sys.argv[1], 'a', LABELS);"
        "[sink.write(result(i)) for i in range(5)];"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    path = tmp_path / "a.jsonl"
    subprocess.run([sys.executable, "-c", code, str(path), os.path.dirname(__file__)], check=False, timeout=60)
    assert [r["frame"] for r in read_json_lines(part_of(path))] == [0, 1, 2, 3, 4]


def events_sink(path, labels=LABELS, video="a"):
    return EventsCsvSink(path, EventRules(video, labels, [0.5] * len(labels)), fps=10)


def test_events_are_rows_in_the_order_of_their_ends(tmp_path):
    path = tmp_path / "a.csv"
    sink = events_sink(path, video='a, "b".mp4')
    early, both = [[0.0, 0.9, 0.0], [0.0, 0.0, 0.0]], [[0.0, 0.9, 0.0], [0.0, 0.45, 0.7]]
    for index, scores in ((0, early), (5, both), (10, both), (15, None), (20, None), (25, None), (30, None)):
        sink.write(result(index, scores=scores))
    assert rows(next(tmp_path.glob("a.csv.*.part")))[1:] == [
        ['a, "b".mp4', "7", "carry_hold", "0.000", "1.250", "0.90000"],
        ['a, "b".mp4', "8", "wave", "0.250", "1.250", "0.70000"],
    ]
    for index in (35, 40):
        sink.write(result(index, ids=None))
    sink.close()
    assert rows(path)[0] == ["video", "track_id", "label", "start", "end", "score"]
    assert rows(path)[3:] == [
        ['a, "b".mp4', "", "carry_hold", "3.250", "4.100", "0.90000"],
        ['a, "b".mp4', "", "wave", "3.250", "4.100", "0.70000"],
    ]


def test_no_events_leave_the_header(tmp_path):
    sink = events_sink(tmp_path / "a.csv")
    sink.write(empty())
    sink.close()
    assert (tmp_path / "a.csv").read_text() == "video,track_id,label,start,end,score\n"


def test_events_of_names_that_are_not_text(tmp_path):
    sink = events_sink(tmp_path / "a.csv", video=os.fsdecode(b"caf\xe9\n.mp4"))
    for index in (0, 5, 10):
        sink.write(result(index))
    sink.close()
    assert rows(tmp_path / "a.csv")[1][0] == "caf\\xe9\\x0a.mp4"


def test_events_after_a_full_disk(tmp_path):
    sink = events_sink(tmp_path / "a.csv")
    for index in (0, 5, 10):
        sink.write(result(index))
    fill_disk(sink, 20)
    with pytest.raises(SinkError, match=r"events: .*the disk is full.* Complete lines kept in '.*a\.csv\..*part': 0"):
        sink.close()
    sink.close()
    assert not (tmp_path / "a.csv").exists()
    assert next(tmp_path.glob("a.csv.*.part")).read_text() == "video,track_id,label,start,end,score\n"


def test_video_sink_writes_what_the_renderer_draws(tmp_path):
    av = pytest.importorskip("av")
    info = VideoInfo(64, 48, fps=Fraction(10))
    sink = VideoSink(tmp_path / "a.mp4", info, lambda r: np.full((48, 64, 3), 60 + 50 * r.frame.index, np.uint8))
    for index in range(3):
        sink.write(result(index))
    sink.close()
    assert sink.audio_problem is None
    with av.open(str(tmp_path / "a.mp4")) as container:
        frames = list(container.decode(video=0))
    assert [round(float(f.pts * f.time_base), 3) for f in frames] == [0.0, 0.1, 0.2]
    assert [round(float(f.to_ndarray(format="rgb24").mean()), -1) for f in frames] == [60, 110, 160]


class Recorder:
    def __init__(self, fail_write=None, fail_close=None):
        self.seen, self.closed, self.fail_write, self.fail_close = [], 0, fail_write, fail_close

    def write(self, item):
        if self.fail_write is not None and item.frame.index >= self.fail_write:
            raise SinkError(f"cannot write frame {item.frame.index}.")
        self.seen.append(item.frame.index)

    def close(self):
        self.closed += 1
        if self.fail_close:
            raise SinkError(self.fail_close)


def test_group_goes_on_without_the_sink_that_failed():
    good, bad, heard = Recorder(), Recorder(fail_write=1), []
    group = SinkGroup([bad, good], on_failure=heard.append)
    for index in range(4):
        group.write(empty(index))
    assert (good.seen, bad.seen, bad.closed, len(heard)) == ([0, 1, 2, 3], [0], 1, 1)
    with pytest.raises(SinkError, match=r"^cannot write frame 1\.$"):
        group.close()
    assert (good.closed, bad.closed) == (1, 1)
    group.close()


def test_group_stops_when_no_sink_is_left():
    group = SinkGroup([Recorder(fail_write=2), Recorder(fail_write=1, fail_close="and closing failed.")])
    group.write(empty(0))
    group.write(empty(1))
    with pytest.raises(SinkError, match=r"3 failures: .* 1\. and closing failed\. cannot write frame 2\."):
        group.write(empty(2))
    group.close()


def test_the_error_of_a_group_has_the_system_s_behind_it():
    class Full(Recorder):
        def close(self):
            try:
                raise OSError(28, "No space left on device")
            except OSError as error:
                raise SinkError("the disk is full.") from error

    with pytest.raises(SinkError, match=r"2 failures: first\. the disk is full\.") as caught:
        SinkGroup([Recorder(fail_close="first."), Full()]).close()
    assert isinstance(caught.value.__cause__.__cause__, OSError)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), OSError("no space"), ValueError("a defect")])
def test_group_closes_every_sink_whatever_one_raises(error):
    class Raising(Recorder):
        def close(self):
            self.closed += 1
            raise error

    sinks = [Recorder(), Raising(), Recorder(fail_close="third."), Recorder()]
    with pytest.raises(SinkError if isinstance(error, Exception) else type(error)):
        SinkGroup(sinks).close()
    assert [sink.closed for sink in sinks] == [1] * 4


def test_group_names_the_sink_that_fails_in_an_unforeseen_way():
    class Broken(Recorder):
        def write(self, item):
            raise ZeroDivisionError("a defect")

    good, broken = Recorder(), Broken()
    group = SinkGroup([broken, good])
    group.write(empty(0))
    assert (good.seen, broken.closed) == ([0], 1)
    with pytest.raises(SinkError, match=r"^Broken failed with ZeroDivisionError: a defect\. .* please report"):
        group.close()
    assert good.closed == 1
    assert isinstance(group.failures[0].__cause__, ZeroDivisionError)


def test_group_closes_the_sink_that_failed_though_the_listener_raises():
    def listener(error):
        raise RuntimeError("the listener")

    bad, good = Recorder(fail_write=0), Recorder(fail_close="closing failed.")
    group = SinkGroup([bad, good], on_failure=listener)
    with pytest.raises(RuntimeError, match="the listener"):
        group.write(empty(0))
    assert bad.closed == 1
    with pytest.raises(RuntimeError, match="the listener"):
        group.close()
    assert good.closed == 1


def test_group_closes_every_sink():
    sinks = [Recorder(fail_close="first."), Recorder(), Recorder(fail_close="third.")]
    with pytest.raises(SinkError, match=r"2 failures: first\. third\."):
        SinkGroup(sinks).close()
    assert [sink.closed for sink in sinks] == [1, 1, 1]
