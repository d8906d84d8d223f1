from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from sf_detect.config import RunConfig, check_config
from sf_detect.config_files import load_config
from sf_detect.errors import ConfigError, UnknownNameError


def test_defaults_need_no_file():
    config = load_config(RunConfig)
    assert config == RunConfig()
    assert config.pipeline.stride == 0.5


def test_file_then_overrides(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("pipeline: {stride: 1.0}\ndetector: {tile: 'off'}\n")
    config = load_config(RunConfig, path, ["pipeline.stride=0.25", "render.labels=[wave, run]"])
    assert (config.pipeline.stride, config.detector.tile) == (0.25, "off")
    assert config.render.labels == ["wave", "run"]


def test_unknown_key_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match=r"Did you mean 'pipeline\.stride'\?"):
        load_config(RunConfig, None, ["pipeline.strid=3"])
    with pytest.raises(UnknownNameError, match=r"Did you mean 'detector'\?"):
        load_config(RunConfig, None, ["detectr.name=x"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("pipeline.stride=fast", "could not be converted to Float"),
        ("stride", "not of the form key=value"),
        ("pipeline=3", "documented type"),
    ],
)
def test_bad_overrides(override, message):
    with pytest.raises(ConfigError, match=message):
        load_config(RunConfig, None, [override])


@pytest.mark.parametrize(
    ("text", "message"), [("a: [", "not valid YAML"), ("- 1\n- 2\n", "a list or a single value"), ("\xff", "YAML")]
)
def test_broken_files(tmp_path, text, message):
    path = tmp_path / "broken.yaml"
    path.write_bytes(text.encode("latin1"))
    with pytest.raises(ConfigError, match=message):
        load_config(RunConfig, path)


def test_on_and_off_are_words_where_words_are_expected(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("detector: {tile: off}\nrender: {hide_idle: on, anonymise: off}\n")
    config = load_config(RunConfig, path)
    assert (config.detector.tile, config.render.hide_idle, config.render.anonymise) == ("off", True, "off")
    assert load_config(RunConfig, path, ["detector.tile=on"]).detector.tile == "on"


def test_a_reference_to_nothing(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("detector: {tile: '${x}'}\n")
    with pytest.raises(ConfigError, match=r"run\.yaml: detector\.tile: .*Give it a value"):
        load_config(RunConfig, path)


def test_the_documented_file_holds_every_default():
    path = Path(__file__).parents[1] / "configs" / "run.yaml"
    assert load_config(RunConfig, path) == RunConfig()
    written = yaml.safe_load(path.read_text())
    for name, value in asdict(RunConfig()).items():
        assert name in written
        if isinstance(value, dict):
            assert list(written[name]) == list(value)


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match=r"can't be read: No such file"):
        load_config(RunConfig, tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["pipeline.stride=0"], r"pipeline.stride is 0.0; expected a number of seconds \(or frames a second\) above 0"),
        (["max_seconds=-1"], "max_seconds is -1.0; expected"),
        (["fps=.inf"], "fps is inf; expected"),
        (["end=.nan"], "end is nan; expected"),
        (["start=-1"], "start is -1.0; expected a number of seconds from 0 up"),
        (["pipeline.smoothing=.nan"], "pipeline.smoothing is nan; expected a number of seconds from 0 up"),
        (["pipeline.detection_interval=-0.1"], "pipeline.detection_interval is -0.1"),
        (["events.max_gap=-1"], "events.max_gap is -1.0"),
        (["events.hysteresis=0"], "events.hysteresis is 0.0; expected a share above 0"),
        (["detector.score_threshold=1.5"], "detector.score_threshold is 1.5; expected a number from 0 to 1"),
        (["detector.nms_iou=-1"], "detector.nms_iou is -1.0; expected a number from 0 to 1"),
        (["detector.min_size=-1"], "detector.min_size is -1.0; expected 0 or more pixels"),
        (["keypoints.hold=-1"], "keypoints.hold is -1.0; expected a number of seconds from 0 up"),
        (["detector.max_persons=0"], "detector.max_persons is 0; expected 1 or more"),
        (["detector.tolerance=-1"], "detector.tolerance is -1.0"),
        (["detector.classes=[]"], "detector.classes is empty; expected at least one class"),
        (["render.threshold=2"], "render.threshold is 2.0; expected a number from 0 to 1"),
        (["render.thresholds.walk=2"], "render.thresholds.walk is 2.0; expected a number from 0 to 1"),
        (["render.top_k=-1"], "render.top_k is -1; expected 0 or more"),
        (["render.font_scale=0.1"], "render.font_scale is 0.1; expected a factor from 0.2 to 5"),
        (["render.box_thickness=0"], "render.box_thickness is 0; expected 1 or more"),
        (["every=0"], "every is 0; expected 1 or more"),
        (["seed=-1"], "seed is -1; expected a whole number from 0 up"),
        (["start=2", "end=1"], "end is 1.0, which is not after start, 2.0; exchange them"),
        (["pipeline.inference=streeming"], "unknown value of pipeline.inference 'streeming'. Did you mean 'streaming'"),
        (["detector.tile=perhaps"], "unknown value of detector.tile 'perhaps'"),
        (["render.anonymise=face"], "unknown value of render.anonymise 'face'"),
        (["backend=openvno"], "unknown value of backend 'openvno'. Did you mean 'openvino'"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(overrides, message):
    with pytest.raises(ConfigError, match=message):
        check_config(load_config(RunConfig, overrides=overrides))


def test_the_defaults_and_their_borders_pass():
    check_config(RunConfig())
    check_config(load_config(RunConfig, overrides=["pipeline.detection_interval=0", "start=0", "every=1", "end=0.1"]))


def test_the_modes_are_those_of_the_rooms():
    from sf_detect.build import INFERENCE
    from sf_detect.build_keypoints import POSTURE_MODES
    from sf_detect.config import _MODES
    from sf_detect.detection.tiling import MODES
    from sf_detect.engines import BACKENDS
    from sf_detect.rendering.style import ANONYMISE

    assert {
        "pipeline.inference": tuple(INFERENCE),
        "detector.tile": tuple(MODES),
        "render.anonymise": tuple(ANONYMISE),
        "backend": tuple(BACKENDS),
        "live.inference": tuple(INFERENCE),
        "live.rtsp_transport": ("tcp", "udp"),
        "live.camera_backend": ("any", "v4l2", "dshow", "msmf", "avfoundation", "gstreamer"),
        "posture.mode": tuple(POSTURE_MODES),
    } == {key: tuple(sorted(words, key=words.index)) for key, words in _MODES.items()}
