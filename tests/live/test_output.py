import threading
import time

import numpy as np
import pytest
from live_parts import until_true

from fakes import FakeSink
from sf_detect.errors import SinkError
from sf_detect.live.output import LiveOutput
from sf_detect.structures import Detections, Frame, LiveResult


def result(index, notice=""):
    frame = Frame(np.zeros((4, 4, 3), np.uint8), index, index / 30)
    return LiveResult(frame, Detections.empty(), source="cam", notice=notice)


def close(output):
    output.close(time.monotonic() + 20)


def test_the_sink_is_opened_by_the_first_frame_and_not_by_a_notice():
    opened, sink = [], FakeSink()

    def open_sink(first):
        opened.append(first.frame.index)
        return sink

    output = LiveOutput("recording", open_sink)
    output.put(result(0, "No picture for 3 s"))
    output.put(result(1))
    until_true(lambda: len(sink.results) == 1)
    output.put(result(2, "No picture for 3 s"))
    close(output)
    output.put(result(3))
    assert opened == [1]
    assert [one.frame.index for one in sink.results] == [1, 2]
    assert (sink.closes, output.dropped, output.failure) == (1, 0, None)


def test_an_output_without_frames_opens_nothing():
    output = LiveOutput("recording", lambda first: pytest.fail("opened"))
    close(output)
    assert output.failure is None


def test_a_slow_sink_loses_the_oldest():
    gate, sink = threading.Event(), FakeSink()
    write = sink.write

    def slow(one):
        gate.wait(20)
        write(one)

    sink.write = slow
    output = LiveOutput("recording", lambda first: sink, size=3)
    output.put(result(0))
    until_true(lambda: not output._waiting)
    for index in range(1, 10):
        output.put(result(index))
    assert output.dropped == 6
    gate.set()
    close(output)
    assert [one.frame.index for one in sink.results] == [0, 7, 8, 9]


def test_a_failure_is_told_once_and_closes_the_sink():
    told, sink = [], FakeSink(fail_at=1)
    output = LiveOutput("recording", lambda first: sink, on_failure=told.append)
    for index in range(3):
        output.put(result(index))
    close(output)
    assert len(told) == 1
    assert isinstance(told[0], SinkError)
    assert "the recording failed with OSError: the fake sink fails. The rest goes on" in str(told[0])
    assert sink.closes == 1
    output.put(result(4))


def test_a_sink_that_cannot_be_opened_is_told():
    def open_sink(first):
        raise SinkError("no room")

    output = LiveOutput("recording", open_sink)
    output.put(result(0))
    close(output)
    assert str(output.failure) == "no room"


def test_a_sink_that_cannot_be_completed_is_told():
    sink = FakeSink()

    def fail():
        raise SinkError("the disk is full")

    sink.close = fail
    output = LiveOutput("data", lambda first: sink, sink=sink)
    close(output)
    assert str(output.failure) == "the disk is full"
