"""Tubes, linking, frame-mAP and video-mAP under the conventions of the field."""

import numpy as np
import pytest

from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.evaluation.average_precision import envelope_ap, hit_places, rank, trapezoid_ap
from sf_detect.evaluation.conventions import CONVENTIONS, convention
from sf_detect.evaluation.linking import link_greedy, link_viterbi
from sf_detect.evaluation.mean_ap import FrameBoxes, MeanAP, frame_map, video_map, video_map_over
from sf_detect.evaluation.tubes import Tube, box_iou, tube_iou, tube_nms
from sf_detect.labels import LabelMap

LABELS = LabelMap.of(["walk", "run"])
SQUARE = [0.0, 0.0, 9.0, 9.0]


def tube(
    first: int, last: int, box: list[float] = SQUARE, score: float = 1.0, label: int = 0, video: str = "v"
) -> Tube:
    frames = np.arange(first, last + 1)
    return Tube(video, label, frames, np.tile(np.array(box, float), (len(frames), 1)), score)


def boxes(*rows: tuple[int, int, list[float], float]) -> FrameBoxes:
    """Rows of frame, label, box, score in one video."""
    frames, labels, places, scores = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [], [])
    n = len(rows)
    whole = [np.array(column, np.int64).reshape(n) for column in (np.zeros(n), frames, labels)]
    return FrameBoxes(*whole, np.array(places, float).reshape(n, 4), np.array(scores, float).reshape(n))


def test_average_precision_by_hand() -> None:
    hits = np.array([True, False, True])
    assert envelope_ap(hits, 4) == pytest.approx(0.25 * 1 + 0.25 * 2 / 3)
    # Points (recall, precision): (0, 1) (1/4, 1) (1/4, 1/2) (1/2, 2/3)
    assert trapezoid_ap(hits, 4) == pytest.approx(0.25 * 1 + 0.25 * (1 / 2 + 2 / 3) / 2)
    assert envelope_ap(np.zeros(3, bool), 4) == trapezoid_ap(np.zeros(3, bool), 4) == 0
    assert np.isnan(envelope_ap(hits, 0))
    assert np.isnan(trapezoid_ap(hits, 0))
    assert envelope_ap(np.zeros(0, bool), 2) == trapezoid_ap(np.zeros(0, bool), 2) == 0


def test_rank_of_equal_scores() -> None:
    scores, hits = np.array([0.1, 0.5, 0.5, 0.9]), np.array([True, False, True, False])
    assert rank(scores, hits).tolist() == [3, 1, 2, 0]
    assert rank(scores, hits, "optimistic").tolist() == [3, 2, 1, 0]
    assert rank(scores, hits, "pessimistic").tolist() == [3, 1, 2, 0]


def test_hit_places() -> None:
    hits = np.array([True, False, True, True])
    assert hit_places(np.array([0.1, 0.9, 0.8, 0.7]), hits).tolist() == [1, 2, 3]
    assert hit_places(np.array([0.9, 0.8, 0.8, 0.1]), hits).tolist() == [0, 2, 3]  # as they came
    assert hit_places(np.zeros(0), np.zeros(0, bool)).tolist() == []


def test_last_pixel() -> None:
    first, second = np.array([[0.0, 0, 9, 9]]), np.array([[0.0, 0, 9, 4]])
    assert box_iou(first, second, 1)[0] == pytest.approx(50 / 100)
    assert box_iou(first, second, 0)[0] == pytest.approx(36 / 81)


def test_tube_iou() -> None:
    half = tube(6, 15, [0, 0, 9, 4])
    act = tube_iou(tube(1, 10), half, convention("act"))
    assert act == pytest.approx(5 / 15 * 0.5)
    assert tube_iou(tube(1, 10), half, convention("multisports")) == pytest.approx(4 / 14 * 36 / 81)
    assert tube_iou(tube(1, 5), tube(6, 9), convention("act")) == 0
    one_frame = (tube(1, 5), tube(5, 9))
    assert tube_iou(*one_frame, convention("act")) == pytest.approx(1 / 9)
    assert tube_iou(*one_frame, convention("yowo")) == 0
    assert tube_iou(tube(3, 3), tube(3, 3), convention("multisports")) == 0


