"""The semantics: what is detected and scored when, and what each released frame carries."""

import itertools
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fakes import FakeSource
from sf_detect.box_regression import FEATURES, BoxRegression
from sf_detect.errors import DecodeError, StageError
from sf_detect.matching import match_actions
from sf_detect.model_spec import ModelSpec
from sf_detect.person_stage import PersonStage
from sf_detect.pipeline import Pipeline, Schedule
from sf_detect.stages import ClipActions
from sf_detect.structures import ActionDetections, ClipSpec, Detections, Frame, VideoInfo
from sf_detect.tracking import interpolate
from sf_detect.video.clip_buffer import ClipBuffer

INFO = VideoInfo(64, 48, name="v")
SPEC = ClipSpec(num_frames=8, sampling_rate=2)


def frames(pts):
    return [Frame(np.full((48, 64, 3), i % 256, np.uint8), i, float(t)) for i, t in enumerate(pts)]


class OneMovingPerson:
    """A box whose left edge is the frame's index, read from its pixels."""

    def __init__(self, absent=()):
        self.seen = []
        self._absent = set(absent)

    def __call__(self, images):
        self.seen += [int(image[0, 0, 0]) for image in images]
        return [self._person(int(image[0, 0, 0])) for image in images]

    def _person(self, index):
        if index in self._absent:
            return Detections(np.zeros((0, 4)), np.zeros(0))
        return Detections(np.array([[index, 10, index + 8, 30]]), np.array([0.9]))


class OneTrack:
    def __init__(self):
        self.resets = 0

    def update(self, detections, pts):
        return Detections(detections.boxes, detections.scores, np.arange(len(detections)) + 1)

    def reset(self):
        self.resets += 1


class ClipTimes:
    """Scores hold the first and last clip frame and the keyframe's time."""

    spec = ModelSpec("times", ("first", "last", "pts"), SPEC, short_side=48)

    def __init__(self):
        self.clips = []

    def __call__(self, clips):
        self.clips += clips
        return [
            ActionDetections(
                c.keyframe_pts,
                c.persons,
                np.tile([c.frames[0, 0, 0, 0], c.frames[-1, 0, 0, 0], c.keyframe_pts], (len(c.persons), 1)),
            )
            for c in clips
        ]


def linear(before, t0, after, t1, t):
    weight = (t - t0) / (t1 - t0)
    return Detections(before.boxes * (1 - weight) + after.boxes * weight, before.scores, before.track_ids)


def build(**options):
    parts = {"detector": OneMovingPerson(), "action_model": ClipTimes()}
    parts.update({k: options.pop(k) for k in list(options) if k in parts})
    of_stage = {k: options.pop(k) for k in ("smoothing", "executor") if k in options}
    pipeline = Pipeline(
        PersonStage(parts["detector"], options.pop("tracker", OneTrack), options.pop("box_regression", None)),
        ClipActions(parts["action_model"], lambda: ClipBuffer(SPEC, 48), **of_stage),
        options.pop("interpolate", linear),
        **options,
    )
    return pipeline, parts


def test_every_frame_comes_out_once_and_in_order():
    pipeline, _ = build()
    results = list(pipeline.run(frames(np.arange(100) / 30), INFO))
    assert [r.frame.index for r in results] == list(range(100))


def test_keyframes_and_detections_are_due_by_time():
    pipeline, parts = build(stride=0.5, detection_interval=0.25)
    results = list(pipeline.run(frames(np.arange(61) / 30), INFO))
    assert [r.frame.index for r in results if r.is_keyframe] == [0, 15, 30, 45, 60]
    assert parts["detector"].seen == [0, 8, 15, 23, 30, 38, 45, 53, 60]
    assert pipeline.counts.clips == 5


def test_clips_are_centred_on_their_keyframes():
    pipeline, _ = build()
    results = list(pipeline.run(frames(np.arange(61) / 30), INFO))
    by_index = {r.frame.index: r for r in results}
    assert by_index[30].actions.scores[0].tolist() == [22, 36, 1.0]
    assert by_index[0].actions.scores[0].tolist() == [0, 6, 0.0]
    assert by_index[60].actions.scores[0].tolist() == [52, 60, 2.0]


def test_frames_carry_the_actions_of_the_nearest_keyframe():
    pipeline, _ = build(stride=0.5)
    for result in pipeline.run(frames(np.arange(61) / 30), INFO):
        nearest = min([0.0, 0.5, 1.0, 1.5, 2.0], key=lambda k: abs(k - result.frame.pts))
        assert abs(result.actions.pts - result.frame.pts) <= abs(nearest - result.frame.pts) + 1e-6


