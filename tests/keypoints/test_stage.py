"""Postures in a pipeline: in clips, in streams, beside a busy model, after a cut."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from fakes import FakeActionModel, FakeDetector, FakeSource, FakeTracker
from sf_detect.errors import StageError
from sf_detect.keypoints.appearance import AppearanceHead, TrackPictures
from sf_detect.keypoints.postures import NAMES, PostureScores
from sf_detect.keypoints.stage import PostureActions, PostureModel
from sf_detect.model_spec import NO_MODEL
from sf_detect.person_stage import PersonStage
from sf_detect.pipeline import Pipeline
from sf_detect.stages import ClipActions, NoActions, StreamActions
from sf_detect.structures import ActionDetections, ClipSpec, Detections, Frame, Keypoints
from sf_detect.tracking import interpolate
from sf_detect.video.clip_buffer import ClipBuffer
from synthetic_video import index_image, read_index


class FakeKeypoints:
    """Everybody's presence is the time in seconds, plus one, over ten."""

    def update(self, frame, persons):
        unknown = Keypoints.unknown(len(persons))
        return Keypoints(unknown.points, unknown.metres, np.full(len(persons), (1 + frame.pts) / 10))

    def reset(self):
        pass


class Streaming(FakeActionModel):
    """A model and its stream, whose scores are all 0.25."""

    warning, step_seconds = "only the past", 0.25

    def open_stream(self):
        return self

    def push(self, frame):
        pass

    def score(self, persons, pts, image_size):
        return ActionDetections(pts, persons, np.full((len(persons), len(self.spec.labels)), 0.25))

    def reset(self):
        pass


def logits(window):
    """Sitting, as far as somebody was present at the newest look; standing, by the number of looks, in hundredths."""
    found = np.zeros(8, np.float32)
    found[NAMES.index("sit")], found[NAMES.index("stand")] = window.presence[-1], len(window) / 100
    return found


def scores(model=None, **changes):
    spec = (model or FakeActionModel(labels=("a", "b", "c"))).spec
    return PostureScores(spec, changes.get("logits", logits), lambda found: found, (0.5,) * 8)


def sampler():
    return ClipBuffer(ClipSpec(8, 2), 48)


def run(stage, frames=60, detector=None):
    persons = PersonStage(detector or FakeDetector(), FakeTracker, None, FakeKeypoints)
    pipeline = Pipeline(persons, stage, interpolate, stride=0.5, detection_interval=0.25)
    results = [r for r in pipeline.run(FakeSource(num_frames=frames)) if r.is_keyframe]
    return {round(r.frame.pts, 3): r.actions for r in results}


def clip_stage(smoothing=0.0, executor=None, made=None, look_ahead=0.0):
    actions = ClipActions(FakeActionModel(labels=("a", "b", "c")), sampler, 0.0, executor)
    return PostureActions(actions, made or scores(), smoothing, look_ahead)


SIT = scores().spec.labels.index("sit")


def test_a_keyframe_has_actions_and_the_posture_of_its_own_time():
    found = run(clip_stage())
    assert list(found) == [0.0, 0.5, 1.0, 1.5]
    for pts, actions in found.items():
        assert actions.scores.shape == (2, 11)
        assert actions.scores[:, 0].tolist() == pytest.approx([0.1, 0.2])  # those of the model
        assert actions.scores[:, SIT].tolist() == pytest.approx([(1 + pts) / 10] * 2)
        assert actions.pts == pytest.approx(pts)


def test_a_second_of_looks_is_what_is_seen():
    seen = []
    run(clip_stage(made=scores(logits=lambda window: seen.append(window.times.round(2).tolist()) or logits(window))))
    assert seen[0::2] == [[0.0], [0.0, 0.27, 0.5], [0.0, 0.27, 0.5, 0.77, 1.0], [0.5, 0.77, 1.0, 1.27, 1.5]]


