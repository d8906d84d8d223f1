"""Whom a run knows on each detection: keypoints, lost tracks that are held, ids after a cut, named failures."""

from functools import partial

import numpy as np
import pytest

from fakes import FakeDetector, FakeSource, FakeTracker
from sf_detect.errors import StageError
from sf_detect.person_stage import PersonStage
from sf_detect.structures import Detections, Keypoints
from sf_detect.tracking import ByteTrack


class FakeKeypoints:
    """Presence of a person: how often it was looked before, in tenths, plus one."""

    def __init__(self):
        self.looks, self.resets = 0, 0

    def update(self, frame, persons):
        self.looks += 1
        unknown = Keypoints.unknown(len(persons))
        return Keypoints(unknown.points, unknown.metres, np.full(len(persons), self.looks / 10))

    def reset(self):
        self.resets += 1


def test_keypoints_are_those_of_every_detection():
    made = []
    stage = PersonStage(FakeDetector(), FakeTracker, None, lambda: made.append(FakeKeypoints()) or made[-1])
    run = stage.begin("v")
    looks = [run(frame).keypoints.presence.tolist() for frame in FakeSource(num_frames=2)]
    np.testing.assert_allclose(looks, [[0.1, 0.1], [0.2, 0.2]])
    run.start_anew()
    run(next(iter(FakeSource(num_frames=1))))
    assert [keypoints.resets for keypoints in made] == [1]


class Holding(FakeKeypoints):
    """Sees every lost track where it should be."""

    def held(self, frame, persons, lost):
        self.lost = lost.track_ids.tolist()
        assert persons.keypoints is not None
        return Detections(lost.boxes, np.full(len(lost), 0.1), lost.track_ids, Keypoints.unknown(len(lost)))


def losing(last):
    """A detector that sees person 0 no longer after frame `last`."""
    return FakeDetector(present=lambda person, index: person > 0 or index <= last)


def test_a_lost_track_that_is_held_goes_on():
    run = PersonStage(losing(0), ByteTrack, None, Holding).begin("v")
    found = [run(frame) for frame in FakeSource(num_frames=12, fps=3)]
    assert [persons.track_ids.tolist() for persons in found] == [[1, 2], *[[2, 1]] * 11]  # 4 s; unheld it is gone in 2
    assert found[-1].scores[1] == pytest.approx(0.1)
    assert len(found[-1].keypoints) == 2


def test_ids_of_held_tracks_go_on_after_a_cut():
    run = PersonStage(losing(10), ByteTrack, None, Holding).begin("v")
    source = list(FakeSource(num_frames=14, fps=30))
    for frame in source[:5]:
        run(frame)
    run.start_anew()
    found = [run(frame).track_ids.tolist() for frame in source[5:]]
    assert found == [*[[3, 4]] * 6, *[[4, 3]] * 3]


def test_who_cannot_hold_or_be_resumed_holds_nobody():
    class Rows:
        def at(self, video, pts, image_size):
            return FakeDetector()._look(0) if pts < 0.02 else Detections(np.zeros((0, 4)), np.zeros(0))

    for detector, tracker, keypoints in (
        (losing(0), FakeTracker, Holding),
        (losing(0), ByteTrack, FakeKeypoints),
        (Rows(), ByteTrack, Holding),
    ):
        run = PersonStage(detector, tracker, None, keypoints).begin("v")
        found = [run(frame) for frame in FakeSource(num_frames=3)]
        assert len(found[-1]) < 2


class Confirming(FakeKeypoints):
    """Confirms the doubtful while there are at most `most` persons; remembers how many there were of both."""

    def __init__(self, most=9):
        super().__init__()
        self.most, self.asked = most, []

    def confirmed(self, frame, persons, doubtful):
        self.asked.append((len(persons), len(doubtful)))
        return doubtful if len(persons) <= self.most else doubtful.select(np.zeros(0, np.intp))


def weak(scores, fps=30):
    """A detector of two people, scored as given."""
    plain = FakeDetector(fps=fps)

    def detect(images):
        return [Detections(found.boxes, np.array(scores, np.float32)) for found in plain(images)]

    return detect


