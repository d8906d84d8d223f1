"""Which settings bring keypoints and postures, and what happens where they cannot be had."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fakes import FakeActionModel, FakeDetector, FakeSource
from sf_detect import build, build_keypoints
from sf_detect.annotator import Annotator
from sf_detect.config import (
    DetectorConfig,
    KeypointsConfig,
    ModelConfig,
    PipelineConfig,
    PostureConfig,
    RenderConfig,
    RunConfig,
)
from sf_detect.errors import WeightsDownloadError
from sf_detect.interfaces import ResizableModel, TrackHolder
from sf_detect.keypoints import blazepose_person, efficientnet_lite, posture_file
from sf_detect.keypoints.blazepose_person import PersonSquare
from sf_detect.keypoints.crop import Crop
from sf_detect.keypoints.efficientnet_lite import FEATURES
from sf_detect.keypoints.estimator import TrackKeypoints
from sf_detect.keypoints.holding import HeldKeypoints
from sf_detect.keypoints.stage import PostureActions, PostureModel
from sf_detect.labels import label_set
from sf_detect.stages import NoActions
from sf_detect.structures import Detections, Keypoints
from tests.fake_landmarks import Standing
from tests.keypoints.posture_weights import sitting_pictures, window_of, write_posture_file

JHMDB = label_set("jhmdb21").names
make_network = build_keypoints.picture_network  # as tests have none
make_people_network = build_keypoints.people_network


def seen(image, crop):
    """Somebody who stands."""
    window = window_of(True, 1)
    return Keypoints(window.points, window.metres, window.presence)


def nobody(image):
    """No place where people may be."""
    return []


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A classifier ships with the package, and the landmark network is there."""
    file = write_posture_file(tmp_path / "posture.safetensors")
    monkeypatch.setattr(posture_file, "SHIPPED", file)
    monkeypatch.setattr(build_keypoints, "landmark_network", lambda *_: seen)
    monkeypatch.setattr(build_keypoints, "people_network", lambda *_: nobody)
    monkeypatch.setattr(build, "build_detector", lambda *_: FakeDetector())
    return file


def model(labels=JHMDB):
    return FakeActionModel(labels=labels)


@pytest.mark.parametrize(
    ("mode", "labels", "expected"),
    [
        ("auto", JHMDB, True),
        ("auto", ("stand", "walk"), False),
        ("auto", label_set("ava80").names, False),
        ("on", ("fight", "walk"), True),
        ("off", JHMDB, False),
    ],
)
@pytest.mark.usefixtures("weights")
def test_which_models_have_postures(mode, labels, expected):
    own = model(labels)
    found = build.with_postures(RunConfig(posture=PostureConfig(mode=mode)), own)
    assert isinstance(found, PostureModel) is expected
    assert found is own or found.model is own
    assert build.with_postures(RunConfig(posture=PostureConfig(mode=mode)), found) is found


@pytest.mark.usefixtures("weights")
def test_a_pipeline_says_who_stands():
    config = RunConfig(posture=PostureConfig(mode="auto"), pipeline=PipelineConfig(smoothing=0.3))
    annotator = Annotator(config, model())
    assert annotator.spec.labels[-5:] == ("stand", "sit", "bend", "crouch", "lie")
    results = [r for r in annotator.results(FakeSource(num_frames=20)) if r.is_keyframe]
    assert len(results) == 2
    for result in results:
        assert result.persons.keypoints is not None
        assert {annotator.spec.labels[i] for i in result.actions.scores[:, 21:].argmax(axis=1) + 21} == {"stand"}


def furniture(image, box):
    """Features of somebody on a chair."""
    return np.full(FEATURES, 1000, np.float32)


@pytest.fixture
def pictures(weights, monkeypatch):
    """The classifier that ships sees pictures too, in which everybody sits for certain."""
    monkeypatch.setattr(build_keypoints, "picture_network", lambda *_: furniture)
    return write_posture_file(weights, pictures=sitting_pictures())


