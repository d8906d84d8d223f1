"""What a session claims about itself is true: the age of labels, memory, fairness."""

from __future__ import annotations

import gc
import threading
import time
import tracemalloc

import numpy as np
from live_parts import FakeStreamModel, parts, session, streaming, until, until_true

from fakes import FakeLiveSource
from sf_detect.live import LiveSession
from sf_detect.sharing import SharedDetector, SharedModel, Worker
from sf_detect.stages import StreamActions
from sf_detect.structures import Detections


class Somebody:
    """A detector that always sees one person."""

    def __call__(self, images):
        return [Detections(np.array([[2.0, 10.0, 10.0, 26.0]], np.float32), np.array([0.9], np.float32))] * len(images)


def flat(level):
    return np.full((48, 64, 3), level, np.uint8)


def test_labels_are_as_old_as_they_say_they_are():
    """A picture that flips its colour: where the label does not know yet, its claimed age reaches behind the flip."""
    source = FakeLiveSource(clock=time.monotonic)
    gate = threading.Semaphore(0)

    def look(image):
        gate.acquire(timeout=20)
        return image[0, 0, 0] / 255

    model, checked = FakeStreamModel(look), {True: 0, False: 0}
    with session(source, parts(streaming(model), Somebody())) as live:
        for step in range(60):
            pts, bright = step / 30, step >= 30
            frame = source.give(pts, image=flat(255 if bright else 0))
            if step % 4 == 0:  # the model looks at some frames, late
                gate.release()
                time.sleep(0.01)
            result = until(live, lambda result, frame=frame: result.frame.index == frame.index)
            if result.actions is None:
                continue
            seen = result.frame.pts - (result.labels_age - result.frame_age)
            says_bright = bool(result.actions.scores[0, 0] > 0.5)
            assert says_bright == (seen >= 1.0 - 1e-6), f"at {pts} it says {says_bright}, claims to have seen {seen}"
            checked[says_bright] += 1
        for _ in range(200):
            gate.release()
    assert checked[False] > 3
    assert sum(checked.values()) > 10


PICTURE = flat(0)


def run_frames(live, source, count, reconnect_every, begin):
    shown = live.stats()["fake"].shown
    for i in range(count):
        anew = i % reconnect_every == 0
        source.give(begin + i / 30, starts_anew=anew, image=PICTURE)
        if i % 20 == 19:  # as a camera does, not all at once
            until_true(lambda: len(source._frames) < 20)
    stats = live.stats()["fake"]
    until_true(lambda: len(source._frames) == 0)
    return shown, stats


def test_reconnections_and_frames_leave_nothing_behind():
    source = FakeLiveSource(clock=time.monotonic)
    model = FakeStreamModel()
    model.push = lambda frame: setattr(model, "_newest", (frame.pts, 0.5))
    with session(source, parts(streaming(model), Somebody(), interval=1.0)) as live:
        run_frames(live, source, 400, 20, 0.0)
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        run_frames(live, source, 2000, 20, 1000.0)  # 100 reconnections
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
    # Bounded buffers may be fuller than before; a hundred bytes a frame would already show.
    assert grown < 200_000, f"{grown / 1e6:.1f} MB"


def test_a_dead_and_a_failing_stream_cost_the_others_nothing():
    """Streams share workers; one gives nothing, one's frames can't be converted: the other two are served alike."""
    workers = Worker("detector"), Worker("action model")
    detector, models = Somebody(), {}
    sources = {name: FakeLiveSource(name, clock=time.monotonic) for name in ("dead", "bad", "one", "two")}
    streams = []
    for name, source in sources.items():
        models[name] = FakeStreamModel()
        shared = SharedModel(models[name], workers[1], name)
        streams.append((source, parts([StreamActions(shared)], SharedDetector(detector, workers[0], name))))
    with LiveSession(streams) as live:
        for name in ("one", "two"):
            sources[name].give(0.0)
        broken = sources["bad"]
        for i in range(200):  # it works at first
            broken.give(i / 100)
            time.sleep(0.01)
            if live.stats()["bad"].predictions:
                break

        def fail():
            raise RuntimeError("no such pixel format")

        for i in range(1, 40):
            bad = broken.give(10 + i / 10)
            object.__setattr__(bad, "_convert", fail)
            for name in ("one", "two"):
                sources[name].give(i / 10)
                until_true(lambda name=name, i=i: live.stats()[name].source.frames == i + 1)
                time.sleep(0.005)
        until_true(lambda: min(live.stats()[name].predictions for name in ("one", "two")) > 5)
        stats = live.stats()
        assert stats["dead"].shown == 0
        assert stats["bad"].failures
        assert set(workers[0].busy_seconds) == {"bad", "one", "two"}
    for worker in workers:
        worker.close()
