"""Whom the landmark network keeps where the detector loses them, and where nobody must be left behind."""

from __future__ import annotations

import numpy as np
import pytest

from sf_detect.interfaces import KeypointEstimator, MissedPersonFinder, PersonConfirmer, TrackHolder
from sf_detect.keypoints import holding
from sf_detect.keypoints.blazepose_person import PersonSquare
from sf_detect.keypoints.crop import Crop
from sf_detect.keypoints.estimator import TrackKeypoints
from sf_detect.keypoints.finding import PersonSearch
from sf_detect.keypoints.holding import CONFIRMED, SCORE, SEARCH, HeldKeypoints
from sf_detect.structures import Detections, Frame, Keypoints

STANDING, LYING = (80.0, 40.0, 110.0, 120.0), (70.0, 95.0, 150.0, 120.0)
SIZE = (150, 200)


def body(box, confidence=0.9):
    """Landmarks (33, 3) spread over a box: the head at the top, or left where it is wider than high."""
    x1, y1, x2, y2 = box
    along = np.full(33, 0.95)
    along[:11], along[[11, 12]], along[[23, 24]] = 0.08, 0.2, 0.55
    across = np.where(np.arange(33) % 2, 0.1, 0.9)
    across[:11] = 0.5
    wide = x2 - x1 > y2 - y1
    x, y = (along, across) if wide else (across, along)
    return np.stack([x1 + x * (x2 - x1), y1 + y * (y2 - y1), np.full(33, confidence)], axis=1).astype(np.float32)


class Sees:
    """A landmark network that sees one body, where it is well within its square; remembers the squares."""

    def __init__(self, box=STANDING, presence=0.95, confidence=0.9):
        self.box, self.presence, self.confidence = box, presence, confidence
        self.crops = []

    def __call__(self, image, crop):
        self.crops.append(crop)
        if self.box is None:
            return Keypoints(np.zeros((1, 33, 3)), np.zeros((1, 33, 3)), np.array([0.02]))
        x1, y1, x2, y2 = self.box
        away = max(abs((x1 + x2) / 2 - crop.x), abs((y1 + y2) / 2 - crop.y))
        presence = self.presence if away < 0.35 * crop.side else 0.1
        return Keypoints(body(self.box, self.confidence)[None], np.zeros((1, 33, 3)), np.array([presence]))


def frame(pts):
    return Frame(np.zeros((*SIZE, 3), np.uint8), round(pts * 100), pts)


def tracks(*boxes, ids=None):
    numbers = np.arange(1, len(boxes) + 1) if ids is None else np.array(ids, np.int64)
    return Detections(np.array(boxes, np.float32).reshape(-1, 4), np.full(len(boxes), 0.8), numbers)


NOBODY = tracks()


class Run:
    """A run with a detection every 0.25 s."""

    def __init__(self, network, **options):
        self.network, self.holder, self.time = network, HeldKeypoints(network, **options), 0.0

    def step(self, detected=NOBODY, lost=NOBODY):
        self.time += 0.25
        now = frame(self.time)
        keypoints = self.holder.update(now, detected)
        persons = Detections(detected.boxes, detected.scores, detected.track_ids, keypoints)
        self.network.crops.clear()
        return self.holder.held(now, persons, lost)


def standing(network=None, **options):
    """A run in which person 1 stood for three detections."""
    run = Run(network or Sees(), **options)
    for _ in range(3):
        assert len(run.step(tracks(STANDING))) == 0
    return run


def test_it_holds_tracks_and_plain_keypoints_do_not():
    assert isinstance(HeldKeypoints(Sees()), TrackHolder)
    assert isinstance(TrackKeypoints(Sees()), KeypointEstimator)
    assert not isinstance(TrackKeypoints(Sees()), TrackHolder)
    assert isinstance(HeldKeypoints(Sees()), PersonConfirmer)
    assert not isinstance(TrackKeypoints(Sees()), PersonConfirmer)


def test_who_falls_goes_on_where_they_lie():
    run = standing()
    run.network.box = LYING
    held = run.step(lost=tracks(STANDING))
    assert held.track_ids.tolist() == [1]
    x1, y1, x2, y2 = held.boxes[0]
    assert x2 - x1 > 60
    assert y2 - y1 < 35
    assert held.scores.tolist() == pytest.approx([SCORE * 0.95])
    assert held.keypoints.presence.tolist() == pytest.approx([0.95])
    np.testing.assert_allclose(held.keypoints.points[0], body(LYING))
    # The trunk lay across the first square: the second stands along it, as do those of later frames.
    angles = [crop.angle for crop in run.network.crops]
    assert angles == pytest.approx([0, -np.pi / 2], abs=0.01)
    assert len(run.step(lost=tracks(held.boxes[0]))) == 1
    assert [crop.angle for crop in run.network.crops] == pytest.approx([-np.pi / 2], abs=0.01)


