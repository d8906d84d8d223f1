"""Events of results: keyframes among frames, where the footage begins, is interrupted and ends."""

import numpy as np
import pytest

from sf_detect.errors import ConfigError, SinkError
from sf_detect.events import EventRules, ResultEvents
from sf_detect.structures import ActionDetections, Detections, Frame, FrameResult

LABELS = ("walk", "wave")


def result(index, scores=((0.9, 0.1),), ids=(3,), fps=10, size=(4, 4), pts=None, **about):
    """A frame at 10 a second; every fifth is a keyframe."""
    persons = Detections(np.tile([0, 0, 2, 2], (len(scores), 1)), np.ones(len(scores)), ids)
    pts = index / fps if pts is None else pts
    actions = None if scores is None else ActionDetections(pts, persons, np.asarray(scores, np.float32))
    frame = Frame(np.zeros((*size, 3), np.uint8), index, pts, **about)
    return FrameResult(frame, persons, actions, is_keyframe=index % 5 == 0)


def events(results, fps=10):
    watch = ResultEvents(EventRules("v", LABELS, [0.5, 0.5]), fps)
    found = [event for item in results for event in watch.push(item)] + watch.finish()
    return [(e.track_id, e.label, round(e.start, 3), round(e.end, 3)) for e in found]


def test_frames_between_keyframes_do_not_count():
    keyframes = {0: 0.1, 5: 0.9, 10: 0.9, 15: 0.1}
    scores = [keyframes.get(i, 1.0) for i in range(20)]
    assert events(result(i, [(s, 0.0)]) for i, s in enumerate(scores)) == [(3, "walk", 0.25, 1.25)]


@pytest.mark.parametrize(("fps", "end"), [(10, 1.1), (None, 1.0)])
def test_the_last_frame_lasts_as_long_as_the_rate_says(fps, end):
    assert events((result(i) for i in range(11)), fps) == [(3, "walk", 0.0, end)]


def test_a_part_begins_with_its_first_frame():
    assert events(result(i) for i in range(40, 52)) == [(3, "walk", 4.0, 5.2)]


@pytest.mark.parametrize("about", [{"starts_anew": True}, {"size": (8, 4)}])
def test_footage_that_starts_anew_joins_nothing(about):
    before = [result(i) for i in range(12)]
    after = [result(15, pts=1.5, **about), *(result(i, size=about.get("size", (4, 4))) for i in range(16, 30))]
    assert events([*before, *after]) == [(3, "walk", 0.0, 1.2), (3, "walk", 1.5, 2.75)]


def test_persons_are_matched_to_their_scores():
    def keyframe(index):
        scored = Detections([[0, 0, 2, 2], [2, 2, 4, 4]], [1, 1], [8, 5])
        persons = Detections([[2, 2, 4, 4], [0, 0, 2, 2], [1, 1, 3, 3]], [1, 1, 1], [5, 8, 6])
        actions = ActionDetections(index / 10, scored, [[0.9, 0.1], [0.1, 0.9]])
        return FrameResult(Frame(np.zeros((4, 4, 3), np.uint8), index, index / 10), persons, actions, True)

    assert events(keyframe(i) for i in (0, 5, 10)) == [(5, "wave", 0.0, 1.1), (8, "walk", 0.0, 1.1)]


def test_nobody_and_nobody_scored():
    nobody = [result(i, np.zeros((0, 2)), ()) for i in range(0, 30, 5)]
    unscored = FrameResult(nobody[0].frame, Detections([[0, 0, 1, 1]], [1], [1]), None, is_keyframe=True)
    assert events([unscored, *nobody[1:]]) == []


def test_untracked_people_are_somebody():
    assert events(result(i, [(0.9, 0.1), (0.1, 0.7)], None) for i in range(11)) == [
        (None, "walk", 0.0, 1.1),
        (None, "wave", 0.0, 1.1),
    ]


def test_what_is_under_way_is_visible():
    watch = ResultEvents(EventRules("v", LABELS, [0.5, 0.5]))
    for i in range(8):
        watch.push(result(i))
    assert [(e.start, e.end) for e in watch.open] == [(0.0, 0.75)]


def test_results_that_make_no_sense():
    with pytest.raises(SinkError, match="events: frame 5 has a score that is not a finite number"):
        events([result(5, [(np.nan, 0.1)])])
    with pytest.raises(ConfigError, match="events: 2 labels were given, but the result scores 3 classes"):
        events([result(5, [(0.1, 0.1, 0.1)])])


def test_no_result_at_all():
    assert events([]) == []
