"""When frames are released, and with whose boxes and actions, where something never comes or comes late."""

from concurrent.futures import Future

import numpy as np
import pytest

from sf_detect import timeline as timeline_module
from sf_detect.structures import ActionDetections, Detections, Frame
from sf_detect.timeline import Timeline
from sf_detect.tracking import interpolate


def frame(index, fps=30, size=(6, 8)):
    return Frame(np.zeros((*size, 3), np.uint8), index, index / fps)


def person(x, track=1):
    return Detections(np.array([[x, 0, x + 2, 4]]), np.array([0.9]), np.array([track]))


def known(pts, persons, score):
    future = Future()
    future.set_result(ActionDetections(pts, persons, np.full((len(persons), 1), score)))
    return future


def scores(results):
    return {r.frame.index: None if r.actions is None else float(r.actions.scores[0, 0]) for r in results}


@pytest.fixture
def short_look_ahead(monkeypatch):
    monkeypatch.setattr(timeline_module, "LOOK_AHEAD_FRAMES", (5, 5))


def test_frames_wait_for_a_keyframe_within_the_look_ahead_only(short_look_ahead):
    line, most = Timeline(interpolate, stride=60.0), 0
    released = []
    for index in range(4000):
        at = frame(index)
        detected = person(0.0)
        line.add(at, detected, known(at.pts, detected, index / 1e4) if index % 1800 == 0 else None)
        released += list(line.release())
        most = max(most, len(line))
    line.end()
    released += list(line.release())
    assert [r.frame.index for r in released] == list(range(4000))
    assert most <= 6
    found = scores(released)
    assert found[1794] == 0.0  # the bound reached it before the keyframe 1800 came
    assert found[1795] == pytest.approx(0.18)  # within the look-ahead the nearest keyframe counts


def test_frames_wait_for_a_detection_within_the_look_ahead_only(short_look_ahead):
    line, most, released = Timeline(interpolate, stride=100.0), 0, []
    for index in range(100):
        at = frame(index)
        first = known(at.pts, person(0.0), 0.5) if index == 0 else None
        line.add(at, person(float(index)) if index % 50 == 0 else None, first)
        released += list(line.release())
        most = max(most, len(line))
    assert most <= 6
    assert {r.frame.index: float(r.persons.boxes[0, 0]) for r in released}[44] == 0.0
    assert {r.frame.index: float(r.persons.boxes[0, 0]) for r in released}[45] == pytest.approx(45.0)


def test_the_bound_follows_the_size_of_frames():
    sizes = []
    for size in ((6, 8), (2160, 3840)):
        line = Timeline(interpolate, stride=60.0)
        image = np.broadcast_to(np.zeros(3, np.uint8), (*size, 3))
        line.add(Frame(image, 0, 0.0), person(0.0), known(0.0, person(0.0), 0.5))
        for index in range(1, 1500):
            line.add(Frame(image, index, index / 10))
        sizes.append(sum(p.keyframe_open for p in line._pending))
    assert sizes == [1024, 32]


def test_a_scoring_that_runs_is_waited_for_once_too_many_frames_wait(short_look_ahead):
    class Watched(Future):
        asked = 0

        def result(self, timeout=None):
            if not self.done():
                Watched.asked += 1
                self.set_result(ActionDetections(0.0, person(0.0), np.zeros((1, 1))))
            return super().result(timeout)

    scoring = Watched()
    scoring.set_running_or_notify_cancel()
    line = Timeline(interpolate, stride=10.0)
    line.add(frame(0), person(0.0), scoring)
    for index in range(1, 6):
        line.add(frame(index), person(0.0))
        list(line.release())
        assert not Watched.asked or index == 5
    assert Watched.asked == 1


def test_nothing_is_looked_up_across_a_new_start():
    line = Timeline(interpolate, stride=0.5)
    line.add(frame(0), person(0.0), known(0.0, person(0.0), 0.1))
    line.add(frame(1))
    line.add(frame(14))
    assert [r.frame.index for r in line.release()] == [0]
    line.start_anew()
    line.add(frame(15), person(100.0, track=2), known(0.5, person(100.0, track=2), 0.2))
    released = list(line.release())
    assert scores(released) == {1: pytest.approx(0.1), 14: pytest.approx(0.1), 15: pytest.approx(0.2)}
    assert [float(r.persons.boxes[0, 0]) for r in released] == [0.0, 0.0, 100.0]


def test_without_keyframes_frames_carry_boxes_alone():
    line = Timeline(interpolate, stride=0.5)
    line.add(frame(0), person(0.0))
    line.add(frame(1))
    line.end()
    assert [(r.frame.index, len(r.persons), r.actions) for r in line.release()] == [(0, 1, None), (1, 1, None)]