def test_the_square_moves_with_the_prediction_and_keeps_its_size():
    run = standing()
    run.network.box = (100.0, 40.0, 130.0, 120.0)
    held = run.step(lost=tracks((100.0, 60.0, 130.0, 100.0)))  # edges that ran away
    assert [(crop.x, crop.y) for crop in run.network.crops] == [(115, 80)]
    assert run.network.crops[0].side == pytest.approx(1.25 * 80 * 1.3)
    assert held.track_ids.tolist() == [1]


def test_a_wider_square_finds_who_moved_fast():
    run = standing()
    run.network.box = (135.0, 40.0, 165.0, 120.0)
    assert len(run.step(lost=tracks(STANDING))) == 1
    assert len(run.network.crops) == 2


def test_who_lies_still_is_held_as_long_as_wanted_and_no_longer():
    run = standing(hold=3.0)
    lost = tracks(STANDING)
    steps = [len(run.step(lost=lost)) for _ in range(14)]
    assert steps == [1] * 12 + [0] * 2
    assert len(run.step(tracks(STANDING), lost=NOBODY)) == 0
    assert len(run.step(lost=lost)) == 1  # the detector saw them again


def test_where_nobody_is_seen_nobody_is_held_and_soon_nobody_looks():
    run = standing()
    run.network.box = None
    looks = []
    for _ in range(6):
        assert len(run.step(lost=tracks(STANDING))) == 0
        looks.append(len(run.network.crops))
    assert SEARCH == 1.0
    assert looks == [1, 0, 1, 0, 0, 0]  # one square, every second time
    run.network.box = STANDING
    assert len(run.step(lost=tracks(STANDING))) == 0


@pytest.mark.parametrize(
    ("network", "why"),
    [
        (Sees(presence=0.4), "the network doubts it"),
        (Sees(confidence=0.2), "no landmark is sure"),
        (Sees((0.0, 0.0, 200.0, 150.0)), "nobody grows so fast"),
        (Sees((90.0, 70.0, 95.0, 90.0)), "nobody shrinks so fast"),
        (Sees((140.0, 95.0, 199.0, 149.0), presence=0.8), "elsewhere it takes more certainty"),
    ],
)
def test_what_is_seen_must_be_the_person(network, why):
    run = standing()
    run.network, run.holder._network = network, network
    assert len(run.step(lost=tracks(STANDING))) == 0, why


def test_who_leaves_the_picture_is_not_looked_for():
    run = standing()
    for box in ((-25.0, 40.0, 5.0, 120.0), (np.nan, 40.0, 5.0, 120.0)):
        assert len(run.step(lost=tracks(box))) == 0
        assert not run.network.crops


def test_somebody_else_at_that_place_is_not_the_lost_person():
    run = standing()
    assert len(run.step(tracks(STANDING, ids=[2]), lost=tracks(STANDING))) == 0
    assert not run.network.crops  # their boxes tell
    beside = (STANDING[0] + 10, *STANDING[1:])
    run.network.box = (70.0, 45.0, 90.0, 118.0)
    assert len(run.step(tracks((64.0, 30.0, 96.0, 145.0), ids=[2]), lost=tracks(beside))) == 0
    assert run.network.crops  # the landmarks lie in the other's box


def test_who_stands_behind_somebody_is_not_looked_for():
    run = standing()
    in_front = (60.0, 30.0, 130.0, 150.0)
    assert len(run.step(tracks(in_front, ids=[2]), lost=tracks(STANDING))) == 0
    assert not run.network.crops


def test_after_somebody_else_was_seen_a_detection_passes_without_a_look():
    run = standing()
    run.network.box = (70.0, 45.0, 90.0, 118.0)
    other, beside = tracks((64.0, 30.0, 96.0, 145.0), ids=[2]), tracks((STANDING[0] + 10, *STANDING[1:]))
    looks = []
    for _ in range(3):
        run.step(other, lost=beside)
        looks.append(len(run.network.crops))
    assert looks == [1, 0, 1]


