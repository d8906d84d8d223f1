"""Windows hold the last second of one track."""

import numpy as np

from sf_detect.keypoints import looks
from sf_detect.keypoints.looks import TrackLooks
from sf_detect.structures import Detections, Keypoints

SIZE = (48, 64)


def persons(ids, presence):
    count = len(ids)
    points = np.full((count, 33, 3), np.array(presence, np.float32)[:, None, None])
    keypoints = Keypoints(points, 2 * points, np.array(presence))
    return Detections(np.tile([1.0, 2, 3, 4], (count, 1)), np.ones(count), np.array(ids), keypoints)


def test_a_window_is_the_last_second_of_a_track():
    seen = TrackLooks()
    for i in range(9):
        seen.add(persons([7, 8], [0.1 * (i + 1), 0.05]), 0.25 * i, SIZE)
    window = seen.window(7, 2.0)
    assert len(window) == 5
    np.testing.assert_allclose(window.times, [1.0, 1.25, 1.5, 1.75, 2.0])
    np.testing.assert_allclose(window.presence, [0.5, 0.6, 0.7, 0.8, 0.9], rtol=1e-6)
    np.testing.assert_allclose(window.metres, 2 * window.points)
    assert window.points.shape == (5, 33, 3)
    assert window.boxes.tolist() == [[1, 2, 3, 4]] * 5
    assert window.image_size == SIZE
    assert len(seen.window(7, 2.0)) == 5


def test_nobody_looked_at_has_no_window():
    seen = TrackLooks()
    seen.add(persons([7, 8], [0.5, 0.0]), 0.0, SIZE)
    assert seen.window(8, 0.0) is None
    assert seen.window(9, 0.0) is None
    seen.reset()
    assert seen.window(7, 0.0) is None


def test_the_newest_look_counts_while_it_is_fresh():
    seen = TrackLooks()
    seen.add(persons([7], [0.5]), 0.0, SIZE)
    seen.add(Detections.empty(), 0.25, SIZE)
    assert seen.window(7, 0.5).times.tolist() == [0.0]
    assert seen.window(7, 0.75) is None
    seen.add(persons([7], [0.6]), 0.5, SIZE)
    assert seen.window(7, 0.5).times.tolist() == [0.0, 0.5]
    seen.add(persons([8], [0.6]), 1.5, SIZE)
    assert list(seen._tracks) == [8]


def test_without_ids_or_keypoints_nothing_is_kept():
    seen = TrackLooks()
    some = persons([7], [0.5])
    seen.add(Detections(some.boxes, some.scores, None, some.keypoints), 0.0, SIZE)
    seen.add(Detections(some.boxes, some.scores, some.track_ids), 0.25, SIZE)
    assert seen.window(7, 0.25) is None


def test_memory_is_bounded_whatever_the_rate(monkeypatch):
    monkeypatch.setattr(looks, "MOST_LOOKS", 4)
    seen = TrackLooks()
    for i in range(10):
        seen.add(persons([7], [0.5]), i / 1000, SIZE)
    assert seen.window(7, 9 / 1000).times.tolist() == [0.006, 0.007, 0.008, 0.009]
    seen.add(Detections.empty(), 99.0, SIZE)
    assert not seen._tracks


def test_carried_landmarks_are_no_look():
    seen = TrackLooks()
    seen.add(persons([7], [0.5]), 0.0, SIZE)
    carried = persons([7], [0.5])
    carried.keypoints.looked[:] = False
    seen.add(carried, 0.25, SIZE)
    assert seen.window(7, 0.25).times.tolist() == [0.0]
    assert [seen.newest(7, time) for time in (0.25, 0.6, 0.61)] == [0.0, 0.0, None]
    assert seen.newest(8, 0.25) is None
