"""Who is found where the detector misses people, how often that is tried, and what is left alone."""

from __future__ import annotations

import numpy as np
import pytest

from sf_detect.keypoints import finding
from sf_detect.keypoints.blazepose_person import PersonSquare
from sf_detect.keypoints.crop import MARGIN, Crop
from sf_detect.keypoints.finding import APART, CERTAIN, PATIENCE, QUIET, PersonSearch
from sf_detect.structures import Detections, Keypoints
from tests.keypoints.test_holding import NOBODY, STANDING, Sees, body, frame, tracks

HIPS = (95.0, 84.0)
"""Of who stands in STANDING."""


def square(x=HIPS[0], y=HIPS[1], radius=42.0, score=0.8, angle=0.0):
    return PersonSquare(Crop(x, y, 2 * MARGIN * radius, angle), score)


class Places:
    """Finds the same places in every picture, and counts the pictures."""

    def __init__(self, *squares):
        self.squares, self.pictures = list(squares), 0

    def __call__(self, image):
        self.pictures += 1
        return self.squares


def search(*squares, network=None, **options):
    """A search, and the network that looks at these places."""
    network = network or Sees(presence=1.0)
    return PersonSearch(Places(*squares), network, **options), network


def test_somebody_whom_nobody_detected_is_found():
    looking, network = search(square(angle=0.2))
    (found,) = looking.found(frame(0.0), NOBODY)
    assert network.crops == [square(angle=0.2).crop]
    np.testing.assert_allclose(found.box, STANDING, atol=14)
    assert found.seen.presence.tolist() == pytest.approx([1.0])


def test_two_people_are_found_at_once():
    class Two(Sees):
        def __call__(self, image, crop):
            self.box = STANDING if crop.x > 70 else (10.0, 40.0, 40.0, 120.0)
            return super().__call__(image, crop)

    looking, _ = search(square(), square(25.0), network=Two(presence=1.0))
    assert len(looking.found(frame(0.0), NOBODY)) == 2


def few_landmarks(image, crop):
    """A body of which 23 landmarks are sure."""
    points = body(STANDING)
    points[23:, 2] = 0.1
    return Keypoints(points[None], np.zeros((1, 33, 3)), np.ones(1))


@pytest.mark.parametrize(
    ("network", "why"),
    [
        (Sees(presence=CERTAIN - 0.01), "the network is not certain"),
        (Sees(presence=1.0, confidence=0.2), "no landmark is sure"),
        (few_landmarks, "23 landmarks are too few"),
        (Sees((90.0, 75.0, 100.0, 95.0), presence=1.0), "the body is too small for the circle"),
        (Sees(None), "nobody is there"),
    ],
)
def test_what_landmarks_do_not_show_is_not_found(network, why):
    looking, _ = search(square(), network=network)
    assert looking.found(frame(0.0), NOBODY) == [], why


def test_a_body_larger_than_the_circle_is_none():
    looking, _ = search(square(radius=15.0))
    assert looking.found(frame(0.0), NOBODY) == []


def known(box, presence=0.0, confidence=0.9):
    """A tracked person whose landmarks fill the box."""
    seen = Keypoints(body(box, confidence)[None], np.zeros((1, 33, 3)), np.array([presence]))
    one = tracks(box)
    return Detections(one.boxes, one.scores, one.track_ids, seen)


@pytest.mark.parametrize(
    ("person", "looks"),
    [
        (tracks(STANDING), 0),
        (known(STANDING, 0.9), 0),
        (known((80.0, 40.0, 110.0, 200.0), 0.9), 1),  # their hips are lower
        (known((80.0, 40.0, 110.0, 200.0), 0.9, confidence=0.4), 1),  # as is the middle of the box
        (known((40.0, 40.0, 70.0, 120.0), 0.9), 1),
    ],
)
def test_who_is_tracked_is_not_looked_at(person, looks):
    looking, network = search(square(radius=30.0))
    looking.found(frame(0.0), person)
    assert len(network.crops) == looks


