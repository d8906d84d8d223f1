"""The guides of training name what exists, and their program runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from sf_detect.data.datasets import build_dataset
from synthetic_video import write_video

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (ROOT / "docs" / "train_your_own.md").read_text(encoding="utf-8")
TRAINING = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
CVAT = """<annotations><meta><task><original_size><width>200</width><height>100</height></original_size></task></meta>
<track id="4" label="person">
<box frame="0" outside="0" xtl="20" ytl="10" xbr="100" ybr="90"><attribute name="action">wave</attribute></box>
<box frame="1" outside="0" xtl="20" ytl="10" xbr="100" ybr="90"><attribute name="action">wave</attribute></box>
<box frame="5" outside="0" xtl="40" ytl="10" xbr="120" ybr="90"></box>
<box frame="10" outside="1" xtl="40" ytl="10" xbr="120" ybr="90"></box>
</track></annotations>
"""


def test_conversion_from_cvat(tmp_path):
    (line,) = re.findall(r"^sf-detect (convert annotations\.xml .*)$", GUIDE, re.MULTILINE)
    (tmp_path / "hall.xml").write_text(CVAT)
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos" / "hall.mp4", 20, 10)
    words = line.replace("annotations.xml", "hall.xml").replace("25", "10").replace("my_actions/", "").split()
    subprocess.run([sys.executable, "-m", "sf_detect", *words], cwd=tmp_path, check=True)
    rows = (tmp_path / "train.csv").read_text().partition("\n")[2]
    assert rows == "hall,0.000,0.1000,0.1000,0.5000,0.9000,wave,4\nhall,0.500,0.2000,0.1000,0.6000,0.9000,,4\n"
    assert (tmp_path / "labels.csv").read_text() == "id,name\n1,wave\n"
    samples = build_dataset("custom", {"root": str(tmp_path)}).samples
    assert [sample.labels for sample in samples] == [((0,),), ((),)]


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"(?:tools|docs|configs|sf_detect)/[\w/.]*\w", GUIDE + TRAINING)))
)
def test_files_that_they_name_exist(path):
    assert (ROOT / path).exists()


def test_every_folder_of_recipes_is_named():
    folders = {path.name for path in (ROOT / "configs").iterdir() if path.is_dir()}
    assert set(re.findall(r"`configs/(\w+)/`", TRAINING)) == folders