@pytest.mark.parametrize(("appearance", "expected"), [(True, "sit"), (False, "stand")])
@pytest.mark.usefixtures("pictures")
def test_pictures_count_unless_that_is_off(monkeypatch, appearance, expected):
    if not appearance:
        monkeypatch.setattr(build_keypoints, "picture_network", pytest.fail)
    annotator = Annotator(RunConfig(posture=PostureConfig(appearance=appearance)), model())
    results = [r for r in annotator.results(FakeSource(num_frames=20)) if r.is_keyframe]
    for result in results:
        assert {annotator.spec.labels[i] for i in result.actions.scores[:, 21:].argmax(axis=1) + 21} == {expected}


@pytest.mark.usefixtures("pictures")
def test_without_the_network_for_pictures_landmarks_tell_postures(monkeypatch):
    monkeypatch.setattr(build_keypoints, "picture_network", refuse)
    heard: list[str] = []
    for mode in ("auto", "on"):
        found = build.with_postures(RunConfig(posture=PostureConfig(mode)), model(), heard.append)
        assert isinstance(found, PostureModel)
        assert found.new_pictures is None
    warning = "postures are told from body landmarks alone, and less often right: the weights in mediapipe cannot be "
    assert heard == [warning + "fetched: no network"] * 2


@pytest.mark.usefixtures("weights")
def test_a_classifier_without_a_layer_for_pictures_needs_no_network_for_them(monkeypatch):
    monkeypatch.setattr(build_keypoints, "picture_network", pytest.fail)
    assert build.with_postures(RunConfig(), model()).new_pictures is None


@pytest.mark.usefixtures("pictures")
def test_every_run_has_pictures_of_its_own_and_looks_at_no_more_persons_than_wanted():
    found = build.with_postures(RunConfig(keypoints=KeypointsConfig(max_persons=3)), model())
    assert found.new_pictures() is not found.new_pictures()
    assert found.new_pictures()._max_persons == 3


def test_the_network_for_pictures_runs_on_the_backend_that_is_wanted(monkeypatch):
    opened = []
    monkeypatch.setattr(efficientnet_lite, "efficientnet_engine", lambda options: opened.append(options.backend))
    make_network(RunConfig(backend="openvino"))
    assert opened == ["openvino"]


@pytest.mark.usefixtures("weights")
def test_the_stages_average_once():
    config = RunConfig()
    stage = build.build_actions(config, build.with_postures(config, model()))
    assert isinstance(stage, PostureActions)
    assert stage._smoothing == config.pipeline.smoothing
    assert stage._actions._smoothing == 0


@pytest.mark.usefixtures("weights")
def test_postures_without_an_action_model():
    config = RunConfig(model=ModelConfig("none"))
    assert build.build_action_model(config) is None
    assert isinstance(build.build_actions(config, None), NoActions)
    config.posture.mode = "on"
    found = build.build_action_model(config)
    assert found.spec.labels == ("stand", "walk", "run", "sit", "bend", "crouch", "lie", "jump")
    pipeline = build.assemble(config, build.build_persons(config, found), found)
    (result,) = pipeline.run(FakeSource(num_frames=1))
    assert result.actions.scores[0].argmax() == 0


def test_names_that_people_read_need_no_postures(monkeypatch):
    monkeypatch.setattr(build, "build_predictor", lambda *_: model())
    found = build.build_action_model(RunConfig(posture=PostureConfig(mode="off")))
    assert "sit down" in found.spec.labels
    assert "sit" not in found.spec.labels


def refuse(*_):
    raise WeightsDownloadError("the weights in mediapipe cannot be fetched: no network")


@pytest.mark.usefixtures("weights")
def test_without_the_landmark_network_the_default_says_so_and_goes_on(monkeypatch):
    monkeypatch.setattr(build_keypoints, "landmark_network", refuse)
    heard: list[str] = []
    own = model()
    assert build.with_postures(RunConfig(), own, heard.append) is own
    assert heard == [
        "postures (stand, sit, walk and so on) are left out, actions are not: the weights in mediapipe cannot be "
        "fetched: no network"
    ]
    with pytest.raises(WeightsDownloadError, match="no network"):
        build.with_postures(RunConfig(posture=PostureConfig(mode="on")), own)
    with pytest.raises(WeightsDownloadError, match="no network"):
        build.build_persons(RunConfig(keypoints=KeypointsConfig(write=True)), own)