def test_a_tracks_scores_are_smoothed_from_the_start_of_each_run():
    pipeline, _ = build(stride=0.5, smoothing=0.5)
    past = np.exp(-np.arange(5.0))
    for _ in range(2):
        results = [r for r in pipeline.run(frames(np.arange(61) / 30), INFO) if r.is_keyframe]
        times = [r.actions.scores[0, 2] for r in results]
        expected = [np.average(0.5 * np.arange(n, -1, -1), weights=past[: n + 1]) for n in range(5)]
        np.testing.assert_allclose(times, expected, rtol=1e-5)


def test_boxes_are_moved_once_tracked_wherever_they_are_shown_or_scored():
    weights = np.zeros((FEATURES, 4))
    weights[0] = [0.1, 0, -0.1, 0]
    plain, _ = build(detection_interval=0.25)
    moved, _ = build(detection_interval=0.25, box_regression=BoxRegression("any", weights))
    runs = [list(pipeline.run(frames(np.arange(40) / 30), INFO)) for pipeline in (plain, moved)]
    for before, after in zip(*runs, strict=True):
        width = before.persons.boxes[:, 2] - before.persons.boxes[:, 0]
        expected = before.persons.boxes + np.outer(width, [0.1, 0, -0.1, 0])
        np.testing.assert_allclose(after.persons.boxes, expected, atol=0.5)
        if after.is_keyframe:
            np.testing.assert_array_equal(after.actions.persons.boxes, after.persons.boxes)


def test_boxes_follow_the_person_between_detections():
    pipeline, _ = build(detection_interval=0.25)
    for result in pipeline.run(frames(np.arange(61) / 30), INFO):
        assert result.persons.boxes[0, 0] == pytest.approx(result.frame.index, abs=1e-3)


def test_the_last_frames_keep_the_last_boxes():
    pipeline, _ = build(detection_interval=0.25)
    results = list(pipeline.run(frames(np.arange(13) / 30), INFO))
    assert results[-1].persons.boxes[0, 0] == 8


@pytest.mark.parametrize("count", [1, 2, 5])
def test_very_short_videos(count):
    pipeline, _ = build()
    results = list(pipeline.run(frames(np.arange(count) / 30), INFO))
    assert len(results) == count
    assert results[0].is_keyframe
    assert results[0].actions is not None


def test_no_frames_no_results():
    pipeline, _ = build()
    assert list(pipeline.run([], INFO)) == []


def test_variable_rate_with_a_long_gap():
    pts = np.concatenate([np.arange(10) / 30, 20 + np.arange(30) / 50, [35.0]])
    pipeline, _ = build()
    results = list(pipeline.run(frames(pts), INFO))
    assert [r.frame.pts for r in results] == pytest.approx(pts.tolist())
    assert [r.frame.index for r in results if r.is_keyframe] == [0, 10, 35, 40]


def test_frames_without_persons_have_empty_actions():
    pipeline, _ = build(detector=OneMovingPerson(absent=range(100)))
    results = list(pipeline.run(frames(np.arange(40) / 30), INFO))
    assert all(len(r.persons) == 0 and r.actions.scores.shape == (0, 3) for r in results)


@pytest.mark.parametrize(
    ("present", "live", "labelled"),
    [
        (range(13), False, {*range(11)}),  # gone at the keyframe 13: the box stays until the middle of the gap
        (range(5, 40), False, {*range(4, 26)}),  # comes after the keyframe 0
        (range(5, 40), True, {*range(7, 26)}),  # a camera does not wait for the keyframe 13
        (range(5, 12), False, set()),  # on no keyframe
    ],
)
def test_a_person_that_the_nearest_keyframe_lacks_takes_the_actions_of_the_other(present, live, labelled):
    detector = OneMovingPerson(absent=set(range(26)) - set(present))
    pipeline, _ = build(detector=detector, interpolate=interpolate)
    source = FakeSource(26, fps=25, is_live=live)
    results = list(pipeline.run(frames(source.pts), source.info))
    named = {r.frame.index for r in results if (match_actions(r) >= 0).any()}
    assert named == labelled
    assert [r.frame.index for r in results] == list(range(26))
    assert all(r.actions.pts == r.frame.pts for r in results if r.is_keyframe)


def test_results_are_released_without_waiting_for_the_end():
    read = []

    def endless():
        for frame in (Frame(np.zeros((48, 64, 3), np.uint8), i, i / 30) for i in itertools.count()):
            read.append(frame.index)
            yield frame

    pipeline, _ = build()
    for result in itertools.islice(pipeline.run(endless(), INFO), 200):
        # Half a clip of look-ahead plus half a stride: nothing else may be held back.
        assert read[-1] - result.frame.index <= (SPEC.duration / 2 + 0.5 / 2 + 0.25) * 30 + 2


