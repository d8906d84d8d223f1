"""The display on a clock of the test's own: frames at once, and a notice where there is none."""

import time

import numpy as np
import pytest

from fakes import FakeLiveSource
from sf_detect.channels import Mailbox
from sf_detect.live.counts import Counts
from sf_detect.live.display import EMPTY_SIZE, Display, notice_text
from sf_detect.live.intake import Arrived
from sf_detect.live.load import ActionForm, Load
from sf_detect.live.retries import Retries
from sf_detect.live.view import View
from sf_detect.structures import Detections, Frame


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


class Shown(Display):
    """Without a thread: `_frame` and `_notice` are called by the test."""

    def __init__(self, draw=None):
        self.clock, self.results = Clock(), []
        self.source, self.view = FakeLiveSource("door"), View()
        self.load = Load([ActionForm(0.1, True, "streaming")], 0.25, clock=self.clock)
        self.counts, self.mailbox = Counts(self.clock), Mailbox()
        super().__init__(
            self.source,
            self.mailbox,
            self.view,
            self.load,
            self.counts,
            Retries(clock=self.clock),
            draw,
            self.results.append,
            self.clock,
        )

    def frame(self, pts, late=0.0):
        image = np.full((48, 64, 3), 7, np.uint8)
        self._frame(Arrived(0, Frame(image, round(pts * 30), pts, self.clock.now - late), time.time()))


def test_a_frame_is_shown_with_its_age():
    display = Shown()
    display.view.found(0, Detections(np.zeros((1, 4)), np.ones(1), np.array([5])), 0.0)
    display.frame(0.2, late=0.05)
    (result,) = display.results
    assert result.frame_age == pytest.approx(0.05)
    assert result.boxes_age == pytest.approx(0.25)
    assert result.labels_age is None
    assert result.persons.track_ids.tolist() == [5]
    assert display.counts.shown == 1


def test_a_frame_that_was_looked_at_has_its_own_persons():
    display = Shown()
    own = Detections(np.zeros((1, 4)), np.ones(1), np.array([5]))
    display.view.found(0, Detections.empty(), 1.0)  # a later frame
    display._frame(Arrived(0, Frame(np.zeros((4, 4, 3), np.uint8), 0, 0.5, 100.0), 0.0, own))
    (result,) = display.results
    assert result.persons is own
    assert result.detected_pts == 0.5


def test_a_notice_stands_in_for_a_frozen_frame():
    display = Shown(draw=lambda result: np.zeros((*result.frame.size, 3), np.uint8))
    display.frame(4.0)
    display.source.enter("waiting", "connection refused")
    for _ in range(21):
        display.clock.now += 0.25
        display._notice()
    notices = display.results[1:]
    assert [result.notice for result in notices] == [
        f"No picture for {second} s (waiting: connection refused)" for second in (3, 4, 5)
    ]
    assert {result.frame.size for result in notices} == {(48, 64)}
    assert [result.frame.pts for result in notices] == pytest.approx([7.0, 8.0, 9.0])
    assert {result.state for result in notices} == {"waiting"}
    assert not notices[0].frame.image.any()
    assert display.counts.shown == 1, "a notice is no frame"
    display.frame(10.0)
    display.clock.now += 1
    display._notice()
    assert len(display.results) == 5


def test_before_the_first_frame_a_notice_has_a_size_of_its_own():
    display = Shown()
    display.clock.now += 5
    display._notice()
    (result,) = display.results
    assert result.frame.size == EMPTY_SIZE
    assert result.notice == "No picture for 5 s (connecting)"
    assert notice_text(12.4, "live", "") == "No picture for 12 s (live)"


def test_the_load_hears_what_was_shown_of_what_came():
    display = Shown()
    heard = []
    display.load.displayed = lambda stream, came, shown: heard.append((came, shown))
    for i in range(10):
        display.mailbox.put(Arrived(0, Frame(np.zeros((2, 2, 3), np.uint8), i, i / 30), 0.0))
    for i in range(12):
        display.frame(i / 30)
    assert heard == [(15, 6)]
