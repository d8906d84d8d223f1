"""What a run remembers is its own: nothing of one video reaches the next."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import ClassVar

import numpy as np
import pytest

from fakes import FakeActionModel, FakeDetector, FakeSource, FakeTracker
from sf_detect import stages
from sf_detect.model_spec import NO_MODEL, ModelSpec
from sf_detect.person_stage import PersonStage
from sf_detect.pipeline import Pipeline
from sf_detect.stages import ClipActions, NoActions, StageCounts
from sf_detect.structures import ActionDetections, ClipSpec, Detections, Frame, VideoInfo
from sf_detect.tracking import ByteTrack, interpolate
from sf_detect.video.clip_buffer import ClipBuffer

INFO = VideoInfo(64, 48, name="v")


def sampler():
    return ClipBuffer(ClipSpec(8, 2), 48)


def frames(count, size=(48, 64), first=0, start=0.0):
    return [Frame(np.zeros((*size, 3), np.uint8), first + i, start + i / 30) for i in range(count)]


class Held(FakeActionModel):
    """Scores of 1 in its first clip, which it holds back until told; of 0 later."""

    def __init__(self):
        super().__init__()
        self.let_go = threading.Event()

    def __call__(self, clips):
        first = not self.clips
        if first:
            self.let_go.wait(10)
        found = super().__call__(clips)
        return [ActionDetections(f.pts, f.persons, np.full_like(f.scores, float(first))) for f in found]


def test_a_clip_of_a_run_that_was_left_does_not_reach_the_next():
    model = Held()
    with ThreadPoolExecutor(1) as executor:
        pipeline = Pipeline(
            PersonStage(FakeDetector(), FakeTracker), ClipActions(model, sampler, 5.0, executor), interpolate
        )
        left = pipeline.begin(INFO)
        for frame in FakeSource(num_frames=20):
            left.push(frame)
        model.let_go.set()
        left.close()
        results = [r for r in pipeline.run(FakeSource(num_frames=40)) if r.is_keyframe]
    assert all((r.actions.scores == 0).all() for r in results)


def test_a_model_that_hangs_does_not_hold_the_close(monkeypatch):
    monkeypatch.setattr(stages, "CLOSE_SECONDS", 0.01)
    model = Held()
    with ThreadPoolExecutor(1) as executor:
        run = ClipActions(model, sampler, 0.0, executor).begin()
        for frame in FakeSource(num_frames=20):
            run.push(frame, Detections.empty() if frame.index == 0 else None)
        run.close()
        assert not model.clips  # still at work
        model.let_go.set()


def test_two_runs_side_by_side_do_not_meet():
    pipeline = Pipeline(
        PersonStage(FakeDetector(), ByteTrack), ClipActions(FakeActionModel(), sampler, 1.0), interpolate
    )
    alone = [r.actions.scores.tolist() for r in pipeline.run(FakeSource(num_frames=60)) if r.is_keyframe]
    with closing(pipeline.run(FakeSource(num_frames=60))) as one, closing(pipeline.run(FakeSource(60))) as other:
        both = list(zip(one, other, strict=True))
    for side in zip(*both, strict=True):
        assert [r.actions.scores.tolist() for r in side if r.is_keyframe] == alone
        assert {int(i) for r in side for i in r.persons.track_ids} == {1, 2}


def test_another_size_starts_anew_and_ids_go_on():
    class Whole:
        def __call__(self, images):
            return [Detections(np.array([[1, 1, 20, 40]]), np.array([0.9])) for _ in images]

    pipeline = Pipeline(PersonStage(Whole(), ByteTrack), ClipActions(FakeActionModel(), sampler, 1.0), interpolate)
    small = frames(10, (48, 32), first=10, start=10 / 30)
    results = list(pipeline.run([*frames(10), *small], INFO))
    assert [r.frame.index for r in results] == list(range(20))
    assert [r.frame.index for r in results if r.is_keyframe] == [0, 10]
    assert [set(r.persons.track_ids.tolist()) for r in results] == [{1}] * 10 + [{2}] * 10
    assert all(r.actions.pts == (0.0 if r.frame.index < 10 else 10 / 30) for r in results)


def test_a_frame_that_starts_anew_begins_a_clip_of_its_own():
    model = FakeActionModel()
    pipeline = Pipeline(PersonStage(FakeDetector(), FakeTracker), ClipActions(model, sampler), interpolate)
    source = [Frame(f.image, f.index, f.pts, starts_anew=f.index == 17) for f in FakeSource(num_frames=30)]
    results = list(pipeline.run(source, INFO))
    assert [r.frame.index for r in results if r.is_keyframe] == [0, 15, 17]
    assert model.clips[1].pts.max() == pytest.approx(16 / 30)
    assert model.clips[2].pts.min() == pytest.approx(17 / 30)


def test_without_a_model_there_are_boxes_and_tracks():
    counts = StageCounts()
    pipeline = Pipeline(PersonStage(FakeDetector(), FakeTracker), NoActions(), interpolate)
    results = list(pipeline.run(FakeSource(num_frames=40)))
    assert NO_MODEL.labels == ()
    assert all(len(r.persons) == 2 and r.actions.scores.shape == (2, 0) for r in results)
    assert [r.frame.index for r in results if r.is_keyframe] == [0, 15, 30]
    assert (pipeline.counts.frames, pipeline.counts.clips, counts.clips) == (40, 0, 0)


def test_frames_pushed_one_by_one_give_what_the_loop_gives():
    def pipeline():
        return Pipeline(PersonStage(FakeDetector(), FakeTracker), ClipActions(FakeActionModel(), sampler), interpolate)

    looped = list(pipeline().run(FakeSource(num_frames=50)))
    run = pipeline().begin(FakeSource().info)
    pushed = [r for frame in FakeSource(num_frames=50) for r in run.push(frame)]
    assert 20 < len(pushed) < 50
    pushed += list(run.finish())
    run.close()
    for a, b in zip(looped, pushed, strict=True):
        assert (a.frame.index, a.is_keyframe) == (b.frame.index, b.is_keyframe)
        np.testing.assert_array_equal(a.persons.boxes, b.persons.boxes)
        np.testing.assert_array_equal(a.actions.scores, b.actions.scores)


@pytest.mark.parametrize("key", ["label_ids", "thresholds"])
def test_a_spec_has_one_entry_a_label(key):
    with pytest.raises(ValueError, match=f"{key} has 1 entries, expected 2"):
        ModelSpec("m", ("a", "b"), ClipSpec(1, 1), **{key: (1,)})


def test_action_runs_see_the_persons_between_keyframes():
    class Seen(NoActions):
        pushed: ClassVar[list] = []

        def push(self, frame, persons, is_keyframe=True):
            self.pushed.append((frame.index, None if persons is None else len(persons), is_keyframe))
            return super().push(frame, persons, is_keyframe)

    pipeline = Pipeline(
        PersonStage(FakeDetector(), FakeTracker), Seen(), interpolate, stride=0.2, detection_interval=0.1
    )
    results = list(pipeline.run(FakeSource(num_frames=8)))
    assert [r.frame.index for r in results if r.is_keyframe] == [0, 6]
    assert [(i, n, key) for i, n, key in Seen.pushed if n is not None or key] == [
        (0, 2, True), (3, 2, False), (6, 2, True)
    ]  # fmt: skip


@pytest.mark.parametrize("make", [lambda: ClipActions(FakeActionModel(), sampler), NoActions])
def test_persons_between_keyframes_are_not_scored(make):
    run = make().begin()
    frame = next(iter(FakeSource()))
    assert run.push(frame, Detections.empty(), False) is None
    assert run.push(Frame(frame.image, 1, 0.1), Detections.empty(), True) is not None
    run.finish()
