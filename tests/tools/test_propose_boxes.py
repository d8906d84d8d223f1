import sys

import pytest

from fakes import FakeDetector, FakeTracker
from sf_detect.data.datasets import build_dataset
from synthetic_video import write_video
from tools import propose_boxes


@pytest.fixture
def root(tmp_path):
    for action in ("clap", "wave"):
        (tmp_path / "videos" / action).mkdir(parents=True)
        for number in (1, 2):
            write_video(tmp_path / "videos" / action / f"{action}{number}.mp4", 20, 10)
    return tmp_path


def test_files_that_training_reads(root):
    said = []
    assert propose_boxes.propose(root, 1.0, 2, FakeDetector(), FakeTracker(), said.append) == 0
    assert len(said) == 4
    train, val = (build_dataset("custom", {"root": str(root), "split": split}) for split in ("train", "val"))
    assert train.class_names == ("clap", "wave")
    assert {s.video_id for s in val.samples} == {"clap2", "wave2"}
    assert [s.keyframe for s in train.samples if s.video_id == "clap1"] == [0.5, 1.5]
    assert {c for s in train.samples for classes in s.labels for c in classes} == {0, 1}


def test_a_second_run_adds_only_what_is_new(root):
    propose_boxes.propose(root, 1.0, 2, FakeDetector(), FakeTracker(), print)
    before = (root / "train.csv").read_text()
    write_video(root / "videos" / "new.mp4", 10, 10)
    (root / "videos" / "bad.mp4").write_text("no video")
    said = []
    assert propose_boxes.propose(root, 1.0, 2, FakeDetector(), FakeTracker(), said.append) == 1
    assert len(said) == 2
    added = ((root / "train.csv").read_text() + (root / "val.csv").read_text()).replace(before, "")
    assert "new,0.500" in added
    assert "clap1" not in added


def test_messages_of_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["propose_boxes.py", str(tmp_path)])
    assert propose_boxes.main() == 1
    assert "holds no video" in capsys.readouterr().err
    (tmp_path / "b.csv").write_text("a,1,0,0,1,1,0.9\n")
    monkeypatch.setattr(sys, "argv", ["propose_boxes.py", str(tmp_path), "--detector", f"precomputed:{tmp_path}/b.csv"])
    assert propose_boxes.main() == 2
    assert "precomputed boxes are no detector" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["propose_boxes.py", str(tmp_path), "--every", "0"])
    with pytest.raises(SystemExit, match="2"):
        propose_boxes.main()