def test_tube_nms() -> None:
    tubes = [tube(1, 10, score=0.5), tube(1, 9, score=0.9), tube(1, 10, [50, 50, 60, 60], 0.1)]
    assert [t.score for t in tube_nms(tubes, 0.3, convention("act"))] == [0.9, 0.1]


def test_tube_is_validated() -> None:
    with pytest.raises(ValueError, match="frames of a tube ascend"):
        Tube("v", 0, np.array([2, 1]), np.zeros((2, 4)))
    with pytest.raises(ValueError, match="4\\) boxes for N > 0 frames"):
        Tube("v", 0, np.array([1]), np.zeros((2, 4)))
    assert repr(tube(1, 3)) == "Tube('v', label=0, frames 1-3, 1.000)"


def test_unknown_convention() -> None:
    assert CONVENTIONS == ("act", "yowo", "multisports")
    with pytest.raises(UnknownNameError, match="unknown convention of frame-mAP and video-mAP 'yolo'"):
        convention("yolo")


def test_frame_map_second_choice() -> None:
    near = [0.0, 0, 9, 8]
    truth = boxes((1, 0, SQUARE, 1), (1, 0, near, 1))
    found = boxes((1, 0, SQUARE, 0.9), (1, 0, SQUARE, 0.8))
    assert frame_map(truth, found, LABELS, "act").mean_ap == pytest.approx(1)
    assert frame_map(truth, found, LABELS, "yowo").mean_ap == pytest.approx(0.5)
    assert frame_map(truth, found, LABELS, "multisports").mean_ap == pytest.approx(0.5)


def test_frame_map_conventions() -> None:
    truth = boxes(*((frame, 0, SQUARE, 1) for frame in range(4)))
    hit, half = [0.0, 0, 9, 9], [0.0, 0, 9, 4]  # IoU 0.5 with the last pixel, 0.44 without
    found = boxes((0, 0, hit, 0.9), (9, 0, hit, 0.8), (1, 0, half, 0.7), (2, 0, hit, 0.005), (2, 1, hit, 0.9))
    act = frame_map(truth, found, LABELS, "act")
    last = 0.25 * (2 / 3 + 3 / 4) / 2
    assert act.per_class["walk"] == pytest.approx(0.25 + 0.25 * (1 / 2 + 2 / 3) / 2 + last)
    assert np.isnan(act.per_class["run"])
    assert act.mean_ap == act.per_class["walk"]
    yowo = frame_map(truth, found, LABELS, "yowo")  # the last one is below 0.01
    assert yowo.mean_ap == pytest.approx(0.25 + 0.25 * 2 / 3)
    assert frame_map(truth, found, LABELS, "multisports").mean_ap == pytest.approx(0.25 + 0.25 * 0.5)
    assert act.name == "frame-mAP@0.5 (act)"
    assert act.to_json() == {"mAP": act.mean_ap, "per_class": {"walk": act.mean_ap, "run": None}}
    assert act.table().splitlines()[-1].split() == ["mean", f"{100 * act.mean_ap:.2f}", "4"]


def test_frame_map_of_nothing() -> None:
    assert frame_map(boxes((1, 0, SQUARE, 1)), boxes(), LABELS, "act").mean_ap == 0
    empty = frame_map(boxes(), boxes((1, 0, SQUARE, 1)), LABELS, "yowo")
    assert np.isnan(empty.mean_ap)
    assert empty.to_json()["mAP"] is None
    with pytest.raises(ValueError, match="columns have shape"):
        FrameBoxes(*[np.zeros(2, np.int64)] * 3, np.zeros((2, 4)), np.zeros(3))


