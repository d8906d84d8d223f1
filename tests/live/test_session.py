"""A session with fakes: what comes out, and how it ends, whatever fails, hangs or is slow."""

import threading
import time

import numpy as np
import pytest
from live_parts import FakeStreamModel, parts, session, streaming, until, until_true

from fakes import FakeDetector, FakeLiveSource, FakeSink, FakeTracker
from sf_detect.errors import SinkError, SourceError, StageError
from sf_detect.live import LiveOutput, LiveSession


def give(source, count, fps=30, begin=0, **options):
    for i in range(begin, begin + count):
        source.give(i / fps, **options)


def predicted(live, source, begin=0.0, **first):
    """Gives frames, 10 a second, until another prediction has come; returns the time of the newest."""
    (stats,), pts = live.stats().values(), begin
    source.give(pts, **first)
    time.sleep(0.02)
    while live.stats()[stats.name].predictions == stats.predictions:
        pts = round(pts + 0.1, 6)
        source.give(pts, size=first.get("size", (48, 64)))
        time.sleep(0.02)
        assert pts < begin + 100, f"no prediction: {live.stats()}"
    return pts


def test_newest_frames_come_with_moved_boxes_and_newest_actions():
    source = FakeLiveSource(clock=time.monotonic)
    model = FakeStreamModel(lambda image: 0.25)
    with session(source, parts(streaming(model))) as live:
        give(source, 1)
        first = until(live, lambda result: True)
        assert (first.source, first.state, first.frame.index) == ("fake", "live", 0)
        pts = predicted(live, source)
        source.give(pts + 0.05)
        result = until(live, lambda result: result.frame.pts == pts + 0.05)
        assert result.persons.track_ids.tolist() == [1, 2]
        assert result.actions.scores.tolist() == [[0.25], [0.25]]
        assert result.labels_age == pytest.approx(result.frame_age + result.frame.pts - result.actions.seen_until)
        assert result.boxes_age == pytest.approx(result.frame_age + result.frame.pts - result.detected_pts)
        assert live.latest() is not None
        assert abs(result.utc - time.time()) < 60


def test_a_slow_caller_gets_the_newest_alone():
    source = FakeLiveSource()
    with session(source) as live:
        give(source, 1)
        until(live, lambda result: True)
        give(source, 40, begin=1)
        until_true(lambda: live.stats()["fake"].shown + sum(live.stats()["fake"].drops.values()) == 41)
        assert live.next().frame.index == 40


def test_the_end_of_all_sources_ends_the_loop():
    source = FakeLiveSource()
    sink = FakeSink()
    live = session(source, parts(pictures=[LiveOutput("recording", lambda result: sink)]))
    give(source, 3)
    source.end()
    last = [result.frame.index for result in live][-1]
    assert last == 2
    assert sink.results[-1].frame.index == 2
    assert sink.closes == 1
    assert live.next() is None
    live.stop()


def test_a_break_completes_everything():
    source = FakeLiveSource()
    sink = FakeSink()
    live = session(source, parts(pictures=[LiveOutput("recording", lambda result: sink)]))
    give(source, 3)
    for _ in live:
        break
    assert source.closed.is_set()
    assert sink.closes == 1


def test_max_seconds_counts_from_the_start_also_without_a_picture():
    live = session(FakeLiveSource(), max_seconds=0.05)
    assert list(live) == []
    assert live.stats()["fake"].shown == 0


def test_records_are_keyframes_at_their_own_time():
    source, sink = FakeLiveSource(clock=time.monotonic), FakeSink()
    records = [LiveOutput("data", lambda result: sink)]
    with session(source, parts(streaming(FakeStreamModel()), records=records)) as live:
        begun = predicted(live, source)
        for i in range(1, 7):
            source.give(begun + i / 10)
        until_true(lambda: len(sink.results) and sink.results[-1].frame.pts == begun + 0.6)
    assert {r.is_keyframe for r in sink.results} == {True}
    assert all(r.frame.pts == r.actions.pts == r.actions.seen_until for r in sink.results)
    np.testing.assert_allclose(np.diff([r.frame.pts for r in sink.results]), 0.1)


