"""What every sink promises: complete after an early close, idempotent, closed for good."""

import csv
import math
from fractions import Fraction

import numpy as np
import pytest

from sf_detect.errors import SinkError
from sf_detect.events import EventRules
from sf_detect.interfaces import Sink
from sf_detect.records import read_json_lines
from sf_detect.rendering import Renderer
from sf_detect.sinks import AvaCsvSink, EventsCsvSink, JsonLinesSink, SinkGroup, VideoSink
from sf_detect.structures import ActionDetections, Detections, Frame, FrameResult, VideoInfo

LABELS = ("stand", "walk")


def result(index):
    persons = Detections([[4, 4, 30, 60]], [0.9], [1])
    frame = Frame(np.full((64, 96, 3), 90, np.uint8), index, index / 10)
    return FrameResult(frame, persons, ActionDetections(frame.pts, persons, [[0.2, 0.8]]), is_keyframe=True)


def count_frames(path):
    av = pytest.importorskip("av")
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def count_event_frames(path):
    (row,) = csv.DictReader(path.read_text().splitlines())
    assert row["label"] == "walk"
    return math.ceil(10 * float(row["end"]))


MAKERS = {
    "json": (
        lambda path: JsonLinesSink(path, "v", LABELS),
        lambda path: len(list(read_json_lines(path))),
    ),
    "ava": (
        lambda path: AvaCsvSink(path, "v", LABELS, min_score=0.5),
        lambda path: len(path.read_text().splitlines()),
    ),
    "events": (
        lambda path: EventsCsvSink(path, EventRules("v", LABELS, [0.5, 0.5], stride=0.1, min_duration=0.0), 10),
        count_event_frames,
    ),
    "video": (
        lambda path: VideoSink(path, VideoInfo(96, 64, fps=Fraction(10)), Renderer(LABELS)),
        count_frames,
    ),
    "group": (
        lambda path: SinkGroup([JsonLinesSink(path, "v", LABELS)]),
        lambda path: len(list(read_json_lines(path))),
    ),
}


@pytest.fixture(params=MAKERS)
def kind(request):
    return request.param


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out.mp4"  # the name matters to the video writer only


def test_is_a_sink(kind, path):
    sink = MAKERS[kind][0](path)
    assert isinstance(sink, Sink)
    sink.close()


def test_complete_after_close_in_the_middle(kind, path):
    make, count = MAKERS[kind]
    sink = make(path)
    for index in range(3):
        sink.write(result(index))
    sink.close()
    assert count(path) == 3
    assert [p.name for p in path.parent.iterdir()] == [path.name], "no temporary file stays"


def test_nothing_has_the_final_name_before_close(kind, path):
    path.write_text("the result of an earlier run")
    sink = MAKERS[kind][0](path)
    sink.write(result(0))
    assert path.read_text() == "the result of an earlier run"
    sink.close()
    assert MAKERS[kind][1](path) == 1


def test_close_twice(kind, path):
    sink = MAKERS[kind][0](path)
    sink.write(result(0))
    sink.close()
    before = path.read_bytes()
    sink.close()
    assert path.read_bytes() == before


def test_write_after_close(kind, path):
    sink = MAKERS[kind][0](path)
    sink.write(result(0))
    sink.close()
    with pytest.raises(SinkError, match="closed"):
        sink.write(result(1))


def test_no_results(kind, path):
    sink = MAKERS[kind][0](path)
    sink.close()
    leftovers = [p.name for p in path.parent.iterdir() if p != path]
    assert leftovers == []


def test_refuses_a_directory(kind, path):
    path.mkdir()
    with pytest.raises(SinkError, match="directory"):
        MAKERS[kind][0](path)
