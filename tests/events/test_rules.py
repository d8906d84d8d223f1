"""Onset and offset of actions: what each sequence of keyframes comes to.

Unless a case says otherwise: threshold 0.5, so an event goes on down to 0.4; keyframes every 0.5 s from 0 on, each
standing for 0.25 s on either side; minimum 0.5 s; gaps of up to 1 s are joined.
"""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sf_detect.errors import ConfigError
from sf_detect.events import Event, EventRules

STRIDE = 0.5


def rules(labels=("walk",), thresholds=None, **settings):
    return EventRules("v", labels, [0.5] * len(labels) if thresholds is None else thresholds, **settings)


def spans(events):
    return [(round(e.start, 3), round(e.end, 3)) for e in events]


def run(scores, times=None, end=None, **settings):
    """Spans of one person's one action; a score of None is a keyframe without the person."""
    found, watch = [], rules(**settings)
    times = [STRIDE * i for i in range(len(scores))] if times is None else times
    for pts, score in zip(times, scores, strict=True):
        found += watch.push(pts, [] if score is None else [1], [] if score is None else [[score]])
    return spans(found + watch.finish(times[-1] + 0.1 if end is None else end))


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        pytest.param([0, 0, 0, 0], [], id="nothing"),
        pytest.param([0.49, 0.49, 0.49], [], id="never reaches the threshold"),
        pytest.param([0, 0, 0.5, 0, 0, 0, 0], [(0.75, 1.25)], id="one keyframe lasts as long as the minimum"),
        pytest.param([0, 0.6, 0.6, 0.6, 0, 0, 0], [(0.25, 1.75)], id="three keyframes"),
        pytest.param([0.9, 0, 0, 0, 0], [], id="half a keyframe at the start is too short"),
        pytest.param([0.9, 0.9, 0, 0, 0], [(0, 0.75)], id="cut at the start"),
        pytest.param([0, 0, 0.9, 0.9], [(0.75, 1.6)], id="cut at the end"),
        pytest.param([0, 0, 0, 0.9], [], id="half a keyframe at the end is too short"),
        pytest.param([0.4, 0.4, 0.6, 0.4, 0.4, 0], [(0.75, 2.25)], id="starts at the threshold, ends below 0.8 of it"),
        pytest.param([0, 0.5, 0.45, 0.5, 0.45, 0.5, 0], [(0.25, 2.75)], id="flicker around the threshold is one event"),
        pytest.param([0, 0.6, 0.39, 0.45, 0.6, 0, 0], [(0.25, 2.25)], id="after a gap it goes on at the threshold"),
        pytest.param([0, 0.6, 0.39, 0.45, 0.45, 0, 0], [(0.25, 0.75)], id="and not below it"),
        pytest.param([0, 0.6, 0, 0, 0.6, 0], [(0.25, 2.25)], id="a gap of 1 s is joined"),
        pytest.param([0, 0.6, 0, 0, 0, 0.6, 0], [(0.25, 0.75), (2.25, 2.75)], id="a gap of 1.5 s is not"),
        pytest.param([0, 0.6, None, None, 0.6, 0], [(0.25, 2.25)], id="a person who is away for 1 s"),
        pytest.param([0, 0.6, 0.6, None, None, None, None, None, 0], [(0.25, 1.25)], id="a person who leaves"),
        pytest.param([0, float("nan"), 0.6, 0.6, float("nan"), 0], [(0.75, 1.75)], id="not a number is no score"),
    ],
)
def test_one_person_one_action(scores, expected):
    assert run(scores) == expected


@pytest.mark.parametrize(
    ("settings", "scores", "expected"),
    [
        ({"min_duration": 0.6}, [0, 0, 0.9, 0, 0], []),
        ({"min_duration": 1.0}, [0, 0.9, 0.9, 0, 0], [(0.25, 1.25)]),
        ({"min_duration": 1.0}, [0, 0.9, 0, 0.9, 0], [(0.25, 1.75)]),  # joined first, then measured
        ({"min_duration": 0.0}, [0.9, 0, 0, 0, 0.9], [(0, 0.25), (1.75, 2.1)]),
        ({"max_gap": 0.0}, [0, 0.9, 0, 0.9, 0], [(0.25, 0.75), (1.25, 1.75)]),
        ({"max_gap": 0.0}, [0, 0.9, 0.9, 0.9, 0], [(0.25, 1.75)]),
        ({"max_gap": 0.5}, [0, 0.9, 0, 0.9, 0, 0, 0.9, 0], [(0.25, 1.75), (2.75, 3.25)]),
        ({"max_gap": 100.0}, [0, 0.9, 0, 0, 0, 0, 0, 0, 0.9, 0], [(0.25, 4.25)]),
        ({"hysteresis": 1.0}, [0, 0.9, 0.49, 0.49, 0.49, 0], [(0.25, 0.75)]),
        ({"hysteresis": 0.1}, [0, 0.9, 0.06, 0.06, 0.04, 0], [(0.25, 1.75)]),
        ({"thresholds": [0.0]}, [0, 0, 0], [(0, 1.1)]),
        ({"thresholds": [math.inf]}, [1, 1, 1], []),
        ({"thresholds": [1.0]}, [0, 1, 0.8, 0.79, 0], [(0.25, 1.25)]),
    ],
)
def test_settings(settings, scores, expected):
    assert run(scores, **settings) == expected