def test_what_is_known_of_a_look_is_computed_once(monkeypatch):
    """Every other detection carries landmarks along: keyframes between hold the window of the look before."""
    plain = FakeKeypoints.update
    looks = []

    def update(self, frame, persons):
        found = plain(self, frame, persons)
        looks.append(frame.pts)
        found.looked[:] = len(looks) % 2 == 1
        return found

    monkeypatch.setattr(FakeKeypoints, "update", update)
    asked = []
    made = scores(logits=lambda window: asked.append(window.times[-1]) or logits(window))
    found = run(clip_stage(made=made, look_ahead=0.5))
    assert sorted(asked) == sorted(looks[::2] * 2)  # once for each of the two persons
    assert found[0.0].scores[:, SIT].tolist() == pytest.approx([np.mean([0.1, 0.1, 0.15])] * 2)


@pytest.mark.parametrize("look_ahead", [0.0, 0.5])
def test_beside_an_executor_results_are_the_same(look_ahead):
    with ThreadPoolExecutor(1) as executor:
        beside = run(clip_stage(0.5, executor, look_ahead=look_ahead))
    in_line = run(clip_stage(0.5, look_ahead=look_ahead))
    assert list(beside) == list(in_line)
    for pts in in_line:
        np.testing.assert_array_equal(beside[pts].scores, in_line[pts].scores)


def test_looks_within_the_look_ahead_count():
    found = run(clip_stage(look_ahead=0.5))
    mean = {0.0: (0 + 0.267 + 0.5) / 3, 0.5: (0.5 + 0.767 + 1.0) / 3, 1.0: (1.0 + 1.267 + 1.5) / 3}
    mean[1.5] = (1.5 + 1.767) / 2  # the video ends before the half second is over
    for pts, time in mean.items():
        assert found[pts].scores[:, SIT].tolist() == pytest.approx([(1 + time) / 10] * 2, abs=1e-3)
        assert found[pts].pts == pytest.approx(pts)


def test_a_keyframe_waits_for_the_look_ahead_and_no_longer():
    stage = PostureActions(NoActions(), scores(FakeActionModel(labels=())), look_ahead=0.5).begin()
    frames = iter(FakeSource(num_frames=60))
    scoring = stage.push(next(frames), Detections.empty(), True)
    for frame in frames:
        if frame.pts >= 0.5 - 1e-6:
            break
        stage.push(frame, None, False)
        assert not scoring.done()
        assert not scoring.running()  # nobody may wait for it: only frames bring it on
    stage.push(frame, None, False)
    assert scoring.done()


def test_scores_are_averaged_along_tracks():
    found = run(clip_stage(smoothing=1e9))
    assert found[1.5].scores[0, SIT] == pytest.approx(np.mean([0.1, 0.15, 0.2, 0.25]), abs=1e-4)
    assert found[1.5].scores[0, 1] == pytest.approx(np.mean([0, 0.005, 0.01, 0.015]), abs=1e-4)


def test_without_an_action_model_postures_stand_alone():
    made = PostureScores(NO_MODEL, logits, lambda found: found, (0.5,) * 8)
    found = run(PostureActions(NoActions(), made))
    assert found[0.5].scores[:, NAMES.index("sit")].tolist() == pytest.approx([0.15] * 2)


def test_without_an_action_model_clips_and_streams_tell_nothing():
    made = PostureScores(NO_MODEL, logits, lambda found: found, (0.5,) * 8)
    model = PostureModel(None, made, lambda image, crop: Keypoints.unknown(1))
    for stage in (ClipActions(model, sampler), StreamActions(model)):
        found = run(stage)
        assert (found[0.5].scores == np.zeros((2, 8))).all()
    stream = model.open_stream()
    stream.reset()
    assert (stream.warning, stream.step_seconds) == (None, 0.25)


def test_the_model_alone_scores_actions_and_no_posture():
    model = PostureModel(FakeActionModel(labels=("a", "b", "c")), scores(), lambda image, crop: Keypoints.unknown(1))
    found = run(ClipActions(model, sampler))
    assert found[0.5].scores[:, :3].tolist() == pytest.approx(np.array([[0.1, 0.005, 0.5], [0.2, 0.005, 0.5]]))
    assert (found[0.5].scores[:, 3:] == 0).all()
    assert model.spec.labels[3:] == NAMES


def test_streams_have_postures_too():
    found = run(PostureActions(StreamActions(Streaming(labels=("a", "b", "c"))), scores()))
    assert found[1.0].scores[:, :3].tolist() == [[0.25] * 3] * 2
    assert found[1.0].scores[:, SIT].tolist() == pytest.approx([0.2] * 2)


