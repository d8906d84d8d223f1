import numpy as np
import pytest

from fakes import FakeActionModel, FakeDetector, FakeSink, FakeSource, FakeTracker
from sf_detect.errors import SourceError
from sf_detect.person_stage import PersonStage
from sf_detect.pipeline import Pipeline
from sf_detect.processing import BestGuess, Part, RunSummary, process, queue_size
from sf_detect.stages import ClipActions
from sf_detect.structures import ActionDetections, Detections, Frame, FrameResult, VideoInfo
from sf_detect.video.clip_buffer import ClipBuffer

LABELS, THRESHOLDS = ("a", "b", "c"), (0.4, 0.4, 0.4)


def hold(before, t0, after, t1, t):
    return Detections(before.boxes, before.scores, before.track_ids)


def pipeline() -> Pipeline:
    model = FakeActionModel()
    actions = ClipActions(model, lambda: ClipBuffer(model.spec.clip_spec, 48))
    return Pipeline(PersonStage(FakeDetector(), FakeTracker), actions, hold)


def test_everything_reaches_the_sink_and_is_counted():
    sink, seen = FakeSink(), []
    summary = process(
        FakeSource(num_frames=60), pipeline(), sink, labels=LABELS, thresholds=THRESHOLDS, on_result=seen.append
    )
    assert [r.frame.index for r in sink.results] == list(range(60))
    assert len(seen) == 60
    assert (summary.frames, summary.keyframes, summary.tracks) == (60, 4, {1, 2})
    assert summary.seconds == pytest.approx(59 / 30)
    assert summary.top_actions == {"c": 8}
    assert summary.first_result_seconds is not None
    assert summary.fps > 0
    assert not summary.interrupted
    assert sink.closes == 1


def test_max_seconds_stops_early():
    sink, part = FakeSink(), Part(max_seconds=1.0)
    process(FakeSource(num_frames=90), pipeline(), sink, labels=LABELS, thresholds=THRESHOLDS, part=part)
    assert len(sink.results) == 30


@pytest.mark.parametrize(
    ("part", "indices"),
    [
        (Part(), range(90)),
        (Part(start=1.0), range(30, 90)),
        (Part(end=0.5), range(15)),
        (Part(start=1.0, end=2.0), range(30, 60)),
        (Part(start=1.0, max_seconds=0.5), range(30, 45)),
        (Part(start=1.0, every=4), range(30, 90, 4)),
        (Part(start=9.0), ()),
    ],
)
def test_a_part_of_a_source_keeps_its_times(part, indices):
    frames = list(part.of(FakeSource(num_frames=90)))
    assert [f.index for f in frames] == list(indices)
    assert [f.pts for f in frames] == pytest.approx([i / 30 for i in indices])


def test_interruption_completes_the_outputs():
    sink = FakeSink()

    def interrupt(result):
        if result.frame.index == 20:
            raise KeyboardInterrupt

    summary = process(
        FakeSource(num_frames=90), pipeline(), sink, labels=LABELS, thresholds=THRESHOLDS, on_result=interrupt
    )
    assert summary.interrupted
    assert sink.closes == 1
    assert [r.frame.index for r in sink.results] == list(range(21))


def test_a_failing_source_completes_the_outputs_first():
    sink = FakeSink()
    with pytest.raises(SourceError, match="fails at frame 40"):
        process(FakeSource(num_frames=90, fail_at=40), pipeline(), sink, labels=LABELS, thresholds=THRESHOLDS)
    assert len(sink.results) == 40
    assert sink.closes == 1


def test_a_failing_sink_ends_the_run():
    sink = FakeSink(fail_at=5)
    with pytest.raises(OSError, match="the fake sink fails"):
        process(FakeSource(num_frames=600), pipeline(), sink, labels=LABELS, thresholds=THRESHOLDS)
    assert sink.closes == 1


def test_queues_hold_fewer_large_frames():
    assert queue_size(VideoInfo(640, 480)) == 16
    assert queue_size(VideoInfo(3840, 2160)) == 2


def counted(scores, thresholds, ids=(4, 9), pts=2.0, summary=None):
    persons = Detections(np.zeros((len(scores), 4)), np.ones(len(scores)), ids)
    actions = ActionDetections(pts, persons, np.asarray(scores, np.float32))
    summary = summary or RunSummary()
    summary.add(FrameResult(Frame(np.zeros((4, 4, 3), np.uint8), 0, pts), persons, actions, True), LABELS, thresholds)
    return summary


@pytest.mark.parametrize(
    ("scores", "thresholds", "expected"),
    [
        ([[0.3, 0.2, 0.1], [0.0, 0.0, 0.4]], [0.4, 0.4, 0.4], {"c": 1}),
        ([[0.6, 0.5, 0.1], [0.0, 0.0, 0.4]], [0.9, 0.4, 0.9], {"b": 1}),  # the best-scored does not count, another does
        ([[0.6, 0.5, 0.1], [0.0, 0.0, 0.4]], [0.9, 0.9, 0.9], {}),
        ([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]], [0.0, 0.9, 0.9], {"a": 2}),
    ],
)
def test_an_action_counts_from_its_own_threshold_on(scores, thresholds, expected):
    assert counted(scores, thresholds).top_actions == expected


def test_the_best_guess_is_the_highest_score_of_the_run():
    summary = counted([[0.1, 0.2, 0.1], [0.0, 0.3, 0.1]], THRESHOLDS)
    assert summary.best_guess == BestGuess("b", pytest.approx(0.3), 9, 2.0)
    counted([[0.1, 0.2, 0.35]], THRESHOLDS, ids=None, pts=3.0, summary=summary)
    counted([[0.1, 0.2, 0.35]], THRESHOLDS, ids=(7,), pts=4.0, summary=summary)  # the first of equal ones stays
    assert summary.best_guess == BestGuess("c", pytest.approx(0.35), None, 3.0)


def test_nobody_to_score_gives_no_guess():
    assert counted(np.zeros((0, 3)), THRESHOLDS, ids=()).best_guess is None
    assert counted(np.zeros((2, 0)), ()).best_guess is None


def test_a_posture_counts_where_no_action_does():
    summary = RunSummary()
    persons = Detections(np.zeros((3, 4)), np.ones(3), np.arange(3))
    scores = np.array([[0.5, 0.1, 0.9], [0.1, 0.1, 0.9], [0.1, 0.1, 0.1]])
    item = FrameResult(
        Frame(np.zeros((4, 4, 3), np.uint8), 0, 0.0), persons, ActionDetections(0.0, persons, scores), True
    )
    summary.add(item, LABELS, THRESHOLDS, ("action", "action", "posture"))
    assert summary.top_actions == {"a": 1, "c": 1}