@pytest.mark.parametrize("how", CONVENTIONS)
def test_video_map(how: str) -> None:
    truth = [tube(1, 20), tube(1, 20, video="w"), tube(1, 20, label=1)]
    found = [tube(1, 20, score=0.9), tube(1, 20, video="x", score=0.8), tube(1, 16, video="w", score=0.7)]
    expected = {"act": 0.5 + 0.5 * (1 / 2 + 2 / 3) / 2}.get(how, 0.5 + 0.5 * 2 / 3)
    result = video_map(truth, found, LABELS, how, 0.75)
    assert result.per_class["walk"] == pytest.approx(expected, abs=1e-4)
    assert result.per_class["run"] == 0
    assert result.truths == {"walk": 2, "run": 1}
    strict = video_map(truth, found, LABELS, how, 0.85)
    assert strict.per_class["walk"] == pytest.approx(0.5, abs=1e-4)


def test_video_map_second_choice_and_rounding() -> None:
    truth = [tube(1, 20), tube(1, 19)]
    found = [tube(1, 20, score=0.9), tube(1, 20, score=0.8)]
    assert video_map(truth, found, LABELS, "act", 0.5).mean_ap == pytest.approx(1)
    assert video_map(truth, found, LABELS, "multisports", 0.5).mean_ap == pytest.approx(0.5)
    three = [tube(1, 20, video=str(i)) for i in range(3)]
    assert video_map(three, three[:1], LABELS, "yowo", 0.5).mean_ap == 0.3333  # in percent, two decimals


def test_multisports_leaves_six_classes_out() -> None:
    labels = LabelMap.of(["basketball save", "basketball pass"])
    truth, found = [tube(1, 20), tube(1, 20, label=1)], [tube(1, 20, label=1)]
    assert video_map(truth, found, labels, "multisports", 0.5).per_class == {"basketball pass": 1}
    assert video_map(truth, found, labels, "act", 0.5).mean_ap == 0.5


def test_video_map_over_thresholds() -> None:
    truth, found = [tube(1, 20)], [tube(1, 15, score=0.5)]  # tube IoU 0.75
    result = video_map_over(truth, found, LABELS, "act")
    assert result == pytest.approx({"0.2": 1, "0.5": 1, "0.75": 1, "0.5:0.95": 0.6})