def test_the_stream_of_the_model_alone():
    model = PostureModel(Streaming(labels=("a", "b", "c")), scores(), lambda image, crop: Keypoints.unknown(1))
    stream = model.open_stream()
    assert stream.warning == "only the past"
    assert stream.step_seconds == 0.25
    frame = next(iter(FakeSource()))
    stream.push(frame)
    found = stream.score(FakeTracker().update(FakeDetector()([frame.image])[0], 0.0), 0.0, frame.size)
    assert found.scores.shape == (2, 11)
    stream.reset()


def test_a_cut_forgets_looks_and_means():
    stage = clip_stage(smoothing=1e9).begin()
    person = Detections(np.array([[1, 1, 9, 9]]), np.ones(1), np.ones(1, np.int64))
    keypoints = Keypoints(np.zeros((1, 33, 3)), np.zeros((1, 33, 3)), np.array([0.9]))
    image = np.zeros((48, 64, 3), np.uint8)
    first = stage.push(Frame(image, 0, 0.0), replace(person, keypoints=keypoints), True)
    stage.start_anew()
    assert first.result(0).scores[0, SIT] == pytest.approx(0.9)
    second = stage.push(Frame(image, 1, 0.1), person, True)
    stage.finish()
    assert second.result(0).scores[0, SIT] == 0


def test_looks_between_keyframes_count():
    stage = PostureActions(NoActions(), scores(FakeActionModel(labels=()))).begin()
    person = Detections(np.array([[1, 1, 9, 9]]), np.ones(1), np.ones(1, np.int64))
    keypoints = Keypoints(np.zeros((1, 33, 3)), np.zeros((1, 33, 3)), np.array([0.9]))
    image = np.zeros((48, 64, 3), np.uint8)
    assert stage.push(Frame(image, 0, 0.0), replace(person, keypoints=keypoints), False) is None
    assert stage.push(Frame(image, 1, 0.1), None, False) is None
    found = stage.push(Frame(image, 2, 0.3), person, True)  # a keyframe that nobody looked at
    assert found.result(0).scores.max() == pytest.approx(0.9)


def test_the_scores_are_being_computed_while_those_of_the_actions_are():
    started, go_on = threading.Event(), threading.Event()

    class Slow(FakeActionModel):
        def __call__(self, clips):
            started.set()
            go_on.wait(10)
            return super().__call__(clips)

    with ThreadPoolExecutor(1) as executor:
        stage = PostureActions(ClipActions(Slow(labels=("a", "b", "c")), sampler, 0.0, executor), scores()).begin()
        frames = iter(FakeSource(num_frames=30))
        scoring = stage.push(next(frames), Detections.empty())
        assert not scoring.running()
        while not started.is_set():
            stage.push(next(frames), None)
        assert scoring.running()
        go_on.set()
        assert scoring.result(10).scores.shape == (0, 11)
        assert not scoring.running()
        stage.finish()


@pytest.mark.parametrize("smoothing", [0.0, 0.5])
def test_what_fails_reaches_the_keyframe(smoothing):
    class Broken(FakeActionModel):
        def __call__(self, clips):
            raise RuntimeError("no memory")

    stage = PostureActions(ClipActions(Broken(labels=("a", "b", "c")), sampler), scores(), smoothing).begin()
    scoring = stage.push(next(iter(FakeSource())), Detections.empty())
    with pytest.raises(StageError, match="action model failed"):
        stage.finish()
    with pytest.raises(StageError, match=r"action model failed on frame 0 .*no memory"):
        scoring.result(0)


def test_a_classifier_that_fails_is_named():
    def broken(window):
        raise RuntimeError("nan")

    with pytest.raises(StageError, match=r"postures failed on frame 0 .*nan"):
        run(clip_stage(made=scores(logits=broken)))


def test_a_run_that_is_left_gives_up_what_waits():
    stage = clip_stage().begin()
    scoring = stage.push(next(iter(FakeSource())), Detections.empty())
    stage.close()
    assert scoring.done()
    assert scoring.exception(0) is not None


