"""One worker for several streams: everyone in turn, and nobody pays for another's trouble."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from live_parts import FakeStreamModel, until_true

from fakes import FakeActionModel, FakeDetector
from sf_detect.errors import StageError
from sf_detect.sharing import SharedDetector, SharedModel, SharedStream, Worker
from sf_detect.structures import Clip, Detections, Frame
from synthetic_video import index_image


@pytest.fixture
def worker():
    shared = Worker("detector")
    yield shared
    shared.close()


class Held:
    """Work that waits until it is let go, and notes for whom it ran."""

    def __init__(self):
        self.order, self.gate, self.running = [], threading.Semaphore(0), threading.Event()

    def __call__(self, items):
        self.running.set()
        assert self.gate.acquire(timeout=20)
        self.order.append(tuple(items))
        return [item * 2 for item in items]


def ask(worker, stream, work, item, results):
    thread = threading.Thread(target=lambda: results.append(worker.call(stream, work, item)), daemon=True)
    before = len(worker._waiting)
    thread.start()
    return thread, before


def waiting(worker, count):
    until_true(lambda: len(worker._waiting) == count)


def test_the_one_served_longest_ago_comes_first(worker):
    work, results, threads = Held(), [], []
    threads.append(ask(worker, "a", work, 1, results)[0])
    assert work.running.wait(20)
    threads.append(ask(worker, "a", work, 2, results)[0])  # asks again before the others
    waiting(worker, 1)
    threads.append(ask(worker, "b", work, 3, results)[0])
    waiting(worker, 2)
    threads.append(ask(worker, "c", work, 4, results)[0])
    waiting(worker, 3)
    for _ in range(4):
        work.gate.release()
    for thread in threads:
        thread.join(20)
    assert work.order == [(1,), (3,), (4,), (2,)]
    assert sorted(results) == [2, 4, 6, 8]
    assert set(worker.busy_seconds) == {"a", "b", "c"}


def test_a_batch_takes_calls_of_one_kind_alone():
    worker, work, other, results, threads = Worker("detector", batch=2), Held(), Held(), [], []
    threads.append(ask(worker, "a", work, 1, results)[0])
    assert work.running.wait(20)
    for number, (stream, kind) in enumerate([("b", work), ("c", other), ("d", work), ("e", work)]):
        threads.append(ask(worker, stream, kind, 10 * number, results)[0])
        waiting(worker, number + 1)
    for _ in range(5):
        work.gate.release()
        other.gate.release()
    for thread in threads:
        thread.join(20)
    assert work.order == [(1,), (0, 20), (30,)]
    assert other.order == [(10,)]
    worker.close()
    with pytest.raises(ValueError, match="at least 1 call, got 0"):
        Worker("detector", batch=0)


def test_a_failure_is_its_own_callers(worker):
    def fail(items):
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        worker.call("a", fail, 1)
    assert worker.call("b", lambda items: items, 2) == 2


def test_one_bad_item_of_a_batch_leaves_the_others_alone():
    worker, first, results, errors = Worker("detector", batch=3), Held(), [], []

    def invert(items):
        return [1 / item for item in items]

    def call(item):
        try:
            results.append(worker.call(item, invert, item))
        except ZeroDivisionError as error:
            errors.append(error)

    threads = [ask(worker, "first", first, 1, [])[0]]
    assert first.running.wait(20)
    threads += [threading.Thread(target=call, args=(item,), daemon=True) for item in (8.0, 0.0, 2.0)]
    for thread in threads[1:]:
        thread.start()
    waiting(worker, 3)
    first.gate.release()
    for thread in threads:
        thread.join(20)
    assert sorted(results) == [0.125, 0.5]
    assert len(errors) == 1
    worker.close()


def test_close_wakes_who_waits():
    worker, work, errors = Worker("detector"), Held(), []

    def call(stream):
        try:
            worker.call(stream, work, 1)
        except StageError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=call, args=(stream,), daemon=True) for stream in "ab"]
    for thread in threads:
        thread.start()
    assert work.running.wait(20)
    waiting(worker, 1)
    work.gate.release()
    worker.close()
    for thread in threads:
        thread.join(20)
    assert len(errors) <= 1
    with pytest.raises(StageError, match="the shared detector is closed: its session has ended"):
        worker.call("a", work, 1)


def test_shared_detector_and_model_give_what_they_wrap(worker):
    image = index_image(3)
    own, shared = FakeDetector()([image])[0], SharedDetector(FakeDetector(), worker, "a")([image])[0]
    np.testing.assert_array_equal(own.boxes, shared.boxes)
    model = FakeActionModel()
    wrapped = SharedModel(model, worker, "a")
    clip = Clip(np.zeros((8, 48, 64, 3), np.uint8), np.zeros(8), 0.5, Detections.empty(), (48, 64))
    assert wrapped.spec is model.spec
    assert wrapped([clip])[0].pts == 0.5


def test_frames_of_a_step_go_in_one_call(worker):
    model = FakeStreamModel(step_seconds=0.2)
    stream = SharedStream(model, worker, "a")
    assert (stream.warning, stream.step_seconds) == (None, 0.2)
    frames = [Frame(index_image(i), i, i / 10) for i in range(5)]
    for frame in frames[:3]:
        stream.push(frame)
    assert model.pushed == []
    stream.score(Detections.empty(), 0.2, (48, 64))
    assert model.pushed == [0.0, 0.1, 0.2]
    stream.push(frames[3])
    stream.reset()
    assert model.resets == 1
    for pts in (1.0, 1.1, 1.2, 1.4):  # more than a step without anybody asking
        stream.push(Frame(index_image(0), 0, pts))
    assert model.pushed == [0.0, 0.1, 0.2, 1.0, 1.1, 1.2, 1.4]


def test_streams_that_always_ask_are_served_alike(worker):
    stop, served = threading.Event(), dict.fromkeys(range(4), 0)

    def stream(number):
        while not stop.is_set():
            worker.call(number, slowly, number)
            served[number] += 1

    def slowly(items):
        time.sleep(0.002)  # so that all others ask meanwhile, on a busy machine too
        return items

    threads = [threading.Thread(target=stream, args=(number,), daemon=True) for number in served]
    for thread in threads:
        thread.start()
    until_true(lambda: sum(served.values()) > 400)
    stop.set()
    for thread in threads:
        thread.join(20)
    counts = np.array(list(served.values()), float)
    assert counts.sum() ** 2 / (len(counts) * (counts**2).sum()) > 0.9