def test_weak_detections_that_are_confirmed_start_tracks():
    made = []
    stage = PersonStage(weak([0.9, 0.3]), ByteTrack, None, lambda: made.append(Confirming()) or made[-1])
    run = stage.begin("v")
    found = [run(frame) for frame in FakeSource(num_frames=3)]
    assert [persons.track_ids.tolist() for persons in found] == [[1, 2]] * 3
    assert found[0].scores.tolist() == pytest.approx([0.9, 0.3])
    assert len(found[0].keypoints) == 2  # they are looked at as everybody is
    assert made[0].asked == [(1, 1)]  # then they are tracked, and nobody is doubtful


def test_who_stays_too_weak_for_a_track_keeps_their_id():
    stage = PersonStage(weak([0.9, 0.1]), partial(ByteTrack, least_score=0.2), None, Confirming)
    run = stage.begin("v")
    assert [run(frame).track_ids.tolist() for frame in FakeSource(num_frames=4)] == [[1, 2]] * 4


def test_weak_detections_that_are_not_confirmed_are_nobody():
    run = PersonStage(weak([0.9, 0.3]), ByteTrack, None, lambda: Confirming(most=0)).begin("v")
    assert [run(frame).track_ids.tolist() for frame in FakeSource(num_frames=3)] == [[1]] * 3


def test_ids_of_confirmed_persons_are_not_used_again_after_a_cut():
    run = PersonStage(weak([0.3, 0.3]), ByteTrack, None, Confirming).begin("v")
    found = []
    for frame in FakeSource(num_frames=3):
        found.append(run(frame).track_ids.tolist())
        run.start_anew()
    assert found == [[1, 2], [3, 4], [5, 6]]


def test_who_cannot_confirm_or_be_told_confirms_nobody():
    class Rows:
        def at(self, video, pts, image_size):
            return weak([0.9, 0.3])([next(iter(FakeSource())).image])[0]

    class Bare:
        def __init__(self):
            tracker = ByteTrack()
            self.update, self.reset = tracker.update, tracker.reset

    for detector, tracker, keypoints in (
        (weak([0.9, 0.3]), Bare, Confirming),
        (weak([0.9, 0.3]), ByteTrack, FakeKeypoints),
        (Rows(), ByteTrack, Confirming),
    ):
        run = PersonStage(detector, tracker, None, keypoints).begin("v")
        assert len(run(next(iter(FakeSource())))) == 1


def test_what_fails_while_confirming_is_named():
    class Failing(Confirming):
        def confirmed(self, frame, persons, doubtful):
            raise RuntimeError("no look")

    run = PersonStage(weak([0.9, 0.3]), ByteTrack, None, Failing).begin("v")
    with pytest.raises(StageError, match=r"doubtful detections failed on frame 0 .*no look"):
        run(next(iter(FakeSource())))


class Finding(Holding):
    """Finds somebody at `place` on frames `when`; remembers whom it was told to go on with, and who was known."""

    def __init__(self, when=(0,), place=(4, 4, 12, 20)):
        super().__init__()
        self.when, self.place, self.followed, self.known = when, place, [], []

    def found(self, frame, persons):
        self.known.append(len(persons))
        count = int(frame.index in self.when)
        boxes = np.array([self.place] * count, np.float32).reshape(-1, 4)
        return Detections(boxes, np.full(count, 0.14), None, Keypoints.unknown(count))

    def follow(self, frame, persons):
        self.followed.append((frame.index, persons.track_ids.tolist()))


def finding(detector, tracker=ByteTrack, **options):
    made = []
    stage = PersonStage(detector, tracker, None, lambda: made.append(Finding(**options)) or made[-1])
    return stage.begin("v"), made


