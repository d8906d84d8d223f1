"""Settings that would read the environment or call functions are refused, wherever they stand."""

import pytest

from sf_detect.config import RunConfig
from sf_detect.config_files import load_config, read_key
from sf_detect.data.datasets import build_dataset
from sf_detect.errors import ConfigError, SFDetectError
from sf_detect.interpolation import refuse_resolvers

RESOLVERS = [
    "${oc.env:SECRET}",
    "${oc.env:SECRET,default}",
    "a${oc.env:SECRET}b",
    "${oc.decode:${oc.env:SECRET}}",
    "${oc.select:model.name}",
    "${oc.create:x}",
    "${own:}",
    "${ oc.env : SECRET }",
    "${model.${oc.env:SECRET}}",
    "\\\\${oc.env:SECRET}",
]


@pytest.mark.parametrize("text", RESOLVERS)
def test_resolvers_are_refused_in_files_overrides_and_options_of_data(tmp_path, monkeypatch, text):
    monkeypatch.setenv("SECRET", "CANARY")
    path = tmp_path / "run.yaml"
    for content in (
        f"model: {{name: '{text}'}}",
        f"render: {{labels: [a, '{text}']}}",
        f"render: {{colors: {{a: '{text}'}}}}",
    ):
        path.write_text(content + "\n")
        with pytest.raises(ConfigError, match=r"run\.yaml: .*(not read the environment|not valid YAML)") as error:
            load_config(RunConfig, path)
        assert "CANARY" not in str(error.value)
    path.write_text(f"recipe: '{text}'\n")
    with pytest.raises(ConfigError) as error:
        read_key(path, "recipe", "clips")
    assert "CANARY" not in str(error.value)
    with pytest.raises(ConfigError) as error:
        load_config(RunConfig, None, [f"model.name={text}"])
    assert "CANARY" not in str(error.value)
    with pytest.raises(SFDetectError) as error:
        build_dataset("custom_csv", {"root": text})
    assert "CANARY" not in str(error.value)


def test_references_and_literal_text_pass(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("model: {name: tiny}\ndetector: {name: '${model.name}', weights: '\\${oc.env:X}'}\n")
    config = load_config(RunConfig, path)
    assert (config.detector.name, config.detector.weights) == ("tiny", "${oc.env:X}")
    refuse_resolvers({"a": ["${b}", "${.c}", "${d[0].e}", "$x {y} {oc.env:z}", 3, None]}, "here")


def test_names_are_looked_at_too():
    with pytest.raises(ConfigError, match=r"here: a\[0\]\..*is '\$\{oc\.env:X\}'"):
        refuse_resolvers({"a": [{"${oc.env:X}": 1}]}, "here")


@pytest.mark.parametrize("text", ["[" * 3000, "model: " + "[" * 3000 + "]" * 3000, "a: &a [*a]", "a: ${", "a: '${x'"])
def test_files_that_cannot_be_read_are_one_error(tmp_path, text):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"run\.yaml"):
        load_config(RunConfig, path)


@pytest.mark.parametrize("text", ["model.name=[", "model.name=${", "=", "model.=a", "model.name=" + "[" * 3000])
def test_overrides_that_cannot_be_read_are_one_error(text):
    with pytest.raises(SFDetectError):
        load_config(RunConfig, None, [text])