@pytest.mark.parametrize("change", [{"starts_anew": True}, {"size": (64, 64)}])
def test_what_continues_nothing_starts_anew(change):
    source, tracker, model = FakeLiveSource(), FakeTracker(), FakeStreamModel()
    sink = FakeSink()
    records = [LiveOutput("data", lambda result: sink)]
    with session(source, parts(streaming(model), tracker=lambda: tracker, records=records)) as live:
        predicted(live, source)
        resets, begun, written = tracker.resets, model.resets, live.stats()["fake"].predictions
        pts = predicted(live, source, 100.0, **change) + 0.05
        assert tracker.resets == resets + 1
        assert model.resets == begun + 1
        source.give(pts, size=change.get("size", (48, 64)))
        result = until(live, lambda result: result.frame.pts == pts)
        assert min(result.persons.track_ids) > 2, "ids are not used twice"
    anew = [result.frame.starts_anew for result in sink.results]
    assert anew == [i in (0, written) for i in range(len(anew))]


def test_damaged_frames_are_shown_and_no_network_sees_them():
    source, detector, model = FakeLiveSource(), FakeDetector(), FakeStreamModel()
    with session(source, parts(streaming(model), detector)) as live:
        predicted(live, source)
        good = source.given
        give(source, 5, begin=300, damaged=True)
        until(live, lambda result: result.frame.index == good + 4)
        predicted(live, source, 20.0, starts_anew=True)
        assert live.stats()["fake"].drops["damaged"] == 5
    assert not {index for call in detector.calls for index in call} & set(range(good, good + 5))
    assert not [pts for pts in model.pushed if 10 <= pts < 20]


