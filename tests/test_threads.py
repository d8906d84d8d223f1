"""Each step computes with its share of the cores, and everything is as before behind it."""

import os
import sys
import threading
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from fakes import FakeActionModel, FakeDetector, FakeSource
from sf_detect import build, threads
from sf_detect.config import RunConfig
from sf_detect.interfaces import ActionModel, ActionStream, PersonDetector
from sf_detect.structures import Detections, Frame
from sf_detect.threads import LimitedDetector, LimitedModel, limited_threads, share_of_cores

PATIENCE = 10.0
MANY = 6


def numbers() -> tuple[int, int]:
    return torch.get_num_threads(), cv2.getNumThreads()


@pytest.fixture(autouse=True)
def settings():
    """A process that has set both to `MANY`, on a machine with a share of 1."""
    before = numbers()
    torch.set_num_threads(MANY)
    cv2.setNumThreads(MANY)
    yield
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


@pytest.fixture
def one(monkeypatch):
    monkeypatch.setattr(threads, "share_of_cores", lambda: 1)


@pytest.mark.parametrize(("cores", "share"), [(1, 1), (2, 1), (3, 1), (8, 4), (64, 32)])
def test_share_of_cores(monkeypatch, cores, share):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert share_of_cores() == share
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert share_of_cores() == share


def test_share_of_unknown_cores(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert share_of_cores() == 1


def test_set_within_and_restored_behind():
    with limited_threads(2):
        assert numbers() == (2, 2)
        with limited_threads(1):
            assert numbers() == (1, 2)  # OpenCV's number is that of whoever came first
        assert numbers() == (2, 2)
    assert numbers() == (MANY, MANY)


def test_restored_where_the_step_fails():
    with pytest.raises(OSError, match="in the step"), limited_threads(1):
        raise OSError("in the step")
    assert numbers() == (MANY, MANY)


def test_fewer_threads_that_were_set_before_stay():
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with limited_threads(4):
        assert numbers() == (1, 1)
    assert numbers() == (1, 1)


def test_several_threads_restore_opencv_when_the_last_one_leaves():
    inside, leave, left = threading.Event(), threading.Event(), threading.Event()
    seen = []

    def step():
        with limited_threads(1):
            inside.set()
            leave.wait(PATIENCE)
        seen.append(torch.get_num_threads())
        left.set()

    threading.Thread(target=step, daemon=True).start()
    assert inside.wait(PATIENCE)
    assert torch.get_num_threads() == MANY  # torch's is each thread's own
    with limited_threads(1):
        pass
    assert cv2.getNumThreads() == 1
    leave.set()
    assert left.wait(PATIENCE)
    assert seen == [MANY]
    assert numbers() == (MANY, MANY)


def test_libraries_that_are_not_loaded_are_left_alone(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.delitem(sys.modules, "cv2")
    with limited_threads(1):
        assert numbers() == (MANY, MANY)


def test_a_build_of_torch_whose_pool_cannot_change_is_left_alone(monkeypatch):
    other = ModuleType("torch")
    other.get_num_threads = lambda: MANY
    other.backends = SimpleNamespace(openmp=SimpleNamespace(is_available=lambda: False))
    monkeypatch.setitem(sys.modules, "torch", other)  # which has no set_num_threads to call
    with limited_threads(1):
        assert other.get_num_threads() == MANY


class Witness:
    """A detector, a model and a stream that note the numbers of threads they are called with."""

    warning, step_seconds = "approximate", 0.5

    def __init__(self):
        self.seen, self.model = [], FakeActionModel()
        self.spec = self.model.spec

    def __call__(self, items):
        self.seen.append(numbers())
        return self.model(items) if items and not isinstance(items[0], np.ndarray) else FakeDetector()(items)

    def open_stream(self):
        return self

    def push(self, frame):
        self.seen.append(numbers())

    def score(self, persons, pts, image_size):
        self.seen.append(numbers())
        return ("scores of", pts)

    def reset(self):
        self.seen.append("reset")


def test_wrappers_are_what_they_wrap(one):
    witness = Witness()
    detector, model = LimitedDetector(witness), LimitedModel(witness)
    stream = model.open_stream()
    assert isinstance(detector, PersonDetector)
    assert isinstance(model, ActionModel)
    assert isinstance(stream, ActionStream)
    assert (model.spec, stream.warning) == (witness.spec, "approximate")
    frame = next(iter(FakeSource(1)))
    assert len(detector([frame.image])) == 1
    stream.push(frame)
    assert stream.score(Detections.empty(), 2.5, (48, 64)) == ("scores of", 2.5)
    stream.reset()
    assert model([]) == []
    assert witness.seen == [(1, 1), (1, 1), (1, 1), "reset", (1, 1)]
    assert numbers() == (MANY, MANY)


@pytest.mark.parametrize("inference", ["clip", "streaming"])
def test_a_pipeline_computes_with_its_share_and_leaves_the_loop_its_own(one, monkeypatch, inference):
    detector, model = Witness(), Witness()
    monkeypatch.setattr(build, "build_detector", lambda *_: detector)
    if inference == "streaming":
        model.score = lambda persons, pts, size: model.seen.append(numbers()) or scores(persons, pts)
    config = RunConfig()
    config.pipeline.inference = inference
    pipeline = build.build_pipeline(config, model)
    for _ in pipeline.run(FakeSource(40)):
        assert numbers() == (MANY, MANY)
    for witness in (detector, model):
        assert len(witness.seen) > 1
        assert set(witness.seen) == {(1, 1)}


def scores(persons, pts):
    from sf_detect.structures import ActionDetections

    return ActionDetections(pts, persons, np.zeros((len(persons), 3), np.float32))


def test_frames_are_resized_for_clips_with_one_share(one, monkeypatch):
    from sf_detect.structures import ClipSpec
    from sf_detect.video import clip_buffer

    seen, resize = [], clip_buffer.resize_short_side
    monkeypatch.setattr(clip_buffer, "resize_short_side", lambda *a: seen.append(cv2.getNumThreads()) or resize(*a))
    clip_buffer.ClipBuffer(ClipSpec(8, 2), 16).push(Frame(np.zeros((48, 64, 3), np.uint8), 0, 0.0))
    assert seen == [1]
    assert cv2.getNumThreads() == MANY


def test_annotating_changes_no_setting_of_the_process(monkeypatch, tmp_path):
    import random

    import sf_detect
    from synthetic_video import write_video

    monkeypatch.setattr(build, "build_detector", lambda *_: FakeDetector())
    write_video(tmp_path / "in.mp4", num_frames=5)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    sf_detect.annotate_video(tmp_path / "in.mp4", out_jsonl=tmp_path / "out.jsonl")
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before
    assert numbers() == (MANY, MANY)
