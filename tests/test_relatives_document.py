"""The document on the relatives: its examples run, its names exist."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
import torchvision

from sf_detect.zoo import image_networks
from sf_detect.zoo.table import ZOO

DOCUMENT = (Path(__file__).resolve().parents[1] / "docs" / "relatives.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_examples_run_as_written(number, monkeypatch, capsys):
    # The image network's weights would be downloaded; random ones have the same names.
    monkeypatch.setattr(image_networks, "image_weights", lambda name: torchvision.models.get_model(name).state_dict())
    exec(compile(EXAMPLES[number], f"example {number}", "exec"), {})
    assert capsys.readouterr().out


def test_the_table_names_what_exists():
    rows = re.findall(r"^\| (`.*?) \| `(\w+)\.(\w+)`", DOCUMENT, re.MULTILINE)
    assert len(rows) == 10
    for names, module, builder in rows:
        assert callable(getattr(import_module(f"sf_detect.models.{module}"), builder))
        for name in re.findall(r"`(\w+_\w+)`", names):
            assert name in ZOO or f"k400_x3d{name}" in ZOO
