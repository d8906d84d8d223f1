"""What a user sees while a batch runs; the clock is ours."""

import io
import json

import pytest

from batch_fakes import done, failed
from sf_detect.batch.jobs import Job, Progress
from sf_detect.batch.listing import Listed
from sf_detect.batch.progress import Bar, JsonLines, Lines, Meter, Silent, duration, line_of, observer
from sf_detect.batch.summary import BatchSummary
from sf_detect.errors import UnknownNameError

LISTED = Listed(videos=4, waiting=4, waiting_bytes=40)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def feed(observer, clock, *steps):
    """Each step is (time, event); outcomes are counted first, as a run does it."""
    summary = BatchSummary(listed=LISTED)
    observer.start(LISTED, 2)
    for clock.now, event in steps:
        if not isinstance(event, Progress):
            summary.add(event)
        observer.event(event, summary)
    observer.stop(summary)
    return summary


def test_meter():
    clock, summary = Clock(), BatchSummary()
    meter = Meter(LISTED, clock)
    clock.now = 1.0
    assert meter.state(summary)["eta_seconds"] is None
    meter.hear(Progress("a", 1.0, 4.0))
    assert meter.state(summary)["eta_seconds"] == pytest.approx(15.0), "a quarter of one of four in a second"
    summary.add(done(Job("a", "a", 10)))
    meter.hear(done(Job("a", "a", 10)))
    clock.now = 2.0
    state = meter.state(summary)
    assert (state["videos"], state["of"], state["video_seconds"], state["speed"]) == (1, 4, 2.0, 1.0)
    assert state["eta_seconds"] == pytest.approx(6.0)


def test_meter_without_sizes():
    clock, summary = Clock(), BatchSummary()
    meter = Meter(Listed(waiting=4), clock)
    summary.add(done(Job("a", "a")))
    clock.now = 1.0
    assert meter.state(summary)["eta_seconds"] == pytest.approx(3.0)


def test_lines_tell_failures_at_once_and_the_state_now_and_then():
    out, clock = io.StringIO(), Clock()
    steps = [(1, done(Job("a", "a", 10))), (2, failed(Job("b\n", "b", 10))), (40, Progress("c", 1.0, 2.0))]
    feed(Lines(out, clock), clock, *steps, (41, Progress("c", 1.5, 2.0)))
    assert out.getvalue().splitlines() == [
        "sf-detect: 4 videos to annotate with 2 worker(s)",
        "sf-detect: b\\x0a failed: it is bad",
        "sf-detect: 2/4 videos, 3 s of video, 0.1 x real time, 1 failed, 24 s left",
    ]


def test_json():
    out, clock = io.StringIO(), Clock()
    feed(
        JsonLines(out, clock),
        clock,
        (1, Progress("a", 1, 2)),
        (1.5, done(Job("a", "a", 10))),
        (1.6, failed(Job("b", "b"))),
    )
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [event["event"] for event in events] == ["start", "progress", "video", "video", "end"]
    assert (events[0]["of"], events[0]["workers"]) == (4, 2)
    assert (events[2]["name"], events[2]["state"], events[2]["video_seconds"]) == ("a", "done", 2.0)
    assert events[3]["reason"] == "it is bad"
    assert events[4]["failures"] == {"b": "it is bad"}


def test_bar():
    clock = Clock()
    feed(Bar(clock), clock, (1, done(Job("a", "a", 10))), (2, failed(Job("b", "b", 10))))


@pytest.mark.parametrize("shown", [Lines(io.StringIO()), JsonLines(io.StringIO()), Bar(), Silent()])
def test_nothing_to_show_where_nothing_was_started(shown):
    shown.event(done(Job("a", "a")), BatchSummary())
    shown.stop(BatchSummary())


@pytest.mark.parametrize(
    ("mode", "kind"), [("auto", Lines), ("lines", Lines), ("json", JsonLines), ("bar", Bar), ("none", Silent)]
)
def test_modes(mode, kind, capsys):
    assert type(observer(mode)) is kind


def test_an_unknown_mode():
    with pytest.raises(UnknownNameError, match=r"unknown value of --progress 'bars'. Did you mean 'bar'"):
        observer("bars")


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (185, "3:05 min"), (7800, "2:10 h")])
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_a_line_before_anything_is_known():
    state = Meter(LISTED, Clock()).state(BatchSummary())
    assert line_of(state).endswith("0 failed, time left unknown")
