import threading

import numpy as np
import pytest

from fakes import FakeSink
from sf_detect.concurrency import BackgroundSink, Direct, DirectSink, Prefetch
from sf_detect.errors import SinkError
from sf_detect.structures import Detections, Frame, FrameResult

PATIENCE = 10.0


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


def test_prefetch_closed_by_another_thread_ends_the_consumer_that_waits():
    never, reading = threading.Event(), threading.Event()

    def stalled():
        reading.set()
        never.wait(PATIENCE)
        yield 0

    items = Prefetch(stalled())
    seen = []
    consumer = threading.Thread(target=lambda: seen.extend(items), daemon=True)
    consumer.start()
    assert reading.wait(PATIENCE)
    assert items.close(timeout=0) is False  # the source is stuck: nobody waits for it
    consumer.join(PATIENCE)
    assert not consumer.is_alive()
    assert seen == []
    never.set()
    assert items.close(timeout=PATIENCE) is True


def test_prefetch_closed_by_its_own_thread():
    def closing():
        yield 0
        assert items.close() is False
        yield 1

    made = threading.Event()

    def begun():
        made.wait(PATIENCE)
        yield from closing()

    items = Prefetch(begun())
    made.set()
    assert list(items) in ([], [0])
    assert items.close(timeout=PATIENCE) is True


def test_prefetch_ends_a_generator_in_its_own_thread():
    ended = []

    def endless():
        try:
            while True:
                yield 0
        finally:
            ended.append(threading.current_thread().name)

    with Prefetch(endless(), size=1) as items:
        next(iter(items))
    assert items.close(timeout=PATIENCE)
    assert ended == ["prefetch"]


def test_prefetch_of_what_cannot_be_iterated():
    with Prefetch(5) as items, pytest.raises(TypeError, match="not iterable"):
        list(items)


class Stuck(FakeSink):
    """Takes nothing until `go` is set."""

    def __init__(self):
        super().__init__()
        self.go, self.began = threading.Event(), threading.Event()

    def write(self, result):
        self.began.set()
        self.go.wait(PATIENCE)
        super().write(result)


def test_background_sink_that_takes_nothing_any_more():
    sink = Stuck()
    background = BackgroundSink(sink, stall_seconds=0.01)
    for i in range(3):
        background.write(result(i))
    assert sink.began.wait(PATIENCE)
    with pytest.raises(SinkError, match=r"took nothing for 0\.01 s: 0 results are written, 2 were waiting"):
        background.close()
    sink.go.set()
    background._thread.join(PATIENCE)
    background.close()
    assert [r.frame.index for r in sink.results] == [0, 1, 2]
    assert sink.closes == 1


def test_background_sink_that_is_closed_takes_no_more():
    background = BackgroundSink(FakeSink())
    background.close()
    with pytest.raises(SinkError, match="closed and takes no more results"):
        background.write(result(0))


def test_background_sink_is_closed_though_its_sink_fails():
    class Failing(FakeSink):
        def close(self):
            super().close()
            raise OSError("closing fails")

    sink = Failing()
    background = BackgroundSink(sink)
    with pytest.raises(OSError, match="closing fails"):
        background.close()
    background.close()
    assert sink.closes == 1


def test_background_sink_wakes_a_producer_that_waits_when_the_sink_fails():
    class FailingLate(Stuck):
        def write(self, result):
            super().write(result)
            raise OSError("the sink fails")

    sink = FailingLate()
    background = BackgroundSink(sink, size=1)
    raised = []

    def produce():
        try:
            for i in range(100):
                background.write(result(i))
        except OSError as error:
            raised.append(str(error))

    producer = threading.Thread(target=produce, daemon=True)
    producer.start()
    sink.go.set()
    producer.join(PATIENCE)
    assert raised == ["the sink fails"]
    assert sink.closes == 1
    background.close()


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


def test_items_without_a_thread_end_when_they_are_closed():
    ended = []

    def items():
        try:
            yield from range(3)
        finally:
            ended.append(threading.current_thread())

    direct = Direct(items())
    assert next(iter(direct)) == 0
    assert direct.close()
    assert ended == [threading.current_thread()]
    assert list(direct) == []
    assert Direct([1]).close()


def test_a_sink_without_a_thread_raises_at_once():
    class Failing(FakeSink):
        def close(self):
            raise SinkError("full")

    sink = Failing()
    direct = DirectSink(sink)
    direct.write(result(0))
    assert [each.frame.index for each in sink.results] == [0]
    direct.close(swallow=True)
    with pytest.raises(SinkError, match="full"):
        direct.close()
