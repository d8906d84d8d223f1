"""A recorded source at its own speed, on a clock of the test's own."""

import threading

import numpy as np
import pytest

from fakes import FakeSource
from sf_detect.errors import SourceError
from sf_detect.interfaces import LiveSource
from sf_detect.video.paced import PacedSource


class Clock:
    """Time passes where somebody waits."""

    def __init__(self):
        self.now, self.waits = 50.0, []

    def __call__(self):
        return self.now


def paced(monkeypatch, *arguments, **options):
    clock = Clock()
    source = PacedSource(FakeSource(*arguments, **options), clock)

    def wait(seconds=None):
        clock.waits.append(seconds)
        clock.now += seconds
        return True

    monkeypatch.setattr(source._changed, "wait", wait)
    return source, clock


def test_frames_come_when_they_are_due(monkeypatch):
    source, clock = paced(monkeypatch, 4, fps=10)
    assert isinstance(source, LiveSource)
    assert source.status().state == "connecting"
    frames = [(frame.index, frame.pts, frame.arrival) for frame in source]
    np.testing.assert_allclose(frames, [(i, i / 10, 50 + i / 10) for i in range(4)])
    status = source.status()
    assert (status.state, status.frames, status.size, status.fps) == ("ended", 4, (48, 64), 10)
    assert clock.waits == pytest.approx([0.1, 0.1, 0.1])


def test_a_reader_that_is_late_gets_frames_at_once(monkeypatch):
    source, clock = paced(monkeypatch, 10, fps=10)
    arrivals = []
    for frame in source:
        arrivals.append(frame.arrival - 50)
        if frame.index == 2:
            clock.now += 0.25
    assert arrivals == pytest.approx([0, 0.1, 0.2, 0.45, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9])


def test_close_wakes_a_wait():
    source = PacedSource(FakeSource(pts=[0.0, 9.0]))
    frames = iter(source)
    next(frames)
    assert source.status().state == "live"
    ended = []
    thread = threading.Thread(target=lambda: ended.append(list(frames)), daemon=True)
    thread.start()
    source.close()
    thread.join(20)
    assert ended == [[]]
    assert source.status().state == "ended"


def test_it_plays_once():
    source = PacedSource(FakeSource(1))
    list(source)
    with pytest.raises(SourceError, match="fake was already played"):
        iter(source)


def test_what_fails_is_the_readers():
    with pytest.raises(SourceError, match="fails at frame 1"):
        list(PacedSource(FakeSource(3, fail_at=1)))
