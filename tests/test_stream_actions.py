"""The pipeline with a streaming action model: every frame in order, keyframes scored from the past alone."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest

from fakes import FakeActionModel, FakeDetector, FakeSource, FakeTracker
from sf_detect import build
from sf_detect.annotator import annotate_video
from sf_detect.config import PipelineConfig, PostureConfig, RunConfig
from sf_detect.errors import ConfigError, SourceError, StageError, UnknownNameError
from sf_detect.model_spec import ModelSpec
from sf_detect.person_stage import PersonStage
from sf_detect.pipeline import Pipeline
from sf_detect.stages import StreamActions
from sf_detect.structures import ActionDetections, ClipSpec
from synthetic_video import read_index, write_video


class FakeStream:
    """A model and its one stream: scores hold how many frames were seen and the newest one's index."""

    spec, warning, step_seconds = ModelSpec("fake", ("seen", "newest"), ClipSpec(8, 2)), None, 0.1

    def __init__(self, fail_at=None, delay=0.0):
        self.log, self.seen, self.resets = [], [], 0
        self._fail_at, self._delay, self._busy = fail_at, delay, threading.Lock()

    def open_stream(self):
        self.reset()
        return self

    def push(self, frame):
        assert self._busy.acquire(blocking=False), "two tasks at once"
        time.sleep(self._delay)
        if frame.index == self._fail_at:
            self._busy.release()
            raise RuntimeError("out of memory")
        self.seen.append(read_index(frame.image))
        self._busy.release()

    def score(self, persons, pts, image_size):
        self.log.append(pts)
        scores = np.tile(np.float32([len(self.seen), self.seen[-1]]), (len(persons), 1))
        return ActionDetections(pts, persons, scores)

    def reset(self):
        assert not self._busy.locked()
        self.seen, self.resets = [], self.resets + 1


def before(a, t0, b, t1, t):
    return a


def pipeline(model, smoothing=0.0, executor=None, persons=2, **options):
    actions = StreamActions(model, smoothing, executor)
    return Pipeline(PersonStage(FakeDetector(persons=persons), FakeTracker), actions, before, **options)


def test_keyframes_are_scored_when_they_come_from_the_past_alone():
    model = FakeStream()
    results = list(pipeline(model, stride=0.5).run(FakeSource(num_frames=40)))
    keyframes = [r for r in results if r.is_keyframe]
    assert [r.frame.index for r in keyframes] == [0, 15, 30]
    assert [r.actions.scores[0].tolist() for r in keyframes] == [[1, 0], [16, 15], [31, 30]]
    assert [r.frame.index for r in results] == list(range(40))
    assert model.seen == list(range(40))


def test_a_keyframe_is_released_without_look_ahead():
    read = []

    class Watched(FakeSource):
        def _frames(self):
            for frame in super()._frames():
                read.append(frame.index)
                yield frame

    for result in pipeline(FakeStream(), stride=0.2, detection_interval=0.2).run(Watched(num_frames=60)):
        if result.is_keyframe:
            assert read[-1] == result.frame.index


def test_nobody_there_still_feeds_the_stream():
    model = FakeStream()
    run = pipeline(model, persons=0)
    assert all(r.actions.scores.shape == (0, 2) for r in run.run(FakeSource(num_frames=20)))
    assert len(model.seen) == 20


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("delay", [0.0, 0.002])
def test_an_executor_changes_nothing(workers, delay):
    model = FakeStream(delay=delay)
    with ThreadPoolExecutor(workers) as executor:
        beside = pipeline(model, stride=0.3, executor=executor)
        runs = [list(beside.run(FakeSource(num_frames=40))) for _ in range(2)]
    alone = list(pipeline(FakeStream(), stride=0.3).run(FakeSource(num_frames=40)))
    assert model.resets == 2
    for results in runs:
        for a, b in zip(results, alone, strict=True):
            assert a.frame.index == b.frame.index
            assert a.actions.pts == b.actions.pts
            assert np.array_equal(a.actions.scores, b.actions.scores)


def test_stopping_early_leaves_no_task_behind():
    model = FakeStream(delay=0.002)
    with ThreadPoolExecutor(2) as executor:
        run = pipeline(model, executor=executor)
        for _ in range(3):
            with closing(run.run(FakeSource(num_frames=40))) as results:
                next(results)
        assert model.resets == 3


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(("fail_at", "kept"), [(15, 15), (20, 30)])
def test_a_failing_model_names_the_frame(workers, fail_at, kept):
    with ThreadPoolExecutor(max(workers, 1)) as executor:
        run = pipeline(FakeStream(fail_at=fail_at), executor=executor if workers else None)
        released = []
        with pytest.raises(StageError, match=rf"action model failed on frame {fail_at} .* RuntimeError: out of memory"):
            for result in run.run(FakeSource(num_frames=60)):
                released.append(result.frame.index)
    assert released == list(range(len(released)))
    # In line the failure comes at once; beside the pipeline it comes with the keyframe that needs it.
    assert len(released) <= kept


def test_a_source_that_breaks_loses_nothing():
    released = []
    with pytest.raises(SourceError, match="fails at frame 25"):
        for result in pipeline(FakeStream()).run(FakeSource(num_frames=60, fail_at=25)):
            released.append(result.frame.index)
    assert released == list(range(25))


def test_a_model_without_a_streaming_form_says_so():
    with pytest.raises(ConfigError, match="no streaming form"):
        list(pipeline(FakeActionModel()).run(FakeSource()))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_failure_behind_the_last_keyframe_is_not_lost(workers):
    with ThreadPoolExecutor(max(workers, 1)) as executor:
        run = pipeline(FakeStream(fail_at=19), executor=executor if workers else None)
        released = []
        with pytest.raises(StageError, match="action model failed on frame 19"):
            for result in run.run(FakeSource(num_frames=20)):
                released.append(result.frame.index)
    assert released[:19] == list(range(19))


def test_an_unknown_kind_of_inference_suggests():
    with pytest.raises(UnknownNameError, match="Did you mean 'streaming'"):
        build.build_pipeline(RunConfig(pipeline=PipelineConfig(inference="streeming")))


def test_a_run_with_streaming_inference(tmp_path, monkeypatch):
    video = write_video(tmp_path / "in.mp4", num_frames=12)
    monkeypatch.setattr(build, "build_detector", lambda *_: FakeDetector())
    config = RunConfig(pipeline=PipelineConfig(inference="streaming", stride=0.2), posture=PostureConfig(mode="off"))
    keyframes = []
    summary = annotate_video(
        video, out_jsonl=tmp_path / "out.jsonl", config=config, on_result=lambda r: keyframes.append(r.actions)
    )
    assert summary.frames == 12
    assert summary.warnings == []
    assert {a.scores.shape for a in keyframes} == {(2, 21)}


def test_what_is_not_exact_is_said_in_the_summary(tmp_path, monkeypatch):
    video = write_video(tmp_path / "in.mp4", num_frames=4)
    model = FakeStream()
    model.warning = "fake: streaming is an approximation for this model"
    monkeypatch.setattr(build, "build_detector", lambda *_: FakeDetector())
    monkeypatch.setattr(build, "build_predictor", lambda *_: model)
    config = RunConfig(pipeline=PipelineConfig(inference="streaming"))
    summary = annotate_video(video, out_jsonl=tmp_path / "out.jsonl", config=config)
    assert summary.warnings == [model.warning]