def test_somebody_whose_landmarks_lie_in_the_box_of_another_is_that_person():
    looking, network = search(square(110.0))
    other = tracks((60.0, 20.0, 105.0, 148.0))
    assert looking.found(frame(0.0), other) == []
    assert len(network.crops) == 1
    assert looking.found(frame(0.5), other) == []
    assert len(looking.found(frame(1.0), NOBODY)) == 1  # the place was not refused


def test_two_places_that_show_the_same_body_are_one_person():
    looking, network = search(square(80.0), square(110.0))
    assert len(looking.found(frame(0.0), NOBODY)) == 1
    assert len(network.crops) == 2


def searched(looking, *persons):
    """On which of the frames, 0.25 s apart, the picture is searched."""
    times = []
    for number, known_now in enumerate(persons):
        before = looking._people.pictures
        looking.found(frame(number * 0.25), known_now)
        times += [number] * (looking._people.pictures - before)
    return times


def test_pictures_are_searched_about_once_a_second_while_somebody_may_be_there():
    assert APART == 0.9
    doubtful = [square(20.0 * number, 75.0, 15.0) for number in range(9)]
    assert searched(search(*doubtful, network=Sees(None))[0], *[NOBODY] * 12) == [0, 4, 8]


def test_pictures_are_searched_more_seldom_while_they_show_nobody_new():
    assert (QUIET, PATIENCE) == (2.7, 2)
    assert searched(search()[0], *[NOBODY] * 30) == [0, 4, 15, 26]
    assert searched(search(square())[0], *[tracks(STANDING)] * 30) == [0, 4, 15, 26]


def test_when_somebody_has_gone_they_are_looked_for_soon():
    here, two = tracks(STANDING), tracks(STANDING, (0.0, 20.0, 30.0, 100.0))
    assert searched(search()[0], *[here] * 10, *[NOBODY] * 14) == [0, 4, 10, 21]
    assert searched(search()[0], here, *[two] * 9, *[here] * 14) == [0, 4, 10, 21]
    assert searched(search()[0], *[here] * 9, NOBODY, *[here] * 13) == [0, 4, 9, 20]


def test_places_where_nobody_was_seen_are_not_looked_at_again_for_a_while():
    looking, network = search(square(40.0), square(70.0), square(100.0), network=Sees(None))
    looked = []
    for number in range(5):
        network.crops.clear()
        looking.found(frame(number * 1.0), NOBODY)
        looked.append([crop.x for crop in network.crops])
    assert finding.LOOKS == 2
    assert looked == [[40, 70], [100], [], [40, 70], [100]]


def test_no_more_people_are_looked_for_than_wanted():
    looking, network = search(square(), square(25.0), max_persons=2)
    looking.found(frame(0.0), tracks((150.0, 40.0, 180.0, 120.0)))
    assert len(network.crops) == 1
    full = tracks((150.0, 40.0, 180.0, 120.0), (0.0, 40.0, 20.0, 120.0))
    assert looking.found(frame(2.0), full) == []
    assert looking._people.pictures == 1


def test_people_smaller_than_wanted_are_not_found():
    assert search(square(), min_size=95.0)[0].found(frame(0.0), NOBODY) == []
    assert len(search(square(), min_size=60.0)[0].found(frame(0.0), NOBODY)) == 1


def test_a_reset_forgets_places_and_searches_at_once():
    looking, network = search(square(), network=Sees(None))
    for _ in range(2):
        looking.found(frame(0.0), NOBODY)
        looking.reset()
    assert len(network.crops) == 2


def test_squares_that_are_no_place_are_nobody():
    def nothing(image, crop):
        return Keypoints.unknown(1)

    looking, _ = search(square(-500.0, 1e6, 1e5), square(0.0, 0.0, 0.5), network=nothing)
    assert looking.found(frame(0.0), NOBODY) == []