def test_doubt_is_looked_into_at_once_and_with_wider_squares():
    run = standing(Sees(presence=0.95))
    run.network.presence = 0.3
    looks = []
    for _ in range(3):
        run.step(lost=tracks(STANDING))
        looks.append(len(run.network.crops))
    assert looks == [3, 3, 3]


def test_two_lost_tracks_do_not_become_one_person():
    run = Run(Sees())
    other = (STANDING[0] - 20, STANDING[1], STANDING[2] - 20, STANDING[3])
    for _ in range(3):
        run.step(tracks(STANDING, other))
    held = run.step(lost=tracks(STANDING, other))
    assert held.track_ids.tolist() == [1]


def test_only_the_confirmed_are_held():
    run = Run(Sees())
    run.step(tracks(STANDING))
    assert len(run.step(lost=tracks(STANDING))) == 0  # detected once
    run = Run(Sees(presence=0.3))
    for _ in range(3):
        run.step(tracks(STANDING))
    run.network.presence = 0.95
    assert len(run.step(lost=tracks(STANDING))) == 0  # the network never saw a person there


@pytest.mark.parametrize(("unsure", "expected"), [(2, 1), (3, 0)])
def test_looks_that_fail_in_mid_fall_end_nothing_for_a_while(unsure, expected):
    run = standing()
    run.step(tracks(STANDING))
    run.network.presence = 0.3
    for _ in range(unsure):
        run.step(tracks(STANDING))
    run.network.presence = 0.95
    assert len(run.step(lost=tracks(STANDING))) == expected


def test_who_is_recognised_now_and_then_is_no_person():
    run = Run(Sees(presence=0.3))
    for _ in range(4):
        run.step(tracks(STANDING))
    run.network.presence = 0.95
    for _ in range(3):
        run.step(tracks(STANDING))
    assert len(run.step(lost=tracks(STANDING))) == 0


def test_no_more_are_looked_at_than_wanted():
    run = standing(max_persons=1)
    assert len(run.step(tracks((0.0, 0.0, 20.0, 40.0), ids=[2]), lost=tracks(STANDING))) == 0
    assert len(run.step(lost=tracks(STANDING))) == 1


def test_a_reset_forgets_everybody():
    run = standing()
    run.holder.reset()
    assert len(run.step(lost=tracks(STANDING))) == 0
    assert not run.network.crops


def test_persons_without_ids_are_nobody_to_hold():
    holder = HeldKeypoints(Sees())
    bare = Detections(np.array([STANDING], np.float32), np.array([0.9]))
    found = holder.held(frame(0.0), bare, Detections(bare.boxes, bare.scores))
    assert len(found) == 0
    assert found.keypoints is not None


def test_held_scores_are_below_those_of_detections():
    assert holding.SCORE < 0.2  # the least that the default detector reports


ELSEWHERE = (0.0, 20.0, 30.0, 100.0)


def doubtful(*boxes, scores=None):
    return Detections(np.array(boxes, np.float32).reshape(-1, 4), np.array(scores or [0.15] * len(boxes), np.float32))


def test_a_weak_detection_that_landmarks_fill_is_confirmed():
    holder = HeldKeypoints(Sees(presence=0.96))
    weak = doubtful(ELSEWHERE, STANDING, scores=[0.11, 0.15])
    found = holder.confirmed(frame(0.0), NOBODY, weak)
    np.testing.assert_array_equal(found.boxes, [STANDING])
    assert found.scores.tolist() == pytest.approx([0.15])
    assert len(holder.confirmed(frame(0.0), NOBODY, doubtful())) == 0


def few_landmarks(image, crop):
    """A body of which nine landmarks are sure."""
    points = body(STANDING)
    points[9:, 2] = 0.1
    return Keypoints(points[None], np.zeros((1, 33, 3)), np.ones(1))


@pytest.mark.parametrize(
    ("network", "why"),
    [
        (Sees(presence=0.94), "the network is not certain"),
        (Sees(presence=0.99, confidence=0.2), "no landmark is sure"),
        (few_landmarks, "nine landmarks are too few"),
        (Sees((80.0, 40.0, 110.0, 78.0), presence=0.99), "they fill half of the box"),
        (Sees(None), "nobody is there"),
    ],
)
def test_what_landmarks_do_not_show_is_not_confirmed(network, why):
    assert CONFIRMED == 0.95
    assert len(HeldKeypoints(network).confirmed(frame(0.0), NOBODY, doubtful(STANDING))) == 0, why