def test_a_look_that_several_keyframes_count_is_classified_once():
    asked = []
    made = scores(logits=lambda window: asked.append(window.times[-1]) or logits(window))
    run(PostureActions(ClipActions(FakeActionModel(labels=("a", "b", "c")), sampler), made, look_ahead=0.5), frames=40)
    assert len(asked) == 2 * len(set(asked))  # two persons


class Pictures:
    """Features of a person's picture: one more than the time of its frame; remembers the times."""

    def __init__(self):
        self.times = []

    def __call__(self, image, box):
        self.times.append(round(read_index(image) / 30, 2))
        return np.array([1 + self.times[-1]], np.float32)

    def new(self):
        """What looks at the pictures of a run: people bend as far as the features say, which count half."""
        weight = np.eye(9, dtype=np.float32)[:, [NAMES.index("bend")]]
        return TrackPictures(self, AppearanceHead.product(weight, np.zeros(9, np.float32), 0.5), 8)


def seen_stage(pictures, look_ahead=0.0):
    """A stage whose scores of postures are how far their logits are above those of none of them."""
    spec = FakeActionModel(labels=()).spec
    made = PostureScores(spec, lambda _: np.zeros(9, np.float32), lambda found: found[:8] - found[8], (0.5,) * 8)
    return PostureActions(NoActions(), made, 0.0, look_ahead, pictures.new)


BEND = NAMES.index("bend")


@pytest.mark.parametrize(
    ("look_ahead", "expected"),
    [
        (0.0, {0.0: [0], 0.5: [0], 1.0: [0], 1.5: [0, 1.5]}),
        (1.0, {0.0: [0], 0.5: [0, 1.5], 1.0: [0, 1.5], 1.5: [0, 1.5]}),
    ],
)
def test_pictures_before_a_keyframe_and_of_the_look_ahead_count(look_ahead, expected):
    pictures = Pictures()
    found = run(seen_stage(pictures, look_ahead))
    assert pictures.times == [0, 0, 1.5, 1.5]  # keyframes alone are looked at, not every one; there are two persons
    for pts, times in expected.items():
        assert found[pts].scores[:, BEND].tolist() == pytest.approx([0.5 * (1 + np.mean(times))] * 2)


def somebody(presence):
    keypoints = Keypoints(np.zeros((1, 33, 3)), np.zeros((1, 33, 3)), np.array([presence]))
    return Detections(np.array([[1, 1, 9, 9]]), np.ones(1), np.ones(1, np.int64), keypoints)


def test_pictures_between_keyframes_are_not_looked_at():
    pictures = Pictures()
    stage = seen_stage(pictures).begin()
    assert stage.push(Frame(index_image(0), 0, 0.0), somebody(0.9), False) is None
    assert stage.push(Frame(index_image(1), 1, 1 / 30), None, False) is None
    assert pictures.times == []


def test_without_landmarks_a_picture_tells_no_posture():
    pictures = Pictures()
    stage = seen_stage(pictures).begin()
    scoring = stage.push(Frame(index_image(0), 0, 0.0), replace(somebody(0.9), keypoints=None))
    assert pictures.times == [0]
    assert not scoring.result(0).scores.any()


def test_a_cut_forgets_pictures():
    pictures = Pictures()
    stage = seen_stage(pictures, look_ahead=1.0).begin()
    first = stage.push(Frame(index_image(0), 0, 0.0), somebody(0.9))
    stage.start_anew()
    second = stage.push(Frame(index_image(15), 15, 0.5), somebody(0.9))
    stage.finish()
    assert pictures.times == [0, 0.5]
    assert [known.result(0).scores[0, BEND] for known in (first, second)] == pytest.approx([0.5, 0.75])


def test_every_run_has_looks_of_its_own_at_pictures():
    pictures = Pictures()
    stage = seen_stage(pictures)
    for _ in range(2):
        stage.begin().push(Frame(index_image(0), 0, 0.0), somebody(0.9))
    assert pictures.times == [0, 0]


def test_a_network_for_pictures_that_fails_is_named():
    class Broken(Pictures):
        def __call__(self, image, box):
            raise RuntimeError("no memory")

    with pytest.raises(StageError, match=r"postures failed on frame 0 .*no memory"):
        run(seen_stage(Broken()))