class Clock:
    """The time that a test says it is."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Faulty:
    """Calls through to something, and fails, hangs or takes `seconds` of `clock` on demand."""

    def __init__(self, inner):
        self.inner, self.error, self.gate = inner, None, threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.seconds, self.clock = 0.0, Clock()

    def __call__(self, *arguments):
        self.entered.set()
        self.gate.wait(60)
        self.clock.now += self.seconds
        if self.error is not None:
            raise self.error
        return self.inner(*arguments)


def faulty_persons(what, **others):
    """The detector or the tracker as something that can be faulty, the tracker, and parts with both."""
    detector, tracker = FakeDetector(), FakeTracker()
    if what == "detector":
        faulty = detector = Faulty(detector)
    else:
        faulty = tracker.update = Faulty(tracker.update)
    return faulty, tracker, parts(detector=detector, tracker=lambda: tracker, **others)


FINDS_PERSONS = pytest.mark.parametrize("what", ["detector", "tracker"])


@FINDS_PERSONS
def test_what_fails_to_find_persons_is_tried_again_and_everything_else_goes_on(what):
    source, warnings = FakeLiveSource(), []
    faulty, tracker, some = faulty_persons(what)
    with session(source, some, on_warning=warnings.append) as live:
        give(source, 1)
        until_true(lambda: live.stats()["fake"].detections == 1)
        faulty.error = RuntimeError("out of memory")
        source.give(1.0)
        until_true(lambda: live.stats()["fake"].failures == {"persons": 1})
        assert "out of memory" in live.stats()["fake"].problem
        faulty.error = None
        source.give(1.1)
        assert len(until(live, lambda result: result.frame.pts == 1.1).persons) == 0
        index = [1.1]

        def found():
            index[0] += 0.2
            source.give(index[0])
            time.sleep(0.05)
            return live.stats()["fake"].detections == 2

        until_true(found)
        assert live.stats()["fake"].problem == ""
        source.give(index[0] + 0.05)
        result = until(live, lambda result: result.frame.pts == index[0] + 0.05)
        assert result.persons.track_ids.tolist() == [3, 4], "the tracker has begun anew, and ids are not used twice"
    assert tracker.resets == 1
    assert len(warnings) == 1
    assert "fake: person detection and tracking failed on frame 1" in warnings[0]
    assert "tried again in 0.5 s" in warnings[0]


@FINDS_PERSONS
def test_what_never_found_persons_ends_the_session(what):
    source = FakeLiveSource()
    faulty, _, some = faulty_persons(what)
    faulty.error = RuntimeError("no such kernel")
    live = session(source, some)
    give(source, 1)
    with pytest.raises(StageError, match="no such kernel"):
        for _ in live:
            pass


def test_a_tracker_that_cannot_even_begin_anew_is_tried_again():
    source, warnings, clock = FakeLiveSource(), [], Clock()
    tracker = FakeTracker()
    reset = tracker.reset = Faulty(tracker.reset)
    with session(source, parts(tracker=lambda: tracker), on_warning=warnings.append, clock=clock) as live:
        give(source, 1)
        until_true(lambda: live.stats()["fake"].detections == 1)
        reset.error = ValueError("no such track")
        source.give(1.0, starts_anew=True)
        until_true(lambda: live.stats()["fake"].failures == {"persons": 1})
        reset.error = None
        clock.now += 1.0
        source.give(1.1)
        until_true(lambda: live.stats()["fake"].detections == 2)
        source.give(1.15)
        assert until(live, lambda result: result.frame.pts == 1.15).persons.track_ids.tolist() == [3, 4]
    assert tracker.resets == 1
    assert "person detection and tracking failed on frame 1" in warnings[0]
    assert "no such track" in warnings[0]


def test_a_model_that_cannot_even_begin_anew_is_tried_again():
    source, model, warnings, clock = FakeLiveSource(), FakeStreamModel(), [], Clock()
    reset = model.reset = Faulty(model.reset)
    with session(source, parts(streaming(model)), on_warning=warnings.append, clock=clock) as live:
        predicted(live, source)
        reset.error = ValueError("no such state")
        source.give(100.0, starts_anew=True)
        until_true(lambda: live.stats()["fake"].failures == {"actions": 1})
        assert model.resets == 0
        reset.error = None
        clock.now += 1.0
        predicted(live, source, 101.0)
    assert model.resets == 1
    assert not [pts for pts in model.pushed if 100 <= pts < 101]
    assert "action model failed on frame" in warnings[0]
    assert "no such state" in warnings[0]


@FINDS_PERSONS
def test_what_stalls_for_a_while_goes_on_with_the_newest_frame(what):
    source = FakeLiveSource()
    faulty, tracker, some = faulty_persons(what)
    with session(source, some) as live:
        faulty.gate.clear()
        give(source, 1)
        assert faulty.entered.wait(10)
        for i in range(1, 20):
            source.give(i / 10)
            assert len(until(live, lambda result, i=i: result.frame.index == i).persons) == 0
        faulty.gate.set()
        until_true(lambda: live.stats()["fake"].detections >= 1)
        source.give(100.0)
        until_true(lambda: 100.0 in tracker.times)
        assert set(tracker.times) <= {0.0, 1.9, 100.0}, "of what came meanwhile, the newest alone"
        assert live.stats()["fake"].failures == {}


@FINDS_PERSONS
def test_what_is_slow_is_asked_less_often_and_the_display_shows_every_frame(what):
    source, clock = FakeLiveSource(), Clock()
    faulty, tracker, some = faulty_persons(what)
    faulty.seconds, faulty.clock = 0.7, clock
    with session(source, some, clock=clock) as live:
        for i in range(25):
            source.give(i / 10)
            assert until(live, lambda result: True).frame.index == i
            until_true(lambda i=i: live.stats()["fake"].detections == 1 + i // 10)
        assert tracker.times == [0.0, 1.0, 2.0]
        assert live.stats()["fake"].drops.get("display", 0) == 0


def test_a_model_that_fails_is_tried_again():
    source, model = FakeLiveSource(), FakeStreamModel()
    with session(source, parts(streaming(model))) as live:
        predicted(live, source)
        push, model.push = model.push, lambda frame: (_ for _ in ()).throw(RuntimeError("bad step"))
        source.give(100.0)
        until_true(lambda: live.stats()["fake"].failures == {"actions": 1})
        model.push = push
        predicted(live, source, 101.0)


@pytest.mark.parametrize("what", ["detector", "tracker", "model"])
def test_display_and_stop_wait_for_nobody_who_hangs(what):
    source, sink, model = FakeLiveSource(clock=time.monotonic), FakeSink(), FakeStreamModel()
    output = [LiveOutput("recording", lambda result: sink)]
    if what == "model":
        stuck = model.push = Faulty(model.push)
        some = parts(streaming(model), pictures=output)
    else:
        stuck, _, some = faulty_persons(what, actions=streaming(model), pictures=output)
    stuck.gate.clear()
    live = session(source, some)
    live.start()
    give(source, 1)
    assert stuck.entered.wait(10)
    until(live, lambda result: result.frame.index == 0)
    for i in range(1, 4):
        source.give(i / 30)
        until(live, lambda result, i=i: result.frame.index == i)
    begun = time.monotonic()
    live.stop()
    assert time.monotonic() - begun < 2.5
    assert sink.closes == 1
    assert [result.frame.index for result in sink.results] == [0, 1, 2, 3]
    stuck.gate.set()


def test_a_sink_that_hangs_holds_up_nothing_and_is_told():
    source, sink, good = FakeLiveSource(), FakeSink(), FakeSink()
    stuck = Faulty(sink.write)
    stuck.gate.clear()
    sink.write = stuck
    outputs = [LiveOutput("recording", lambda result: sink), LiveOutput("other", lambda result: good, size=20)]
    live = session(source, parts(pictures=outputs))
    live.start()
    for i in range(20):
        source.give(i / 30)
        until(live, lambda result, i=i: result.frame.index == i)
    assert live.stats()["fake"].drops["output recording"] >= 11
    live.stop()
    assert len(good.results) == 20
    assert good.closes == 1
    with pytest.raises(SinkError, match="the recording could not be completed in time: 8 results were waiting"):
        live.raise_failures()
    stuck.gate.set()


def test_a_sink_that_fails_is_told_and_the_rest_goes_on():
    source, good = FakeLiveSource(), FakeSink()
    outputs = [LiveOutput("recording", lambda result: FakeSink(fail_at=0)), LiveOutput("other", lambda result: good)]
    live = session(source, parts(pictures=outputs))
    live.start()
    for i in range(5):
        source.give(i / 30)
        until(live, lambda result, i=i: result.frame.index == i)
    live.stop()
    assert [result.frame.index for result in good.results] == [0, 1, 2, 3, 4]
    with pytest.raises(SinkError, match="the recording failed with OSError: the fake sink fails"):
        live.raise_failures()


def test_a_source_that_fails_ends_the_session_with_its_error():
    source = FakeLiveSource()
    source.fail(SourceError("the file is gone"))
    with pytest.raises(SourceError, match="the file is gone"):
        list(session(source))


def test_one_of_two_sources_that_fails_leaves_the_other_alone():
    bad, good, warnings = FakeLiveSource("bad"), FakeLiveSource("good"), []
    live = LiveSession([(bad, parts()), (good, parts())], on_warning=warnings.append)
    bad.fail(SourceError("no such file"))
    live.start()
    until_true(lambda: warnings == ["bad: no such file"])
    good.give(0.0)
    assert until(live, lambda result: True).source == "good"
    assert live.stats()["bad"].problem == "no such file"
    good.end()
    with pytest.raises(SourceError, match="no such file"):
        while live.next() is not None:
            pass
    live.stop()


def test_only_frames_that_were_looked_at_are_shown_where_people_are_hidden():
    source, detector = FakeLiveSource(), FakeDetector()
    drawn = []

    def draw(result):
        drawn.append((result.frame.index, result.detected_pts == result.frame.pts, len(result.persons)))
        return np.zeros((48, 64, 3), np.uint8)

    live = session(source, parts(detector=detector, draw=draw, only_looked_at=True))
    give(source, 30)
    source.end()
    shown = [result.frame.index for result in live]
    assert shown[-1] == 29
    looked_at = [index for call in detector.calls for index in call]
    stats = live.stats()["fake"]
    assert stats.shown + stats.drops.get("display", 0) == 30
    assert drawn == [(index, True, 2) for index in looked_at if (index, True, 2) in drawn]
    assert set(shown) <= set(looked_at)


def test_no_frame_is_converted_that_nobody_needs():
    source = FakeLiveSource()
    live = session(source, parts(interval=10.0))
    frames = [source.give(i / 30) for i in range(30)]
    source.end()
    for _ in live:
        pass
    converted = [frame.index for frame in frames if frame.__dict__["_image"] is not None]
    assert len(converted) == 1, "one was looked at by the detector; nobody drew"


def test_a_picture_that_cannot_be_drawn_is_left_out():
    source, warnings = FakeLiveSource(), []
    draw = Faulty(lambda result: np.zeros((48, 64, 3), np.uint8))
    with session(source, parts(draw=draw), on_warning=warnings.append) as live:
        source.give(0.0)
        until(live, lambda result: result.frame.index == 0)
        draw.error = ValueError("no such font")
        source.give(0.1)
        until_true(lambda: live.stats()["fake"].failures == {"display": 1})
        draw.error = None
        source.give(0.2)
        until(live, lambda result: result.frame.index == 2)
    assert "drawing failed on frame 1" in warnings[0]
    broken = FakeLiveSource()
    draw.error = ValueError("no such font")
    broken.give(0.0)
    with pytest.raises(StageError, match="no such font"):
        list(session(broken, parts(draw=draw)))


def test_a_session_that_never_began_completes_its_outputs():
    source, sink = FakeLiveSource(), FakeSink()
    live = session(source, parts(records=[LiveOutput("data", lambda result: sink, sink=sink)]))
    live.stop()
    live.stop()
    assert (sink.closes, source.closed.is_set(), live.failures) == (1, True, [])
    assert not live.left_behind
    assert list(live) == []
