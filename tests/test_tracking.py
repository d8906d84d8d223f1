"""Ids over sparse detections, and boxes between them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sf_detect.errors import ConfigError
from sf_detect.interfaces import ConfirmableTracker, ResumableTracker, Tracker
from sf_detect.structures import Detections, Keypoints
from sf_detect.tracking import ByteTrack, interpolate


def person(x: float, y: float = 20.0, width: float = 30.0, height: float = 80.0) -> list[float]:
    return [x, y, x + width, y + height]


def seen(*boxes: list[float], scores: list[float] | None = None) -> Detections:
    array = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(array, np.array(scores if scores is not None else [0.9] * len(array), np.float32))


def ids(detections: Detections) -> list[int]:
    assert detections.track_ids is not None
    return detections.track_ids.tolist()


@pytest.fixture
def tracker() -> ByteTrack:
    return ByteTrack()


def test_is_a_tracker(tracker: ByteTrack) -> None:
    assert isinstance(tracker, Tracker)
    assert isinstance(tracker, ResumableTracker)
    assert isinstance(tracker, ConfirmableTracker)


def test_ids_start_at_1_and_come_with_the_first_detection(tracker: ByteTrack) -> None:
    assert ids(tracker.update(seen(person(10), person(200)), 0.0)) == [1, 2]


def test_the_order_and_boxes_of_the_detections_are_kept(tracker: ByteTrack) -> None:
    tracker.update(seen(person(10), person(200), person(400)), 0.0)
    swapped = seen(person(402), person(12), person(202), scores=[0.5, 0.6, 0.95])
    tracked = tracker.update(swapped, 0.25)
    assert ids(tracked) == [3, 1, 2]
    np.testing.assert_array_equal(tracked.boxes, swapped.boxes)
    np.testing.assert_array_equal(tracked.scores, swapped.scores)


def test_lost_tracks_are_where_they_should_be(tracker: ByteTrack) -> None:
    for step in range(8):
        tracker.update(seen(person(10 + 10 * step), person(300)), step / 4)
        assert len(tracker.lost()) == 0
    tracker.update(seen(person(300)), 2.0)
    lost = tracker.lost()
    assert ids(lost) == [1]
    np.testing.assert_allclose(lost.boxes, [person(90)], atol=2)
    assert lost.scores.tolist() == [0]
    assert len(ByteTrack().lost()) == 0


def test_a_track_that_is_sustained_is_known_for_as_long_as_that(tracker: ByteTrack) -> None:
    tracker.update(seen(person(10), person(300)), 0.0)
    for step in range(1, 20):
        tracker.update(seen(person(300)), step / 2)
        held = tracker.lost()
        assert ids(held) == [1]
        tracker.sustain(Detections(np.array([person(10 + 5 * step)], np.float32), held.scores, held.track_ids))
        assert len(tracker.lost()) == 0
    assert ids(tracker.update(seen(person(110), person(300)), 10.0)) == [1, 2]


def test_only_lost_tracks_are_sustained(tracker: ByteTrack) -> None:
    tracker.update(seen(person(10)), 0.0)
    elsewhere = np.array([person(500), person(600)], np.float32)
    tracker.sustain(Detections(elsewhere, np.ones(2), np.array([1, 7])))
    tracker.sustain(Detections(elsewhere, np.ones(2)))
    tracker.update(seen(), 0.25)
    np.testing.assert_allclose(tracker.lost().boxes, [person(10)])


@pytest.mark.parametrize("interval", [0.1, 0.25, 0.5])
def test_ids_stay_with_people_who_walk(tracker: ByteTrack, interval: float) -> None:
    """Two widths a second, towards and past each other at different depths."""
    for step in range(round(4 / interval)):
        t = step * interval
        tracked = tracker.update(seen(person(10 + 60 * t), person(300 - 60 * t, 120)), t)
        assert ids(tracked) == [1, 2]


def test_somebody_who_moves_more_than_their_width_between_detections(tracker: ByteTrack) -> None:
    assert [ids(tracker.update(seen(person(45.0 * i)), 0.25 * i)) for i in range(6)] == [[1]] * 6


def test_short_misses_keep_the_id_and_long_ones_do_not() -> None:
    tracker = ByteTrack(lost_seconds=1.0)
    for i in range(3):
        tracker.update(seen(person(10)), 0.25 * i)
    for i in range(3, 6):
        assert len(tracker.update(seen(), 0.25 * i)) == 0
    assert ids(tracker.update(seen(person(12)), 1.5)) == [1]
    for i in range(1, 8):
        tracker.update(seen(), 1.5 + 0.25 * i)
    assert ids(tracker.update(seen(person(12)), 3.5)) == [2]


def test_weak_detections_continue_tracks_but_start_none(tracker: ByteTrack) -> None:
    tracker.update(seen(person(10)), 0.0)
    tracked = tracker.update(seen(person(12), person(300), scores=[0.25, 0.25]), 0.25)
    assert ids(tracked) == [1]
    np.testing.assert_array_equal(tracked.boxes, seen(person(12)).boxes)


def test_weak_detections_that_continue_no_track_are_doubtful(tracker: ByteTrack) -> None:
    assert len(tracker.doubtful()) == 0
    tracker.update(seen(person(10), person(300), scores=[0.9, 0.3]), 0.0)
    np.testing.assert_array_equal(tracker.doubtful().boxes, [person(300)])
    assert tracker.doubtful().scores.tolist() == pytest.approx([0.3])
    tracker.update(seen(person(12), scores=[0.25]), 0.25)
    assert len(tracker.doubtful()) == 0


def test_detections_below_the_least_score_continue_no_track() -> None:
    tracker = ByteTrack(least_score=0.2)
    tracker.update(seen(person(10)), 0.0)
    assert ids(tracker.update(seen(person(10), scores=[0.1]), 0.25)) == []
    np.testing.assert_array_equal(tracker.doubtful().boxes, [person(10)])
    assert ids(tracker.update(seen(person(10), scores=[0.2]), 0.5)) == [1]


def test_a_track_that_is_started_goes_on_as_others_do(tracker: ByteTrack) -> None:
    tracker.update(seen(person(10), person(300), person(600), scores=[0.9, 0.3, 0.2]), 0.0)
    started = tracker.start(tracker.doubtful().select(np.array([0])))
    assert ids(started) == [2]
    np.testing.assert_array_equal(started.boxes, [person(300)])
    assert started.scores.tolist() == pytest.approx([0.3])
    assert ids(tracker.lost()) == []
    found = tracker.update(seen(person(300), person(600), person(10), scores=[0.3, 0.2, 0.9]), 0.25)
    assert ids(found) == [2, 1]
    assert ids(tracker.update(seen(person(900)), 0.5)) == [3]


def test_who_is_confirmed_where_a_track_was_lost_continues_it() -> None:
    tracker = ByteTrack(least_score=0.2)
    tracker.update(seen(person(10), person(300)), 0.0)
    tracker.update(seen(person(300), person(12), person(600), scores=[0.9, 0.1, 0.1]), 0.25)
    assert ids(tracker.start(tracker.doubtful())) == [1, 3]
    assert ids(tracker.lost()) == []
    assert ids(tracker.update(seen(person(14), person(300), person(600)), 0.5)) == [1, 2, 3]


def test_starting_nobody_uses_no_id(tracker: ByteTrack) -> None:
    tracker.update(seen(person(10)), 0.0)
    assert ids(tracker.start(tracker.doubtful())) == []
    assert ids(tracker.update(seen(person(10), person(300)), 0.25)) == [1, 2]


def test_reset_forgets_who_was_doubtful(tracker: ByteTrack) -> None:
    tracker.update(seen(person(10), scores=[0.3]), 0.0)
    tracker.reset()
    assert len(tracker.doubtful()) == 0


def test_ids_are_never_used_again(tracker: ByteTrack) -> None:
    given_out = [ids(tracker.update(seen(person(500.0 * (i % 2))), 10.0 * i))[0] for i in range(6)]
    assert given_out == [1, 2, 3, 4, 5, 6]


def test_equal_boxes_get_different_ids(tracker: ByteTrack) -> None:
    assert ids(tracker.update(seen(person(10), person(10)), 0.0)) == [1, 2]


def test_reset_forgets_people_time_and_ids(tracker: ByteTrack) -> None:
    tracker.update(seen(person(10)), 5.0)
    tracker.reset()
    assert ids(tracker.update(seen(person(10)), 0.0)) == [1]


def test_nobody(tracker: ByteTrack) -> None:
    tracked = tracker.update(seen(), 0.0)
    assert ids(tracked) == []
    assert ids(tracker.update(seen(person(1)), 1.0)) == [1]


@pytest.mark.parametrize("pts", [1.0, 0.5, float("nan"), float("inf")])
def test_time_must_increase(tracker: ByteTrack, pts: float) -> None:
    tracker.update(seen(person(10)), 1.0)
    with pytest.raises(ValueError, match="pts must increase"):
        tracker.update(seen(person(10)), pts)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"new_track_score": 1.5}, "new_track_score is 1.5, expected a number from 0.0 to 1.0"),
        ({"lost_seconds": -1}, "lost_seconds is -1"),
        ({"min_similarity": 2}, "min_similarity is 2"),
        ({"least_score": 1.5}, "least_score is 1.5, expected a number from 0.0 to 1.0"),
    ],
)
def test_values_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ByteTrack(**options)


def crowd(seed: int) -> list[tuple[float, Detections]]:
    """Detections of a few people who walk and are missed now and then, and of some things that are nobody."""
    rng = np.random.default_rng(seed)
    count = rng.integers(1, 8)
    place, speed, size = (
        rng.uniform(0, 500, (count, 2)),
        rng.normal(0, 60, (count, 2)),
        rng.uniform(20, 150, (count, 2)),
    )
    time, looks = 0.0, []
    for _ in range(60):
        gap = rng.choice([0.1, 0.2, 0.25, 0.25, 0.25, 0.04, 0.5, 1.3])
        time, place, speed = time + gap, place + speed * gap, speed + rng.normal(0, 20, speed.shape) * gap
        there = rng.random(count) < 0.85
        corner = np.concatenate([place[there] + rng.normal(0, 4, (there.sum(), 2)), rng.uniform(0, 500, (2, 2))])
        extent = np.concatenate([size[there], rng.uniform(10, 100, (2, 2))])
        boxes = np.concatenate([corner, corner + extent], axis=1).astype(np.float32)
        looks.append((time, Detections(boxes, rng.uniform(0.1, 1, len(boxes)).astype(np.float32))))
    return looks


class LibraryByteTrack:
    """ByteTrack of the library `trackers`, which reads the paper independently; ids come with the first detection."""

    def __init__(self) -> None:
        library = pytest.importorskip("trackers")
        self._new_detections = pytest.importorskip("supervision").Detections
        self._tracker = library.ByteTrackTracker(
            lost_track_buffer=60,  # in 30ths of a second
            frame_rate=10.0,
            track_activation_threshold=0.4,
            high_conf_det_threshold=0.4,
            minimum_consecutive_frames=1,
            minimum_iou_threshold=-0.2,
            iou=library.DIoU(),
        )
        self._given = 0

    def update(self, look: Detections, time: float) -> list[int]:
        """The id of each detection, -1 for none."""
        boxes, rows = look.boxes.astype(np.float64), {"row": np.arange(len(look))}
        result = self._tracker.update(self._new_detections(boxes, confidence=look.scores, data=rows), timestamp=time)
        ids = dict(zip(result.data["row"].tolist(), np.asarray(result.tracker_id).tolist(), strict=True))
        for row in range(len(look)):
            for track in self._tracker.tracks:
                if ids[row] == track.tracker_id == -1 and np.array_equal(track.get_state_bbox(), boxes[row]):
                    self._given += 1
                    ids[row] = track.tracker_id = self._given
        return [ids[row] for row in range(len(look))]


def test_tracks_are_those_of_the_library_trackers() -> None:
    for seed in range(5):
        library, own = LibraryByteTrack(), ByteTrack()
        for time, look in crowd(seed):
            expected = np.array(library.update(look, time))
            found = own.update(look, time)
            assert ids(found) == expected[expected >= 0].tolist(), f"{seed=} {time=}"
            np.testing.assert_array_equal(found.boxes, look.boxes[expected >= 0])
        assert own._next_id > 5


def tracked(pairs: dict[int, float]) -> Detections:
    """Persons by id, at these x."""
    boxes = np.array([person(x) for x in pairs.values()], np.float32).reshape(-1, 4)
    return Detections(boxes, np.full(len(boxes), 0.5, np.float32), np.array(list(pairs), np.int64))


def test_boxes_follow_the_track() -> None:
    before, after = tracked({4: 0.0, 7: 100.0}), tracked({7: 60.0, 4: 40.0})
    between = interpolate(before, 1.0, after, 1.5, 1.125)
    assert ids(between) == [4, 7]
    np.testing.assert_allclose(between.boxes, [person(10), person(90)])
    np.testing.assert_allclose(between.scores, 0.5)


def test_at_the_ends_the_detections_come_back() -> None:
    before, after = tracked({1: 0.0, 2: 50.0}), tracked({1: 40.0, 3: 90.0})
    for pts, expected in ((0.0, before), (1.0, after)):
        got = interpolate(before, 0.0, after, 1.0, pts)
        np.testing.assert_allclose(got.boxes, expected.boxes)
        assert ids(got) == ids(expected)


def test_a_track_on_one_side_stays_for_half_of_a_short_gap() -> None:
    before, after = tracked({1: 0.0}), tracked({2: 50.0})
    shown = [ids(interpolate(before, 0.0, after, 1.0, pts)) for pts in (0.0, 0.4, 0.6, 1.0)]
    assert shown == [[1], [1], [2], [2]]


def test_a_track_on_one_side_lingers_no_longer_than_that() -> None:
    before, after = tracked({1: 0.0}), tracked({2: 50.0})
    shown = [ids(interpolate(before, 0.0, after, 10.0, pts, linger=0.5)) for pts in (0.4, 0.6, 9.4, 9.6)]
    assert shown == [[1], [], [], [2]]


@given(st.floats(0, 1), st.lists(st.integers(1, 9), unique=True), st.lists(st.integers(1, 9), unique=True))
def test_shared_tracks_are_always_there_once_and_between_their_ends(share: float, a: list[int], b: list[int]) -> None:
    before, after = tracked({i: 10.0 * i for i in a}), tracked({i: 10.0 * i + 5 for i in b})
    between = interpolate(before, 0.0, after, 1.0, share)
    found = dict(zip(ids(between), between.boxes[:, 0], strict=True))
    assert len(found) == len(between)
    assert set(a) & set(b) <= set(found) <= set(a) | set(b)
    assert all(10 * i - 1e-3 <= x <= 10 * i + 5 + 1e-3 for i, x in found.items())


def test_nobody_on_either_side() -> None:
    assert len(interpolate(tracked({}), 0.0, tracked({}), 1.0, 0.5)) == 0


def test_times_outside_the_gap_and_untracked_persons() -> None:
    with pytest.raises(ValueError, match=r"outside the gap from 0\.0 to 1\.0"):
        interpolate(tracked({}), 0.0, tracked({}), 1.0, 1.5)
    with pytest.raises(ValueError, match="no track ids"):
        interpolate(seen(), 0.0, tracked({}), 1.0, 0.5)


def with_keypoints(persons: Detections, values: list[float]) -> Detections:
    """Persons whose every coordinate is the value given, which is their presence in tenths."""
    some = np.array(values, np.float32)
    wide = np.broadcast_to(some[:, None, None], (len(some), 33, 3))
    return Detections(persons.boxes, persons.scores, persons.track_ids, Keypoints(wide, wide, some / 10))


def test_keypoints_move_with_their_boxes() -> None:
    before, after = with_keypoints(tracked({1: 0, 2: 50, 3: 90}), [1, 2, 3]), tracked({3: 100, 1: 40, 4: 7})
    between = interpolate(before, 0.0, with_keypoints(after, [0, 3, 5]), 1.0, 0.5)
    assert ids(between) == [1, 2, 3, 4]
    assert between.keypoints is not None
    np.testing.assert_allclose(between.keypoints.points[:, 7, 1], [2, 2, 3, 5])  # 3 is not known on the other side
    np.testing.assert_allclose(between.keypoints.presence, [0.2, 0.2, 0.3, 0.5])
    assert interpolate(before, 0.0, after, 1.0, 0.25).keypoints is not None
    assert interpolate(tracked({1: 0}), 0.0, after, 1.0, 0.25).keypoints is None


def test_keypoints_of_people_who_are_all_gone_stay() -> None:
    before, nobody = with_keypoints(tracked({1: 0}), [1]), with_keypoints(tracked({}), [])
    between = interpolate(before, 0.0, nobody, 1.0, 0.25)
    assert between.keypoints is not None
    assert between.keypoints.points[:, 7, 1].tolist() == [1]
    assert len(interpolate(nobody, 0.0, before, 1.0, 0.25)) == 0
    assert ids(interpolate(nobody, 0.0, before, 1.0, 0.75)) == [1]