def test_without_a_file_that_ships_the_default_goes_on(monkeypatch, tmp_path):
    monkeypatch.setattr(posture_file, "SHIPPED", tmp_path / "none")
    own = model()
    assert build.with_postures(RunConfig(), own) is own


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (RunConfig(), False),
        (RunConfig(keypoints=KeypointsConfig(write=True)), True),
        (RunConfig(render=RenderConfig(skeleton=True)), True),
    ],
)
@pytest.mark.usefixtures("weights")
def test_who_asks_for_keypoints_has_them_whatever_the_model(config, expected):
    run = build.build_persons(config, model(("a", "b"))).begin("v")
    found = run(next(iter(FakeSource())))
    assert (found.keypoints is not None) is expected


@pytest.mark.parametrize(("hold", "expected"), [(10.0, True), (0.0, False)])
@pytest.mark.usefixtures("weights")
def test_lost_tracks_are_held_unless_that_is_off(hold, expected):
    config = RunConfig(keypoints=KeypointsConfig(write=True, hold=hold))
    made = build_keypoints.keypoint_estimators(config, None)()
    assert isinstance(made, TrackHolder) is expected
    assert isinstance(made, TrackKeypoints)


@pytest.mark.parametrize(
    ("changed", "sparing"),
    [
        ({}, True),
        ({"keypoints": KeypointsConfig(hold=0.0)}, True),
        ({"keypoints": KeypointsConfig(write=True)}, False),
        ({"render": RenderConfig(skeleton=True)}, False),
        ({"render": RenderConfig(anonymise="head")}, False),
        ({"render": RenderConfig(anonymise="person")}, True),
    ],
)
@pytest.mark.usefixtures("weights")
def test_looks_are_spared_where_nobody_sees_the_landmarks(changed, sparing):
    config = RunConfig(posture=PostureConfig("on"), **changed)
    made = build_keypoints.keypoint_estimators(config, build.with_postures(config, model()))()
    assert made._sparing is sparing


@pytest.mark.usefixtures("weights")
def test_a_classifier_of_ones_own(weights, tmp_path):
    own = write_posture_file(tmp_path / "own.safetensors", weight=0.0)
    found = build.with_postures(RunConfig(posture=PostureConfig(weights=str(own))), model())
    logits = found.scores.logits(window_of(True))
    np.testing.assert_array_equal(logits[3:], np.zeros(28))  # who stays in place is said not to walk or run


@pytest.mark.usefixtures("pictures")
def test_a_model_that_takes_smaller_pictures_still_does():
    class Resizable(FakeActionModel):
        def resized(self, short_side):
            smaller = FakeActionModel(labels=self.spec.labels)
            smaller.spec = replace(self.spec, short_side=short_side)
            return smaller

    found = build.with_postures(RunConfig(), Resizable(labels=JHMDB))
    assert isinstance(found, ResizableModel)
    smaller = found.resized(32)
    assert isinstance(smaller, PostureModel)
    assert smaller.new_pictures is found.new_pictures is not None
    assert (smaller.spec.short_side, smaller.spec.labels) == (32, found.spec.labels)
    assert found.spec.short_side == 48
    assert not isinstance(build.with_postures(RunConfig(), model()), ResizableModel)


@pytest.mark.parametrize(
    ("changed", "threshold", "least"),
    [
        ({}, 0.1, 0.2),
        ({"detector": DetectorConfig(score_threshold=0.3)}, 0.3, 0.0),
        ({"detector": DetectorConfig("whole_frame")}, None, 0.0),
        ({"keypoints": KeypointsConfig(write=True, hold=0.0)}, None, 0.0),
        ({"keypoints": KeypointsConfig()}, None, 0.0),
    ],
)
@pytest.mark.usefixtures("weights")
def test_weak_detections_are_wanted_where_landmarks_can_tell_who_they_are(monkeypatch, changed, threshold, least):
    asked = []

    def build_detector(config, *_):
        asked.append(config.detector.score_threshold)
        return FakeDetector()

    monkeypatch.setattr(build, "build_detector", build_detector)
    config = RunConfig(**{"keypoints": KeypointsConfig(write=True), **changed})
    run = build.build_persons(config, None).begin("v")
    assert asked == [threshold]
    assert run._tracker.least_score == least
    assert config.detector.score_threshold == changed.get("detector", DetectorConfig()).score_threshold
    assert (run._confirmer is not None) is isinstance(run._keypoints, HeldKeypoints)


