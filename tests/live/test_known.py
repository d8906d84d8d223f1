"""What is known about a stream: the newest actions of each track, and the view that threads share."""

import numpy as np
import pytest

from sf_detect.channels import ChannelClosed
from sf_detect.live.intake import LEAST, Arrived, Intake
from sf_detect.live.newest import NewestResults
from sf_detect.live.newest_actions import LONGEST, NewestActions
from sf_detect.live.view import View
from sf_detect.structures import ActionDetections, Detections, Frame, LazyFrame, LiveResult


def people(*ids):
    return Detections(np.zeros((len(ids), 4)), np.full(len(ids), 0.9), np.array(ids, np.int64))


def scored(pts, *rows, seen=None):
    ids = [track for track, _ in rows]
    scores = np.array([[score] for _, score in rows], np.float32).reshape(-1, 1)
    return ActionDetections(pts, people(*ids), scores, pts if seen is None else seen)


def test_each_track_has_its_newest_actions():
    newest = NewestActions()
    newest.add(scored(1.0, (1, 0.1), (2, 0.2)))
    newest.add(scored(1.5, (2, 0.3), (3, 0.4)))
    found = newest.of(people(3, 1, 2), 1.6)
    assert found.persons.track_ids.tolist() == [3, 1, 2]
    np.testing.assert_allclose(found.scores[:, 0], [0.4, 0.1, 0.3])
    assert (found.pts, found.seen_until) == (1.0, 1.0), "as old as the oldest"
    alone = newest.of(people(2, 3), 1.6)
    assert (alone.pts, alone.seen_until) == (1.5, 1.5)
    assert newest.of(people(9), 1.6) is None


def test_old_actions_are_forgotten():
    newest = NewestActions()
    newest.add(scored(1.0, (1, 0.1)))
    assert newest.of(people(1), 1.0 + LONGEST) is not None
    assert newest.of(people(1), 1.1 + LONGEST) is None
    newest.add(scored(10.0, (2, 0.1)))
    assert len(newest._tracks) == 1


def test_actions_without_tracks_are_those_of_the_newest_keyframe():
    newest = NewestActions()
    persons = Detections(np.zeros((1, 4)), np.ones(1))
    newest.add(ActionDetections(1.0, persons, np.ones((1, 1))))
    assert newest.of(persons, 1.5).pts == 1.0
    assert newest.of(persons, 9.0) is None


def test_nothing_reaches_the_next_part_of_a_stream():
    view = View()
    view.found(0, people(1), 1.0)
    view.scored(0, scored(1.0, (1, 0.5)))
    assert len(view.at(0, 1.1)[0]) == 1
    persons, detected = view.at(1, 50.0)
    assert (len(persons), detected) == (0, None)
    view.found(0, people(1), 1.2)  # of a thread that is late
    view.scored(0, scored(1.2, (1, 0.5)))
    assert view.actions_of(1, people(1), 50.0) is None
    assert view.actions_of(0, people(1), 1.2) is None
    view.found(1, people(4), 50.0)
    assert view.at(1, 50.0)[1] == 50.0
    view.forget_persons()
    assert view.at(1, 50.1)[1] is None


def arrived(index, size=(48, 64)):
    return Arrived(0, LazyFrame(lambda: np.zeros((*size, 3), np.uint8), size, index, index / 30), 0.0)


def test_the_intake_is_bounded_by_count_and_bytes():
    intake = Intake()
    for i in range(200):
        intake.put(arrived(i))
    assert [one.frame.index for one in intake.take()] == list(range(80, 200))
    assert intake.dropped == 80
    for i in range(200):
        intake.put(arrived(i, (4320, 7680)))
    assert len(intake.take()) == LEAST
    intake.put(arrived(0))
    intake.finish()
    intake.put(arrived(1))
    assert len(intake.take()) == 1
    with pytest.raises(ChannelClosed):
        intake.take()


def result(source, index):
    return LiveResult(Frame(np.zeros((4, 4, 3), np.uint8), index, index / 30), Detections.empty(), source=source)


def test_one_result_a_stream_waits_and_the_longest_waiting_comes_first():
    results = NewestResults()
    for source, index in (("a", 0), ("b", 0), ("a", 1), ("c", 0), ("a", 2)):
        results.put(result(source, index))
    assert [(r.source, r.frame.index) for r in (results.get(), results.get(), results.get())] == [
        ("a", 2),
        ("b", 0),
        ("c", 0),
    ]
    with pytest.raises(TimeoutError, match=r"within 0\.01 s"):
        results.get(0.01)
    results.put(result("a", 3))
    results.close()
    assert results.get().frame.index == 3
    with pytest.raises(ChannelClosed):
        results.get()
    failed = NewestResults()
    failed.put(result("a", 0))
    failed.close(RuntimeError("out of memory"))
    with pytest.raises(RuntimeError, match="out of memory"):
        failed.get()