def _frames(count: int, *tracks: tuple[float, float]) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Boxes that move right by 2 a frame, each track given as (y, score)."""
    return {
        frame: (
            np.array([[2.0 * frame, y, 2.0 * frame + 20, y + 20] for y, _ in tracks]),
            np.array([score for _, score in tracks]),
        )
        for frame in range(1, count + 1)
    }


def test_link_greedy_separates_people() -> None:
    tubes = link_greedy("v", 1, _frames(20, (0, 0.9), (100, 0.4)))
    assert [(t.video, t.label, len(t.frames)) for t in tubes] == [("v", 1, 20)] * 2
    assert sorted(t.score for t in tubes) == pytest.approx([0.4, 0.9])
    for one in tubes:
        assert np.ptp(one.boxes[:, 1]) == 0


def test_link_greedy_drops_short_and_weak() -> None:
    assert link_greedy("v", 0, _frames(14, (0, 0.9))) == []
    assert link_greedy("v", 0, _frames(20, (0, 0.004))) == []
    assert len(link_greedy("v", 0, _frames(14, (0, 0.9)), min_length=14)) == 1


def test_link_greedy_patience() -> None:
    frames = _frames(20, (0, 0.9))
    del frames[10]
    assert [len(t.frames) for t in link_greedy("v", 0, frames, min_length=1)] == [9, 10]
    (bridged,) = link_greedy("v", 0, frames, min_length=1, patience=2)
    assert bridged.frames.tolist() == list(range(1, 21))
    assert bridged.boxes[9].tolist() == [20, 0, 40, 20]
    frames[10] = (np.zeros((0, 4)), np.zeros(0))
    assert [len(t.frames) for t in link_greedy("v", 0, frames, min_length=1)] == [9, 10]
    assert len(link_greedy("v", 0, frames, min_length=1, patience=2)) == 1


def test_link_greedy_takes_the_best_score_and_suppresses() -> None:
    frames = _frames(3, (0, 0.5), (4, 0.9), (100, 0.2))  # the first two overlap by 0.67
    kept = link_greedy("v", 0, frames, min_length=1)
    assert sorted(t.score for t in kept) == pytest.approx([0.2, 0.9])
    assert len(link_greedy("v", 0, frames, min_length=1, top=1)) == 1
    assert len(link_greedy("v", 0, frames, min_length=1, nms_threshold=0.9)) == 3


def test_link_viterbi() -> None:
    tubes = link_viterbi("v", 0, _frames(5, (0, 0.3), (100, 0.8), (200, 0.2), (300, 0.1)))
    assert [t.score for t in tubes] == pytest.approx([0.8, 0.3, 0.2])  # three at most
    assert tubes[0].boxes[:, 1].tolist() == [100] * 5
    assert link_viterbi("v", 0, {1: (np.zeros((0, 4)), np.zeros(0))}) == []
    assert [t.score for t in link_viterbi("v", 0, _frames(1, (0, 0.3), (9, 0.6)))] == pytest.approx([0.6, 0.3])


def test_link_viterbi_borrows_missing_frames_and_stops_when_one_is_empty() -> None:
    frames = _frames(4, (0, 0.9), (100, 0.5))
    frames[3] = (np.zeros((0, 4)), np.zeros(0))
    first, _ = link_viterbi("v", 0, frames)
    assert first.boxes[:, 0].tolist() == [2, 4, 4, 8]
    frames[4] = (frames[4][0][:1], frames[4][1][:1])
    assert len(link_viterbi("v", 0, frames)) == 1


def test_mean_of_classes() -> None:
    result = MeanAP("x", {"a": 0.5, "b": float("nan"), "c": 1.0}, {"a": 1, "b": 0, "c": 2})
    assert result.mean_ap == 0.75


@pytest.mark.parametrize("label", [2, 5, -1, -2])
@pytest.mark.parametrize("how", CONVENTIONS)
def test_a_label_outside_the_classes_takes_no_other_frames_truth(how: str, label: int) -> None:
    truth = boxes((3, 0, SQUARE, 1.0), (4, 0, SQUARE, 1.0), (5, 1, SQUARE, 1.0))
    right = [(3, 0, SQUARE, 0.5), (4, 0, SQUARE, 0.4), (5, 1, SQUARE, 0.3)]
    odd = [(frame, label, SQUARE, 0.9) for frame in range(8)]
    assert frame_map(truth, boxes(*odd, *right), LABELS, how).mean_ap == 1
    tubes = [tube(1, 20), tube(1, 20, label=label, score=2.0)]
    assert video_map([tube(1, 20)], tubes, LABELS, how, 0.5).mean_ap == pytest.approx(1, abs=1e-4)


def test_frames_of_any_number_belong_to_their_own_video() -> None:
    far = 1 << 40
    truth = boxes((far, 0, SQUARE, 1.0), (-3, 1, SQUARE, 1.0))
    assert frame_map(truth, boxes((-3, 1, SQUARE, 0.5), (far, 0, SQUARE, 0.5)), LABELS, "act").mean_ap == 1
    assert frame_map(truth, boxes((far + 1, 0, SQUARE, 0.5)), LABELS, "act").mean_ap == 0


def test_truth_outside_the_classes_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"1 ground truths have a label outside the 2 classes, such as column 2"):
        frame_map(boxes((1, 2, SQUARE, 1.0)), boxes(), LABELS, "act")
    with pytest.raises(ConfigError, match="label outside the 2 classes"):
        video_map([tube(1, 20, label=-1)], [], LABELS, "act", 0.5)
