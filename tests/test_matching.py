import numpy as np

from sf_detect.matching import match_actions
from sf_detect.structures import ActionDetections, Detections, Frame, FrameResult

SCORED = Detections([[0, 0, 10, 10], [50, 0, 60, 10]], [1, 1], [4, 2])
NOW = Detections([[51, 0, 61, 10], [1, 0, 11, 10], [90, 0, 99, 10]], [1, 1, 1], [2, 4, 9])


def match(persons, scored):
    actions = None if scored is None else ActionDetections(0.0, scored, np.zeros((len(scored), 6)))
    return match_actions(FrameResult(Frame(np.zeros((20, 100, 3), np.uint8), 0, 0.0), persons, actions)).tolist()


def untracked(persons):
    return Detections(persons.boxes, persons.scores)


def test_actions_follow_their_track_between_keyframes():
    assert match(NOW, SCORED) == [1, 0, -1]


def test_actions_follow_overlap_without_tracks():
    assert match(untracked(NOW), untracked(SCORED)) == [1, 0, -1]
    assert match(untracked(SCORED), untracked(SCORED)) == [0, 1]


def test_nobody_is_scored():
    assert match(NOW, Detections.empty()) == [-1, -1, -1]
    assert match(NOW, None) == [-1, -1, -1]
    assert match(Detections.empty(), SCORED) == []