@pytest.mark.parametrize(
    ("times", "scores", "expected"),
    [
        pytest.param([10, 10.5, 11, 11.5], [0.9, 0.9, 0, 0], [(10, 10.75)], id="a part of a video"),
        pytest.param([0, 4, 8, 12], [0.9] * 4, [(3.75, 4.25), (7.75, 8.25)], id="far apart: half a stride, no more"),
        pytest.param([0, 1, 2, 3], [0.9] * 4, [(0, 3.1)], id="a second apart: the gaps between are joined"),
        pytest.param([0, 0.5, 3, 3.5], [0.9, 0.9, 0.45, 0.45], [(0, 0.75)], id="after a long gap it starts anew"),
        pytest.param([0, 0.5, 1.6, 2.1], [0.9, 0.9, 0.45, 0], [(0, 1.85)], id="after a short one it goes on"),
        pytest.param([0, 0.52, 1.0, 1.52], [0, 0, 0.9, 0], [(0.75, 1.25)], id="on a grid of frames, 25 a second"),
        pytest.param([0, 0.1, 0.15, 0.2], [0, 0.9, 0, 0], [], id="closer than the stride, cut at both ends"),
        pytest.param([1, 1, 1.5, 1.5, 2, 2], [0, 0.9, 0, 0.9, 0.9, 0], [(1, 2.1)], id="twice at one time"),
        pytest.param([5], [0.9], [], id="a picture"),
    ],
)
def test_irregular_keyframes(times, scores, expected):
    assert run(scores, times) == expected


def test_no_event_leaves_the_footage():
    for end in (None, 6.0):
        watch = rules(min_duration=0.0)
        watch.push(7.0, [1], [[0.9]])
        assert spans(watch.finish(end)) == [(7.0, 7.0)]


def test_two_labels_at_once_and_two_people():
    labels = ("walk", "wave")
    keyframes = [
        {1: (0.9, 0.1), 2: (0.1, 0.9)},
        {1: (0.9, 0.7), 2: (0.1, 0.9)},
        {1: (0.9, 0.7), 2: (0.6, 0.1)},
        {1: (0.1, 0.7), 3: (0.9, 0.9)},
        {},
    ]
    found, watch = [], rules(labels, [0.5, 0.6])
    for i, persons in enumerate(keyframes):
        found += watch.push(i * STRIDE, list(persons), list(persons.values()))
    found += watch.finish(2.5)
    assert [(e.track_id, e.label, *spans([e])[0]) for e in found] == [
        (2, "wave", 0, 0.75),
        (1, "walk", 0, 1.25),
        (2, "walk", 0.75, 1.25),
        (1, "wave", 0.25, 1.75),
        (3, "walk", 1.25, 1.75),
        (3, "wave", 1.25, 1.75),
    ]
    assert {e.video for e in found} == {"v"}


def test_each_class_has_its_own_threshold():
    watch = rules(("a", "b"), [0.2, 0.8])
    for i in range(4):
        watch.push(i * STRIDE, [1], [[0.3, 0.7]])
    assert [e.label for e in watch.finish()] == ["a"]


def test_the_score_is_the_mean_over_the_keyframes_of_the_event():
    watch = rules()
    for i, score in enumerate([0.1, 0.6, 0.0, 0.8, 0.4, 0.1]):
        watch.push(i * STRIDE, [1], [[score]])
    (event,) = watch.finish()
    assert event == Event("v", 1, "walk", 0.25, 2.25, pytest.approx(0.6))


def test_people_without_tracks_are_somebody():
    watch = rules()
    for i, scores in enumerate([[[0.6], [0.9]], [[0.7]], [[0.1], [0.2]], []]):
        watch.push(i * STRIDE, None, scores)
    assert watch.finish() == [Event("v", None, "walk", 0.0, 0.75, pytest.approx(0.8))]


