import re
from pathlib import Path

import pytest

from sf_detect.data.datasets import DATASETS, build_dataset
from sf_detect.errors import ConfigError, UnknownNameError

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "datasets.md").read_text(encoding="utf-8")


def test_the_document_lists_every_dataset():
    assert set(re.findall(r"^\| `(\w+)` \|", DOCUMENT, re.MULTILINE)) == set(DATASETS)


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_options_are_checked(name):
    with pytest.raises(ConfigError, match=f"dataset {name} needs the option 'root', such as root=PATH"):
        build_dataset(name, {})
    with pytest.raises(UnknownNameError, match="Did you mean 'root'"):
        build_dataset(name, {"rot": "x"})