def search_of(config, warn=lambda text: None):
    """What the estimator of a run looks for people with."""
    made = build_keypoints.keypoint_estimators(config, None, warn)()
    return made._search_for_people if isinstance(made, HeldKeypoints) else None


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, True),
        ({"keypoints": KeypointsConfig(write=True, find=False)}, False),
        ({"keypoints": KeypointsConfig(write=True, hold=0.0)}, False),
        ({"detector": DetectorConfig(score_threshold=0.3)}, False),
        ({"detector": DetectorConfig("whole_frame")}, False),
        ({"detector": DetectorConfig("precomputed:boxes.csv")}, False),
    ],
)
@pytest.mark.usefixtures("weights")
def test_people_are_looked_for_where_the_default_detector_decides(monkeypatch, changed, expected):
    if not expected:
        monkeypatch.setattr(build_keypoints, "people_network", pytest.fail)
    config = RunConfig(**{"keypoints": KeypointsConfig(write=True), **changed})
    assert (search_of(config) is not None) is expected


@pytest.mark.usefixtures("weights")
def test_every_run_looks_for_people_by_itself_and_for_no_more_than_wanted():
    config = RunConfig(keypoints=KeypointsConfig(write=True, max_persons=5), detector=DetectorConfig(min_size=20.0))
    make = build_keypoints.keypoint_estimators(config, None)
    one, other = make()._search_for_people, make()._search_for_people
    assert one is not other
    assert one._people is other._people is nobody
    assert (one._max_persons, one._min_size) == (5, 20.0)
    config.detector.max_persons = 3
    assert search_of(config)._max_persons == 3


@pytest.mark.usefixtures("weights")
def test_without_the_network_that_finds_people_the_default_says_so_and_goes_on(monkeypatch):
    monkeypatch.setattr(build_keypoints, "people_network", refuse)
    heard: list[str] = []
    assert search_of(RunConfig(keypoints=KeypointsConfig(write=True)), heard.append) is None
    assert heard == [
        "people whom the detector misses are not looked for: the weights in mediapipe cannot be fetched: no network"
    ]


def test_the_network_that_finds_people_runs_on_the_backend_that_is_wanted(monkeypatch):
    opened = []
    monkeypatch.setattr(blazepose_person, "person_engine", lambda options: opened.append(options.backend))
    make_people_network(RunConfig(backend="openvino"))
    assert opened == ["openvino"]


@pytest.mark.usefixtures("weights")
def test_a_pipeline_shows_whom_the_detector_misses(monkeypatch):
    def empty(images):
        return [Detections(np.zeros((0, 4)), np.zeros(0)) for _ in images]

    def place(image):
        return [PersonSquare(Crop(320.0, 240.0, 250.0), 0.9)]

    monkeypatch.setattr(build_keypoints, "landmark_network", lambda *_: Standing())
    monkeypatch.setattr(build_keypoints, "people_network", lambda *_: place)
    monkeypatch.setattr(build, "build_detector", lambda *_: empty)
    for find, expected in ((True, 1), (False, 0)):
        config = RunConfig(model=ModelConfig("none"), keypoints=KeypointsConfig(write=True, find=find))
        results = list(Annotator(config).results(FakeSource(45, size=(640, 480))))
        assert {len(result.persons) for result in results} == {expected}
        if find:
            assert {int(track) for result in results for track in result.persons.track_ids} == {1}
            assert max(float(result.persons.scores.max()) for result in results) < 0.2  # the least of the detector