def test_events_come_once_nothing_can_join_them_and_are_visible_before():
    watch, told, under_way = rules(), [], []
    for i, score in enumerate([0, 0.9, 0.9, 0, 0, 0, 0]):
        told.append(spans(watch.push(i * STRIDE, [1], [[score]])))
        under_way.append(spans(watch.open))
    assert told == [[], [], [], [], [], [(0.25, 1.25)], []]
    assert under_way == [[], [(0.25, 0.75)], [(0.25, 1.25)], [(0.25, 1.25)], [(0.25, 1.25)], [], []]


def test_what_is_too_short_is_not_under_way():
    watch = rules(min_duration=1.0)
    watch.push(0.0, [1], [[0.9]])
    assert watch.open == []


def test_tracks_that_are_gone_cost_nothing():
    watch = rules()
    for i in range(1000):
        watch.push(i * STRIDE, [i, i + 1], [[0.9], [0.9]])
        assert len(watch._courses) <= 6


def test_after_a_cut_nothing_goes_on():
    watch = rules()
    for pts in (0.0, 0.5, 1.0):
        watch.push(pts, [1], [[0.9]])
    assert spans(watch.cut(1.1)) == [(0, 1.1)]
    assert watch.open == []
    for pts in (1.2, 1.7, 2.2):
        watch.push(pts, [1], [[0.9]])
    assert spans(watch.finish(9.0)) == [(1.2, 2.45)]
    assert watch.finish() == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stride": -1.0}, "events: stride is -1.0; expected a number of seconds from 0 up"),
        ({"min_duration": math.nan}, "events: min_duration is nan"),
        ({"max_gap": math.inf}, "events: max_gap is inf"),
        ({"hysteresis": 0}, "events: hysteresis is 0; expected a share above 0 and up to 1"),
        ({"hysteresis": 1.5}, "events: hysteresis is 1.5"),
        ({"thresholds": [0.1, 0.2]}, r"thresholds of shape \(2,\) for 1 labels"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(ConfigError, match=message):
        rules(**settings)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.9, [1], [[0.5]]), r"in the order of their times; got 0.9 s after 1.0 s"),
        ((math.nan, [1], [[0.5]]), r"got nan s"),
        ((2.0, [1], [[0.5, 0.5]]), r"scores have shape \(N, 1\), one column a label, got \(1, 2\)"),
        ((2.0, [1, 2], [[0.5]]), r"as many track ids as persons, got 2 for 1"),
    ],
)
def test_keyframes_that_make_no_sense(arguments, message):
    watch = rules()
    watch.push(1.0, [1], [[0.9]])
    with pytest.raises(ValueError, match=message):
        watch.push(*arguments)


def test_a_model_without_labels_has_no_events():
    watch = rules((), ())
    assert watch.push(0.0, [1, 2], np.zeros((2, 0))) == watch.finish(1.0) == []


ROWS = st.tuples(st.sampled_from([0.0, 0.39, 0.4, 0.45, 0.5, 0.9]), st.sampled_from([0.0, 0.5]))
GAPS = st.lists(st.sampled_from([0.02, 0.48, 0.5, 0.52, 1.0, 1.5, 1.52, 4.0]), min_size=40, max_size=40)


@given(st.lists(ROWS, max_size=40), GAPS, st.booleans())
def test_events_are_long_enough_apart_in_order_and_where_something_was_seen(scores, gaps, regular):
    times = (np.arange(len(scores)) * STRIDE if regular else np.cumsum(gaps)[: len(scores)]).tolist()
    found, watch = [], rules(("a", "b"))
    for pts, row in zip(times, scores, strict=True):
        found += watch.push(pts, [7], [row])
    found += watch.finish(times[-1] + 0.04 if times else None)
    assert [e.end for e in found] == sorted(e.end for e in found)
    for column, label in enumerate("ab"):
        own = [e for e in found if e.label == label]
        assert all(later.start - earlier.end > 1.0 for earlier, later in pairwise(own))
        for event in own:
            inside = [row[column] for pts, row in zip(times, scores, strict=True) if event.start <= pts <= event.end]
            assert max(inside) >= 0.5
            assert 0.4 - 1e-6 <= event.score <= max(inside) + 1e-6
            assert event.end - event.start >= 0.5 - 1e-6
            assert times[0] <= event.start <= event.end <= times[-1] + 0.04