def test_people_who_are_found_start_tracks_that_are_held():
    run, made = finding(FakeDetector())
    found = [run(frame) for frame in FakeSource(num_frames=12, fps=3)]
    assert [persons.track_ids.tolist() for persons in found] == [[1, 2, 3]] * 12
    assert made[0].followed == [(0, [3])]
    assert made[0].known == [2] + [3] * 11  # whoever is held is known
    np.testing.assert_array_equal(found[0].boxes[2], [4, 4, 12, 20])
    assert found[0].scores[2] == pytest.approx(0.14)
    assert all(len(persons.keypoints) == 3 for persons in found)


def test_who_is_found_before_the_detector_finds_them_is_one_track():
    seen_late = FakeDetector(present=lambda person, index: person > 0 or index > 1)
    place = FakeDetector()._look(0).boxes[0]
    run, made = finding(seen_late, place=place)
    found = [run(frame).track_ids.tolist() for frame in FakeSource(num_frames=4)]
    assert [sorted(ids) for ids in found] == [[1, 2]] * 4
    assert made[0].followed == [(0, [2])]


def test_a_lost_track_that_is_found_again_goes_on():
    class Unheld(Finding):
        def held(self, frame, persons, lost):
            return Detections.empty()

    place = FakeDetector()._look(0).boxes[0]
    run = PersonStage(losing(0), ByteTrack, None, lambda: Unheld(when=(2,), place=place)).begin("v")
    found = [run(frame).track_ids.tolist() for frame in FakeSource(num_frames=3)]
    assert found == [[1, 2], [2], [2, 1]]


def test_ids_of_found_people_are_not_used_again_after_a_cut():
    run, made = finding(FakeDetector(), when=(0, 1))
    found = []
    for frame in FakeSource(num_frames=2):
        found.append(run(frame).track_ids.tolist())
        run.start_anew()
    assert found == [[1, 2, 3], [4, 5, 6]]
    assert made[0].followed == [(0, [3]), (1, [6])]


def test_who_cannot_find_or_be_told_finds_nobody():
    class Rows:
        def at(self, video, pts, image_size):
            return FakeDetector()._look(0)

    for detector, tracker in ((FakeDetector(), FakeTracker), (Rows(), ByteTrack)):
        run, made = finding(detector, tracker)
        assert len(run(next(iter(FakeSource())))) == 2
        assert made[0].known == []


def test_what_fails_while_finding_is_named():
    class Failing(Finding):
        def found(self, frame, persons):
            raise RuntimeError("no look")

    run = PersonStage(FakeDetector(), ByteTrack, None, Failing).begin("v")
    with pytest.raises(StageError, match=r"people who are not detected failed on frame 0 .*no look"):
        run(next(iter(FakeSource())))


class Merging(FakeKeypoints):
    """Takes all persons for the first."""

    def each_once(self, frame, persons):
        assert persons.keypoints is not None
        return persons.select(np.arange(min(len(persons), 1)))


def test_second_boxes_are_left_out():
    run = PersonStage(FakeDetector(), FakeTracker, None, Merging).begin("v")
    assert [len(run(frame)) for frame in FakeSource(num_frames=2)] == [1, 1]


def test_what_fails_while_second_boxes_are_left_out_is_named():
    class Failing(Merging):
        def each_once(self, frame, persons):
            raise RuntimeError("no box")

    run = PersonStage(FakeDetector(), FakeTracker, None, Failing).begin("v")
    with pytest.raises(StageError, match=r"persons in two boxes failed on frame 0 .*no box"):
        run(next(iter(FakeSource())))


def test_what_fails_while_holding_is_named():
    class Failing(Holding):
        def held(self, frame, persons, lost):
            raise RuntimeError("no look")

    run = PersonStage(FakeDetector(), ByteTrack, None, Failing).begin("v")
    with pytest.raises(StageError, match=r"held tracks failed on frame 0 .*no look"):
        run(next(iter(FakeSource())))


def test_keypoints_that_fail_are_named():
    class Failing(FakeKeypoints):
        def update(self, frame, persons):
            raise RuntimeError("no landmark")

    run = PersonStage(FakeDetector(), FakeTracker, None, Failing).begin("v")
    with pytest.raises(StageError, match=r"keypoints failed on frame 0 .*no landmark"):
        run(next(iter(FakeSource())))
