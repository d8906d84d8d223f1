import threading

import numpy as np
import pytest

from fakes import FakeSink
from sf_detect.concurrency import BackgroundSink, Prefetch
from sf_detect.structures import Detections, Frame, FrameResult


def result(index: int) -> FrameResult:
    return FrameResult(Frame(np.zeros((2, 2, 3), np.uint8), index, float(index)), Detections.empty())


def test_prefetch_keeps_order_and_length():
    with Prefetch(range(100), size=3) as items:
        assert list(items) == list(range(100))


def test_prefetch_hands_over_the_error_after_the_good_part():
    def failing():
        yield 1
        yield 2
        raise KeyError("broken")

    seen = []
    with Prefetch(failing()) as items, pytest.raises(KeyError, match="broken"):
        for item in items:
            seen.append(item)
    assert seen == [1, 2]


def test_prefetch_stops_its_thread_on_an_early_break():
    def endless():
        while True:
            yield 0

    with Prefetch(endless(), size=2) as items:
        for _ in items:
            break
    assert not any(thread.name == "prefetch" for thread in threading.enumerate())
    assert list(items) == []


def test_prefetch_is_bounded():
    produced = []

    def counting():
        for i in range(100):
            produced.append(i)
            yield i

    with Prefetch(counting(), size=4) as items:
        iterator = iter(items)
        next(iterator)
        assert len(produced) <= 8


def test_background_sink_writes_all_before_it_closes():
    sink = FakeSink()
    background = BackgroundSink(sink, size=2)
    for i in range(50):
        background.write(result(i))
    background.close()
    background.close()
    assert [r.frame.index for r in sink.results] == list(range(50))
    assert sink.closes == 1


def test_background_sink_reports_a_failure_once_and_closes():
    sink = FakeSink(fail_at=3)
    background = BackgroundSink(sink, size=1)
    with pytest.raises(OSError, match="the fake sink fails"):
        for i in range(1000):
            background.write(result(i))
    assert sink.closes == 1
    background.close()
    assert [r.frame.index for r in sink.results] == [0, 1, 2]


def test_background_sink_reports_a_failure_of_the_last_write():
    background = BackgroundSink(FakeSink(fail_at=0))
    background.write(result(0))
    with pytest.raises(OSError, match="the fake sink fails"):
        background.close()