def test_one_place_is_looked_at_on_a_frame_and_not_again_for_two_seconds():
    network = Sees(None)
    holder, weak = HeldKeypoints(network), doubtful(ELSEWHERE, STANDING, scores=[0.18, 0.12])
    looked = []
    for number in range(12):
        network.crops.clear()
        holder.confirmed(frame(number * 0.25), NOBODY, weak)
        looked.append([crop.x for crop in network.crops])
    assert looked == [[15], [95], *[[]] * 7, [15], [95], []]


def test_a_place_next_to_a_refused_one_is_the_same():
    network = Sees(None)
    holder = HeldKeypoints(network)
    for shift in (0, 5):
        holder.confirmed(frame(shift / 10), NOBODY, doubtful((80.0 + shift, 40.0, 110.0 + shift, 120.0)))
    assert len(network.crops) == 1
    network.box, network.presence = (40.0, 40.0, 70.0, 120.0), 0.99
    assert len(holder.confirmed(frame(1.0), NOBODY, doubtful(network.box))) == 1


def test_a_weak_detection_of_somebody_who_is_tracked_is_passed_over():
    network = Sees(presence=0.99)
    weak = doubtful(STANDING, ELSEWHERE, scores=[0.15, 0.11])
    found = HeldKeypoints(network).confirmed(frame(0.0), tracks((82.0, 40.0, 112.0, 120.0)), weak)
    assert len(found) == 0
    assert [crop.x for crop in network.crops] == [15]


def test_a_reset_forgets_where_nobody_was_seen():
    network = Sees(None)
    holder = HeldKeypoints(network)
    for _ in range(2):
        holder.confirmed(frame(0.0), NOBODY, doubtful(STANDING))
        holder.reset()
    assert len(network.crops) == 2


class Place:
    """Finds one place in every picture: that of STANDING."""

    def __call__(self, image):
        return [PersonSquare(Crop(95.0, 84.0, 105.0), 0.9)]


def finding_run(network=None, **options):
    network = network or Sees(presence=1.0)
    return Run(network, new_search=lambda: PersonSearch(Place(), network), **options)


def found_at(run, persons=NOBODY):
    """Whom the run finds on the frame of its newest step, as track 5."""
    found = run.holder.found(frame(run.time), persons)
    started = Detections(found.boxes, found.scores, np.full(len(found), 5), found.keypoints)
    run.holder.follow(frame(run.time), started)
    return started


def test_somebody_who_was_found_is_held_without_a_detection():
    run = finding_run()
    run.step()
    found = found_at(run)
    assert found.scores.tolist() == pytest.approx([SCORE])
    assert found.keypoints.presence.tolist() == pytest.approx([1.0])
    for _ in range(8):
        held = run.step(lost=tracks(found.boxes[0], ids=[5]))
        assert held.track_ids.tolist() == [5]
    run.network.box = None
    steps = [len(run.step(lost=tracks(found.boxes[0], ids=[5]))) for _ in range(6)]
    run.network.box = STANDING
    assert [*steps, len(run.step(lost=tracks(found.boxes[0], ids=[5])))] == [0] * 7  # not seen for longer than SEARCH


def test_who_was_found_is_held_no_longer_than_others():
    run = finding_run(hold=1.0)
    run.step()
    box = found_at(run).boxes[0]
    assert [len(run.step(lost=tracks(box, ids=[5]))) for _ in range(6)] == [1, 1, 1, 1, 0, 0]


def test_the_next_square_of_who_was_found_is_turned_as_they_are():
    run = finding_run(Sees(LYING, presence=1.0))
    run.network.box = (55.0, 70.0, 135.0, 98.0)
    run.step()
    box = found_at(run).boxes[0]
    run.step(lost=tracks(box, ids=[5]))
    assert run.network.crops[0].angle == pytest.approx(-np.pi / 2, abs=0.3)


def test_without_a_search_nobody_is_found():
    run = Run(Sees(presence=1.0))
    run.step()
    found = run.holder.found(frame(0.5), NOBODY)
    assert len(found) == 0
    assert found.keypoints is not None


def test_a_reset_begins_the_search_anew():
    run = finding_run()
    run.step()
    assert len(found_at(run)) == 1
    assert len(found_at(run)) == 0  # a moment ago
    run.holder.reset()
    assert len(found_at(run)) == 1
    assert isinstance(run.holder, MissedPersonFinder)
