from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from sf_detect.config import RunConfig, load_config
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