def test_an_executor_changes_nothing_but_the_thread():
    with ThreadPoolExecutor(1) as executor:
        aside, parts = build(executor=executor)
        inline, _ = build()
        video = frames(np.arange(100) / 30)
        for a, b in zip(aside.run(video, INFO), inline.run(video, INFO), strict=True):
            assert a.frame.index == b.frame.index
            assert np.array_equal(a.actions.scores, b.actions.scores)
        assert len(parts["action_model"].clips) == 7


def test_a_slow_executor_holds_back_a_bounded_number_of_frames():
    class Slow(ClipTimes):
        def __call__(self, clips):
            time.sleep(0.05)
            return super().__call__(clips)

    read = []

    def counted():
        for frame in frames(np.arange(150) / 30):
            read.append(frame.index)
            yield frame

    with ThreadPoolExecutor(1) as executor:
        pipeline, _ = build(action_model=Slow(), executor=executor)
        for result in pipeline.run(counted(), INFO):
            assert read[-1] - result.frame.index <= (SPEC.duration / 2 + 2 * 0.5 + 0.25) * 30 + 2


def test_an_executor_hands_over_the_failure():
    class Broken(ClipTimes):
        def __call__(self, clips):
            raise RuntimeError("out of memory")

    with ThreadPoolExecutor(1) as executor:
        pipeline, _ = build(action_model=Broken(), executor=executor)
        with pytest.raises(StageError, match="out of memory"):
            list(pipeline.run(frames(np.arange(40) / 30), INFO))


def test_each_run_starts_afresh_and_is_deterministic():
    pipeline, _ = build()
    first, second = (list(pipeline.run(frames(np.arange(40) / 30), INFO)) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a.persons.boxes, b.persons.boxes)
        assert np.array_equal(a.actions.scores, b.actions.scores)


def test_a_detector_by_time_is_asked_by_time():
    class Proposals:
        def __init__(self):
            self.asked = []

        def at(self, video, pts, image_size):
            self.asked.append((video, round(pts, 3), image_size))
            return Detections(np.array([[1, 2, 3, 4]]), np.array([1.0]))

    proposals = Proposals()
    pipeline, _ = build(detector=proposals, stride=1.0, detection_interval=1.0)
    list(pipeline.run(frames(np.arange(31) / 30), INFO))
    assert proposals.asked == [("v", 0.0, (48, 64)), ("v", 1.0, (48, 64))]


def test_a_failing_stage_names_itself_and_its_frame():
    class Broken(ClipTimes):
        def __call__(self, clips):
            raise RuntimeError("out of memory")

    pipeline, _ = build(action_model=Broken())
    with pytest.raises(StageError, match=r"action model failed on frame 0 .* RuntimeError: out of memory"):
        list(pipeline.run(frames(np.arange(40) / 30), INFO))


def test_a_source_that_breaks_loses_nothing():
    def breaking():
        yield from frames(np.arange(25) / 30)
        raise DecodeError("the rest is unreadable")

    pipeline, _ = build()
    released = []
    with pytest.raises(DecodeError, match="the rest is unreadable"):
        for result in pipeline.run(breaking(), INFO):
            released.append(result.frame.index)
    assert released == list(range(25))


def test_schedule_fires_on_every_frame_at_interval_zero():
    schedule = Schedule(0)
    assert [schedule.due(t) for t in (0.0, 0.1, 0.2)] == [True] * 3


def test_schedule_keeps_its_grid_and_its_origin():
    schedule = Schedule(0.5)
    assert [t for t in (7.0, 7.3, 7.6, 7.9, 8.05, 9.9, 10.0) if schedule.due(t)] == [7.0, 7.6, 8.05, 9.9, 10.0]


def test_a_tracker_that_cannot_begin_anew_names_itself_and_loses_nothing():
    class Broken(OneTrack):
        def reset(self):
            raise RuntimeError("no such track")

    pipeline, _ = build(tracker=Broken)
    pictures = frames(np.arange(31) / 30)
    anew = Frame(np.zeros((48, 64, 3), np.uint8), 31, 10.0, starts_anew=True)
    results = []
    with pytest.raises(StageError, match=r"tracking failed on frame 31 .* RuntimeError: no such track"):
        for result in pipeline.run([*pictures, anew], INFO):
            results.append(result.frame.index)
    assert results == list(range(31))
